"""The logs of one run -> Run: restarts become segments, the most complete log leads, the others fill what it lacks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curvelab.grouping import SPLITS, Group
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.log import Ints, Log, State
from curvelab.model.note import Note
from curvelab.model.run import Curve, Run, Seam, winning_rows
from curvelab.settings import canonical_settings, raw_settings
from curvelab.sources import Importer

_BEST_PRECISION = ("trainer-state", "wandb-file", "tensorboard")  # float64 before float32, when equally complete
_WRITERS = 0.02  # share of rows that step back above which two processes wrote one file (a restart is rare)
_FEW_RESTARTS = 10
_NAMED_BY_LOG = frozenset(("mlflow", "trackio"))  # their folders are named by a machine, their runs by people
_DONE = 0.999  # share of the plan that counts as all of it


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


def join(group: Group, importers: Mapping[str, Importer], metric_names: Mapping[str, str] | None = None) -> Run:
    """Make one run of a group's logs. Nothing is averaged: a value comes from exactly one file.

    metric_names  the user's own canonical names, by logged name
    """
    given = metric_names or {}
    lines = [_line(format_, logs, importers[format_], given) for format_, logs in _by_format(group.logs).items()]
    lines.sort(key=lambda line: (-line.train_rows, -line.rows, _rank(line.format)))
    curves, seams, notes = _filled(lines)
    curves.update(_timed(group.logs, curves, given))
    plan = next((log.plan for log in sorted(group.logs, key=lambda log: _rank(log.format)) if log.plan), None)
    last = max((int(c.step.max()) for c in curves.values() if len(c)), default=0)
    return Run(
        id=_identity(group),
        name=_name(group),
        path=str(group.path),
        format="+".join(line.format for line in lines),
        project=next((log.identity["project"] for log in group.logs if log.identity.get("project")), None),
        logged=dict(sorted(curves.items())),
        config=canonical_settings(group.logs),
        raw_config=raw_settings(group.logs),
        planned_steps=plan,
        state=_state(group.logs, plan, last),
        seams=seams,
        notes=tuple(dict.fromkeys((*(n for log in group.logs for n in (*log.notes, *log.damage)), *notes))),
        logs=group.logs,
        checkpoint_steps=tuple(sorted({step for log in group.logs for step in log.checkpoint_steps})),
    )


def _name(group: Group) -> str:
    """The folder's name; the log's own one where a file holds several runs or folders bear no names."""
    given = next((log.identity["name"] for log in group.logs if log.identity.get("name")), None)
    if given and (group.of_several or group.logs[0].format in _NAMED_BY_LOG):
        return given
    return group.path.name if group.path.is_dir() else group.path.parent.name or group.path.name


def _rank(format_: str) -> int:
    return _BEST_PRECISION.index(format_) if format_ in _BEST_PRECISION else len(_BEST_PRECISION)


def _by_format(logs: Sequence[Log]) -> dict[str, list[Log]]:
    found: dict[str, list[Log]] = defaultdict(list)
    for log in logs:
        found[log.format].append(log)
    if "trainer-state" in found:  # checkpoints of one run repeat each other: the longest has all
        longest = max(found["trainer-state"], key=lambda log: (sum(map(len, log.series)), log.reached or 0))
        found["trainer-state"] = [longest]
    return found


def _start(log: Log) -> float:
    """The first wall time in a log, to put several files in order."""
    times = [s.wall_time[np.isfinite(s.wall_time)] for s in log.series if s.wall_time is not None]
    return min((float(t.min()) for t in times if len(t)), default=0.0)


def _line(format_: str, logs: Sequence[Log], importer: Importer, given: Mapping[str, str]) -> Line:
    """Join the files of one format, in the order of their time, and cut them into segments at restarts."""
    rows: dict[str, list[dict[str, np.ndarray | str]]] = defaultdict(list)
    seams: list[Seam] = []
    notes: list[Note] = []
    offset = 0
    for number, (_split, files) in enumerate(sorted(_by_split(logs).items())):
        segment, reached = 0, -1
        for log in files:
            starts, more = _segment_starts(log, reached)
            notes += more
            for start, begin, old in starts:
                segment += 1
                if number == 0 or all(s.segment < segment for s in seams):
                    seams.append(Seam(segment=segment, step=begin, reached=old))
                del start
            first = segment - len(starts)
            bounds = np.array([start for start, _, _ in starts], dtype=np.int64)
            length = 0
            for series in log.series:
                if not len(series):
                    continue
                part = np.searchsorted(bounds, series.order, side="right") + first
                common = log.names.get(series.name) or importer.names(_in_split(log, series.name))
                name = _named(series.name, common, given)
                rows[name].append(_columns(series, part, offset, log, series.name))
                length = max(length, int(series.order.max()) + 1)
                reached = max(reached, int(series.step.max()))
            offset += length
    curves = {metric: _curve(metric, parts) for metric, parts in rows.items() if metric not in AXES}
    return Line(format_, curves, tuple(seams), tuple(notes))


def _named(raw: str, common: str, given: Mapping[str, str]) -> str:
    """The canonical name of a series: as the user gave it (for the logged name or for ours), else as curvelab knows it."""
    metric = canonical(common)
    return given.get(raw, given.get(metric, metric))


def _by_split(logs: Sequence[Log]) -> dict[str, list[Log]]:
    """Event files of train/ and eval/ sub-folders count their steps on their own: no restart lies between them."""
    found: dict[str, list[Log]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: (_start(log), str(log.path))):
        found[log.path.parent.name if log.path.parent.name in SPLITS else ""].append(log)
    return found


def _in_split(log: Log, name: str) -> str:
    split = SPLITS.get(log.path.parent.name) if log.format == "tensorboard" else None
    if split is None or name.startswith(("train/", "eval/", "test/")):
        return name
    return f"{split}/{name.removeprefix('epoch_')}"


def _segment_starts(log: Log, reached: int) -> tuple[list[tuple[int, int, int]], list[Note]]:
    """Restarts of one file: (order, first step of the new attempt, last step that the old one had reached).

    A restart is a step that goes back, over all series together in the order of the file. Many small steps back are two
    processes writing one file: no restart, and said so.
    """
    parts = [s for s in log.series if len(s)]
    if not parts:
        return [], []
    order = np.concatenate([s.order for s in parts])
    step = np.concatenate([s.step for s in parts])
    by_order = np.argsort(order, kind="stable")
    order, step = order[by_order], step[by_order]
    rows, first = np.unique(order, return_index=True)
    at = step[first]
    before = np.maximum.accumulate(np.concatenate([[reached], at[:-1]]))
    back = np.flatnonzero(np.concatenate([[at[0] < reached], at[1:] < at[:-1]]))
    if len(back) > max(_FEW_RESTARTS, _WRITERS * len(at)):
        note = Note(
            level="warning",
            text=f"steps go back {len(back)} times: several processes wrote it; rows were put in the order of their steps",
            file=str(log.path),
        )
        return [], [note]
    return [(int(rows[i]), int(at[i]), int(before[i])) for i in back], []


def _columns(series, part: np.ndarray, offset: int, log: Log, raw: str) -> dict[str, np.ndarray | str]:  # type: ignore[no-untyped-def]
    n = len(series)
    unknown = np.full(n, np.nan)
    return {
        "step": series.step,
        "value": series.value,
        "epoch": series.epoch if series.epoch is not None else unknown,
        "tokens": series.tokens if series.tokens is not None else unknown,
        "wall_time": series.wall_time if series.wall_time is not None else unknown,
        "segment": part.astype(np.int32),
        "order": series.order + offset,
        "raw_name": raw,
        "file": str(log.path),
    }


def _curve(metric: str, parts: Sequence[dict[str, np.ndarray | str]]) -> Curve:
    raws = tuple(dict.fromkeys(str(p["raw_name"]) for p in parts))
    files = tuple(dict.fromkeys(str(p["file"]) for p in parts))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([p[name] for p in parts])

    lengths = [len(p["step"]) for p in parts]
    curve = Curve(
        metric=metric,
        step=joined("step"),
        value=joined("value"),
        epoch=joined("epoch"),
        tokens=joined("tokens"),
        wall_time=joined("wall_time"),
        segment=joined("segment"),
        order=joined("order"),
        raw=np.repeat([raws.index(str(p["raw_name"])) for p in parts], lengths).astype(np.int16),
        origin=np.repeat([files.index(str(p["file"])) for p in parts], lengths).astype(np.int16),
        raw_names=raws,
        origins=files,
    )
    return _sorted(curve)


def _sorted(curve: Curve) -> Curve:
    return curve.take(np.lexsort((curve.order, curve.step, curve.segment)))


def _merged(one: Curve, other: Curve) -> Curve:
    """The rows of both curves, with the words of both."""
    raws = tuple(dict.fromkeys((*one.raw_names, *other.raw_names)))
    files = tuple(dict.fromkeys((*one.origins, *other.origins)))
    raw = np.array([raws.index(w) for w in other.raw_names], dtype=np.int16)[other.raw]
    origin = np.array([files.index(w) for w in other.origins], dtype=np.int16)[other.origin]
    names = ("step", "value", "epoch", "tokens", "wall_time", "segment", "order")
    columns: dict[str, Any] = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return _sorted(
        replace(
            one,
            **columns,
            raw=np.concatenate([one.raw, raw]),
            origin=np.concatenate([one.origin, origin]),
            raw_names=raws,
            origins=files,
        )
    )


def _filled(lines: Sequence[Line]) -> tuple[dict[str, Curve], tuple[Seam, ...], list[Note]]:
    """The leading line, with the metrics, steps and times that only the others have."""
    if not lines:
        return {}, (), []
    lead, *others = lines
    curves = dict(lead.curves)
    notes = [*lead.notes]
    for other in others:
        notes += other.notes
        added = 0
        for metric, curve in other.curves.items():
            rows = winning_rows(curve, other.seams)
            if metric in curves:
                here = curves[metric]
                curves[metric] = here = _with_axes(here, rows)
                rows = rows.take(~np.isin(rows.step, here.step))
                added += len(rows)
            if len(rows):
                rows = replace(rows, segment=_segment_at(rows.step, lead.seams))
                curves[metric] = _merged(curves[metric], rows) if metric in curves else _sorted(rows)
        if added:
            text = f"{lead.format} lacks {added} values that {other.format} has; they were filled in"
            notes.append(Note(level="info", text=text, file=next(iter(curve.origins), None)))
    return _axes_from_loss(curves), lead.seams, notes


def _segment_at(step: Ints, seams: Iterable[Seam]) -> np.ndarray:
    """The segment that a step of the winning line lies in."""
    out = np.zeros(len(step), dtype=np.int32)
    for seam in seams:
        out[step >= seam.step] = seam.segment
    return out


def _with_axes(curve: Curve, other: Curve) -> Curve:
    """Fill unknown epochs, tokens and wall times of `curve` from the rows of `other` at the same step."""
    if not len(other):
        return curve
    place = np.clip(np.searchsorted(other.step, curve.step), 0, len(other) - 1)
    hit = other.step[place] == curve.step
    axes = {}
    for name in ("epoch", "tokens", "wall_time"):
        own = getattr(curve, name)
        lacking = np.isnan(own) & hit
        axes[name] = np.where(lacking, getattr(other, name)[place], own) if lacking.any() else own
    return replace(curve, **axes)


def _axes_from_loss(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Epochs, tokens and times that one metric lacks and the train loss has at the same step."""
    main = curves.get("train/loss")
    if main is None:
        return curves
    lead = winning_rows(main, ())
    return {metric: curve if metric == "train/loss" else _with_axes(curve, lead) for metric, curve in curves.items()}


