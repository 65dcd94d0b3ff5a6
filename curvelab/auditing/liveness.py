"""Whether a run is still being written: its log is not at its end, and it was written a short while ago.

The times in the log are believed before those of the files: a copy or a checkout makes every file new.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curvelab.model.run import Run

QUIET = 3600.0  # seconds without a new value after which a run is over: a long eval or a save takes less (judgement)
_INTERVALS = 5.0  # times the usual time between two logs that it waits at least (judgement)
_SKEW = 600.0  # seconds by which another machine's clock may be ahead


def quiet_after(run: Run, quiet: float = QUIET) -> float | None:
    """Unix time from which the run counts as over if nothing more is written; None: it is over by what its log says."""
    if run.state in ("finished", "crashed") and not _cut_off(run):
        return None
    times = [curve.wall_time[np.isfinite(curve.wall_time)] for curve in run.logged.values()]
    known = np.sort(np.concatenate(times)) if times else np.empty(0)
    if len(known):
        distances = np.diff(np.unique(known))
        usual = float(np.median(distances)) if len(distances) else 0.0
        return float(known[-1]) + max(quiet, _INTERVALS * usual)
    written = last_written(run)
    return None if written is None else written + quiet


def _cut_off(run: Run) -> bool:
    """Whether a run is called crashed only because its plan was not reached: so it looks while it is being written."""
    return run.state == "crashed" and all(log.finished is None and log.exit_code is None for log in run.logs)


def is_live(run: Run, until: float | None, now: float) -> bool:
    """Whether the run is being written. A log from the future is believed as far as clocks differ."""
    return until is not None and now < until and (begun := last_written(run)) is not None and begun <= now + _SKEW


def last_written(run: Run) -> float | None:
    """When the newest of the run's files was written (Unix seconds); None where that cannot be told."""
    times = [time for log in run.logs if (time := _modified(log.path)) is not None]
    return max(times, default=None)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except (OSError, ValueError):
        return None
