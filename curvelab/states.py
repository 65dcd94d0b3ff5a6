"""Whether a finding is new, worse, known, fixed or muted: decided from what was known and what tonight says of one run.

    not known, or known and not told    -> new       told tonight, unless it is provisional and not critical
    told, and higher or farther out     -> worse     told tonight, the same
    told                                -> known
    a mute fits                         -> muted     and is forgotten as told: new again when the mute has ended
    not found, though looked for        -> fixed     listed once; new again when it comes back

Told is what stood as new or worse in a finished audit: whether anyone wanted to hear of it is not asked here. No I/O.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from curvelab.matching import matched
from curvelab.model.audit import NEWS, FoundTonight, TrackedFinding, TrackedState
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.tracking import LOG_CHANGED, LOST, Mute, Tonight

FARTHER = 2.0  # times the told excess, and
FARTHER_BY = 0.25  # of the threshold more: then a finding is worse at the same severity; judgement
LOOKED = ("clear", "found")  # outcomes of a pattern that could look
_LISTED: tuple[TrackedState, ...] = ("new", "worse", "known", "muted", "fixed")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is kept from night to night.

    found                        as it was seen last
    told                         when it last stood as new or worse; None: never, or it is to be new again
    told_severity, told_excess   what it was then
    fixed                        since when it is gone; None: it is there
    """

    fingerprint: str
    run: str
    run_name: str
    found: FoundTonight
    first_seen: float
    last_seen: float
    state: TrackedState = "new"
    was: str = ""
    provisional: bool = False
    told: float | None = None
    told_severity: Severity | None = None
    told_excess: float | None = None
    fixed: float | None = None


class Followed(NamedTuple):
    """A finding after tonight: what to keep, what to list (None: nothing), whether it is told, if anyone wants it."""

    stored: Stored
    listed: TrackedFinding | None
    telling: bool


def followed(
    tonight: Tonight,
    stored: Sequence[Stored],
    mutes: Iterable[Mute] = (),
    *,
    now: float,
    length: int | None = None,
    taken: Container[str] = (),
    accept: bool = False,
) -> list[Followed]:
    """All findings of one run, those known and tonight's, in their state of tonight.

    stored   what is known of this run, fixed ones included
    length   steps of the run; None: as far as its findings go
    taken    fingerprints that other runs' findings have
    accept   everything becomes known, and nothing is told
    """
    mutes = tuple(mutes)
    holding, ended = _holding(mutes, tonight, now), _ended(mutes, tonight, now)
    partners = _partners(stored, tonight.findings, length)
    names = {one.fingerprint for one in stored}
    result, there = [], set[str]()
    for found, partner in zip(tonight.findings, partners, strict=True):
        before = partner or _first(tonight, found, now, taken, names)
        there.add(before.fingerprint)
        names.add(before.fingerprint)
        result.append(_found(before, found, tonight, holding, ended, now, now, accept))
    rest = (one for one in stored if one.fingerprint not in there)
    return result + [_not_found(one, tonight, holding, ended, now, accept) for one in rest]


def unread(stored: Iterable[Stored], mutes: Sequence[Mute], now: float) -> list[TrackedFinding]:
    """The findings of a run that could not be read tonight: as they were; what was not told yet waits."""
    result = []
    for one in stored:
        mute = _mute_of(one.found.pattern, [m for m in mutes if m.fits_run(one.run, one.run_name) and now < m.ends])
        if one.fixed is None and (mute or one.told is not None):
            result.append(_listed(_replaced(one, state="muted" if mute else "known", was=""), None, mute))
    return result


def in_order(findings: Iterable[TrackedFinding]) -> tuple[TrackedFinding, ...]:
    """New and worse first, then known, muted and fixed; within each the severest first."""
    return tuple(
        sorted(
            findings,
            key=lambda one: (
                _LISTED.index(one.state), -SEVERITIES.index(one.severity), one.run, one.start_step, one.fingerprint,
            ),
        )
    )  # fmt: skip


def fingerprint(run: str, pattern: str, metric: str, start_step: int, nth: int = 0) -> str:
    """16 hex digits of run, pattern and place; `nth` tells those apart that have the same."""
    text = "\0".join((run, pattern, metric, str(start_step), *([str(nth)] if nth else [])))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _partners(
    stored: Sequence[Stored], tonight: Sequence[FoundTonight], length: int | None
) -> list[Stored | None]:
    """For each of tonight's findings the one that it is; what is still there comes before what was fixed."""
    if length is None:
        length = max((one.end_step for one in (*tonight, *(known.found for known in stored))), default=0)
    partners: list[Stored | None] = [None] * len(tonight)
    for fixed in (False, True):
        groups: dict[tuple[str, str], tuple[list[Stored], list[int]]] = {}
        for known in stored:
            if (known.fixed is not None) is fixed:
                groups.setdefault((known.found.pattern, known.found.metric), ([], []))[0].append(known)
        for i, found in enumerate(tonight):
            if partners[i] is None and (found.pattern, found.metric) in groups:
                groups[found.pattern, found.metric][1].append(i)
        for candidates, places in groups.values():
            spans = [(tonight[i].start_step, tonight[i].end_step) for i in places]
            known_spans = [(one.found.start_step, one.found.end_step) for one in candidates]
            for j, k in matched(known_spans, spans, length).items():
                partners[places[j]] = candidates[k]
    return partners


