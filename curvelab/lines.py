"""All files of one format that belong to a run -> one Line: canonical curves, cut into segments at restarts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curvelab.attempts import attempts_of
from curvelab.kinship import same_numbers
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.model.run import Curve, Seam, not_overruled, rising
from curvelab.rivals import Part, without_rivals
from curvelab.sources import Importer
from curvelab.splits import part_name, tag_in

_LISTED = 20  # restarts that get a note of their own; the others are summed up in one


@dataclass(frozen=True)
class Line:
    """All that one format says about the run: curves by canonical name, and its restarts."""

    format: str
    curves: Mapping[str, Curve]
    seams: tuple[Seam, ...]
    notes: tuple[Note, ...]

    @property
    def train_rows(self) -> int:
        main = self.curves.get("train/loss")
        return len(main) if main is not None else 0

    @property
    def rows(self) -> int:
        return sum(len(c) for c in self.curves.values())


def line_of(format_: str, logs: Sequence[Log], importer: Importer, given: Mapping[str, str]) -> Line:
    """Join the files of one format, in the order of their time.

    given   the user's own canonical names, by logged name
    """
    parts: dict[str, list[Part]] = defaultdict(list)
    seams: dict[int, Seam] = {}
    notes: list[Note] = []
    events = {log.path.parent for log in logs if log.format == "tensorboard"}
    for files in _by_split(logs, events):
        attempts = attempts_of(files)
        notes += attempts.notes
        for seam in attempts.seams:
            seams.setdefault(seam.segment, seam)
        for log, offset in zip(files, attempts.offsets, strict=True):
            for series in (s for s in log.series if len(s)):
                common = log.names.get(series.name) or importer.names(tag_in(log, series.name, events))
                part = Part(
                    series=attempts.settled(series, offset),
                    segment=attempts.segment_of(series, offset),
                    offset=offset,
                    file=str(log.path),
                    common=common,
                    apart=series.name in attempts.apart,
                )
                parts[named(series.name, common, given)].append(part)
    parts, said = without_rivals({metric: rows for metric, rows in parts.items() if metric not in AXES}, given)
    curves = {metric: _curve(metric, rows) for metric, rows in parts.items()}
    told = [*notes, *said, *_overruled(curves, tuple(seams.values()), str(logs[-1].path))]
    return Line(format_, curves, tuple(seams.values()), tuple(told))


def _overruled(curves: Mapping[str, Curve], seams: tuple[Seam, ...], file: str) -> list[Note]:
    """What is said of restarts, and of values that a later one at the same step replaces."""
    notes = []
    listed = seams[:_LISTED]
    total = [_rows(curves, seams[:i]) for i in range(len(listed) + 1)]
    for i, seam in enumerate(listed):
        text = f"restarted at step {seam.step} after step {seam.reached}; from there on the later attempt counts"
        count = total[i] - total[i + 1]
        text += f" ({count} rows of the earlier one are overruled)" if count else ""
        notes.append(Note(level="info", text=text, file=file))
    if len(seams) > len(listed):
        text = f"restarted {len(seams) - len(listed)} more times; {total[-1] - _rows(curves, seams)} rows are overruled"
        notes.append(Note(level="info", text=text, file=file))
    again = {metric: count for metric, curve in curves.items() if (count := _said_twice(curve, seams))}
    if again:
        names = ", ".join(sorted(again, key=lambda name: (-again[name], name))[:3])
        text = f"{sum(again.values())} values were logged once more at the same step with another value ({names}"
        text += f" and {len(again) - 3} more metrics" if len(again) > 3 else ""
        notes.append(Note(level="info", text=text + "); the last one counts", file=file))
    return notes


def _rows(curves: Mapping[str, Curve], seams: tuple[Seam, ...]) -> int:
    """How many rows some restarts leave."""
    return sum(len(not_overruled(curve, seams)) for curve in curves.values())


def _said_twice(curve: Curve, seams: tuple[Seam, ...]) -> int:
    """How many rows stand at the step of a later row that says something else, restarts apart."""
    if rising(curve):
        return 0
    kept = not_overruled(curve, seams)
    order = np.lexsort((kept.order, kept.segment, kept.step))
    step, value = kept.step[order], kept.value[order]
    return int(((step[1:] == step[:-1]) & ~same_numbers(value[1:], value[:-1])).sum())


def named(raw: str, common: str, given: Mapping[str, str]) -> str:
    """The canonical name of a series: as the user gave it (for the logged name or for ours), else as curvelab knows it."""
    metric = canonical(common)
    return given.get(raw, given.get(metric, metric))


def _start(log: Log) -> float:
    """The first wall time in a log, to put several files in order."""
    times = [s.wall_time[np.isfinite(s.wall_time)] for s in log.series if s.wall_time is not None]
    return min((float(t.min()) for t in times if len(t)), default=0.0)


def _by_split(logs: Sequence[Log], events: Container[Path]) -> list[list[Log]]:
    """Files in the order of their time, apart for train/ and eval/ sub-folders.

    Those count their steps on their own: a smaller step in the next file is no restart. The one with the most rows comes
    first: its restarts are those of the run.
    """
    found: dict[str, list[Log]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: (_start(log), str(log.path))):
        found[part_name(log, events)].append(log)
    rows = {split: sum(len(series) for log in files for series in log.series) for split, files in found.items()}
    return [found[split] for split in sorted(found, key=lambda split: (-rows[split], split))]


def _curve(metric: str, parts: Sequence[Part]) -> Curve:
    raws = tuple(dict.fromkeys(part.series.name for part in parts))
    files = tuple(dict.fromkeys(part.file for part in parts))
    lengths = [len(part.series) for part in parts]
    names = ("step", "value", "epoch", "tokens", "wall_time", "segment", "order")
    columns: dict[str, Any] = {name: np.concatenate([part.column(name) for part in parts]) for name in names}
    curve = Curve(
        metric=metric,
        **columns,
        raw=np.repeat([raws.index(part.series.name) for part in parts], lengths).astype(np.int16),
        origin=np.repeat([files.index(part.file) for part in parts], lengths).astype(np.int16),
        raw_names=raws,
        origins=files,
    )
    return in_order(curve)


def in_order(curve: Curve) -> Curve:
    """The rows sorted by segment, step, order."""
    return curve.take(np.lexsort((curve.order, curve.step, curve.segment)))


def merged(one: Curve, other: Curve) -> Curve:
    """The rows of both curves, with the words of both."""
    raws = tuple(dict.fromkeys((*one.raw_names, *other.raw_names)))
    files = tuple(dict.fromkeys((*one.origins, *other.origins)))
    raw = np.array([raws.index(w) for w in other.raw_names], dtype=np.int16)[other.raw]
    origin = np.array([files.index(w) for w in other.origins], dtype=np.int16)[other.origin]
    names = ("step", "value", "epoch", "tokens", "wall_time", "segment", "order")
    columns: dict[str, Any] = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return in_order(
        replace(
            one,
            **columns,
            raw=np.concatenate([one.raw, raw]),
            origin=np.concatenate([one.origin, origin]),
            raw_names=raws,
            origins=files,
        )
    )
