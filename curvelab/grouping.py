"""Which logs belong to one training run.

Two questions, in this order. Where does a file live? Sub-folders that trainers make (checkpoint-N, runs/<time>_<host>,
wandb/offline-run-...) belong to the folder above them: its home. And do the logs of one home agree (kinship.py)?
Then runs of different homes are joined that are the same training in other formats (scattered.py).
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curvelab.kinship import (
    CONSOLES,
    Unit,
    going_on,
    one_history,
    only_seems,
    overlapping,
    same_training,
    sharing_points,
)
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.scattered import MOST_CONSOLES, Found, brought_together
from curvelab.sides import families, is_chart, of_one_run
from curvelab.splits import SPLITS, part_name
from curvelab.versions import resumed_versions

_CHECKPOINT = re.compile(r"^checkpoint-\d+$")
_WANDB_RUN = re.compile(r"^(offline-)?run-\d{8}_\d{6}-\w+$")
_HPARAMS = re.compile(r"^\d{9,}(\.\d+)+$")  # Transformers puts its hparams file into <unix time>.<fraction>
_EVENT_ROOTS = frozenset(("runs", "logs", "log", "tensorboard", "tb", "tb_logs", "events", "tensorboard_logs"))
_FEW = 100  # logs of one place of which each is compared with each; a run's own folder has no more


@dataclass(frozen=True)
class Group:
    """The logs of one run, the folder or file at which it was found, its homes, and whether that file holds other runs."""

    path: Path
    logs: tuple[Log, ...]
    homes: frozenset[Path] = frozenset()
    of_several: bool = False


def group(logs: Sequence[Log], root: Path) -> list[Group]:
    """Split the logs found below `root` into runs, in the order of their paths. No two runs have the same path.

    The exception is a file that holds several runs: each has the path of that file.
    """
    homes = _homes(logs, root)
    members: dict[Path, list[Log]] = defaultdict(list)
    for log in logs:
        members[homes[log.path]].append(log)
    shared = {path for path, count in Counter(log.path for log in logs).items() if count > 1}
    groups: list[Found] = []
    taken: set[Path] = set()
    for home, some in members.items():
        runs = _agreeing(_units(some))
        folders = Counter(log.path.parent for log in some)
        for run in sorted(runs, key=lambda run: min(len(log.path.parts) for log in run)):
            several = next((log.path for log in run if log.path in shared), None)
            if several is not None:
                groups.append(Found(several, tuple(run), frozenset((home,)), of_several=True))
                continue
            place = next(place for place in _places(run, folders, home, root) if place not in taken)
            taken.add(place)
            groups.append(Found(place, tuple(run), frozenset((home,))))
    return sorted(map(_group, resumed_versions(brought_together(groups))), key=lambda g: str(g.path))


def _group(parts: Sequence[Found]) -> Group:
    """One run of what was found of it in one place or several; the first names it."""
    logs = [log for part in parts for log in part.logs]
    homes = frozenset().union(*(part.homes for part in parts))
    return Group(parts[0].path, tuple(_without_console(logs)), homes, parts[0].of_several)


def _places(run: Sequence[Log], folders: Mapping[Path, int], home: Path, root: Path) -> Iterator[Path]:
    """Paths that may name a run, the best first: a folder of its own, else its longest log.

    folders   folder -> how many logs of this home lie in it
    """
    lead = max(run, key=lambda log: sum(map(len, log.series)))
    own = Counter(log.path.parent for log in run)
    if root != lead.path:
        if len(run) == sum(folders.values()):
            yield home
        common = Path(os.path.commonpath([log.path.parent for log in run]))
        for folder in (common, lead.path.parent):
            if folders.get(folder, 0) <= own[folder]:
                yield folder
    yield lead.path
    yield from (log.path for log in run)


def _homes(logs: Sequence[Log], root: Path) -> dict[Path, Path]:
    """File -> the folder of the run that it belongs to, never above `root`."""
    found = {log.path: _home_of(log, root) for log in logs if log.format != "tensorboard"}
    # runs/<name> is a run's own folder, not a part of the one above, when other logs of the run lie in it
    settled = frozenset(found.values())
    events = {log.path.parent for log in logs if log.format == "tensorboard"}
    return found | {
        log.path: _home_of(log, root, settled, root != log.path and bool(part_name(log, events)))
        for log in logs
        if log.format == "tensorboard"
    }


def _home_of(log: Log, root: Path, settled: frozenset[Path] = frozenset(), part: bool = False) -> Path:
    folder = log.path.parent
    if root == log.path:
        return folder
    if part and folder != root and folder not in settled:
        folder = folder.parent
    event = log.format == "tensorboard"
    while folder != root and root in folder.parents:
        name, above = folder.name, folder.parent
        in_wandb = name in ("wandb", "latest-run") or (name == "files" and _WANDB_RUN.match(above.name))
        belongs = in_wandb or _CHECKPOINT.match(name) or _WANDB_RUN.match(name)
        if belongs or (event and folder not in settled and (_HPARAMS.match(name) or name in SPLITS)):
            folder = above
        elif event and folder not in settled and name in _EVENT_ROOTS:
            folder, event = above, False
        elif event and folder not in settled and above.name in _EVENT_ROOTS and above != root:
            # one event root only: the run's folder may itself stand in a folder called `runs`
            folder, event = above.parent, False
        else:
            break
    return folder


def _units(logs: Sequence[Log]) -> list[Unit]:
    """Logs that are one log by their place alone: event files of one folder, agreeing states, one W&B id, a name's splits."""
    found: dict[tuple[str, str], list[Log]] = defaultdict(list)
    kin = families(logs)
    events = {log.path.parent for log in logs if log.format == "tensorboard"}
    for log in sorted(logs, key=lambda log: str(log.path)):
        if log.format == "tensorboard":
            folder = log.path.parent.parent if part_name(log, events) else log.path.parent
            while folder.name in SPLITS or _HPARAMS.match(folder.name):
                folder = folder.parent
            key = str(folder)
        elif log.format == "trainer-state":
            continue
        else:
            key = log.identity.get("id") or str(kin.get(log.path, log.path))
        found[log.format, key].append(log)
    units = [some for several in found.values() for some in (of_one_run(several) if is_chart(several[0]) else [several])]
    return [*_states([log for log in logs if log.format == "trainer-state"]), *map(Unit, map(tuple, units))]


