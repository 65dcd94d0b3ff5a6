"""The logs of one run -> Run: restarts become segments, the most complete log leads, the others fill what it lacks."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from curvelab.beside import SettingsFile
from curvelab.grouping import Group
from curvelab.kinship import differing_values, same_numbers
from curvelab.lines import Line, in_order, line_of, merged, named
from curvelab.model.log import Ints, Log, State
from curvelab.model.note import Note
from curvelab.model.run import Curve, Run, Seam, Setting, winning_rows
from curvelab.redaction import cleaned
from curvelab.settings import settle
from curvelab.sources import Importer

_BEST_PRECISION = ("trainer-state", "wandb-file", "wandb-online", "tensorboard")  # float64 before float32, when equally complete
_NAMED_BY_LOG = frozenset(("mlflow", "trackio", "wandb-online"))  # their folders are named by a machine, their runs by people
_MADE_BY_WANDB = re.compile(r"^(wandb|latest-run|files|(offline-)?run-\d{8}_\d{6}-\w+)$")
# Names that many runs give their log: then the folder is what tells it apart.
_SAYS_NOTHING = re.compile(
    r"^(trainer_(state|log)|events\.out|run-\w+$|(.*[_-])?(metrics?|history|logs?|train|training|std(out|err)|output|console|"
    r"results?|data|progress|losses|loss|wandb-history|mlflow|nohup)([_-].*)?$)", re.I,
)  # fmt: skip
_CHECKPOINT = re.compile(r"^checkpoint-\d+$")
_NO_PLAN = 1e12  # steps; streaming runs write 2^63 - 1 epochs for "no end"
_MOST = 0.9  # share of the epochs of a mark of completion that the logs must hold to be that run (judgement)
_EPOCH_ROUNDING = 0.05  # epochs; older trainers rounded to two digits, newer ones do not
_DONE = 0.999  # share of the plan that counts as all of it


def join(
    group: Group,
    importers: Mapping[str, Importer],
    metric_names: Mapping[str, str] | None = None,
    beside: Sequence[SettingsFile] = (),
) -> Run:
    """Make one run of a group's logs. Nothing is averaged: a value comes from exactly one file.

    metric_names  the user's own canonical names, by logged name
    beside        settings files that stand beside the logs
    """
    safe = cleaned(group.logs, beside)  # before anything else: no secret gets past this line
    group = replace(group, logs=safe.logs)
    settled = settle(safe.logs, safe.files)
    given = metric_names or {}
    lines = [line_of(format_, logs, importers[format_], given) for format_, logs in _by_format(group.logs).items()]
    lines.sort(key=lambda line: (-line.train_rows, -line.rows, _rank(line.format)))
    curves, seams, notes = _filled(lines)
    curves.update(_timed(group.logs, curves, given))
    plan = next((log.plan for log in sorted(group.logs, key=lambda log: _rank(log.format)) if log.plan), None)
    plan = plan or _plan_from_settings(curves, settled.config)
    last = max((int(c.step.max()) for c in curves.values() if len(c)), default=0)
    told = [note for log in group.logs for note in (*log.notes, *log.damage)]
    told += _set_aside([log for log in group.logs if log.format == "trainer-state"])
    return Run(
        id=_identity(group),
        name=_name(group),
        path=str(group.path),
        format="+".join(line.format for line in lines),
        project=next((log.identity["project"] for log in group.logs if log.identity.get("project")), None),
        logged=dict(sorted(curves.items())),
        config=settled.config,
        raw_config=settled.raw,
        planned_steps=plan,
        state=_state(group.logs, plan, last, _completed(safe.files, curves)),
        seams=seams,
        notes=tuple(dict.fromkeys((*told, *notes, *safe.notes, *settled.notes))),
        logs=group.logs,
        checkpoint_steps=tuple(sorted({step for log in group.logs for step in log.checkpoint_steps})),
        batch_logs=tuple(one.path for one in safe.files if one.kind == "batch-log"),
    )


def _name(group: Group) -> str:
    """The folder's name; the log's own one where a file holds several runs or folders bear no names."""
    given = next((log.identity["name"] for log in group.logs if log.identity.get("name")), None)
    place = group.path if group.path.is_dir() else group.path.parent
    if given and (group.of_several or group.logs[0].format in _NAMED_BY_LOG or _MADE_BY_WANDB.match(place.name)):
        return given
    while _MADE_BY_WANDB.match(place.name) and place.parent.name and not given and group.path.suffix != ".wandb":
        place = place.parent
    if _CHECKPOINT.match(place.name) and place.parent.name:  # every run has a checkpoint-500
        return f"{place.parent.name}/{place.name}"
    if group.path != place and not _SAYS_NOTHING.match(group.path.stem):
        return group.path.stem
    return place.name or group.path.name


def _rank(format_: str) -> int:
    return _BEST_PRECISION.index(format_) if format_ in _BEST_PRECISION else len(_BEST_PRECISION)


def _by_format(logs: Sequence[Log]) -> dict[str, list[Log]]:
    found: dict[str, list[Log]] = defaultdict(list)
    for log in logs:
        found[log.format].append(log)
    if "trainer-state" in found:  # checkpoints of one run repeat each other: the longest has all
        found["trainer-state"] = [_longest(found["trainer-state"])]
    return found


def _longest(states: Sequence[Log]) -> Log:
    return max(states, key=lambda log: (sum(map(len, log.series)), log.reached or 0))


def _set_aside(states: Sequence[Log]) -> list[Note]:
    """What is said of checkpoints that hold steps which the run, resumed from an earlier one, did again."""
    notes = []
    for log in states:
        count = differing_values(_longest(states), log)
        if count:
            text = f"{count} values are of an attempt before the run was resumed; those of the longest state count"
            notes.append(Note(level="info", text=text, file=str(log.path)))
    return notes


def _filled(lines: Sequence[Line]) -> tuple[dict[str, Curve], tuple[Seam, ...], list[Note]]:
    """The leading line, with the metrics, steps and times that only the others have."""
    if not lines:
        return {}, (), []
    lead, *others = lines
    curves = dict(lead.curves)
    notes = [*lead.notes]
    if telling := [line.format for line in others if line.rows]:
        text = (
            f"one training in {_listed([lead.format, *telling])}; "
            f"values are taken from {lead.format} and filled from the other{'s' if len(telling) > 1 else ''}"
        )
        notes.append(Note(level="info", text=text))
    for other in others:
        notes += [note for note in other.notes if not lead.seams or "restarted" not in note.text]
        added, differing = 0, 0
        for metric, curve in other.curves.items():
            rows = winning_rows(curve, other.seams)
            if metric in curves:
                here = curves[metric]
                differing += _differing(winning_rows(here, lead.seams), rows)
                curves[metric] = here = _with_axes(here, rows)
                rows = rows.take(~np.isin(rows.step, here.step))
                added += len(rows)
            if len(rows):
                rows = replace(rows, segment=_segment_at(rows.step, lead.seams))
                curves[metric] = merged(curves[metric], rows) if metric in curves else in_order(rows)
        file = next((origin for curve in other.curves.values() for origin in curve.origins), None)
        if added:
            text = f"{lead.format} lacks {added} values that {other.format} has; they were filled in"
            notes.append(Note(level="info", text=text, file=file))
        if differing:
            text = f"{differing} values differ from those in {lead.format} at the same step; the latter were kept"
            notes.append(Note(level="warning", text=text, file=file))
    return _axes_from_loss(curves), lead.seams, notes


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _differing(one: Curve, other: Curve) -> int:
    """How many values two curves hold at the same step that are not the same to float32."""
    _, i, k = np.intersect1d(one.step, other.step, assume_unique=True, return_indices=True)
    return int((~same_numbers(one.value[i], other.value[k])).sum())


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
            metric = named(series.name, series.name, given)
            if not len(series.value) or metric in curves:
                continue
            step = np.interp(series.wall_time, times, steps).astype(np.int64)
            curve = Curve.of(metric, step, series.value, wall_time=series.wall_time)
            curve = replace(curve, raw_names=(series.name,), origins=(str(log.path),))
            found[metric] = merged(found[metric], curve) if metric in found else in_order(curve)
    return found


def _plan_from_settings(curves: Mapping[str, Curve], config: Mapping[str, Setting]) -> int | None:
    """Planned steps by max_steps, which overrides the epochs where it is set; else by num_train_epochs."""
    steps = config.get("max_steps")
    if steps is not None and isinstance(steps.value, int | float) and 0 < steps.value < _NO_PLAN:
        return int(steps.value)
    return _plan_from_epochs(curves, config)


def _plan_from_epochs(curves: Mapping[str, Curve], config: Mapping[str, Setting]) -> int | None:
    """Planned steps from num_train_epochs and the epoch that the last log had reached; None when either is unknown."""
    main, planned = curves.get("train/loss"), config.get("num_train_epochs")
    if main is None or planned is None or not isinstance(planned.value, int | float):
        return None
    known = main.take(np.isfinite(main.epoch) & (main.epoch > 0))
    if not len(known):
        return None
    furthest = int(np.argmax(known.step))
    steps = float(known.step[furthest]) * planned.value / float(known.epoch[furthest])
    return round(steps) if 0 < steps < _NO_PLAN else None


def _state(logs: Sequence[Log], plan: int | None, last: int, completed: bool = False) -> State:
    """Finished when a log bears the mark of completion or the plan was reached; never judged by file times."""
    reached = max([last, *(log.reached for log in logs if log.reached is not None)])
    if completed or any(log.finished for log in logs) or (plan and reached >= _DONE * plan):
        return "finished"
    if any(log.finished is False for log in logs):
        return "crashed"
    said = {log.said_state for log in logs}
    if "running" in said:
        return "running"
    if "finished" in said and not plan:  # with a plan that was not reached, a process that ended well proves nothing
        return "finished"
    live = any(log.format != "trainer-state" for log in logs)  # a lone state may be a snapshot of a longer run
    return "crashed" if live and plan else "unknown"


def _completed(files: Iterable[SettingsFile], curves: Mapping[str, Curve]) -> bool:
    """Whether a file beside the logs is the mark of completion of this run, not of an earlier one in the same folder."""
    main = curves.get("train/loss")
    epochs = main.epoch[np.isfinite(main.epoch)] if main is not None else np.empty(0)
    marks = [one.stated.epoch for one in files if one.stated.completed]
    if not len(epochs) or None in marks:
        return bool(marks)
    seen = float(epochs.max())
    return any(mark is not None and _MOST * mark <= seen <= mark + _EPOCH_ROUNDING for mark in marks)


def _identity(group: Group) -> str:
    given = next((log.identity["id"] for log in group.logs if log.identity.get("id")), None)
    return given or place_hash(group.path)


def place_hash(path: str | Path) -> str:
    """Twelve digits that stand for a place in the file system."""
    return hashlib.sha256(str(Path(path).absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
