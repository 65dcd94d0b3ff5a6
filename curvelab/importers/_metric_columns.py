"""Rows of a log -> one series a metric: growing typed columns, so that a million rows stay small."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from curvelab.importers._json_text import number
from curvelab.model.log import RawSeries

MAX_METRICS = 20_000  # names in one file; more are no metrics but data
LONGEST_NAME = 1_000  # characters
LARGEST_STEP = 2**53  # beyond this a step is no count but damage


def count_of(value: Any) -> int | None:
    """A step or a number of steps; None for what cannot be one (text, negative, not finite, beyond 2^53)."""
    found = cell_number(value) if isinstance(value, str) else number(value)
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


class MetricColumns:
    """Metric name -> columns of step, value, epoch, tokens, wall time, native step and order."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[int], array[float], array[float], array[float], array[float], array[int]]]
        self._columns = {}
        self._orders: dict[str, array[int]] = {}
        self.skipped: dict[str, int] = {}
        self.overflown = 0
        self.refused = 0
        self.rows = 0

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
        order = self.rows
        self.rows += 1
        native = step if native_step is None else native_step
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
            columns = self._columns.get(name)
            if columns is None:
                if len(self._columns) >= MAX_METRICS or len(name) > LONGEST_NAME:
                    self.refused += 1
                    continue
                columns = (array("q"), array("d"), array("d"), array("d"), array("d"), array("q"))
                self._columns[name] = columns
                self._orders[name] = array("q")
            columns[0].append(step)
            columns[1].append(value)
            columns[2].append(epoch)
            columns[3].append(tokens)
            columns[4].append(wall_time)
            columns[5].append(native)
            self._orders[name].append(order)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def last_step(self) -> int | None:
        """The highest step of all rows."""
        return max((max(columns[0]) for columns in self._columns.values()), default=None)

    def series(self) -> tuple[RawSeries, ...]:
        """The columns as series; an axis that no row has is None."""
        found = []
        for name, (step, value, epoch, tokens, wall_time, native) in self._columns.items():
            steps, natives = np.frombuffer(step, dtype=np.int64), np.frombuffer(native, dtype=np.int64)
            found.append(
                RawSeries(
                    name=name,
                    step=steps,
                    value=np.frombuffer(value, dtype=np.float64),
                    order=np.frombuffer(self._orders[name], dtype=np.int64),
                    epoch=_known(epoch),
                    tokens=_known(tokens),
                    wall_time=_known(wall_time),
                    native_step=None if np.array_equal(steps, natives) else natives,
                )
            )
        return tuple(found)


def _says_infinite(item: Any) -> bool:
    return "inf" in item.lower() if isinstance(item, str) else isinstance(item, float)


def _known(column: array[float]) -> Any:
    values = np.frombuffer(column, dtype=np.float64)
    return None if np.isnan(values).all() else values