def _states(logs: Sequence[Log]) -> list[Unit]:
    """Snapshots of one training each: a folder may hold the checkpoints of an earlier one, too."""
    histories: list[list[Log]] = []
    for log in sorted(logs, key=lambda log: (-sum(map(len, log.series)), str(log.path))):
        empty = not any(map(len, log.series))
        mine = next((history for history in histories if empty or one_history(history[0], log)), None)
        if mine is None:
            histories.append([log])
        else:
            mine.append(log)
    return [Unit(tuple(reversed(history))) for history in histories]  # the longest last: its values count


def _agreeing(units: Sequence[Unit]) -> list[list[Log]]:
    """Join units that are logs of one training; the others stay runs of their own."""
    parent = list(range(len(units)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    seeming: list[tuple[int, int]] = []
    for i, j in _pairs(units):
        if top(i) != top(j) and same_training(units[i], units[j]):
            if only_seems(units[i], units[j]):
                seeming.append((i, j))
            else:
                parent[top(i)] = top(j)
    for after, before in _chained(units, seeming, top):
        parent[top(after)] = top(before)
    runs: dict[int, list[Log]] = defaultdict(list)
    for i, unit in enumerate(units):
        runs[top(i)].extend(unit.logs)
    joined = list(runs.values())
    empty: list[list[Log]] = []
    full: list[list[Log]] = []
    for run in joined:
        (full if any(len(s) for log in run for s in log.series) else empty).append(run)
    if len(full) == 1:  # files without values (hparams, a header only) belong to the one run that is there
        return [full[0] + [log for run in empty for log in run]]
    return joined


def _chained(
    units: Sequence[Unit], seeming: Sequence[tuple[int, int]], top: Callable[[int], int]
) -> Iterator[tuple[int, int]]:
    """(unit, that which it goes on from), of pairs that only their places tie: where no other one fits as well.

    top   the run that a unit belongs to so far; the caller joins each pair before it takes the next
    """
    first = [unit.span.first if unit.span else 0 for unit in units]
    before: dict[int, list[int]] = defaultdict(list)
    for pair in seeming:
        earlier, later = sorted(pair, key=lambda i: first[i])
        before[later].append(earlier)
    members: dict[int, list[int]] = defaultdict(list)
    for i in range(len(units)) if before else ():
        members[top(i)].append(i)
    for later in sorted(before, key=lambda i: first[i]):
        runs = {top(i) for i in before[later]}
        head, own = next(iter(runs)), top(later)
        rivals = set(members[head]) - set(before[later])
        if len(runs) == 1 and head != own and not any(overlapping(units[i], units[later]) for i in rivals):
            yield later, head
            members[top(later)] = members[head] + members[own]


def _pairs(units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), j < i, of units that may be one training: all of a few, of many those that an index finds."""
    if len(units) <= _FEW:
        found = [(i, j) for i in range(len(units)) for j in range(i)]
    else:
        consoles = [i for i, unit in enumerate(units) if unit.format in CONSOLES]
        others = [i for i, unit in enumerate(units) if unit.format not in CONSOLES]
        printed = [(i, j) for i in consoles for j in others] if len(consoles) * len(others) <= MOST_CONSOLES else []
        either = (*going_on(units), *sharing_points([unit.points for unit in units]), *printed)
        found = sorted({(max(pair), min(pair)) for pair in either})
    # two runs of charts bear different names, or they contradict each other
    yield from (pair for pair in found if not all(is_chart(units[i].logs[0]) for i in pair))


def _without_console(run: list[Log]) -> list[Log]:
    """A run's logs, its console without values when a better log is there: printed ones are rounded."""
    if all(log.format in CONSOLES for log in run):
        return run
    text = "the console output of this run; its values, which are rounded, are taken from the other logs"
    return [
        replace(log, series=(), plan=None, damage=(), notes=(Note(level="info", text=text, file=str(log.path)),))
        if log.format in CONSOLES
        else log
        for log in run
    ]
