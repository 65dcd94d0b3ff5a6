"""Which logs belong to one training run.

Two questions, in this order. Where does a file live? Sub-folders that trainers make (checkpoint-N, runs/<time>_<host>,
wandb/offline-run-...) belong to the folder above them: its home. And do the logs of one home agree? Two logs are of one
training when they hold the same loss at the same steps, or when one goes on where the other stopped.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from curvelab.knowledge.metric_names import canonical
from curvelab.model.log import Log, RawSeries
from curvelab.model.note import Note

_CHECKPOINT = re.compile(r"^checkpoint-\d+$")
_WANDB_RUN = re.compile(r"^(offline-)?run-\d{8}_\d{6}-\w+$")
_HPARAMS = re.compile(r"^\d{9,}(\.\d+)+$")  # Transformers puts its hparams file into <unix time>.<fraction>
_EVENT_ROOTS = frozenset(("runs", "logs", "log", "tensorboard", "tb", "tb_logs", "events", "tensorboard_logs"))
SPLITS = {"train": "train", "eval": "eval", "validation": "eval", "valid": "eval", "val": "eval", "test": "test"}

_FLOAT32 = 3e-7  # relative: two float32 roundings of one number
_CONSOLES = frozenset(("trainer-console", "console-loss"))
_PRINTED = 1e-3  # relative: consoles print four digits; two runs of other seeds differ by more
_MOSTLY = 0.9  # share of the printed losses that must be those of the other log; judgement
_ENOUGH = 3  # equal, differing values at equal steps that make a coincidence unbelievable


@dataclass(frozen=True)
class Group:
    """The logs of one run, the folder or file at which it was found, and whether that file holds other runs too."""

    path: Path
    logs: tuple[Log, ...]
    of_several: bool = False


def group(logs: Sequence[Log], root: Path) -> list[Group]:
    """Split the logs found below `root` into runs, in the order of their paths."""
    homes: dict[Path, list[Log]] = defaultdict(list)
    for log in logs:
        homes[home_of(log, root)].append(log)
    shared = {path for path, count in Counter(log.path for log in logs).items() if count > 1}
    groups: list[Group] = []
    for home, members in homes.items():
        runs = [_without_console(run) for run in _agreeing(_units(members))]
        for run in runs:
            if len(run) == 1 and run[0].path in shared:
                groups.append(Group(run[0].path, tuple(run), of_several=True))
                continue
            single = len(run) == 1 and (len(runs) > 1 or len(logs) == 1)
            place = run[0].path if root == run[0].path else (run[0].path.parent if single else home)
            groups.append(Group(place if len(runs) > 1 or root == place else home, tuple(run)))
    return sorted(groups, key=lambda g: str(g.path))


def home_of(log: Log, root: Path) -> Path:
    """The folder of the run that a file belongs to, never above `root`."""
    folder = log.path.parent
    if root == log.path:
        return folder
    while folder != root and root in folder.parents:
        name, above = folder.name, folder.parent
        event = log.format == "tensorboard"
        belongs = bool(_CHECKPOINT.match(name) or _WANDB_RUN.match(name)) or name in ("wandb", "latest-run")
        belongs = belongs or (name == "files" and bool(_WANDB_RUN.match(above.name)))  # where the console log lies
        if belongs or (event and (_HPARAMS.match(name) or name in SPLITS)):
            folder = above
        elif event and above.name in _EVENT_ROOTS and above != root:
            folder = above.parent
        else:
            break
    return folder


def _units(logs: Sequence[Log]) -> list[list[Log]]:
    """Logs that are one log by their place alone: event files of one folder, the checkpoints' states, one W&B id."""
    units: dict[tuple[str, str], list[Log]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: str(log.path)):
        if log.format == "tensorboard":
            folder = log.path.parent
            while folder.name in SPLITS or _HPARAMS.match(folder.name):
                folder = folder.parent
            key = str(folder)
        elif log.format == "trainer-state":
            key = ""
        else:
            key = log.identity.get("id") or str(log.path)
        units[log.format, key].append(log)
    return list(units.values())


