"""Lightning's version_0, version_1: a fit that was resumed with ckpt_path goes on in a folder of its own.

A fresh fit begins at step 0. One that begins later was resumed, and where exactly one earlier version has its settings,
ends there and has such a loss, that is the one: both are one run with a restart. Where several fit, a note says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from curvelab.kinship import Unit, could_go_on
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.scattered import Found

_LARGEST = 1 << 20  # bytes of settings that are compared
_VERSION = re.compile(r"^version_(\d{1,9})$")


def resumed_versions(runs: Sequence[list[Found]]) -> list[list[Found]]:
    """The runs, a version that goes on from another one in its list, behind it."""
    found = [list(parts) for parts in runs]
    heads = list(range(len(runs)))  # the run that each one is a part of
    for siblings in _siblings(runs).values():
        continued: set[int] = set()
        for at, i in enumerate(siblings):
            before = [j for j in siblings[:at] if _goes_on(runs[j], runs[i])]
            same = [j for j in before if j not in continued and _settings(runs[j]) == _settings(runs[i])]
            names = " or ".join(runs[j][0].path.name for j in before)
            if len(before) == 1 and same:
                continued.add(before[0])
                heads[i] = heads[before[0]]
                text = f"goes on from {names}: the steps, settings and loss do; the two are one run"
                found[heads[i]] += [_resumed(part, text) for part in runs[i]]
            elif before:
                text = f"seems to go on from {names}, but the settings differ or several would fit; left a run of its own"
                found[i] = [_noted(runs[i][0], text), *runs[i][1:]]
    return [parts for i, parts in enumerate(found) if heads[i] == i]


def _siblings(runs: Sequence[list[Found]]) -> dict[Path, list[int]]:
    """Folder -> places of the runs that are its versions, in their order."""
    versions: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    for i, parts in enumerate(runs):
        homes = frozenset().union(*(part.homes for part in parts))
        home = next(iter(homes))
        number = _VERSION.match(home.name)
        if number and len(homes) == 1:
            versions[home.parent].append((int(number.group(1)), i))
    return {parent: [i for _, i in sorted(some)] for parent, some in versions.items()}


def _goes_on(first: Sequence[Found], second: Sequence[Found]) -> bool:
    """Whether a log of the second begins where one of the same format in the first could be resumed."""
    pairs = [(a, b) for a in _units(first) for b in _units(second) if a.format == b.format]
    return any(could_go_on(a, b) and _epochs_go_on(a.logs, b.logs) for a, b in pairs)


def _units(parts: Sequence[Found]) -> Iterator[Unit]:
    return (unit for part in parts for unit in part.units)


def _epochs_go_on(first: Sequence[Log], second: Sequence[Log]) -> bool:
    """Whether the second begins in the epoch that the first came to, or the next; True where none are logged."""
    ends, starts = _epochs(first), _epochs(second)
    return not len(ends) or not len(starts) or float(starts.min()) >= float(ends.max()) - 1


def _epochs(logs: Sequence[Log]) -> np.ndarray:
    known = [s.epoch[np.isfinite(s.epoch)] for log in logs for s in log.series if s.epoch is not None]
    return np.concatenate(known) if known else np.empty(0)


def _settings(parts: Sequence[Found]) -> list[object]:
    """What tells the settings of a version: those in its logs, and the text of the hparams.yaml beside them."""
    logged: list[object] = [dict(values) for part in parts for log in part.logs for values in log.settings.values()]
    return [*logged, *(_text(home / "hparams.yaml") for part in parts for home in sorted(part.homes))]


def _text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return b""


def _resumed(part: Found, text: str) -> Found:
    """The same logs, with the word that a new process began the first of each format."""
    logs: dict[Path, Log] = {log.path: log for log in part.logs}
    begun: set[str] = set()
    for log in sorted(part.logs, key=lambda log: str(log.path)):  # event files bear their time in their names
        starts = [int(s.order.min()) for s in log.series if len(s)]
        if starts and log.format not in begun:
            begun.add(log.format)
            logs[log.path] = replace(log, restarts=(min(starts),))
    return _noted(replace(part, logs=tuple(logs.values())), text)


def _noted(part: Found, text: str) -> Found:
    first = part.logs[0]
    note = Note(level="info", text=text, file=str(first.path))
    return replace(part, logs=(replace(first, notes=(*first.notes, note)), *part.logs[1:]))
