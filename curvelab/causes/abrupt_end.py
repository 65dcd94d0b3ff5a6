"""Why a log ends early: memory, a time limit, a kill, or only a checkpoint of a run that went on.

Most of it happens outside of the log. What it can show: memory that rises towards its limit, a wall time that is a
whole number of hours as job limits are, and whether the end of a longer log is missing at all. A kill leaves no sign
of its own.

Sources: usual limits of batch systems and notebooks; judgement for the factors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import level, number
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

LIMITS = (1, 2, 3, 4, 6, 8, 9, 12, 24, 36, 48, 72, 96, 120, 168)  # hours of usual time limits
UNDER, OVER = 0.04, 0.005  # of a limit, by which the last log may lie under it (start-up, time between logs) or over it
ROSE, FULL = 1.1, 92.0  # times the memory of the first third; percent of the memory
MEMORY = re.compile(r"^(gpu/\d+|host)/memory_(gb|percent|bytes|mb)$")


@weighing(
    Candidate(
        "killed", "the process was killed: preempted, stopped by hand, a node that went down", 0.33,
        "nothing else in the log: it leaves no sign",
    ),
    Candidate(
        "out-of-memory", "memory ran out on a long batch", 0.25,
        "memory rises through the run, or is near its limit",
    ),
    Candidate(
        "time-limit", "a time limit of the job", 0.12,
        "the log ends just under a whole number of hours (1, 2, 4, 8, 12, 24 …)",
    ),
    Candidate(
        "snapshot", "no end at all: the state of a checkpoint of a run that went on", 0.2,
        "the log is the state of one checkpoint",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from _memory(facts)
    yield from _clock(facts)
    if facts.run.state == "crashed":
        yield Sign("the log shows that the process ended without finishing", {"snapshot": RULED_OUT})
    else:
        yield Sign("the log does not say how the run ended", {"snapshot": CLEAR})


def _memory(facts: Facts) -> Iterator[Sign]:
    curves = {m: facts.finite(m) for m in facts.run.metrics if MEMORY.match(m) and len(facts.finite(m)) >= 6}
    if not curves:
        yield from unseen("memory was not logged: whether it ran out cannot be seen", "out-of-memory")
        return
    for metric, curve in curves.items():
        first, last = level(curve.value[: len(curve) // 3]), level(curve.value[-3:])
        if first and last and first > 0 and last >= ROSE * first:
            text = f"{metric} rose from {number(first)} to {number(last)}"
            yield Sign(text, {"out-of-memory": CLEAR, "killed": 1 / SLIGHT})
            return
        if metric.endswith("percent") and last is not None and last >= FULL:
            yield Sign(f"{metric} stood at {number(last)} % at the end", {"out-of-memory": CLEAR})
            return
    yield Sign("memory did not rise in the log; one long batch may still have filled it", {"out-of-memory": 1 / SLIGHT})


def _clock(facts: Facts) -> Iterator[Sign]:
    times = [c.wall_time[np.isfinite(c.wall_time)] for c in facts.run.logged.values()]
    known = np.concatenate(times) if times else np.empty(0)
    if len(known) < 2:
        yield from unseen("the log has no times: whether a time limit was reached cannot be seen", "time-limit")
        return
    hours = float(np.ptp(known)) / 3600
    near = next((limit for limit in LIMITS if (1 - UNDER) * limit <= hours <= (1 + OVER) * limit), None)
    if near is not None:
        text = f"the last log comes {_time(hours)} after the first, just at a limit of {near} h"
        yield Sign(text, {"time-limit": STRONG if hours >= 4 else CLEAR})
    else:
        text = f"the last log comes {_time(hours)} after the first, which is no usual limit"
        yield Sign(text, {"time-limit": 1 / CLEAR})


def _time(hours: float) -> str:
    """Hours, or minutes where it is less than one."""
    return f"{number(hours)} h" if hours >= 1 else f"{number(60 * hours)} min"
