"""Wall times from logs, checked in one place for all formats: a damaged one must harm nothing that comes after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curvelab.model.log import Floats, Log
from curvelab.model.note import Note

LAST_TIME = 4.1e9  # Unix seconds, the year 2099; small times may be seconds since the start of a run, and are kept


def with_known_times(log: Log) -> Log:
    """The same log; wall times that are none become NaN, and rows that have nothing but such a time are left out."""
    lost = sum(_impossible(series.wall_time) for series in log.series if series.wall_time is not None)
    lost_timed = sum(_impossible(timed.wall_time) for timed in log.timed)
    if not lost and not lost_timed:
        return log
    said = []
    if lost:
        said.append(f"{lost:,} wall times lie before 1970 or after 2099; their values were kept without them")
    if lost_timed:
        said.append(f"{lost_timed:,} values logged by time only lie before 1970 or after 2099; dropped")
    keeping = [_possible(timed.wall_time) for timed in log.timed]
    return replace(
        log,
        series=tuple(
            series
            if series.wall_time is None
            else replace(series, wall_time=np.where(_possible(series.wall_time), series.wall_time, np.nan))
            for series in log.series
        ),
        timed=tuple(
            replace(timed, wall_time=timed.wall_time[kept], value=timed.value[kept])
            for timed, kept in zip(log.timed, keeping, strict=True)
        ),
        notes=(*log.notes, *(Note(level="warning", text=text, file=str(log.path)) for text in said)),
    )


def _possible(time: Floats) -> np.ndarray:
    return np.isnan(time) | ((time >= 0) & (time < LAST_TIME))


def _impossible(time: Floats) -> int:
    return len(time) - int(_possible(time).sum())
