"""What is drawn beside the curves of a comparison: their distance from one run, where they part, where a run was resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curvelab.model.comparison import Comparison
from curvelab.model.verdicts import AxisName
from curvelab.report.compared.tracks import Track, on_grid

FEWEST = 3  # places that two curves must share


@dataclass(frozen=True)
class Spot:
    """A place on a curve that is marked: where it parts from the reference, or where the run was resumed."""

    kind: str
    track: Track
    at: float
    value: float


def reference(comparison: Comparison) -> int | None:
    """Number of the group that the others are held against: the baseline's, else that of the best; None where none is."""
    group_of = {row.run: row.group for row in comparison.rows}
    if comparison.baseline is not None:
        return group_of[comparison.baseline.run]
    order = comparison.ranking.order
    return order[0] if order else None


def gaps(comparison: Comparison, tracks: Sequence[Track]) -> tuple[Track | None, list[Track]]:
    """(the reference, each other curve minus it where both are); runs that must not be held against it are left out."""
    number = reference(comparison)
    held = next((t for t in tracks if comparison.rows[t.number].group == number), None)
    if held is None:
        return None, []
    found = []
    for track in tracks:
        row = comparison.rows[track.number]
        if track is held or (comparison.ranking.refusals and row.rank is None):
            continue
        there = np.isfinite(on_grid(track.x, held))
        if there.sum() >= FEWEST:
            x = track.x[there]
            found.append(Track(track.number, track.name, x, track.y[there] - on_grid(x, held), None))
    return held, found


def partings(comparison: Comparison, metric: str, axis: AxisName, tracks: Sequence[Track]) -> list[Spot]:
    """The places of a metric at which curves part from the first, on any axis."""
    group_of = {row.run: row.group for row in comparison.rows}
    by_group = {comparison.rows[track.number].group: track for track in tracks}
    found = []
    for one in comparison.partings:
        track = by_group.get(group_of[one.runs[1]])
        if one.metric != metric or one.at is None or one.steps is None or one.failed or track is None:
            continue
        at = one.at if axis == one.axis else _laid(comparison, one.runs[1], one.steps[1], axis)
        found += _spot("parts", track, at)
    return found


def seams(comparison: Comparison, axis: AxisName, tracks: Sequence[Track]) -> list[Spot]:
    """The places at which runs were resumed."""
    by_id = {one.id: one for one in comparison.runs}
    found = []
    for track in tracks:
        run = comparison.rows[track.number].run
        for seam in by_id[run].seams:
            found += _spot("seam", track, _laid(comparison, run, seam.step, axis))
    return found


def _spot(kind: str, track: Track, at: float | None) -> list[Spot]:
    if at is None:
        return []
    at = min(max(at, float(track.x[0])), float(track.x[-1]))
    return [Spot(kind, track, at, float(np.interp(at, track.x, track.y)))]


def _laid(comparison: Comparison, run: str, step: int, axis: AxisName) -> float | None:
    """The place of a run's step on an axis, between those of its drawn points."""
    lines = [one for one in comparison.aligned if one.run == run and len(one.value) > 1]
    line = max(lines, key=lambda one: len(one.value), default=None)
    return None if line is None else float(np.interp(step, line.along["step"], line.along[axis]))
