"""The end of an audit: what of tonight is new, in one transaction that no other audit's can overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from curvelab.history import tables
from curvelab.history.rows import STATES, causes_of, finding_row, stored_of
from curvelab.history.tables import digest
from curvelab.history.writing import upsert
from curvelab.model.audit import TrackedFinding
from curvelab.model.tracking import LOG_CHANGED, Mute, Settled, Tonight
from curvelab.states import Followed, Stored, followed, in_order, unread

Wanted = Callable[[TrackedFinding], tuple[bool, bool]]

# Part of a signature that differs -> why a run was looked at again, when the audit that did so was killed before it told.
RENEWED = {
    "log": LOG_CHANGED,
    "curvelab": "curvelab has changed",
    "settings": "the settings have changed",
}


@dataclass(frozen=True)
class Night:
    """What an audit brings to be settled."""

    runs: Sequence[Tonight]
    wanted: Wanted
    now: float
    started: float
    tree: str
    version: str
    accept: bool
    gone: Collection[str]
    again: Collection[str] = ()


def settled(connection: Connection, project: int, night: Night, mutes: Sequence[Mute]) -> Settled:
    """Settle a night. The connection holds the lock. Raises ValueError where two of its runs have one key."""
    tonight = {one.key: one for one in night.runs}
    if len(tonight) < len(night.runs):
        raise ValueError("two runs of an audit have the same key")
    sources = _sources(tonight)
    rows = _rows(connection, project)
    stored, taken = _stored(connection, project)
    _move(connection, project, sources, tonight, rows)

    listed, changed = [], []
    for key, told in tonight.items():
        old = [rows[source] for source in (key, *sources[key]) if source in rows]
        row = old[0] if old else None
        one = told if told.renewed else msgspec.structs.replace(told, renewed=_untold(rows.get(key), old))
        known = [_forgotten(finding, night.again) for source in sources[key] for finding in stored.pop(source, ())]
        after = followed(
            one, known, mutes, now=night.now, length=row.last_step if row else None, taken=taken, accept=night.accept
        )
        before = {old.fingerprint: old for old in known}
        changed += [new.stored for new in after if before.get(new.stored.fingerprint) != new.stored]
        listed += [_judged(new, night.wanted) for new in after if new.listed is not None]
    gone = {*night.gone, *(key for key, row in rows.items() if row.seen == "gone")}
    absent = [one for key, those in stored.items() if key not in gone for one in those]
    listed += unread(absent, mutes, night.now)

    upsert(connection, tables.findings, [{"project": project, **finding_row(one)} for one in changed])
    _mark(connection, project, tonight, sources, rows, night.gone)
    number, previous = _next(connection, project)
    findings = in_order(listed)
    connection.execute(insert(tables.audits), _audit_row(project, number, night, findings))
    return Settled(number=number, previous=previous, findings=findings)


def _forgotten(one: Stored, again: Collection[str]) -> Stored:
    """A finding, as if it had not been told where nobody heard of it."""
    if one.fingerprint not in again or one.fixed is not None:
        return one
    return msgspec.structs.replace(one, told=None, told_severity=None, told_excess=None)


def _sources(tonight: Mapping[str, Tonight]) -> dict[str, tuple[str, ...]]:
    """Run key -> the keys under which its findings may be kept: the earlier one where it has moved, and its own.

    A run that is still at its place has not moved: the other one is a copy. What was found under a key goes with the run
    that has moved away from it, and not to another one that is there now.
    """
    moved: dict[str, str] = {}  # earlier key -> key
    for key, one in tonight.items():
        if one.was_key is None or one.was_key == key:
            continue
        if one.was_key not in tonight or tonight[one.was_key].was_key is not None:
            moved.setdefault(one.was_key, key)
    sources: dict[str, tuple[str, ...]] = {key: () if key in moved else (key,) for key in tonight}
    for earlier, key in moved.items():
        sources[key] = (earlier, *sources[key])
    return sources


def _rows(connection: Connection, project: int) -> dict[str, Any]:
    columns = tables.runs.c
    wanted = (columns.key, columns.seen, columns.last_step, columns.signature, columns.causes, columns.settled, columns.settled_causes)
    return {row.key: row for row in connection.execute(select(*wanted).where(columns.project == project))}


def _stored(connection: Connection, project: int) -> tuple[dict[str, list[Stored]], frozenset[str]]:
    """Run key -> its findings, and all fingerprints."""
    by_run: dict[str, list[Stored]] = {}
    columns = tables.findings.c
    rows = connection.execute(
        select(tables.findings).where(columns.project == project).order_by(columns.first_seen, columns.fingerprint)
    ).all()
    for row in rows:
        if (one := stored_of(row)) is not None:
            by_run.setdefault(one.run, []).append(one)
    return by_run, frozenset(row.fingerprint for row in rows)


def _untold(row: Any | None, old: Iterable[Any]) -> str:
    """Why a run was looked at again by an audit that did not live to settle it; empty where none did."""
    before = next((one for one in old if one.settled is not None), None)
    if row is None or before is None or before.settled == row.signature:
        return ""
    was, is_ = causes_of(before.settled_causes), causes_of(row.causes)
    return next((text for part, text in RENEWED.items() if was.get(part) != is_.get(part)), RENEWED["log"])


def _judged(one: Followed, wanted: Wanted) -> TrackedFinding:
    assert one.listed is not None
    if not one.telling:
        return one.listed
    counts, fails = wanted(one.listed)
    return msgspec.structs.replace(one.listed, counts=counts, fails=fails)


def _move(
    connection: Connection,
    project: int,
    sources: Mapping[str, tuple[str, ...]],
    tonight: Mapping[str, Tonight],
    rows: Mapping[str, Any],
) -> None:
    """A run that has moved is kept once. Its findings are moved by being stored anew."""
    for key, (source, *_) in ((key, those) for key, those in sources.items() if those):
        if source in tonight or source not in rows:
            continue
        old = (tables.runs.c.project == project) & (tables.runs.c.digest == digest(source))
        if key in rows:
            connection.execute(delete(tables.runs).where(old))
        else:
            connection.execute(update(tables.runs).where(old).values(key=key, digest=digest(key)))


def _mark(
    connection: Connection,
    project: int,
    tonight: Mapping[str, Tonight],
    sources: Mapping[str, tuple[str, ...]],
    rows: Mapping[str, Any],
    gone: Iterable[str],
) -> None:
    """Which runs are gone, which have come back, and that the others have been told of as they are."""
    columns = tables.runs.c
    this = update(tables.runs).where(columns.project == project, columns.digest == bindparam("which"))
    moved = {source for those in sources.values() for source in those}
    left = [key for key in gone if key in rows and key not in tonight and key not in moved]
    back = [key for key in tonight if key in rows and rows[key].seen == "gone"]
    unsettled = [key for key in tonight if key not in rows or rows[key].settled != rows[key].signature]
    for keys, statement in (
        (left, this.values(seen="gone")),
        (back, this.values(seen="unchanged")),
        (unsettled, this.values(settled=columns.signature, settled_causes=columns.causes)),
    ):
        if keys:
            connection.execute(statement, [{"which": digest(key)} for key in sorted(keys)])


def _next(connection: Connection, project: int) -> tuple[int, float | None]:
    """The number of this audit, and when the one before it finished."""
    columns = tables.audits.c
    last = connection.execute(select(func.max(columns.number)).where(columns.project == project)).scalar() or 0
    this = select(columns.finished).where(columns.project == project, columns.number == last)
    return last + 1, connection.execute(this).scalar()


def _audit_row(project: int, number: int, night: Night, findings: Iterable[TrackedFinding]) -> dict[str, Any]:
    findings = tuple(findings)
    states = Counter(one.state for one in findings)
    return {
        "project": project, "number": number, "started": night.started, "finished": night.now,
        "version": night.version, "tree": night.tree, "runs": len(night.runs),
        **{state: states[state] for state in STATES},  # type: ignore[index]
        "told": sum(one.counts for one in findings), "failing": sum(one.fails for one in findings),
    }  # fmt: skip
