"""Logs of one training that lie in several places: outputs/a beside wandb/, a TensorBoard folder apart, a job's console.

Trainers write W&B's files into the working directory and the rest into the output folder, so the commonest layout of all
splits every run in two. Only equal values at equal steps join them (kinship.py); runs of one format are never joined
here, because a copy of a folder is a run of its own.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from curvelab.kinship import CONSOLES, Unit, same_training, sharing_points
from curvelab.model.log import Log

_TOGETHER = 120.0  # seconds between the first logs of two loggers of one process (judgement: W&B starts within a minute)
MOST_CONSOLES = 100_000  # pairs of console and run that are compared; a folder of more is no project

# Whose folder names the run: that of the trainer's own log first, that of a job's console last.
_LEADS = ("trainer-state", "trainer-log", "lightning-csv", "tensorboard")
_LAST = ("wandb-file",)


@dataclass(frozen=True, eq=False)
class Found:
    """A run as one place shows it: its logs, and where it was found."""

    path: Path
    logs: tuple[Log, ...]
    homes: frozenset[Path]
    of_several: bool = False

    @cached_property
    def formats(self) -> frozenset[str]:
        """Formats of its logs but consoles; a training may have printed into several files."""
        return frozenset(log.format for log in self.logs) - CONSOLES

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """One unit a format."""
        by_format: dict[str, list[Log]] = defaultdict(list)
        for log in self.logs:
            by_format[log.format].append(log)
        return tuple(Unit(tuple(logs)) for logs in by_format.values())

    @property
    def points(self) -> frozenset[tuple[int, bytes]]:
        """The points of all its units."""
        return frozenset().union(*(unit.points for unit in self.units))

    @cached_property
    def began(self) -> float | None:
        """Unix time of the first log that has a time."""
        times = [float(np.nanmin(s.wall_time)) for log in self.logs for s in log.series
                 if s.wall_time is not None and np.isfinite(s.wall_time).any()]  # fmt: skip
        return min(times, default=None)

    @property
    def rank(self) -> tuple[int, int, str]:
        def of(format_: str) -> int:
            return _LEADS.index(format_) if format_ in _LEADS else len(_LEADS) + (format_ in _LAST)

        return min(map(of, self.formats), default=len(_LEADS) + 2), len(self.path.parts), str(self.path)


def brought_together(runs: Sequence[Found]) -> list[list[Found]]:
    """The runs, those that are logs of one training in one list, the one that names it first.

    Of several that a log would fit (copies of a run), it goes to the nearest in the folder tree, then the first by path.
    """
    pairs = [(i, j) for i, j in _candidates(runs) if _one_training(runs[i], runs[j])]
    pairs.sort(key=lambda pair: (_apart(runs[pair[0]], runs[pair[1]]), runs[pair[0]].rank, runs[pair[1]].rank))
    group = {i: [i] for i in range(len(runs))}
    for i, j in pairs:
        a, b = group[i], group[j]
        if a is not b and not {f for k in a for f in runs[k].formats} & {f for k in b for f in runs[k].formats}:
            a += b
            group |= dict.fromkeys(b, a)
    together = {id(members): members for members in group.values()}
    return [sorted((runs[i] for i in members), key=lambda run: run.rank) for members in together.values()]


def _candidates(runs: Sequence[Found]) -> Iterator[tuple[int, int]]:
    """Pairs of runs that may be one: they share points, or one is a console, which prints rounded values."""
    consoles = [i for i, run in enumerate(runs) if not run.formats]
    others = [i for i, run in enumerate(runs) if run.formats]
    yield from sharing_points([run.points for run in runs])
    if len(consoles) * len(others) <= MOST_CONSOLES:
        yield from ((i, j) for i in consoles for j in others)


def _one_training(one: Found, other: Found) -> bool:
    if one.formats & other.formats or one.of_several or other.of_several:
        return False
    if one.began is not None and other.began is not None and abs(one.began - other.began) > _TOGETHER:
        return False  # the same settings and seed, trained twice
    return any(same_training(a, b) for a in one.units for b in other.units)


def _apart(one: Found, other: Found) -> int:
    """Folders between two runs in the tree."""
    common = len(Path(os.path.commonpath([one.path, other.path])).parts)
    return len(one.path.parts) + len(other.path.parts) - 2 * common
