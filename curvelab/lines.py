"""All files of one format that belong to a run -> one Line: canonical curves, cut into segments at restarts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curvelab.attempt_times import AttemptTimes, segment_at_step
from curvelab.attempts import Attempts, attempts_of
from curvelab.endings import began
from curvelab.kinship import same_numbers
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.log import Ints, Log, RawSeries
from curvelab.model.note import Note
from curvelab.model.run import Curve, Seam, not_overruled, rising
from curvelab.rivals import Part, without_rivals
from curvelab.sides import side
from curvelab.sources import Importer
from curvelab.splits import part_name, tag_in

_LISTED = 20  # restarts that get a note of their own; the others are summed up in one
_TELLING = 5  # losses of an attempt that say where it began and where it came to
_BACK = 0.5  # a training from scratch has a loss this much nearer to the first than to the last one before; judgement
_LATER = "; from there on the later attempt counts"


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
    notes: list[Note] = []
    events = {log.path.parent for log in logs if log.format == "tensorboard"}
    main: _Main | None = None
    for files in _by_split(logs, events):
        attempts = attempts_of(files)
        notes += attempts.notes
        main = main or _Main.of(files, attempts)
        for log, offset in zip(files, attempts.offsets, strict=True):
            for series in (s for s in log.series if len(s)):
                common = log.names.get(series.name) or importer.names(tag_in(log, series.name, events))
                part = Part(
                    series=attempts.settled(series, offset),
                    segment=main.segment_of(series, attempts, offset),
                    offset=offset,
                    file=str(log.path),
                    common=common,
                    apart=series.name in attempts.apart,
                )
                parts[named(series.name, common, given)].append(part)
    parts, said = without_rivals({metric: rows for metric, rows in parts.items() if metric not in AXES}, given)
    curves = {metric: _curve(metric, rows) for metric, rows in _with_sets(parts, given).items()}
    seams = main.attempts.seams if main else ()
    told = [*notes, *said, *_overruled(curves, seams, str(logs[-1].path))]
    return Line(format_, curves, seams, tuple(told))


@dataclass(frozen=True, eq=False)
class _Main:
    """The attempts of a run, as the files tell that lead: those of other splits count their own steps and restarts."""

    attempts: Attempts
    times: AttemptTimes

    @classmethod
    def of(cls, files: Sequence[Log], attempts: Attempts) -> _Main:
        rows = [
            (series.wall_time, attempts.segment_of(series, offset))
            for log, offset in zip(files, attempts.offsets, strict=True)
            for series in log.series
            if series.wall_time is not None and attempts.seams
        ]
        times, segments = zip(*rows, strict=True) if rows else ((np.empty(0),), (np.empty(0, np.int64),))
        return cls(attempts, AttemptTimes.of(np.concatenate(times), np.concatenate(segments)))

    def segment_of(self, series: RawSeries, own: Attempts, offset: int) -> Ints:
        """The attempt of each row: by its place in these files; in those of another split by its time, else its step."""
        if own is self.attempts:
            return own.segment_of(series, offset)
        if not self.attempts.seams:
            return np.zeros(len(series), dtype=np.int64)
        if self.times.in_turn and series.wall_time is not None and np.isfinite(series.wall_time).all():
            return self.times.segment_at(series.wall_time)
        if own.seams:
            return np.minimum(own.segment_of(series, offset), len(self.attempts.seams))
        return segment_at_step(series.step, self.attempts.seams)


def _with_sets(parts: Mapping[str, list[Part]], given: Mapping[str, str]) -> dict[str, list[Part]]:
    """The parts, those of one eval set under one name: `eval/dev_runtime` beside `eval/dev/loss` -> `eval/dev/runtime`."""
    sets = {"/".join(name.split("/")[:2]) for name in parts if re.match(r"(eval|test)/[^/]+/loss$", name)}
    found: dict[str, list[Part]] = {}
    for name, rows in parts.items():
        of = [one for one in sets if name.startswith(f"{one}_") and name not in given.values()]
        longest = max(of, key=len, default="")
        ours = f"{longest}/{name[len(longest) + 1 :]}" if longest else name
        found.setdefault(ours if ours not in parts else name, []).extend(rows)
    return found


def _overruled(curves: Mapping[str, Curve], seams: tuple[Seam, ...], file: str) -> list[Note]:
    """What is said of restarts, and of values that a later one at the same step replaces."""
    notes = []
    listed = seams[:_LISTED]
    total = [_rows(curves, seams[:i]) for i in range(len(listed) + 1)]
    for i, seam in enumerate(listed):
        text = f"restarted at step {seam.step} after step {seam.reached}"
        text += f": {anew}; the later one counts" if (anew := _second_training(curves, seam)) else _LATER
        count = total[i] - total[i + 1]
        text += f" ({count} {'row of the earlier one is' if count == 1 else 'rows of the earlier one are'} overruled)" if count else ""
        notes.append(Note(level="info", text=text, file=file))
    if len(seams) > len(listed):
        text = f"restarted {len(seams) - len(listed)} more times; {total[-1] - _rows(curves, seams)} rows are overruled"
        notes.append(Note(level="info", text=text, file=file))
    again = {metric: count for metric, curve in curves.items() if (count := _said_twice(curve, seams))}
    if again:
        names = ", ".join(sorted(again, key=lambda name: (-again[name], name))[:3])
        many = sum(again.values())
        text = f"{many} {'value was' if many == 1 else 'values were'} logged once more at the same step with another value ({names}"
        text += f" and {len(again) - 3} more metrics" if len(again) > 3 else ""
        notes.append(Note(level="info", text=text + "); the last one counts", file=file))
    return notes


def _second_training(curves: Mapping[str, Curve], seam: Seam) -> str:
    """What is said where an attempt begins at the first one's first step, with a loss near its first and not its last."""
    loss = curves.get("train/loss")
    if loss is None:
        return ""
    old, new = (loss.take(loss.segment == seam.segment - back).finite for back in (1, 0))
    few = max(1, min(len(old), len(new)) // 10)
    if len(old) < _TELLING or len(new) < 2 or seam.step > old.step[0] + int(np.median(np.diff(old.step))):
        return ""
    head, tail, now = float(old.value[:few].mean()), float(old.value[-few:].mean()), float(new.value[:few].mean())
    if abs(now - head) >= _BACK * abs(now - tail):
        return ""
    place = "file" if np.isin(np.unique(new.origin), old.origin).any() else "folder"
    return f"a second training was written into the same {place}, its loss begins at {now:.4g} (the first: {head:.4g} to {tail:.4g})"


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


def _counting(path: Path) -> list[tuple[int, str]]:
    """A key that puts version_2 before version_10."""
    return [(int(word), "") if word.isdecimal() and len(word) < 20 else (-1, word) for word in re.split(r"(\d+)", str(path))]


def _by_split(logs: Sequence[Log], events: Container[Path]) -> list[list[Log]]:
    """Files in the order of their time, apart for train/ and eval/ sub-folders and for files that lie side by side.

    Those count their steps on their own: a smaller step in the next file is no restart. The one with the most rows comes
    first: its restarts are those of the run.
    """
    found: dict[str, list[Log]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: (began(log), _counting(log.path))):
        found[part_name(log, events) or side(log)].append(log)
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