def _first(tonight: Tonight, found: FoundTonight, now: float, taken: Container[str], own: Container[str]) -> Stored:
    nth, name = 0, ""
    while not name or name in taken or name in own:  # a finding that has drifted away may have left its name behind
        name = fingerprint(tonight.key, found.pattern, found.metric, found.start_step, nth)
        nth += 1
    return Stored(fingerprint=name, run=tonight.key, run_name=tonight.name, found=found, first_seen=now, last_seen=now)


def _found(
    before: Stored, found: FoundTonight, tonight: Tonight, mutes: Sequence[Mute], ended: Sequence[Mute], now: float, seen: float, accept: bool
) -> Followed:
    """The state of a finding that is there; `mutes` hold tonight, those that have `ended` tell why a finding is back."""
    mute = _mute_of(found.pattern, mutes)
    state, was = _state(before, found, mute, accept)
    telling = state in NEWS and (not tonight.live or found.severity == "critical")
    after = _replaced(
        before, run=tonight.key, run_name=tonight.name, found=found, last_seen=seen, state=state, was=was,
        provisional=tonight.live, fixed=None,
    )  # fmt: skip
    if mute or before.fixed is not None:
        after = _replaced(after, told=None, told_severity=None, told_excess=None)
    if telling or (accept and state == "known"):
        after = _replaced(after, told=now, told_severity=found.severity, told_excess=found.excess)
    back = _mute_of(found.pattern, ended) if state == "new" and before.state == "muted" else None
    farther = before.told_excess if state == "worse" and was not in SEVERITIES else None
    return Followed(after, _listed(after, tonight.page, mute or back, farther), telling)


def _state(before: Stored, found: FoundTonight, mute: Mute | None, accept: bool) -> tuple[TrackedState, str]:
    """The state, and what it was where it is worse."""
    if mute:
        return "muted", ""
    if accept:
        return "known", ""
    if before.told is None or before.told_severity is None or before.fixed is not None:
        return "new", ""
    if SEVERITIES.index(found.severity) > SEVERITIES.index(before.told_severity):
        return "worse", before.told_severity
    if _farther(before.told_excess, found.excess):
        return "worse", f"{100 * (before.told_excess or 0):,.0f} % beyond its threshold"
    return "known", ""


def _farther(told: float | None, excess: float | None) -> bool:
    if told is None or excess is None:
        return False
    return excess >= FARTHER * max(told, 0.0) and excess - told >= FARTHER_BY


def _not_found(
    one: Stored, tonight: Tonight, mutes: Sequence[Mute], ended: Sequence[Mute], now: float, accept: bool
) -> Followed:
    """The state of a finding that tonight does not name: gone only where it was looked for."""
    if one.fixed is not None:
        return Followed(_replaced(one, run=tonight.key, run_name=tonight.name), None, False)
    if not tonight.renewed or not _settles(one, tonight):
        return _found(one, one.found, tonight, mutes, ended, now, one.last_seen, accept)
    fixed = _replaced(
        one, run=tonight.key, run_name=tonight.name, state="fixed", was=tonight.renewed, fixed=now,
        told=None, told_severity=None, told_excess=None,
    )  # fmt: skip
    return Followed(fixed, _listed(fixed, tonight.page, None), False)


def _settles(one: Stored, tonight: Tonight) -> bool:
    """Whether tonight has an answer to a finding that it does not name.

    Its pattern could look; or it could not, but that is because the log goes on otherwise now: "ends at step 400" says
    nothing of a log that has come to 900. A log of which nothing is left answers nothing.
    """
    status = tonight.checked.get(one.found.pattern)
    if status == "not-applicable":
        return tonight.renewed == LOG_CHANGED and all(found.pattern != LOST for found in tonight.findings)
    return status in LOOKED


def _holding(mutes: Iterable[Mute], tonight: Tonight, now: float) -> list[Mute]:
    return [one for one in mutes if one.fits_run(tonight.key, tonight.name) and now < one.ends]


def _ended(mutes: Iterable[Mute], tonight: Tonight, now: float) -> list[Mute]:
    return [one for one in mutes if one.fits_run(tonight.key, tonight.name) and one.ends <= now]


def _mute_of(pattern: str, mutes: Sequence[Mute]) -> Mute | None:
    """The mute that lasts longest, of those that fit."""
    return max((one for one in mutes if one.fits_pattern(pattern)), key=lambda one: (one.ends, -one.id), default=None)


def _listed(one: Stored, page: str | None, mute: Mute | None, was_excess: float | None = None) -> TrackedFinding:
    found = {name: getattr(one.found, name) for name in FoundTonight.__struct_fields__ if name in _SHARED}
    return TrackedFinding(
        **found, fingerprint=one.fingerprint, run=one.run, run_name=one.run_name, state=one.state, was=one.was,
        first_seen=one.first_seen, last_seen=one.last_seen, provisional=one.provisional, page=page,
        muted_until=mute.until if mute else None, mute_reason=mute.reason if mute else "",
        was_excess=was_excess,
    )  # fmt: skip


_SHARED = frozenset(TrackedFinding.__struct_fields__)
_replaced = msgspec.structs.replace
