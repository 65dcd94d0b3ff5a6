"""What goes into a history and comes out of it, besides AuditResult's own nouns: Tonight, Mute, Settled, PastAudit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase

import msgspec

from curvelab.model.audit import FoundTonight, TrackedFinding

LOG_CHANGED = "its log has changed"  # why a run was looked at again, see Tonight.renewed
LOST = "log-lost"  # a finding of the audit itself: nothing is left of a log


class Tonight(msgspec.Struct, frozen=True, kw_only=True):
    """One run as tonight's audit sees it.

    page      link to its report; `live`: still being written, its findings are provisional
    checked   pattern -> status of its outcome ("found", "clear", "not-applicable", "failed")
    renewed   why it was looked at again ("its log has changed", "curvelab has changed", "the settings have changed");
              empty: it was not, its findings are those of an earlier night
    was_key   its earlier key where its place has changed: its findings move with it
    """

    key: str
    name: str
    page: str | None = None
    live: bool = False
    findings: tuple[FoundTonight, ...] = ()
    checked: Mapping[str, str] = {}
    renewed: str = ""
    was_key: str | None = None


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that nobody wants to be told of for a while.

    run, pattern   globs, case-sensitive; `run` is held against key and name; each also fits what it literally names
                   ("run[1]")
    until          ISO date, the last day on which it holds (UTC), or ISO time; None: until it is removed
    made           when it was made; `id` is given by the history
    """

    project: str
    run: str
    pattern: str
    until: str | None = None
    reason: str = ""
    made: float = 0.0
    id: int = 0

    @property
    def ends(self) -> float:
        """The moment from which it no longer holds, infinity without one. Raises ValueError where `until` is no ISO date."""
        return float("inf") if self.until is None else _end(self.until)

    def fits_run(self, key: str, name: str) -> bool:
        """Whether it is about a run of this key and name, now or not."""
        return any(_fits(self.run, one) for one in (key, name))

    def fits_pattern(self, pattern: str) -> bool:
        """Whether it is about this pattern."""
        return _fits(self.pattern, pattern)


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a settled audit is.

    number     which one of its project, from 1
    previous   when the one before it finished; None: there was none
    findings   those that are there tonight, and those fixed tonight; new and worse ones first, then by severity
    """

    number: int
    previous: float | None
    findings: tuple[TrackedFinding, ...]


class PastAudit(msgspec.Struct, frozen=True, kw_only=True):
    """A finished audit. `counts`: state -> number of findings; `told` and `failing`: how many of them counted and failed."""

    number: int
    started: float
    finished: float
    counts: dict[str, int]
    told: int = 0
    failing: int = 0
    runs: int = 0
    version: str = ""


def _fits(wish: str, name: str) -> bool:
    return wish == name or fnmatchcase(name, wish)


def _end(until: str) -> float:
    """A date holds for the whole of its day; a time without a zone is UTC."""
    try:
        day = date.fromisoformat(until)
    except ValueError:
        moment = datetime.fromisoformat(until)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return datetime.combine(day, time(), UTC).timestamp() + timedelta(days=1).total_seconds()
