"""All files of one format that belong to a run -> one Line: canonical curves, cut into segments at restarts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curvelab.grouping import SPLITS
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.log import Ints, Log, RawSeries
from curvelab.model.note import Note
from curvelab.model.run import Curve, Seam
from curvelab.sources import Importer

_WRITERS = 0.02  # share of rows that step back above which two processes wrote one file (a restart is rare)
_FEW_RESTARTS = 10


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


@dataclass(frozen=True)
class _Restart:
    """A step that goes back: at position `order` the new attempt begins at `step`; the old one had reached `reached`."""

    order: int
    step: int
    reached: int


@dataclass(frozen=True)
class _Part:
    """One series of one file, with the segment of each row and its place in the whole line."""

    series: RawSeries
    segment: Ints
    offset: int
    file: str

    def column(self, name: str) -> np.ndarray:
        if name == "segment":
            return self.segment.astype(np.int32)
        if name == "order":
            return self.series.order + self.offset
        values = getattr(self.series, name)
        return np.full(len(self.series), np.nan) if values is None else values


def line_of(format_: str, logs: Sequence[Log], importer: Importer, given: Mapping[str, str]) -> Line:
    """Join the files of one format, in the order of their time.

    given   the user's own canonical names, by logged name
    """
    parts: dict[str, list[_Part]] = defaultdict(list)
    seams: dict[int, Seam] = {}
    notes: list[Note] = []
    offset = 0
    for files in _by_split(logs):
        segment, reached = 0, -1
        for log in files:
            restarts, said = _restarts(log, reached)
            notes += said
            for i, restart in enumerate(restarts, segment + 1):
                seams.setdefault(i, Seam(segment=i, step=restart.step, reached=restart.reached))
            places = np.array([restart.order for restart in restarts], dtype=np.int64)
            for series in (s for s in log.series if len(s)):
                common = log.names.get(series.name) or importer.names(_in_split(log, series.name))
                part = np.searchsorted(places, series.order, side="right") + segment
                parts[named(series.name, common, given)].append(_Part(series, part, offset, str(log.path)))
                reached = max(reached, int(series.step.max()))
            segment += len(restarts)
            offset += max((int(s.order.max()) + 1 for s in log.series if len(s)), default=0)
    curves = {metric: _curve(metric, rows) for metric, rows in parts.items() if metric not in AXES}
    for seam in seams.values():
        text = f"restarted at step {seam.step} after step {seam.reached}; from there on the later attempt counts"
        notes.append(Note(level="info", text=text, file=str(logs[-1].path)))
    return Line(format_, curves, tuple(seams.values()), tuple(notes))


def named(raw: str, common: str, given: Mapping[str, str]) -> str:
    """The canonical name of a series: as the user gave it (for the logged name or for ours), else as curvelab knows it."""
    metric = canonical(common)
    return given.get(raw, given.get(metric, metric))


def _start(log: Log) -> float:
    """The first wall time in a log, to put several files in order."""
    times = [s.wall_time[np.isfinite(s.wall_time)] for s in log.series if s.wall_time is not None]
    return min((float(t.min()) for t in times if len(t)), default=0.0)


def _by_split(logs: Sequence[Log]) -> list[list[Log]]:
    """Files in the order of their time, apart for train/ and eval/ sub-folders.

    Those count their steps on their own: a smaller step in the next file is no restart.
    """
    found: dict[str, list[Log]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: (_start(log), str(log.path))):
        found[log.path.parent.name if log.path.parent.name in SPLITS else ""].append(log)
    return [found[split] for split in sorted(found)]


def _in_split(log: Log, name: str) -> str:
    split = SPLITS.get(log.path.parent.name) if log.format == "tensorboard" else None
    if split is None or name.startswith(("train/", "eval/", "test/")):
        return name
    return f"{split}/{name.removeprefix('epoch_')}"


def _restarts(log: Log, reached: int) -> tuple[list[_Restart], list[Note]]:
    """Where the steps of one file go back, over all its series together in the order of the file.

    `reached` is the last step of the files before. Many small steps back are two processes writing one file: no restart,
    and said so.
    """
    series = [s for s in log.series if len(s)]
    if not series:
        return [], []
    order = np.concatenate([s.order for s in series])
    step = np.concatenate([s.step for s in series])
    by_order = np.argsort(order, kind="stable")
    rows, first = np.unique(order[by_order], return_index=True)
    at = step[by_order][first]
    before = np.maximum.accumulate(np.concatenate([[reached], at[:-1]]))
    back = np.flatnonzero(np.concatenate([[at[0] < reached], at[1:] < at[:-1]]))
    if len(back) > max(_FEW_RESTARTS, _WRITERS * len(at)):
        text = f"steps go back {len(back)} times: several processes wrote it; rows were put in the order of their steps"
        return [], [Note(level="warning", text=text, file=str(log.path))]
    return [_Restart(int(rows[i]), int(at[i]), int(before[i])) for i in back], []


def _curve(metric: str, parts: Sequence[_Part]) -> Curve:
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
