"""Lines of one training -> its curves: the most complete one leads, the others fill the steps, metrics and times it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from curvelab.attempt_times import AttemptTimes, segment_at_step
from curvelab.kinship import same_numbers
from curvelab.lines import Line, in_order, merged, named
from curvelab.model.log import Log, TimedSeries
from curvelab.model.note import Note
from curvelab.model.run import Curve, Seam, winning_rows


def filled(lines: Sequence[Line]) -> tuple[dict[str, Curve], tuple[Seam, ...], list[Note]]:
    """The leading line, with the metrics, steps and times that only the others have."""
    if not lines:
        return {}, (), []
    lead, *others = lines
    curves = dict(lead.curves)
    notes = [*lead.notes]
    if telling := [line.format for line in others if line.rows]:
        text = (
            f"one training in {_listed([lead.format, *telling])}; "
            f"values are taken from {lead.format} and filled from the other{'s' if len(telling) > 1 else ''}"
        )
        notes.append(Note(level="info", text=text))
    for other in others:
        notes += [note for note in other.notes if not lead.seams or "restarted" not in note.text]
        rows = {metric: winning_rows(curve, other.seams) for metric, curve in other.curves.items()}
        added, differing = fill(curves, rows, lead.seams)
        file = next((origin for curve in other.curves.values() for origin in curve.origins), None)
        if added:
            text = f"{lead.format} lacks {added} values that {other.format} has; they were filled in"
            notes.append(Note(level="info", text=text, file=file))
        if differing:
            text = f"{differing} values differ from those in {lead.format} at the same step; the latter were kept"
            notes.append(Note(level="warning", text=text, file=file))
    return _axes_from_loss(curves), lead.seams, notes


def fill(curves: dict[str, Curve], others: Mapping[str, Curve], seams: tuple[Seam, ...]) -> tuple[int, int]:
    """Put into `curves` what only `others` have: whole metrics, and of the metrics that both have, steps and axes.

    others   one row a step
    seams    restarts of `curves`

    Returns how many values were added to metrics that were there, and how many of those in both differ.
    """
    added, differing = 0, 0
    for metric, other in others.items():
        rows = replace(other, segment=segment_at_step(other.step, seams).astype(np.int32))
        if metric not in curves:
            curves[metric] = in_order(rows)
            continue
        here = curves[metric]
        differing += _differing(winning_rows(here, seams), rows)
        lacking = rows.take(~np.isin(rows.step, here.step))
        added += len(lacking)
        curves[metric] = merged(_with_axes(here, rows), lacking) if len(lacking) else _with_axes(here, rows)
    return added, differing


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _differing(one: Curve, other: Curve) -> int:
    """How many values two curves hold at the same step that are not the same to float32."""
    _, i, k = np.intersect1d(one.step, other.step, assume_unique=True, return_indices=True)
    return int((~same_numbers(one.value[i], other.value[k])).sum())


def _with_axes(curve: Curve, other: Curve) -> Curve:
    """Fill unknown epochs, tokens and wall times of `curve` from the rows of `other` at the same step."""
    if not len(other):
        return curve
    place = np.clip(np.searchsorted(other.step, curve.step), 0, len(other) - 1)
    hit = other.step[place] == curve.step
    axes = {}
    for name in ("epoch", "tokens", "wall_time"):
        own = getattr(curve, name)
        lacking = np.isnan(own) & hit
        axes[name] = np.where(lacking, getattr(other, name)[place], own) if lacking.any() else own
    return replace(curve, **axes)


def _axes_from_loss(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Epochs, tokens and times that one metric lacks and the train loss has at the same step."""
    main = curves.get("train/loss")
    if main is None:
        return curves
    lead = winning_rows(main, ())
    return {metric: curve if metric == "train/loss" else _with_axes(curve, lead) for metric, curve in curves.items()}


def timed(logs: Sequence[Log], curves: Mapping[str, Curve], given: Mapping[str, str]) -> dict[str, Curve]:
    """Series that were logged by time only, put on the step axis by the wall times of the train loss.

    A row belongs to the attempt whose file it is in, else to the one that logged nearest in time.
    """
    main = curves.get("train/loss")
    found: dict[str, Curve] = {}
    known = main.take(np.isfinite(main.wall_time)) if main is not None else None
    if known is None or len(known) < 2:
        return found
    for log in logs:
        own = known.take(known.origin == known.origins.index(str(log.path))) if str(log.path) in known.origins else known
        for series in log.timed:
            metric = named(series.name, series.name, given)
            if not len(series.value) or metric in curves:
                continue
            curve = _on_steps(metric, series, own if len(own) > 1 else known)
            curve = replace(curve, raw_names=(series.name,), origins=(str(log.path),))
            found[metric] = merged(found[metric], curve) if metric in found else in_order(curve)
    return found


def _on_steps(metric: str, series: TimedSeries, main: Curve) -> Curve:
    """A series by time on the steps that each attempt had reached by then."""
    segment = AttemptTimes.of(main.wall_time, main.segment.astype(np.int64)).segment_at(series.wall_time)
    step = np.zeros(len(segment), dtype=np.int64)
    for one in np.unique(segment):
        rows, here = main.take(main.segment == one), segment == one
        by_time = np.argsort(rows.wall_time, kind="stable")
        step[here] = np.interp(series.wall_time[here], rows.wall_time[by_time], rows.step[by_time].astype(np.float64))
    return Curve.of(metric, step, series.value, wall_time=series.wall_time, segment=segment)
