"""A log without most of its values: what is needed to tell which logs are one run, small enough for thousands of them.

Whole curves are kept where runs are told apart by them (curvelab.kinship), of the others the beginning and the end. When
the runs are known, each is read again, whole, by the process that judges it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curvelab.free_names import common_name
from curvelab.kinship import TELLING
from curvelab.knowledge.metric_names import canonical
from curvelab.model.log import Ints, Log, RawSeries

HEAD, TAIL = 256, 16  # rows kept of a curve by which no runs are told apart


@dataclass(frozen=True, eq=False)
class Sketch(Log):
    """A log of which only some values are here; `number` is its place among the logs of its file."""

    number: int = 0


def sketches(logs: Sequence[Log]) -> tuple[Sketch, ...]:
    """The logs of one file, sketched."""
    return tuple(_sketch(log, number) for number, log in enumerate(logs))


def _sketch(log: Log, number: int) -> Sketch:
    told = {name: getattr(log, name) for name in Log.__dataclass_fields__}
    seen: dict[bytes, Ints] = {}
    told["series"] = tuple(_slim(log, series, seen) for series in log.series)
    told["timed"] = ()
    return Sketch(**told, number=number)


def _slim(log: Log, series: RawSeries, seen: dict[bytes, Ints]) -> RawSeries:
    """One series; steps that several series share are kept once."""
    rows = len(series)
    name = canonical(log.names.get(series.name) or common_name(series.name))
    if name not in TELLING and rows > HEAD + TAIL:
        series = series.take(np.r_[0:HEAD, rows - TAIL : rows])
    step = seen.setdefault(series.step.tobytes(), series.step)
    return RawSeries(
        series.name,
        step=step,
        value=series.value,
        order=series.order if len(series) <= HEAD + TAIL else step,  # only its first value is asked for
        wall_time=_ends(series.wall_time, rows),
        epoch=_ends(series.epoch, rows),
    )


def _ends(values: np.ndarray | None, rows: int) -> np.ndarray | None:
    """The two ends of a column: of times and epochs only the least and the greatest are asked for."""
    if values is None or rows <= HEAD + TAIL or len(values) <= HEAD + TAIL:
        return values
    return np.concatenate([values[:HEAD], values[-TAIL:]])


def restored(sketch: Sketch, log: Log) -> Log:
    """The whole log, with what was found out about its sketch: its names, notes and restarts, and whether it was emptied."""
    if not sketch.series and log.series:  # a console beside better logs
        return replace(log, series=(), plan=sketch.plan, damage=sketch.damage, notes=sketch.notes)
    return replace(log, names=sketch.names, notes=sketch.notes, restarts=_restarts(sketch, log))


def _restarts(sketch: Sketch, log: Log) -> tuple[int, ...]:
    """Restarts that the sketch was given, at the places (`order`) of the whole log."""
    if sketch.restarts == log.restarts:
        return log.restarts
    return (min(int(series.order.min()) for series in log.series if len(series)),)