def _agreeing(units: list[list[Log]]) -> list[list[Log]]:
    """Join units that are logs of one training; the others stay runs of their own."""
    parent = list(range(len(units)))

    def top(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i in range(len(units)):
        for j in range(i):
            if _same_training(units[i], units[j]):
                parent[top(i)] = top(j)
    runs: dict[int, list[Log]] = defaultdict(list)
    for i, unit in enumerate(units):
        runs[top(i)].extend(unit)
    joined = list(runs.values())
    empty = [run for run in joined if not any(len(s) for log in run for s in log.series)]
    full = [run for run in joined if run not in empty]
    if len(full) == 1:  # files without values (hparams, a header only) belong to the one run that is there
        return [full[0] + [log for run in empty for log in run]]
    return joined


def _without_console(run: list[Log]) -> list[Log]:
    """A run's logs, its console without values when a better log is there: printed ones are rounded."""
    if all(log.format in _CONSOLES for log in run):
        return run
    text = "the console output of this run; its values, which are rounded, are taken from the other logs"
    return [
        replace(log, series=(), plan=None, damage=(), notes=(Note(level="info", text=text, file=str(log.path)),))
        if log.format in _CONSOLES
        else log
        for log in run
    ]


def _printed(console: list[Log], other: list[Log]) -> bool:
    """Whether a console shows the train losses of another log, in their order; steps are guessed."""
    a, b = (_compared_curves(logs).get("train/loss") for logs in (console, other))
    if a is None or b is None:
        return False
    n = min(len(a[1]), len(b[1]))
    x, y = a[1][:n], b[1][:n]
    close = np.isclose(x, y, rtol=_PRINTED, atol=_PRINTED / 2, equal_nan=True)
    return bool(close.mean() >= _MOSTLY and len(np.unique(x[close])) >= min(_ENOUGH, n))


def _same_training(one: list[Log], other: list[Log]) -> bool:
    if one[0].path == other[0].path:
        return False  # a file that holds several runs knows best which they are
    if (one[0].format in _CONSOLES) != (other[0].format in _CONSOLES):
        return _printed(one, other) if one[0].format in _CONSOLES else _printed(other, one)
    if one[0].format == other[0].format:
        return _goes_on(one, other) or _goes_on(other, one)
    a, b = _compared_curves(one), _compared_curves(other)
    for name in a.keys() & b.keys():
        steps, i, j = np.intersect1d(a[name][0], b[name][0], return_indices=True)
        x, y = a[name][1][i], b[name][1][j]
        equal = same_numbers(x, y) & np.isfinite(x)
        if len(steps) and len(np.unique(x[equal])) >= min(_ENOUGH, len(steps)):
            return True
    return False


def same_numbers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which values of two arrays are one number, rounded to float32 once or twice; NaN is NaN. bool[n]."""
    same: np.ndarray = np.isclose(a, b, rtol=_FLOAT32, atol=1e-30, equal_nan=True)
    return same


def _goes_on(first: list[Log], second: list[Log]) -> bool:
    """Whether `second` is the same training resumed: it begins inside or right after `first`, with its settings."""
    a, b = _span(first), _span(second)
    if a is None or b is None or not a[0] < b[0] <= a[1] + 2 * a[2]:
        return False
    return _arguments(first) == _arguments(second)


def _span(logs: list[Log]) -> tuple[int, int, int] | None:
    """First step, last step and the usual distance between logs."""
    curves = _compared_curves(logs)
    if not curves:
        return None
    steps = np.unique(np.concatenate([steps for steps, _ in curves.values()]))
    gap = int(np.median(np.diff(steps))) if len(steps) > 1 else 1
    return int(steps[0]), int(steps[-1]), gap


_COMPARED = ("learning_rate", "max_steps", "num_train_epochs", "per_device_train_batch_size", "seed", "lr_scheduler_type",
             "output_dir", "gradient_accumulation_steps", "max_grad_norm", "model_type", "vocab_size")  # fmt: skip


def _arguments(logs: list[Log]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for log in logs:
        for values in log.settings.values():
            merged.update({k: values[k] for k in _COMPARED if k in values})
    return merged


_COMPARED_CURVES = ("train/loss", "eval/loss", "train/grad_norm")  # a dead run's loss is constant, its norms are not


def _compared_curves(logs: list[Log]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The last logged value a step of train loss, eval loss and gradient norm, whatever the format calls them."""
    parts: dict[str, list[RawSeries]] = defaultdict(list)
    for log in logs:
        for series in log.series:
            name = canonical(log.names.get(series.name, series.name))
            if name in _COMPARED_CURVES:
                parts[name].append(series)
    out = {}
    for name, series_list in parts.items():
        step = np.concatenate([s.step for s in series_list])
        value = np.concatenate([s.value for s in series_list])
        steps, last = np.unique(step[::-1], return_index=True)
        out[name] = (steps, value[::-1][last])
    return out
