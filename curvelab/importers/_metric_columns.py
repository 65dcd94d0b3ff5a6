"""Rows of a log -> one series a metric: growing typed columns, so that a million rows stay small."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from curvelab.importers._json_text import number
from curvelab.model.log import Floats, Ints, RawSeries

MAX_METRICS = 20_000  # names in one file; more are no metrics but data
LONGEST_NAME = 1_000  # characters
LARGEST_STEP = 2**53  # beyond this a step is no count but damage
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:,|$))")  # a step as people write it: 12,000


def count_of(value: Any) -> int | None:
    """A step or a number of steps; None for what cannot be one (text, negative, not finite, beyond 2^53)."""
    found = cell_number(_THOUSANDS.sub("", value) if "," in value else value) if isinstance(value, str) else number(value)
    if found is None or not math.isfinite(found) or not 0 <= found < LARGEST_STEP:
        return None
    return int(found)


def cell_number(text: str) -> float | None:
    """The number that a text cell holds ("tensor(1.2)" too), or None."""
    if "_" in text:  # float() would take 1_000
        return None
    try:
        return float(text)
    except ValueError:
        return number(text)


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each once: the second `loss` becomes `loss (2)`."""
    count: Counter[str] = Counter()
    found = []
    for name in names:
        count[name] += 1
        found.append(f"{name} ({count[name]})" if count[name] > 1 else name)
    return found


class MetricColumns:
    """Rows of a log as columns: the axes once a row; of every metric its values and the rows that have one."""

    longest_name = LONGEST_NAME

    def __init__(self) -> None:
        self._step, self._native = array("q"), array("q")
        self._epoch, self._tokens, self._wall_time = array("d"), array("d"), array("d")
        self._values: dict[str, tuple[array[int], array[float]]] = {}
        self.skipped: dict[str, int] = {}
        self.overflown = 0
        self.refused = 0

    def add(
        self,
        step: int,
        values: Iterable[tuple[str, Any]],
        *,
        epoch: float = math.nan,
        tokens: float = math.nan,
        wall_time: float = math.nan,
        native_step: int | None = None,
    ) -> None:
        """Add one row of numbers, or texts that hold numbers; None is no value, all else is counted, not kept."""
        row = len(self._step)
        self._step.append(step)
        self._native.append(step if native_step is None else native_step)
        self._epoch.append(epoch)
        self._tokens.append(tokens)
        self._wall_time.append(wall_time)
        for name, item in values:
            if item is None:
                continue
            value = cell_number(item) if isinstance(item, str) else number(item)
            if value is None:
                if name in self.skipped or len(self.skipped) < MAX_METRICS:
                    self.skipped[name] = self.skipped.get(name, 0) + 1
                continue
            if math.isinf(value) and not _says_infinite(item):
                self.overflown += 1
            column = self._values.get(name)
            if column is None:
                if len(self._values) >= MAX_METRICS or len(name) > self.longest_name:
                    self.refused += 1
                    continue
                column = self._values[name] = (array("q"), array("d"))
            column[0].append(row)
            column[1].append(value)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def rows(self) -> int:
        return len(self._step)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def count_by(self, steps: Callable[[Floats], Ints]) -> None:
        """Replace the steps by others that are made of the epochs."""
        counted = array("q", steps(_array(self._epoch)).tobytes())
        self._step = self._native = counted

    def series(self) -> tuple[RawSeries, ...]:
        """The columns as series; an axis that no row of it has is None. Metrics that every row has share their axes."""
        of_all: dict[str, Any] = {}
        found = []
        for name, (where, what) in self._values.items():
            rows = _array(where)
            # rows rise, so that as many as there are, each the next of the one before, are all of them
            every = len(rows) == self.rows and bool((np.diff(rows) == 1).all())
            if every and not of_all:
                of_all = self._axes(None)
            found.append(RawSeries(name=name, value=_array(what), **(of_all if every else self._axes(rows))))
        return tuple(found)

    def _axes(self, rows: Ints | None) -> dict[str, Any]:
        """The axes at some rows, or at all of them (None)."""
        columns = map(_array, (self._step, self._native, self._epoch, self._tokens, self._wall_time))
        step, native, epoch, tokens, wall_time = (column if rows is None else column[rows] for column in columns)
        return {
            "step": step,
            "order": np.arange(len(step), dtype=np.int64) if rows is None else rows,
            "epoch": _known(epoch),
            "tokens": _known(tokens),
            "wall_time": _known(wall_time),
            "native_step": None if np.array_equal(step, native) else native,
        }


def _array(column: Any) -> Any:
    """The column as a NumPy array on the same memory."""
    return np.frombuffer(column, dtype=np.int64 if column.typecode == "q" else np.float64)


def _known(values: Floats) -> Floats | None:
    return None if np.isnan(values).all() else values


def _says_infinite(item: Any) -> bool:
    return "inf" in item.lower() if isinstance(item, str) else isinstance(item, float)
