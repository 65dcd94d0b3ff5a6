"""What page, terminal and digest of an audit all tell: whether there is something to do today, what first, and in which words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from curvelab.model.audit import AuditedRun, AuditResult, Departure, TrackedFinding, Unread
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.report import numerals, wording
from curvelab.report.numerals import count, plural
from curvelab.report.plain import clean
from curvelab.report.sentences import unbroken

NIGHT = (12 * 3600.0, 36 * 3600.0)  # seconds between two audits of which one speaks of "last night"
LONG_NAME = 80
_NOUNS: dict[Severity, str] = {"critical": "critical finding", "warning": "warning", "info": "minor finding"}


@dataclass(frozen=True)
class Answer:
    """Whether there is something to do today: in a few words, and in a sentence or two. `severity` is None when there is not."""

    title: str
    sentence: str
    severity: Severity | None


def answer(result: AuditResult, only: Sequence[str] | None = None, unread: bool = True) -> Answer:
    """The answer.

    only    the fingerprints of the findings and departures that this reader is told of (None: all)
    unread  whether this reader is told of inputs that cannot be read
    """
    told = to_tell(result, only)
    among_runs = plural(len(present(result)), "run")
    if not any(run.seen != "gone" and not run.unread for run in result.runs):
        return _empty(result)
    if result.accepted:
        there = plural(len(result.of("known", "new", "worse")), "finding")
        title = f"{there} in {among_runs} accepted as the state to start from"
        return Answer(title, _sentences(("from now on only what is new or becomes worse is told", *_look(result))), None)
    odd = unusual(result, new=True)
    if only is not None:  # what is told late may be known by now
        odd = [one for one in (*odd, *unusual(result, new=False)) if one.fingerprint in only]
    lost = [error for error in result.errors if error.new] if unread else []
    severities: list[Severity] = [*(one.severity for one in told), *(one.severity for one in odd), *(("warning",) if lost else ())]
    worst = max(severities, key=SEVERITIES.index, default=None)
    if result.previous is None:
        return _first(result, told, among(result.of("new", "worse", "known"), only), among_runs, worst)
    where = f"in {among_runs} {since(result)}"
    besides = _besides(odd, lost)
    if told:
        rest = (_fails(result), *besides, *_running(result), *_circumstances(result))
        return Answer(f"{_listed(_counted(told))} {where}", _sentences(rest), worst)
    rest = (*_running(result), *_circumstances(result))
    if besides:
        return Answer(f"No new finding {where}, but {' and '.join(besides)}", _sentences((_fails(result), *rest)), worst)
    calm = not result.errors and not result.failing
    return Answer(f"Nothing new {where}", _sentences(("nothing to do today" if calm else _fails(result), *rest)), None)


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
    result: AuditResult, told: Sequence[TrackedFinding], found: Sequence[TrackedFinding], among_runs: str, worst: Severity | None
) -> Answer:
    """The first audit has nothing to hold the runs against: everything is new, and that is no news."""
    unread = len(result.errors)
    lost = [f"{plural(unread, 'input')} could not be read"] if unread else []
    rest = (*_besides(unusual(result, new=True), []), *_running(result), *_circumstances(result))
    if not found:
        but = f", but {lost[0]}" if lost else ""
        return Answer(f"First audit: nothing found in {among_runs}{but}", _sentences(rest), worst)
    critical = sum(one.severity == "critical" for one in found)
    title = f"First audit: {plural(len(found), 'finding')} in {among_runs}, {count(critical) if critical else 'none'} critical"
    later = "" if result.rehearsed else "from the next audit on only what is new is told; "
    accept = f"{later}--accept-current takes all of this as known at once"
    return Answer(title, _sentences((accept, *rest, *lost)), worst if told or lost else None)


def _counted(told: Sequence[TrackedFinding]) -> list[str]:
    """ ["2 new critical findings", "1 new warning", "1 that became worse", "1 told late"]."""
    new = Counter(one.severity for one in told if one.state == "new")
    worse = [one for one in told if one.state == "worse"]
    late = len(told) - len(worse) - sum(new.values())
    parts = [plural(new[severity], f"new {_NOUNS[severity]}") for severity in reversed(SEVERITIES) if new[severity]]
    if worse:
        bad = sum(one.severity == "critical" for one in worse)
        critical = "" if not bad else " (critical)" if bad == len(worse) else f" ({count(bad)} critical)"
        noun = f"{count(len(worse))} that" if parts else plural(len(worse), "finding")
        parts.append(f"{noun} became worse{critical}")
    if late:
        parts.append(f"{count(late) if parts else plural(late, 'finding')} told late")
    return parts


def _fails(result: AuditResult) -> str:
    number = len(result.failing)
    return f"{plural(number, 'finding')} {'fails' if number == 1 else 'fail'} the audit" if number else ""


def _besides(odd: Sequence[Departure], lost: Sequence[Unread]) -> list[str]:
    """News beside the findings, as half sentences."""
    runs = len({one.run for one in odd})
    parts = [f"{plural(runs, 'run')} {_are(runs)} unlike those before"] if runs else []
    return parts + ([f"{plural(len(lost), 'input')} can no longer be read"] if lost else [])


def _running(result: AuditResult) -> list[str]:
    live = sum(run.live for run in present(result))
    provisional = len(aside(result)[0])
    waiting = f", with {plural(provisional, 'provisional finding')}" if provisional else ""
    return [f"{plural(live, 'run')} {_are(live)} still training{waiting}"] if live else []


def _circumstances(result: AuditResult) -> list[str]:
    """What else a reader must know at once and is no news, as half sentences."""
    fixed, gone = len(result.of("fixed")), len(result.runs) - len(present(result))
    unread = sum(not error.new for error in result.errors)
    parts = [f"{plural(fixed, 'finding')} {_are(fixed)} fixed"] if fixed else []
    parts += [f"{plural(unread, 'input')} still cannot be read"] if unread else []
    parts += [f"{plural(gone, 'run')} {_are(gone)} no longer there"] if gone else []
    return [*parts, *_look(result)]


def _look(result: AuditResult) -> list[str]:
    return ["this was only a look: the next audit tells the same"] if result.rehearsed else []


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
    """ "since step 1,200", or "at step 1,200" for what happened once; empty for what has no step, such as a log that is lost."""
    if not finding.metric and not finding.end_step:
        return ""
    return f"{'at' if finding.end_step == finding.start_step else 'since'} step {count(finding.start_step)}"


def title(finding: TrackedFinding) -> str:
    """ "Divergence since step 1,200"."""
    return f"{wording.title_of(finding.pattern)} {place(finding)}".rstrip()


def history(finding: TrackedFinding) -> str:
    """ "new", "worse, was warning", "worse: 60 % beyond its threshold, was 27 % when last told", "new, provisional"."""
    return f"{finding.state}{_since_when(finding)}{', provisional' if finding.provisional else ''}"


def _since_when(finding: TrackedFinding) -> str:
    if finding.state == "new" and finding.muted_until:
        return f": {ended_mute(finding)}"
    if finding.state != "worse" or not finding.was:
        return ""
    if finding.excess is None or finding.was_excess is None or not math.isfinite(finding.excess):
        return f", was {unbroken(clean(finding.was, 60))}"
    now, before = (f"{100 * excess:,.0f}{numerals.PERCENT}" for excess in (finding.excess, finding.was_excess))
    return f": {now} beyond its threshold, was {before} when last told"


def ended_mute(one: TrackedFinding | Departure) -> str:
    """ "its mute until 2026-11-21 (bad shard) has ended", for what is new again by that."""
    why = f" ({clean(one.mute_reason, 120)})" if one.mute_reason else ""
    return f"its mute until {clean(one.muted_until, 40)}{why} has ended"


def departure(one: Departure) -> str:
    """The sentence of a departure, and why it is told again."""
    back = f" New again: {ended_mute(one)}." if one.state == "new" and one.muted_until else ""
    return f"{wording.sentence(one.sentence)}{back}"


def unusual(result: AuditResult, new: bool) -> list[Departure]:
    """Departures that are new tonight or were known before, the largest first; those that are muted stand elsewhere."""
    there = (one for one in result.departures if one.state != "muted" and one.new == new)
    return sorted(there, key=lambda one: (-abs(one.share), one.run, one.what))


def muted_departures(result: AuditResult) -> list[Departure]:
    """Departures that nobody wants to be told of."""
    return sorted((one for one in result.departures if one.state == "muted"), key=lambda one: (one.run, one.what))


def unread(result: AuditResult) -> tuple[list[Unread], list[Unread]]:
    """Inputs that could not be read: (news, those that could not be read before either)."""
    return [error for error in result.errors if error.new], [error for error in result.errors if not error.new]


def last_read(result: AuditResult) -> dict[str, float]:
    """Run key -> when it was read last, of the runs that could not be read tonight, as far as that is known."""
    read = {one.run: one.last_seen for one in result.findings}
    lost = {error.path for error in result.errors if error.new}
    before = {}
    if result.previous is not None:
        fresh = (run for run in result.runs if run.path in lost or str(PurePath(result.root, run.log or run.key)) in lost)
        before = {run.key: result.previous for run in fresh}
    return {run.key: when for run in result.runs if run.unread and (when := before.get(run.key, read.get(run.key))) is not None}


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
        ("unlike the runs before", len({one.run for one in result.departures if one.state != "muted"}), "state=unusual"),
        ("looked at tonight", result.diagnosed, ""),
    ]
