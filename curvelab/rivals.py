"""Two raw names for one metric in one log (`train/loss` and `Loss/train`): one curve when they agree, else two.

Mixed into one curve they would be a curve that nobody logged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curvelab.kinship import same_numbers
from curvelab.model.log import Floats, Ints, RawSeries
from curvelab.model.note import Note


@dataclass(frozen=True, eq=False)
class Part:
    """One series of one file, with the segment of each row and its place in the whole line.

    common  its name in the common form `train/...`, `eval/...`
    apart   whether its steps are on an axis of their own
    """

    series: RawSeries
    segment: Ints
    offset: int
    file: str
    common: str
    apart: bool = False

    def column(self, name: str) -> np.ndarray:
        """A column of the curve that this is a part of; NaN where the log does not have it."""
        if name == "segment":
            return self.segment.astype(np.int32)
        if name == "order":
            return self.series.order + self.offset
        values = getattr(self.series, name)
        return np.full(len(self.series), np.nan) if values is None else values


def without_rivals(
    parts: Mapping[str, Sequence[Part]], given: Mapping[str, str]
) -> tuple[dict[str, list[Part]], list[Note]]:
    """The parts by metric; what contradicts the best raw name of its metric goes under its own raw name.

    given   the user's own canonical names, by logged name: what the user named comes first
    """
    kept: dict[str, list[Part]] = {}
    apart: list[tuple[str, Part]] = []
    notes: list[Note] = []
    for metric, rows in parts.items():
        by_raw: dict[str, list[Part]] = defaultdict(list)
        for part in rows:
            by_raw[part.series.name].append(part)
        first, *others = sorted(by_raw.values(), key=lambda one: _distance(metric, one, given))
        kept[metric] = list(first)
        for other in others:
            shared, differing = _compared(kept[metric], other)
            if not differing and (shared or first[0].apart == other[0].apart):
                kept[metric] += other
                continue
            raw, chosen = other[0].series.name, first[0].series.name
            apart += [(raw, part) for part in other]
            why = f"differ at {differing} of {shared} steps" if shared else "count their steps apart"
            text = f"both {chosen} and {raw} are {metric}, but they {why}; {metric} is {chosen}, the other stays {raw}"
            notes.append(Note(level="warning", text=text, file=other[0].file))
    for raw, part in apart:
        name = raw if raw not in parts else f"{raw} (as logged)"  # its raw name may be what another metric is called
        kept.setdefault(name, []).append(part)
    return kept, notes


def _distance(metric: str, parts: Sequence[Part], given: Mapping[str, str]) -> tuple[bool, bool, bool, bool, int]:
    """How far a raw name is from its canonical one; of two equally near ones that with more points is the nearer."""
    raw, common = parts[0].series.name, parts[0].common
    count = sum(len(part.series) for part in parts)
    return raw not in given, raw != metric, common != metric, parts[0].apart, -count


def _compared(one: Sequence[Part], other: Sequence[Part]) -> tuple[int, int]:
    """(steps that both have, how many of them have another value)."""
    steps, values = _rows(one)
    more, others = _rows(other)
    _, i, j = np.intersect1d(steps, more, assume_unique=True, return_indices=True)
    return len(i), int((~same_numbers(values[i], others[j])).sum())


def _rows(parts: Sequence[Part]) -> tuple[Ints, Floats]:
    step = np.concatenate([part.series.step for part in parts])
    value = np.concatenate([part.series.value for part in parts])
    steps, last = np.unique(step[::-1], return_index=True)
    return steps, value[::-1][last]
