"""AuditResult -> one self-contained HTML page. Nothing is loaded from anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from curvelab.model.audit import AuditResult, Departure, TrackedFinding
from curvelab.report import inlined, numerals, wording
from curvelab.report.audited import telling
from curvelab.report.audited.places import project_name
from curvelab.report.audited.rows import table
from curvelab.report.audited.trend import trend
from curvelab.report.page import safe_address, templates
from curvelab.report.plain import clean

IN_FULL = 12  # findings with headline and fix; more of them in a line each, behind a click
MOST_LISTED = 1500  # of one list: the table has the runs of all, the JSON all of them


@dataclass(frozen=True)
class Told:
    """A finding as the page tells it."""

    finding: TrackedFinding
    run: str
    href: str
    title: str
    history: str
    headline: str


def page(result: AuditResult) -> str:
    """The page of an audit."""
    environment = templates()
    answer, runs = telling.answer(result), table(result)
    lost, lost_before = telling.unread(result)
    script = inlined.script(environment, "sort.js", "audit.js")
    names = telling.names(result)
    # who has no report is shown in the table
    places = {**{key: f"#{anchor}" for key, anchor in runs.anchors.items()}, **{run.key: run.page for run in result.runs if run.page}}

    def told(findings: Sequence[TrackedFinding]) -> list[Told]:
        return [_told(one, names, places) for one in findings]

    def departed(departures: Sequence[Departure]) -> list[tuple[Departure, str | None, str, str]]:
        return [(one, names.get(one.run), _href(places.get(one.run)), telling.departure(one)) for one in departures]

    provisional, left_out = telling.aside(result)
    first = result.previous is None and not result.accepted
    text: str = environment.get_template("audit.html").render(
        r=result,
        answer=answer,
        project=clean(project_name(result), 160),
        first=first,
        facts=[one for one in telling.tally(result) if one[1] or one[0] in ("runs", "with findings")],
        gone=len(result.runs) - len(telling.present(result)),
        written=numerals.moment(result.finished),
        new=told(telling.ranked(result.told)),
        provisional=told(provisional),
        left_out=told(left_out),
        fixed=told(telling.ranked(result.of("fixed"))),
        unusual=departed(telling.unusual(result, new=True)),
        still_unusual=departed(telling.unusual(result, new=False)),
        lost=lost,
        lost_before=lost_before,
        muted=told(telling.ranked(result.of("muted"))),
        muted_unusual=departed(telling.muted_departures(result)),
        known=_by_pattern(told(telling.ranked(result.of("known")))),
        table=runs,
        trend=trend(result.weeks),
        about=_about(result),
        in_full=IN_FULL,
        half=IN_FULL // 2,
        most_listed=MOST_LISTED,
        letters={"critical": "c", "warning": "w", "info": "i", "healthy": "ok", "unknown": "u"},
        extra_style=inlined.source(environment, "audit.css"),
        script=script,
        script_hash=inlined.allowed(script),
    )
    return text


def _told(one: TrackedFinding, names: dict[str, str], places: dict[str, str]) -> Told:
    return Told(
        finding=one,
        run=telling.name_of(one, names),
        href=_href(one.page or places.get(one.run)),
        title=telling.title(one),
        history=telling.history(one),
        headline=wording.sentence(one.headline),
    )


def _href(address: str | None) -> str:
    return safe_address(address) if address else ""


def _by_pattern(known: Sequence[Told]) -> list[tuple[str, list[Told]]]:
    """Findings under the titles of their patterns, the most frequent pattern first."""
    groups: dict[str, list[Told]] = defaultdict(list)
    for one in known:
        groups[one.finding.pattern].append(one)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [(wording.title_of(pattern), group) for pattern, group in ordered]


def _about(result: AuditResult) -> list[tuple[str, str]]:
    """Where the page comes from."""
    took = numerals.duration(result.finished - result.started)
    rows = [
        ("Audited", clean(result.root, 300)),
        ("Audit", f"number {numerals.count(result.number)} of this project"),
        ("Began", numerals.moment(result.started)),
        ("Took", f"{took}; {numerals.plural(result.diagnosed, 'run')} looked at, the others had not changed"),
        ("Audit before", numerals.moment(result.previous) or "none"),
        ("Fails on", f"{clean(result.fail_on, 60)}: {numerals.plural(len(result.failing), 'finding')}"),
        ("curvelab", clean(result.version, 60)),
    ]
    return [(label, text) for label, text in rows if text]
