"""Logs that have lost all they held: cut to nothing, or overwritten by a process that died at once."""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.model.audit import FoundTonight, RunRecord
from curvelab.model.tracking import LOST


def lost(record: RunRecord) -> Iterator[FoundTonight]:
    """A finding for a run without a point whose log held some on an earlier night."""
    run = record.run
    if run.points == 0 and run.most_points > 0:
        yield FoundTonight(
            pattern=LOST,
            severity="warning",
            confidence=1.0,
            metric="",
            headline=f"The log holds no train loss any more; an earlier audit saw {run.most_points:,} points of it",
            start_step=0,
            end_step=0,
            fix="Look for a copy of the log: it was cut or overwritten",
        )
