"""What page, terminal and digest of an audit all tell: whether there is something to do today, what first, and in which words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from curvelab.model.audit import AuditedRun, AuditResult, Departure, TrackedFinding
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.report import numerals, wording
from curvelab.report.numerals import count, plural
from curvelab.report.plain import clean

NIGHT = (12 * 3600.0, 36 * 3600.0)  # seconds between two audits of which one speaks of "last night"
LONG_NAME = 80
_NOUNS: dict[Severity, str] = {"critical": "critical finding", "warning": "warning", "info": "minor finding"}


@dataclass(frozen=True)
class Answer:
    """Whether there is something to do today: in a few words, and in a sentence or two. `severity` is None when there is not."""

    title: str
    sentence: str
    severity: Severity | None


def answer(result: AuditResult, only: Sequence[str] | None = None) -> Answer:
    """The answer; `only` holds the fingerprints of the findings that this reader is told of (None: all)."""
    told = to_tell(result, only)
    worst = told[0].severity if told else None
    among_runs = plural(len(present(result)), "run")
    if not result.runs:
        return _empty(result)
    if result.accepted:
        there = plural(len(result.of("known", "new", "worse")), "finding")
        title = f"{there} in {among_runs} accepted as the state to start from"
        return Answer(title, "From now on only what is new or becomes worse is told.", None)
    if result.previous is None:
        return _first(result, told, among(result.of("new", "worse", "known"), only), among_runs)
    where = f"in {among_runs} {since(result)}"
    if told:
        rest = (_fails(result), *_circumstances(result))
        return Answer(f"{_listed(_counted(told))} {where}", _sentences(rest), worst)
    calm = not result.errors and not result.failing and not any(one.new for one in result.departures)
    odd = len({one.run for one in result.departures if one.new and (only is None or one.fingerprint in only)})
    lost = sum(error.new for error in result.errors)
    news = [f"{plural(odd, 'run')} {_are(odd)} unlike those before"] if odd else []
    news += [f"{plural(lost, 'input')} can no longer be read"] if lost else []
    if news:
        return Answer(f"No new finding {where}, but {' and '.join(news)}", _sentences(_circumstances(result)), "warning")
    return Answer(f"Nothing new {where}", _sentences(("nothing to do today" if calm else "", *_circumstances(result))), None)


def to_tell(result: AuditResult, only: Sequence[str] | None = None) -> list[TrackedFinding]:
    """The findings that a reader is told of: all that count, or those named by their fingerprints (None: all)."""
    there = result.told if only is None else [one for one in result.findings if one.state not in ("fixed", "muted")]
    return ranked(among(there, only))


def _empty(result: AuditResult) -> Answer:
    if result.errors:
        unread = plural(len(result.errors), "input")
        return Answer("No run could be read", f"{unread} could not be read; what was wrong with each is told below.", "critical")
    return Answer("No run was found", f"There is no log of a training run below {clean(result.root, 300)}.", None)


def _first(
    result: AuditResult, told: Sequence[TrackedFinding], found: Sequence[TrackedFinding], among_runs: str
) -> Answer:
    """The first audit has nothing to hold the runs against: everything is new, and that is no news."""
    if not found:
        return Answer(f"First audit: nothing found in {among_runs}", _sentences(_circumstances(result)), None)
    critical = sum(one.severity == "critical" for one in found)
    title = f"First audit: {plural(len(found), 'finding')} in {among_runs}, {count(critical) if critical else 'none'} critical"
    accept = "from the next audit on only what is new is told; --accept-current takes all of this as known at once"
    return Answer(title, _sentences((accept, *_circumstances(result))), told[0].severity if told else None)


def _counted(told: Sequence[TrackedFinding]) -> list[str]:
    """ ["2 new critical findings", "1 new warning", "1 that became worse"]."""
    new = Counter(one.severity for one in told if one.state == "new")
    worse = [one for one in told if one.state != "new"]
    parts = [plural(new[severity], f"new {_NOUNS[severity]}") for severity in reversed(SEVERITIES) if new[severity]]
    if worse:
        bad = sum(one.severity == "critical" for one in worse)
        critical = "" if not bad else " (critical)" if bad == len(worse) else f" ({count(bad)} critical)"
        noun = f"{count(len(worse))} that" if parts else plural(len(worse), "finding")
        parts.append(f"{noun} became worse{critical}")
    return parts


def _fails(result: AuditResult) -> str:
    number = len(result.failing)
    return f"{plural(number, 'finding')} {'fails' if number == 1 else 'fail'} the audit" if number else ""


def _circumstances(result: AuditResult) -> list[str]:
    """What else a reader must know at once, as half sentences."""
    live = sum(run.live for run in present(result))
    provisional = len(aside(result)[0])
    unusual = len({one.run for one in result.departures if one.new})
    fixed, unread, gone = len(result.of("fixed")), len(result.errors), len(result.runs) - len(present(result))
    parts = []
    if live:
        waiting = f", with {plural(provisional, 'provisional finding')}" if provisional else ""
        parts.append(f"{plural(live, 'run')} {_are(live)} still training{waiting}")
    parts += [f"{plural(fixed, 'finding')} {_are(fixed)} fixed"] if fixed else []
    parts += [f"{plural(unusual, 'run')} {_are(unusual)} unlike those before"] if unusual else []
    parts += [f"{plural(unread, 'input')} could not be read"] if unread else []
    return parts + ([f"{plural(gone, 'run')} {_are(gone)} no longer there"] if gone else [])


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _sentences(parts: Sequence[str]) -> str:
    told = "; ".join(part for part in parts if part)
    return f"{told[0].upper()}{told[1:]}." if told else ""


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def since(result: AuditResult) -> str:
    """ "since last night", or how long before this audit the last one was."""
    if result.previous is None:
        return ""
    gap = result.started - result.previous
    if NIGHT[0] <= gap <= NIGHT[1]:
        return "since last night"
    return f"since the audit {numerals.duration(gap)} before"


def present(result: AuditResult) -> list[AuditedRun]:
    """The runs whose files are there."""
    return [run for run in result.runs if run.seen != "gone"]


def among(findings: Sequence[TrackedFinding], only: Sequence[str] | None) -> list[TrackedFinding]:
    """Those of the findings whose fingerprint is in `only`; all of them where that is None."""
    wanted = None if only is None else frozenset(only)
    return [one for one in findings if wanted is None or one.fingerprint in wanted]


def ranked(findings: Sequence[TrackedFinding]) -> list[TrackedFinding]:
    """The worst first: by severity, what is final, how far beyond the threshold, then by name."""
    return sorted(
        findings,
        key=lambda one: (-SEVERITIES.index(one.severity), one.provisional, -(one.excess or 0.0), one.run_name, one.pattern, one.fingerprint),
    )


def aside(result: AuditResult) -> tuple[list[TrackedFinding], list[TrackedFinding]]:
    """New and worse findings that nobody is told of: the provisional ones, and those that a rule leaves out."""
    rest = ranked([one for one in result.of("new", "worse") if not one.counts])
    return [one for one in rest if one.provisional], [one for one in rest if not one.provisional]


def names(result: AuditResult) -> dict[str, str]:
    """Run key -> what people call the run: its name, or its key where several runs have that name."""
    often = Counter(run.name for run in result.runs)
    return {run.key: clean(run.name if often[run.name] == 1 and run.name else run.key, LONG_NAME) for run in result.runs}


def name_of(finding: TrackedFinding | Departure, known: dict[str, str]) -> str:
    """The name of the run that something was found in."""
    return known.get(finding.run) or clean(finding.run_name or finding.run, LONG_NAME)


def place(finding: TrackedFinding) -> str:
    """ "since step 1,200", or "at step 1,200" for what happened once."""
    return f"{'at' if finding.end_step == finding.start_step else 'since'} step {count(finding.start_step)}"


def title(finding: TrackedFinding) -> str:
    """ "Divergence since step 1,200"."""
    return f"{wording.title_of(finding.pattern)} {place(finding)}"


def history(finding: TrackedFinding) -> str:
    """ "new", "worse, was warning", with "provisional" for a run that is still training."""
    was = f", was {clean(finding.was, 60)}" if finding.state == "worse" and finding.was else ""
    return f"{finding.state}{was}{', provisional' if finding.provisional else ''}"


def unusual(result: AuditResult, new: bool) -> list[Departure]:
    """Departures that are new tonight or were there before, the largest first."""
    return sorted((one for one in result.departures if one.new == new), key=lambda one: (-abs(one.share), one.run, one.what))


def tally(result: AuditResult) -> list[tuple[str, int, str]]:
    """(label, number, filter of the page that shows them) of everything worth counting."""
    runs = present(result)
    flagged = {one.run for one in result.of("new", "worse", "known")}
    return [
        ("runs", len(runs), ""),
        ("with findings", sum(run.key in flagged for run in runs), "state=any"),
        ("still training", sum(run.live for run in runs), "run=live"),
        ("new", len(result.of("new")), "state=new"),
        ("worse", len(result.of("worse")), "state=worse"),
        ("fixed", len(result.of("fixed")), "state=fixed"),
        ("known", len(result.of("known")), "state=known"),
        ("muted", len(result.of("muted")), "state=muted"),
        ("looked at tonight", result.diagnosed, ""),
    ]
