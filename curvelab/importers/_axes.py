"""Which columns of a table are its x axes: step, epoch, tokens, time. By name only, as people and tools name them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from curvelab.importers._metric_columns import cell_number, count_of
from curvelab.model.log import Floats, Ints

# The first that is there counts: optimizer steps before a logger's own counter (W&B `_step`), the epoch last.
STEPS = (
    "train/global_step", "trainer/global_step", "global_step", "globalstep", "current_steps", "step", "steps",
    "training_step", "train_step", "train/step", "optimizer_step", "update", "num_updates", "iteration", "iterations",
    "iter", "iters", "_step",
)  # fmt: skip
EPOCHS = ("epoch", "train/epoch", "epochs", "_epoch")
TOKENS = ("num_input_tokens_seen", "train/num_input_tokens_seen", "total_tokens", "tokens_seen", "num_tokens", "tokens")
TIMES = ("_timestamp", "wall_time", "timestamp", "created_at", "datetime", "wall time", "time")
OTHERS = ("", "_runtime", "relative time (process)", "relative time (wall)", "index", "unnamed: 0")  # no metrics either
NATIVE = "_step"

_FIRST_TIME, _LAST_TIME = 631e6, 4.1e9  # 1990 to 2100: what lies outside is no Unix time but a duration


@dataclass(frozen=True)
class Axes:
    """The names of a table's axis columns, as the table writes them; None where there is none.

    instead  further counters of steps, for rows that lack the first: some loops name it differently when they evaluate
    """

    step: str
    by_epoch: bool = False
    epoch: str | None = None
    tokens: str | None = None
    time: str | None = None
    native: str | None = None
    others: frozenset[str] = frozenset()
    instead: tuple[str, ...] = ()

    def is_axis(self, name: str) -> bool:
        """Whether a column is an axis, so no metric."""
        return name in self.others


def axes_of(names: Iterable[str]) -> Axes | None:
    """The axes among a table's columns; None when nothing there counts steps or epochs."""
    by_word: dict[str, str] = {}
    for name in names:
        by_word.setdefault(name.strip().lower(), name)
    step, epoch = _first(by_word, STEPS), _first(by_word, EPOCHS)
    counter = step or epoch
    if counter is None:
        return None
    tokens, time = _first(by_word, TOKENS), _first(by_word, TIMES)
    words = (*STEPS, *EPOCHS, *OTHERS)
    plain = {by_word[word] for word in words if word in by_word}
    return Axes(
        step=counter,
        by_epoch=step is None,
        epoch=epoch,
        tokens=tokens,
        time=time,
        native=by_word.get(NATIVE) if counter != by_word.get(NATIVE) else None,
        others=frozenset(plain | {name for name in (tokens, time) if name}),
        instead=tuple(by_word[word] for word in STEPS if word in by_word and by_word[word] != counter and word != NATIVE)
        if step
        else (),
    )


@dataclass
class AxisReader:
    """Reads the axes of one row after the other; a row without a usable step takes that of the row before.

    guessed     rows without a usable step
    fractional  rows between two epochs, where the epoch counts the steps
    """

    axes: Axes
    step: int = 0
    guessed: int = 0
    fractional: int = 0
    _apart: set[str] = field(default_factory=set)  # counters that say something else than the first one

    def read(self, cell: Callable[[str], Any]) -> tuple[int, dict[str, Any]]:
        """(step, the other axes as keywords of MetricColumns.add). `cell` gives a cell by its name, or None."""
        axes = self.axes
        raw = cell(axes.step)
        step = count_of(raw)
        if axes.instead:
            step = self._agreeing(step, cell)
        if step is None:
            step = self.step
            self.guessed += 1
        elif axes.by_epoch and cell_or_number(raw) != step:
            self.fractional += 1
        self.step = step
        more: dict[str, Any] = {}
        if axes.epoch is not None:
            more["epoch"] = _finite(cell(axes.epoch))
        if axes.tokens is not None:
            more["tokens"] = _finite(cell(axes.tokens))
        if axes.time is not None:
            more["wall_time"] = unix_time(cell(axes.time))
        if axes.native is not None:
            more["native_step"] = count_of(cell(axes.native))
        return step, more

    def _agreeing(self, step: int | None, cell: Callable[[str], Any]) -> int | None:
        """The step of a row, from the first of the other counters where it has none: never from one that differs."""
        others = [(name, count_of(cell(name))) for name in self.axes.instead if name not in self._apart]
        if step is None:
            return next((count for _, count in others if count is not None), None)
        self._apart.update(name for name, count in others if count not in (None, step))
        return step


def steps_by_epoch(epoch: Floats) -> Ints:
    """Steps int64[n] of a log that counts epochs only, some of them fractions: the number of the epoch among all.

    Counted from 1, from 0 where epoch 0 was logged. A row without an epoch (NaN) takes the step of the row before.
    """
    known = np.isfinite(epoch)
    if not known.any():
        return np.zeros(len(epoch), dtype=np.int64)
    last = np.maximum.accumulate(np.where(known, np.arange(len(epoch)), -1))
    whole = epoch[np.where(last >= 0, last, int(np.argmax(known)))]
    epochs, place = np.unique(whole, return_inverse=True)
    return place.astype(np.int64) + int(epochs[0] > 0)


def cell_or_number(value: Any) -> float | None:
    """A number given as a number or as text."""
    if isinstance(value, str):
        return cell_number(value)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def unix_time(value: Any) -> float:
    """Unix seconds of a time stamp (seconds, milliseconds, ISO 8601); NaN for a duration or anything else."""
    found = cell_or_number(value)
    if found is None:
        if not isinstance(value, str) or not 10 <= len(value) < 40:
            return math.nan
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return math.nan
        try:
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (OverflowError, ValueError):
            return math.nan
    if _FIRST_TIME < found < _LAST_TIME:
        return found
    return found / 1e3 if _FIRST_TIME < found / 1e3 < _LAST_TIME else math.nan


def _finite(value: Any) -> float:
    found = None if value is None else cell_or_number(value)
    return found if found is not None and math.isfinite(found) else math.nan


def _first(by_word: dict[str, str], words: Iterable[str]) -> str | None:
    return next((by_word[word] for word in words if word in by_word), None)