def _timed(logs: Sequence[Log], curves: Mapping[str, Curve], given: Mapping[str, str]) -> dict[str, Curve]:
    """Series that were logged by time only, put on the step axis by the wall times of the train loss."""
    main = curves.get("train/loss")
    found: dict[str, Curve] = {}
    if main is None:
        return found
    known = main.take(np.isfinite(main.wall_time))
    if len(known) < 2:
        return found
    by_time = np.argsort(known.wall_time, kind="stable")
    times, steps = known.wall_time[by_time], known.step[by_time].astype(np.float64)
    for log in logs:
        for series in log.timed:
            metric = _named(series.name, series.name, given)
            if not len(series.value) or metric in curves:
                continue
            step = np.interp(series.wall_time, times, steps).astype(np.int64)
            curve = Curve.of(metric, step, series.value, wall_time=series.wall_time)
            curve = replace(curve, raw_names=(series.name,), origins=(str(log.path),))
            found[metric] = _merged(found[metric], curve) if metric in found else _sorted(curve)
    return found


def _state(logs: Sequence[Log], plan: int | None, last: int) -> State:
    """Finished when a log bears the mark of completion or the plan was reached; never judged by file times."""
    reached = max([last, *(log.reached for log in logs if log.reached is not None)])
    if any(log.finished for log in logs) or (plan and reached >= _DONE * plan):
        return "finished"
    if any(log.finished is False for log in logs):
        return "crashed"
    live = any(log.format != "trainer-state" for log in logs)  # a lone state may be a snapshot of a longer run
    return "crashed" if live and plan else "unknown"


def _identity(group: Group) -> str:
    given = next((log.identity["id"] for log in group.logs if log.identity.get("id")), None)
    return given or hashlib.sha256(str(Path(group.path).absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
