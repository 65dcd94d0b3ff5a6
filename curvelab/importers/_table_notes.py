"""What a table of metrics has to say about itself: guessed steps, epochs used as steps, values that are no numbers."""

from __future__ import annotations

from curvelab.importers._axes import Axes
from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import MetricColumns
from curvelab.model.note import Note


def axis_notes(tally: Tally, axes: Axes, guessed: int, fractional: int = 0) -> list[Note]:
    """How the steps were found."""
    notes = []
    if axes.by_epoch and fractional:
        text = f'no column counts steps, and {fractional:,} rows lie between two epochs: the different values of'
        notes.append(tally.say(f'{text} "{axes.step}" are counted'))
    elif axes.by_epoch:
        notes.append(tally.say(f'no column counts steps: the step is the number of the epoch ("{axes.step}")'))
    if guessed:
        notes.append(tally.warn(f'{guessed:,} rows have no usable "{axes.step}"; took the step of the row before'))
    return notes


def value_notes(tally: Tally, columns: MetricColumns) -> list[Note]:
    """Values that were not kept, or not as they are written."""
    notes = []
    if columns.skipped:
        count, names = sum(columns.skipped.values()), len(columns.skipped)
        notes.append(tally.say(f"{count:,} values of {names:,} columns are no numbers; not kept"))
    if columns.overflown:
        notes.append(tally.warn(f"{columns.overflown:,} values lie beyond the range of a float64; kept as infinite"))
    if columns.refused:
        notes.append(tally.warn(f"{columns.refused:,} values under too many or too long names; not kept"))
    return notes
