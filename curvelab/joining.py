"""The logs of one run -> Run: restarts become segments, the most complete log leads, the others fill what it lacks."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from curvelab.beside import SettingsFile
from curvelab.endings import completed_by, latest_first, no_exit, plan_from_settings, plan_of, state_of
from curvelab.filling import filled, timed
from curvelab.grouping import Group
from curvelab.lines import Line, line_of
from curvelab.model.log import Log
from curvelab.model.run import Curve, Run, Seam, winning_rows
from curvelab.redaction import cleaned
from curvelab.settings import settle
from curvelab.snapshots import line_of_states
from curvelab.sources import Importer

# float64 before float32, when equally complete
_RANKS = {name: rank for rank, name in enumerate(("trainer-state", "wandb-file", "wandb-online", "tensorboard"))}
_NAMED_BY_LOG = frozenset(("mlflow", "trackio", "wandb-online"))  # their folders are named by a machine, their runs by people
_MADE_BY_WANDB = re.compile(r"^(wandb|latest-run|files|(offline-)?run-\d{8}_\d{6}-\w+)$")
# Names that many runs give their log: then the folder is what tells it apart.
_SAYS_NOTHING = re.compile(
    r"^(trainer_(state|log)|events\.out|run-\w+$|(.*[_-])?(metrics?|history|logs?|train|training|std(out|err)|output|console|"
    r"results?|data|progress|losses|loss|wandb-history|mlflow|nohup)([_-].*)?$)", re.I,
)  # fmt: skip
_CHECKPOINT = re.compile(r"^checkpoint-\d+$")


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
    settled = settle(latest_first(safe.logs), safe.files)
    given = metric_names or {}
    lines = _lines(group.logs, importers, given)
    curves, seams, notes = filled(lines)
    curves.update(timed(group.logs, curves, given))
    plan = plan_of(group.logs, _RANKS) or plan_from_settings(curves, settled.config)
    last = max((int(c.step.max()) for c in curves.values() if len(c)), default=0)
    state = state_of(group.logs, plan, last, _trained(curves, seams), completed_by(safe.files, curves))
    told = [note for log in group.logs for note in (*log.notes, *log.damage)]
    return Run(
        id=_identity(group),
        name=_name(group),
        path=str(group.path),
        format="+".join(dict.fromkeys(line.format for line in lines)),
        project=next((log.identity["project"] for log in group.logs if log.identity.get("project")), None),
        logged=dict(sorted(curves.items())),
        config=settled.config,
        raw_config=settled.raw,
        planned_steps=plan,
        state=state,
        seams=seams,
        notes=tuple(dict.fromkeys((*told, *notes, *safe.notes, *settled.notes, *no_exit(group.logs, state)))),
        logs=group.logs,
        checkpoint_steps=tuple(sorted({step for log in group.logs for step in log.checkpoint_steps})),
        batch_logs=tuple(one.path for one in safe.files if one.kind == "batch-log"),
    )


def titled(group: Group) -> Run:
    """A run of a group's logs with no more than what it is called by: id, name, path, format and project."""
    project = next((log.identity["project"] for log in group.logs if log.identity.get("project")), None)
    return Run(_identity(group), _name(group), str(group.path), group.logs[0].format, {}, project)


def _lines(logs: Sequence[Log], importers: Mapping[str, Importer], given: Mapping[str, str]) -> list[Line]:
    """One line a format, the most complete one first."""
    by_format: dict[str, list[Log]] = defaultdict(list)
    for log in logs:
        by_format[log.format].append(log)
    lines = []
    for format_, some in by_format.items():
        whole = line_of_states if format_ == "trainer-state" else line_of
        lines.append(whole(format_, some, importers[format_], given))
    return sorted(lines, key=lambda line: (-line.train_rows, -line.rows, _RANKS.get(line.format, len(_RANKS))))


def _trained(curves: Mapping[str, Curve], seams: tuple[Seam, ...]) -> int:
    """The last step of the train loss that no later attempt overruled; -1 without one."""
    main = curves.get("train/loss")
    return -1 if main is None or not len(main) else int(winning_rows(main, seams).step.max())


def _name(group: Group) -> str:
    """The folder's name; the log's own one where a file holds several runs or folders bear no names."""
    given = next((log.identity["name"] for log in group.logs if log.identity.get("name")), None)
    path = Path(os.path.normpath(Path.cwd() / group.path))  # `.` has a name, too; a link keeps its own
    place = path if path.is_dir() else path.parent
    if given and (group.of_several or group.logs[0].format in _NAMED_BY_LOG or _MADE_BY_WANDB.match(place.name)):
        return given
    while _MADE_BY_WANDB.match(place.name) and place.parent.name and not given and path.suffix != ".wandb":
        place = place.parent
    if _CHECKPOINT.match(place.name) and place.parent.name:  # every run has a checkpoint-500
        return f"{place.parent.name}/{place.name}"
    if path != place and not _SAYS_NOTHING.match(path.stem):
        return path.stem
    return place.name or path.name


def _identity(group: Group) -> str:
    given = next((log.identity["id"] for log in group.logs if log.identity.get("id")), None)
    return given or place_hash(group.path)


def place_hash(path: str | Path) -> str:
    """Twelve digits that stand for a place in the file system."""
    return hashlib.sha256(str(Path(path).absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
