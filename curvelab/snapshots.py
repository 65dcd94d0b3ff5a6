"""The trainer states of one run: each checkpoint holds all that was logged up to it, so the latest one has nearly all.

Not all: a resumed run may have begun a new log, the latest file may be damaged, and then only another checkpoint holds
some steps. They are filled in, as long as the two states tell of one attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from curvelab.endings import reach
from curvelab.filling import fill
from curvelab.kinship import compared
from curvelab.lines import Line, line_of
from curvelab.model.log import Ints, Log
from curvelab.model.note import Note
from curvelab.model.run import winning_rows
from curvelab.sources import Importer

_EVERYTHING = np.iinfo(np.int64).max


def line_of_states(format_: str, states: Sequence[Log], importer: Importer, given: Mapping[str, str]) -> Line:
    """One line of all states: that which reaches furthest leads, the others fill what it lacks, with a note."""
    lead, *others = sorted(states, key=lambda log: (-reach(log), -sum(map(len, log.series))))
    if not any(map(len, lead.series)) and others:
        lead, *others = sorted(states, key=lambda log: (-sum(map(len, log.series)), -reach(log)))
    line = line_of(format_, [lead], importer, given)
    curves, notes = dict(line.curves), list(line.notes)
    held = {series.name: np.unique(series.step) for series in lead.series}
    for state in others:
        limit, differing = _common(lead, state)
        if differing:
            text = f"{differing} values are of an attempt before the run was resumed; those of the longest state count"
            notes.append(Note(level="info", text=text, file=str(state.path)))
        lacking = _only_in(state, held, limit, lambda name: importer.names(name).startswith("final/"), reach(lead))
        if lacking is None:
            continue
        rows = line_of(format_, [lacking], importer, given)
        here = {metric: winning_rows(curve, rows.seams) for metric, curve in rows.curves.items()}
        fill(curves, here, line.seams)
        held |= {s.name: np.union1d(held.get(s.name, s.step), s.step) for s in lacking.series}
        count, steps = sum(map(len, lacking.series)), np.unique(np.concatenate([s.step for s in lacking.series]))
        text = f"{_short(lead.path)} lacks {count} values of {len(steps)} steps ({steps[0]} to {steps[-1]}); filled in from here"
        notes.append(Note(level="info", text=text, file=str(state.path)))
    return replace(line, curves=curves, notes=tuple(notes))


def _common(lead: Log, other: Log) -> tuple[int, int]:
    """(the last step up to which both tell of one attempt, how many values after it contradict each other)."""
    shared, differing = compared(lead, other)
    first = min(int(s.step.min()) for s in lead.series if len(s)) if any(map(len, lead.series)) else _EVERYTHING
    if not len(shared):
        return first - 1, 0  # nothing to go by: what the other holds from there on was done again
    if not len(differing):
        return _EVERYTHING, 0
    agreed = shared[shared < differing.min()]
    return int(agreed.max()) if len(agreed) else first - 1, len(differing)


def _only_in(
    state: Log, held: Mapping[str, Ints], limit: int, summary: Callable[[str], bool], end: int
) -> Log | None:
    """The rows up to `limit` that are not `held`; None without any. A summary of a training that went on is left out."""
    left = []
    for series in state.series:
        rows = series.step <= limit
        if series.name in held:
            rows &= ~np.isin(series.step, held[series.name])
        if summary(series.name):
            rows &= series.step >= end
        if rows.any():
            left.append(series.take(rows))
    return replace(state, series=tuple(left)) if left else None


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
