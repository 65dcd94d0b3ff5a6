"""Axes: where a value stands between 0 and 1, and which ticks are worth a label. Safe from 5e-324 to 1.8e308."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.report.numerals import scientific

Floats = NDArray[np.float64]

LOG_FROM = 20  # largest / median of a curve without negative values above which the axis is logarithmic
BEGINNING = 10  # a tenth of the points, at least 3, are where a curve began
PADDING = 0.05  # of the range, above and below
SMALLEST_UNIT = 1e-290  # below it, powers of ten are no longer normal numbers
SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Scale:
    """A value axis. `low` and `high` are in multiples of `unit`, or in decades when `log`."""

    low: float
    high: float
    unit: float = 1.0
    log: bool = False

    def place(self, values: Floats | float) -> Floats:
        """Position on the axis: 0 at its lower end, 1 at its upper; NaN stays NaN. float64[n] -> float64[n]."""
        at = np.asarray(values, dtype=np.float64)
        with np.errstate(all="ignore"):
            zero = self.log & (at <= 0)
            at = np.log10(at) if self.log else at / self.unit
            # Zeros stand at the foot of a logarithmic axis: a loss that a filter set to 0 must not vanish.
            return np.where(zero, 0.0, (at - self.low) / (self.high - self.low))

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most `most` ticks as (position, label)."""
        values, step = _decades(self.low, self.high, most) if self.log else _round_steps(self, most)
        placed = self.place(np.array(values))
        size = max((abs(v) for v in values), default=0.0)
        inside = [
            (float(p), decade_label(v) if self.log else tick_label(v, step, size))
            for v, p in zip(values, placed, strict=True)
            if -1e-9 <= p <= 1 + 1e-9
        ]
        return inside if len({label for _, label in inside}) == len(inside) else inside[:1]


def scale_for(values: Floats, also: Iterable[float] = (), log: bool | None = None) -> Scale:
    """The axis of the finite ones of `values`, and of those of `also` (thresholds) that are not far away."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Scale(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    above = finite[finite > 0]
    if log is None:
        log = low >= 0 and len(above) >= 3 and high / LOG_FROM > _median(above)
    if log:
        bottom, top = math.log10(float(above.min())), math.log10(high)
        for one in also:
            if one > 0 and math.isfinite(one) and bottom - 2 <= math.log10(one) <= top + 2:
                bottom, top = min(bottom, math.log10(one)), max(top, math.log10(one))
        spare = PADDING * (top - bottom) or 0.5
        return Scale(bottom - spare, top + spare, log=True)
    unit = max(abs(low), abs(high), SMALLEST_UNIT) if low or high else 1.0
    bottom, top = low / unit, high / unit
    reach = 3 * (top - bottom) or 1.0
    for one in also:
        if math.isfinite(one) and low / unit - reach <= one / unit <= high / unit + reach:
            bottom, top = min(bottom, one / unit), max(top, one / unit)
    # A constant curve, or one that differs in the last digits only, is drawn as the flat line that it is.
    spare = PADDING * (top - bottom) if top - bottom > 1e-9 else 0.1
    floor = bottom - spare
    if bottom >= 0 > floor:
        floor = -0.02 * (top - bottom) if top > bottom else floor
    return Scale(floor, top + spare, unit)


def rises_far(values: Floats) -> bool:
    """Whether a curve comes to stand LOG_FROM times above where it began, as the losses of diverged runs do.

    Its median may be high, too, when it spends most of the run up there. float64[n] in the order of the steps.
    """
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.min() < 0:
        return False
    start = _median(finite[: max(3, len(finite) // BEGINNING)])
    return start > 0 and float(finite.max()) / LOG_FROM > start


def _median(values: Floats) -> float:
    """The upper median: the mean of two middle values near the largest float would overflow."""
    return float(np.sort(values)[len(values) // 2])


def step_ticks(first: float, last: float, most: int) -> list[tuple[float, str]]:
    """Ticks of the step axis: (step, label), whole numbers only."""
    span = last - first
    if span <= 0:
        return [(first, tick_label(first, 1, abs(first)))]
    step = max(1.0, _rounded_up(span / most))
    values = [k * step for k in range(math.ceil(first / step), math.floor(last / step) + 1)]
    size = max(abs(first), abs(last))
    return [(v, tick_label(v, step, size)) for v in values]


def tick_label(number: float, step: float, size: float) -> str:
    """One label of an axis whose labels lie `step` apart and reach up to `size`: 0.25, 1.5k, 2e-4."""
    if number == 0:
        return "0"
    if size >= 1e15 or size < 1e-3:
        return scientific(number)
    for factor, suffix in SUFFIXES:
        if size >= factor and (size >= 1e4 or (size >= 2000 and step >= 500)):
            return f"{number / factor:.6g}{suffix}"
    return f"{number:,.{_decimals(step)}f}"


def decade_label(number: float) -> str:
    """One label of a logarithmic axis: 0.01, 50, 1k, 1e-6."""
    if number >= 1e15 or number < 1e-3:
        return scientific(number)
    return next((f"{number / factor:.6g}{suffix}" for factor, suffix in SUFFIXES if number >= factor), f"{number:.6g}")


def _decimals(step: float) -> int:
    return min(12, max(0, -math.floor(math.log10(step) + 1e-9)))


def _rounded_up(step: float) -> float:
    """The next of 1, 2, 5 x a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= step * (1 - 1e-9)), 10.0 * power)


def _round_steps(scale: Scale, most: int) -> tuple[list[float], float]:
    step = _rounded_up((scale.high - scale.low) / most * scale.unit)
    apart = step / scale.unit  # stays finite where low * unit does not
    first, last = math.ceil(scale.low / apart), math.floor(scale.high / apart)
    return [k * step for k in range(first, last + 1) if math.isfinite(k * step)], step


def _decades(low: float, high: float, most: int) -> tuple[list[float], float]:
    whole = range(math.ceil(max(low, -323)), math.floor(min(high, 308)) + 1)
    if len(whole) >= 3:
        apart = -(-len(whole) // most)
        return [10.0**k for k in whole if k % apart == 0], 0.0
    fine = [m * 10.0**k for k in range(math.floor(low), math.ceil(min(high, 307)) + 1) for m in (1, 2, 5)]
    return [v for v in fine if v > 0 and low <= math.log10(v) <= high], 0.0
