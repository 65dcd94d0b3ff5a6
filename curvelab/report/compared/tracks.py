"""Curves of a comparison made ready for the pen: which runs are drawn how, and the band of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.model.comparison import Aligned, Comparison
from curvelab.model.verdicts import AxisName
from curvelab.signals.noise import running_median
from curvelab.signals.thinning import min_max_rows

Floats = NDArray[np.float64]

SMOOTH = 25  # a train loss is drawn as its running median over a 25th of its points
GRID = 120  # places of a band
QUANTILES = (5, 25, 50, 75, 95)
FEWEST_IN_BAND = 3  # runs that must reach a place for the band to be drawn there
OUTSIDE = 0.5  # of its places outside the band that make a run an outlier (judgement)
MOST_OUTLIERS = 6


@dataclass(frozen=True, eq=False)
class Track:
    """One run's curve: `number` is the place of its row; x rising, y finite, float64[n]; raw is what was logged."""

    number: int
    name: str
    x: Floats
    y: Floats
    raw: tuple[Floats, Floats] | None


@dataclass(frozen=True)
class Band:
    """Levels over runs: x float64[k], levels float64[5, k] in the order of QUANTILES; of seeds float64[2, k], their range."""

    x: Floats
    levels: Floats


def tracks(comparison: Comparison, metric: str, axis: AxisName, most: int) -> list[Track]:
    """The curves of a metric, at most `most` points each, in the order of the rows."""
    by_run = {one.run: one for one in comparison.aligned if one.metric == metric}
    smooth = metric == "train/loss"
    found = []
    for number, row in enumerate(comparison.rows):
        if row.run in by_run and (track := _track(number, row.name, by_run[row.run], axis, most, smooth)) is not None:
            found.append(track)
    return found


def _track(number: int, name: str, curve: Aligned, axis: AxisName, most: int, smooth: bool) -> Track | None:
    x, y = np.array(curve.along[axis], dtype=np.float64), np.array(curve.value, dtype=np.float64)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if not len(x):
        return None
    rows = min_max_rows(y, most)
    if not smooth:
        return Track(number, name, x[rows], y[rows], None)
    level = running_median(y, len(y) // SMOOTH | 1)
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).astype(np.int64))
    return Track(number, name, x[kept], level[kept], (x[rows], y[rows]))


def of_groups(comparison: Comparison, mine: Sequence[Track]) -> list[tuple[Track, Band | None]]:
    """Each group of seeds as the mean of its ranked runs and the band from the lowest to the highest of them.

    A group none of whose runs is ranked stands with all that it has; the number is that of its first drawn run.
    """
    by_run = {comparison.rows[track.number].run: track for track in mine}
    out = {row.run for row in comparison.rows if row.unranked}
    found: list[tuple[Track, Band | None]] = []
    for group in comparison.groups:
        there = [run for run in group.runs if run in by_run]
        members = [by_run[run] for run in ([run for run in there if run not in out] or there)]
        if len(members) == 1:
            found.append((members[0], None))
        elif members:
            found.append(_mean_of(group.name, members))
    return found


def _mean_of(name: str, members: Sequence[Track]) -> tuple[Track, Band | None]:
    """The mean of curves where all of them are, with their range."""
    first, last = max(track.x[0] for track in members), min(track.x[-1] for track in members)
    if first > last:
        return members[0], None
    grid = np.linspace(first, last, GRID)
    values = np.array([on_grid(grid, track) for track in members])
    mean = Track(members[0].number, name, grid, values.mean(axis=0), None)
    return mean, Band(grid, np.array([values.min(axis=0), values.max(axis=0)]))


def band_of(all_tracks: Sequence[Track]) -> Band | None:
    """The quantiles of curves that reach a place; None where too few reach any."""
    ends = [track.x for track in all_tracks if len(track.x) > 1]
    if len(ends) < FEWEST_IN_BAND:
        return None
    grid = np.linspace(min(x[0] for x in ends), max(x[-1] for x in ends), GRID)
    values = np.array([on_grid(grid, track) for track in all_tracks if len(track.x) > 1])
    reached = np.isfinite(values).sum(axis=0) >= FEWEST_IN_BAND
    if not reached.any():
        return None
    return Band(grid[reached], np.nanpercentile(values[:, reached], QUANTILES, axis=0))


def outliers(all_tracks: Sequence[Track], band: Band) -> list[Track]:
    """The runs that lie outside the band for most of their way, the farthest first."""
    low, high = band.levels[0], band.levels[-1]
    found = []
    for track in all_tracks:
        values = on_grid(band.x, track)
        there = np.isfinite(values)
        if not there.any():
            continue
        beyond = np.maximum(values - high, low - values)[there]
        if float((beyond > 0).mean()) >= OUTSIDE:
            found.append((float(np.median(beyond)), track))
    return [track for _, track in sorted(found, key=lambda one: -one[0])[:MOST_OUTLIERS]]


def on_grid(grid: Floats, track: Track) -> Floats:
    """A curve on a grid; NaN beyond its ends."""
    values: Floats = np.interp(grid, track.x, track.y, left=np.nan, right=np.nan)
    return values
