"""Records, findings and mutes as rows of the tables, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from curvelab.history.tables import digest, number, whole
from curvelab.model.audit import FoundTonight, RunRecord
from curvelab.model.tracking import Mute, PastAudit
from curvelab.states import Stored

STATES = ("new", "worse", "known", "fixed", "muted")  # of a finding, each a column of the audits
_BODY = tuple(name for name in RunRecord.__struct_fields__ if name != "diagnosis")
_KEPT = tuple(name for name in Stored.__struct_fields__ if name != "found")

Kind = TypeVar("Kind")


def run_row(record: RunRecord) -> dict[str, Any]:
    """A run's row without its project."""
    run = record.run
    return {
        "digest": digest(run.key),
        **{name: getattr(run, name) for name in ("key", "name", "format", "state", "verdict", "seen", "live", "metric")},
        "last_step": whole(run.last_step),
        **{name: number(getattr(run, name)) for name in ("began", "ended", "best", "final", "gpu_hours")},
        "signature": record.signature,
        "causes": json.dumps(record.causes),
        "body": json.dumps({name: msgspec.to_builtins(getattr(record, name)) for name in _BODY}),
        "diagnosis": bytes(record.diagnosis),
    }


def summary_rows(record: RunRecord) -> list[dict[str, Any]]:
    """The summary metrics of a run, without its project."""
    run = digest(record.run.key)
    numbers = enumerate(record.run.summary.items())
    return [{"run": run, "position": i, "name": name, "value": number(value)} for i, (name, value) in numbers]


def record_of(row: Row[Any]) -> RunRecord | None:
    """The record of a row with key, seen, body and diagnosis; None where another version wrote what this one cannot read."""
    plain = _loaded(row.body)
    if plain is None:
        return None
    # what a moved or a returned run is called now is in the columns only
    plain["run"] = {**plain["run"], "key": row.key, "seen": row.seen}
    return _converted({**plain, "diagnosis": msgspec.Raw(row.diagnosis)}, RunRecord)


def finding_row(one: Stored) -> dict[str, Any]:
    """A finding's row without its project."""
    found = one.found
    return {
        **{name: getattr(one, name) for name in _KEPT},
        "told_excess": number(one.told_excess),
        **{name: getattr(found, name) for name in ("pattern", "severity", "metric", "headline")},
        **{name: whole(getattr(found, name)) for name in ("start_step", "end_step")},
        "body": json.dumps(msgspec.to_builtins(found)),
    }


def stored_of(row: Row[Any]) -> Stored | None:
    """The finding of a row; None where another version wrote what this one cannot read."""
    plain = _loaded(row.body)
    found = None if plain is None else _converted(plain, FoundTonight)
    return None if found is None else Stored(**{name: getattr(row, name) for name in _KEPT}, found=found)


def mute_row(mute: Mute) -> dict[str, Any]:
    """A mute's row without project and id."""
    return {name: getattr(mute, name) for name in ("run", "pattern", "until", "reason", "made")}


def mute_of(row: Row[Any], project: str) -> Mute | None:
    """The mute of a row; None where its date was written by hand and is none."""
    mute = Mute(
        project=project, run=row.run, pattern=row.pattern, until=row.until, reason=row.reason, made=row.made, id=row.id
    )  # fmt: skip
    try:
        return mute if mute.ends else None
    except ValueError:
        return None


def audit_of(row: Row[Any]) -> PastAudit:
    """The past audit of a row."""
    counts = {name: getattr(row, name) for name in STATES}
    names = ("number", "started", "finished", "told", "failing", "runs", "version")
    return PastAudit(counts=counts, **{name: getattr(row, name) for name in names})


def causes_of(text: str | None) -> Mapping[str, str]:
    """The parts of a signature."""
    return (_loaded(text) if text else None) or {}


def _loaded(text: str) -> dict[str, Any] | None:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _converted(plain: dict[str, Any], kind: type[Kind]) -> Kind | None:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError:
        return None
