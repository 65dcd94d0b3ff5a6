"""The trend of a project: of the runs that ended in a week, how many had which pattern."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from curvelab.model.audit import RunRecord, Week

MOST = 26  # weeks that are told, up to the last in which a run ended
_LATEST = datetime(9998, 1, 1, tzinfo=UTC).timestamp()


def weeks(records: Iterable[RunRecord]) -> tuple[Week, ...]:
    """One entry a calendar week (ISO, UTC) without gaps, the oldest first. Findings of severity info are not counted."""
    runs: dict[datetime, int] = Counter()
    flagged: dict[datetime, int] = Counter()
    patterns: dict[datetime, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.run.ended is None or not 0 <= record.run.ended < _LATEST or record.run.seen == "gone":
            continue
        monday = _monday(record.run.ended)
        found = {finding.pattern for finding in record.findings if finding.severity != "info"}
        runs[monday] += 1
        flagged[monday] += bool(found)
        patterns[monday].update(found)
    if not runs:
        return ()
    last = max(runs)
    told = [last - timedelta(weeks=back) for back in reversed(range(MOST))]
    begun = min(monday for monday in runs if monday >= told[0])
    return tuple(
        Week(week=_name(monday), runs=runs[monday], flagged=flagged[monday], patterns=dict(sorted(patterns[monday].items())))
        for monday in told
        if monday >= begun
    )


def _monday(time: float) -> datetime:
    day = datetime.fromtimestamp(time, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _name(monday: datetime) -> str:
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"
