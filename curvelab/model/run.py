"""Run and Curve: one training run as the rest of curvelab sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.log import Floats, Ints, Log, State
from curvelab.model.note import Note

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Curve:
    """One metric of a run; n rows sorted by segment, step, order.

    step int64[n] (optimizer steps), value float64[n], epoch, tokens float64[n] (NaN: not known),
    wall_time float64[n] (Unix seconds, NaN: not known), segment int32[n], order int64[n],
    raw and origin int16[n]: which of `raw_names` and `origins` (files) the row came from.
    """

    metric: str
    step: Ints
    value: Floats
    epoch: Floats
    tokens: Floats
    wall_time: Floats
    segment: NDArray[np.int32]
    order: Ints
    raw: NDArray[np.int16]
    origin: NDArray[np.int16]
    raw_names: tuple[str, ...] = ("",)
    origins: tuple[str, ...] = ("",)

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        steps = f", steps {self.step.min()} to {self.step.max()}" if len(self) else ""
        return f"<Curve {self.metric[:80]!r}: {len(self)} rows{steps}>"

    def take(self, rows: NDArray[Any]) -> Curve:
        """The rows of a boolean mask or an index array, as a new curve."""
        names = ("step", "value", "epoch", "tokens", "wall_time", "segment", "order", "raw", "origin")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @cached_property
    def finite(self) -> Curve:
        """The rows whose value is finite."""
        mask = np.isfinite(self.value)
        return self if mask.all() else self.take(mask)

    def between(self, start: float, end: float) -> Curve:
        """The rows with start <= step <= end."""
        return self.take((self.step >= start) & (self.step <= end))

    @classmethod
    def of(cls, metric: str, step: Any, value: Any, **columns: Any) -> Curve:
        """A curve from plain sequences; absent columns are not known. For tests, examples and synthetic runs."""
        steps = np.asarray(step, dtype=np.int64)
        n = len(steps)
        unknown = np.full(n, np.nan)
        return cls(
            metric=metric,
            step=steps,
            value=np.asarray(value, dtype=np.float64),
            epoch=np.asarray(columns.get("epoch", unknown), dtype=np.float64),
            tokens=np.asarray(columns.get("tokens", unknown), dtype=np.float64),
            wall_time=np.asarray(columns.get("wall_time", unknown), dtype=np.float64),
            segment=np.asarray(columns.get("segment", np.zeros(n)), dtype=np.int32),
            order=np.asarray(columns.get("order", np.arange(n)), dtype=np.int64),
            raw=np.zeros(n, dtype=np.int16),
            origin=np.zeros(n, dtype=np.int16),
            raw_names=(metric,),
        )


@dataclass(frozen=True)
class Seam:
    """A restart: from `step` on, segment `segment` wins over what the earlier attempt logged up to `reached`."""

    segment: int
    step: int
    reached: int


@dataclass(frozen=True)
class Setting:
    """A hyperparameter: its value and the file that it was read from."""

    value: Any
    origin: str


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: every logged value, its settings, and what the import had to say.

    logged         every row of every metric, earlier attempts included (canonical name -> Curve)
    config         canonical hyperparameters (Transformers' names), each with the file it came from
    raw_config     all settings as they were logged, by file
    planned_steps  optimizer steps of the plan, None when no log says
    batch_logs     files beside the logs that tell which samples the steps read; looked into when a finding asks
    """

    id: str
    name: str
    path: str
    format: str
    logged: Mapping[str, Curve]
    project: str | None = None
    config: Mapping[str, Setting] = field(default_factory=dict)
    raw_config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    planned_steps: int | None = None
    state: State = "unknown"
    seams: tuple[Seam, ...] = ()
    notes: tuple[Note, ...] = ()
    logs: tuple[Log, ...] = ()
    checkpoint_steps: tuple[int, ...] = ()
    batch_logs: tuple[Path, ...] = ()

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the logged metrics, sorted."""
        return tuple(sorted(self.logged))

    @cached_property
    def _curves(self) -> dict[str, Curve]:
        return {}

    def curve(self, metric: str) -> Curve:
        """The line of one metric: one row a step, steps rising, the later attempt winning after a restart.

        Raises UsageError when the metric was not logged.
        """
        if metric not in self._curves:
            if metric not in self.logged:
                raise UsageError(f'{self.name}: no metric "{metric}" was logged{did_you_mean(metric, self.logged)}')
            self._curves[metric] = winning_rows(self.logged[metric], self.seams)
        return self._curves[metric]

    def setting(self, name: str) -> Any:
        """The value of a canonical hyperparameter, or None when no log says."""
        found = self.config.get(name)
        return None if found is None else found.value

    @cached_property
    def first_step(self) -> int | None:
        steps = [int(curve.step.min()) for curve in self.logged.values() if len(curve)]
        return min(steps) if steps else None

    @cached_property
    def last_step(self) -> int | None:
        steps = [int(curve.step.max()) for curve in self.logged.values() if len(curve)]
        return max(steps) if steps else None

    @cached_property
    def points(self) -> int:
        """Distinct steps of the main train-loss series; 0 without one."""
        curve = self.logged.get("train/loss")
        if curve is None or not len(curve):
            return 0
        step = curve.step if (curve.step[1:] >= curve.step[:-1]).all() else np.sort(curve.step)
        return 1 + int(np.count_nonzero(step[1:] != step[:-1]))

    @property
    def frame(self) -> pd.DataFrame:
        """The unified dataframe, one row a logged value (see curvelab.model.frame): a copy, to do with what one likes."""
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        from curvelab.model.frame import frame_of

        return frame_of([self])

    def wide(self) -> pd.DataFrame:
        """Step x metric: the winning line of every metric, NaN where a metric has no row at a step."""
        from curvelab.model.frame import wide_of

        return wide_of(self)

    def __repr__(self) -> str:
        return f"<Run {self.name[:80]}: {self.points} points, {len(self.logged)} metrics, {self.state}>"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(m)}</td><td>{len(c)}</td><td>{c.step.min()}–{c.step.max()}</td></tr>"
            for m, c in sorted(self.logged.items())
            if len(c)
        )
        head = f"<b>{escape(self.name)}</b> · {escape(self.format)} · {self.state} · {self.points} points"
        return f"{head}<table><tr><th>metric</th><th>rows</th><th>steps</th></tr>{rows}</table>"


def winning_rows(curve: Curve, seams: tuple[Seam, ...]) -> Curve:
    """Drop what a later attempt overruled and, at a step logged twice, all but the last row."""
    kept = not_overruled(curve, seams)
    if rising(kept):
        return kept
    order = np.lexsort((kept.order, kept.segment, kept.step))
    step = kept.step[order]
    last = np.ones(len(step), dtype=bool)
    last[:-1] = step[1:] != step[:-1]
    return kept.take(order[last])


def rising(curve: Curve) -> bool:
    """Whether every step is above the one before, so that no two rows stand at one step."""
    return bool((curve.step[1:] > curve.step[:-1]).all())


def not_overruled(curve: Curve, seams: tuple[Seam, ...]) -> Curve:
    """The rows that no later attempt overruled."""
    if not seams:
        return curve
    limits = _limits(seams)
    early = curve.segment < len(limits)
    overruled = early & (curve.step >= limits[np.where(early, curve.segment, 0)])
    return curve.take(~overruled) if overruled.any() else curve


def _limits(seams: tuple[Seam, ...]) -> Ints:
    """The first step that is overruled, for each segment but the last; int64[last segment]."""
    limits = np.full(max(seam.segment for seam in seams), np.iinfo(np.int64).max)
    for seam in seams:
        limits[seam.segment - 1] = min(limits[seam.segment - 1], seam.step)
    return np.minimum.accumulate(limits[::-1])[::-1]
