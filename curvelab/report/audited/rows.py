"""The table of all runs: one row a run, with what the page sorts, searches and filters by."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curvelab.model.audit import AuditedRun, AuditResult, Departure, TrackedFinding, TrackedState
from curvelab.model.finding import SEVERITIES
from curvelab.report import numerals, wording
from curvelab.report.audited import telling
from curvelab.report.audited.sparks import spark
from curvelab.report.numerals import count
from curvelab.report.page import safe_address
from curvelab.report.plain import clean, shortened

STATES: tuple[TrackedState, ...] = ("new", "worse", "known", "muted", "fixed")
ENDINGS = {"finished": "finished", "crashed": "crashed", "running": "not ended", "unknown": "not known"}
WITHOUT_FAULT = {"healthy": wording.HEALTHY, "not-assessed": "Not assessed"}
MOST_SETTINGS, LONGEST_SETTING, LONGEST_KEY = 8, 40, 200  # of a run that the search box knows
COMMON = 0.1  # of the runs have a number: below that its column would be a void
_RANKS = {"new": 2, "worse": 2, "known": 1}


@dataclass(frozen=True)
class Column:
    """A column that some run has something for. `label` stands before the value where there is no head, on a telephone."""

    name: str
    title: str
    label: str = ""
    number: bool = True


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, what small below it, and the number that it is sorted by."""

    text: str
    below: str = ""
    key: str = ""


@dataclass(frozen=True)
class Row:
    """A run.

    marks    its findings for the filters: "3nc" is pattern 3 of the page, new, critical
    anchor   its name in addresses, where something on the page leads to it
    """

    name: str
    about: str
    href: str
    spark: Markup
    verdict: str
    shape: str
    verdict_number: int
    findings: Sequence[tuple[str, str]]
    findings_key: int
    marks: str
    state: str
    state_mark: str
    folder: int
    project: int
    rule: int
    unusual: bool
    anchor: str
    words: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """The rows with their columns and the choices of the filters; a choice is (name, words, how many).

    The rows with news come first, then those with known findings, each by severity, then the newest. `anchors` has run keys.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    verdicts: Sequence[tuple[str, str, int]]
    folders: Sequence[tuple[str, int]]
    projects: Sequence[tuple[str, int]]
    rules: Sequence[tuple[str, int]]
    anchors: Mapping[str, str]


def table(result: AuditResult) -> Table:
    """The table of an audit."""
    found: dict[str, list[TrackedFinding]] = defaultdict(list)
    for finding in result.findings:
        found[finding.run].append(finding)
    departed: dict[str, list[Departure]] = defaultdict(list)
    for departure in result.departures:
        departed[departure.run].append(departure)
    ranks = {run.key: _rank(run, [*found[run.key], *departed[run.key]]) for run in result.runs}
    runs = sorted(result.runs, key=lambda run: (-ranks[run.key], -_known(run.ended, -math.inf), run.key))
    there: Counter[str] = Counter()
    for run in runs:
        there.update({run.verdict, *(one.pattern for one in found[run.key])})
    verdicts = sorted(there, key=lambda name: (name not in WITHOUT_FAULT, wording.title_of(name)))
    titles = {name: WITHOUT_FAULT.get(name) or wording.title_of(name) for name in verdicts}
    rules, folders = _choices(run.rule for run in runs), _distinct(_folder(run) for run in runs)
    projects = [] if all((run.project or "") == _folder(run) for run in runs) else _distinct(run.project or "" for run in runs)
    metric = next(iter(Counter(run.metric for run in runs if run.metric).most_common(1)), ("", 0))[0]
    columns = _columns(runs, metric)
    numbers = {name: number for number, name in enumerate(verdicts)}
    of_folder, of_project, of_rule = ({name: number for number, (name, _) in enumerate(one)} for one in (folders, projects, rules))
    anchors = {run.key: f"run-{number}" for number, run in enumerate(runs) if not run.page and (found[run.key] or departed[run.key])}
    as_of = telling.last_read(result)
    rows = []
    for run in runs:
        mine = found[run.key]
        worst = max((SEVERITIES.index(one.severity) for one in mine if one.pattern == run.verdict), default=-1)
        shape = SEVERITIES[worst] if worst >= 0 else "healthy" if run.verdict == "healthy" else "unknown"
        state, mark = _state(run)
        rows.append(
            Row(
                name=clean(run.name or run.key, telling.LONG_NAME),
                about=_about(run, bool(projects), as_of, result.previous is None),
                href=safe_address(run.page) if run.page else "",
                spark=spark(run.spark),
                verdict=titles[run.verdict],
                shape=shape,
                verdict_number=numbers[run.verdict],
                findings=[*_findings(mine), *_departures(departed[run.key])],
                findings_key=-ranks[run.key],
                marks=" ".join(sorted({f"{numbers[one.pattern]}{one.state[0]}{one.severity[0]}" for one in mine})),
                state=state,
                state_mark=mark,
                folder=of_folder.get(_folder(run), -1),
                project=of_project.get(run.project or "", -1),
                rule=of_rule.get(run.rule, -1),
                unusual=any(one.state != "muted" for one in departed[run.key]),
                anchor=anchors.get(run.key, ""),
                words=_words(run),
                cells=[_CELLS[column.name](run, result, metric) for column in columns],
            )
        )
    return Table(columns, rows, [(name, titles[name], there[name]) for name in verdicts], folders, projects, rules, anchors)


def _choices(names: Iterable[str]) -> list[tuple[str, int]]:
    """The names that occur with their counts, without the empty one; none where there would be nothing to choose."""
    often = Counter(names)
    return sorted((name, number) for name, number in often.items() if name)


def _distinct(names: Iterable[str]) -> list[tuple[str, int]]:
    """The same, and none where all runs have one name."""
    names = tuple(names)
    return _choices(names) if len(set(names)) > 1 else []


def _folder(run: AuditedRun) -> str:
    """The first folder that a run lies in, below the audited one; empty where it lies in none."""
    first, below, _ = run.key.partition("#")[0].partition("/")
    return first if below else ""


def _known(number: float | None, otherwise: float) -> float:
    return otherwise if number is None or not math.isfinite(number) else number


def _state(run: AuditedRun) -> tuple[str, str]:
    """(words, mark for the filter)."""
    if run.seen == "gone":
        return "gone", "gone"
    if run.unread:
        return "not read", "unread"
    return ("training", "live") if run.live else (ENDINGS[run.state], run.state)


def _about(run: AuditedRun, projects: bool, as_of: Mapping[str, float], first: bool) -> str:
    """What stands small below the name: the place, where the name does not say it, project and rule, and how old this is."""
    key, name = clean(run.key, 200), clean(run.name, 200)
    where = "" if key == name else shortened(key.removesuffix(name).rstrip("/"), 60)
    project = clean(run.project or "", 40) if projects else ""
    parts = (where, project if project != where else "", f"rule {clean(run.rule, 40)}" if run.rule else "")
    new = "new run" if run.seen == "new" and not first else ""
    unread = f"could not be read tonight, {_as_of(as_of.get(run.key))}" if run.unread else ""
    return " · ".join(part for part in (*parts, new, unread) if part)


def _as_of(seconds: float | None) -> str:
    day = numerals.moment(seconds, day=True)
    return f"as of {day}" if day else "as last seen"


def _rank(run: AuditedRun, mine: Sequence[TrackedFinding | Departure]) -> int:
    """How early a run stands in the table: news before what is known, each by severity; runs that are gone at its end."""
    if run.seen == "gone":
        return -1
    ranks = (10 * _RANKS.get(one.state, 0) + 2 * SEVERITIES.index(one.severity) + (one.state == "new") for one in mine)
    return max((rank for rank in ranks if rank >= 10), default=0)


def _findings(mine: Sequence[TrackedFinding]) -> list[tuple[str, str]]:
    """(worst severity, "2 new") of each state that a finding of this run is in."""
    told: list[tuple[str, str]] = []
    for state in STATES:
        here = [one for one in mine if one.state == state]
        if here:
            worst = max(SEVERITIES.index(one.severity) for one in here)
            told.append((SEVERITIES[worst] if state != "fixed" else "healthy", f"{len(here)} {state}"))
    return told


def _departures(mine: Sequence[Departure]) -> list[tuple[str, str]]:
    there = [SEVERITIES.index(one.severity) for one in mine if one.state != "muted"]
    return [(SEVERITIES[max(there)], "unlike before")] if there else []


def _words(run: AuditedRun) -> str:
    """What a run is found by beside the words of its row."""
    settings = [f"{name}={numerals.setting(value)}" for name, value in list(run.settings.items())[:MOST_SETTINGS]]
    words = " ".join(one[:LONGEST_SETTING] for one in (run.format, run.project or "", *settings) if one)
    return clean(f"{run.key[:LONGEST_KEY] if run.key != run.name else ''} {words}".strip().lower(), 600)


def _columns(runs: Sequence[AuditedRun], metric: str) -> list[Column]:
    """The columns of numbers that more than a few runs have."""
    best = f"Best {clean(metric, 30)}" if metric else "Best"

    def common(name: str) -> bool:
        there = sum(getattr(run, name) is not None and (name != "wasted_hours" or run.wasted_hours != 0) for run in runs)
        return there > 0 and there >= COMMON * len(runs)

    possible = (
        (Column("progress", "Steps", "steps"), common("last_step")),
        (Column("age", "Age", "age"), common("ended")),
        (Column("best", best, "best"), common("best")),
        (Column("gpu", "GPU-hours", "GPU-hours"), common("gpu_hours")),
        (Column("money", "Cost", "cost"), common("money")),
        (Column("wasted", "Wasted", "wasted"), common("wasted_hours")),
    )
    return [column for column, there in possible if there]


def _progress(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    if run.last_step is None:
        return Cell("")
    if not run.planned_steps or run.planned_steps <= 0:
        return Cell(count(run.last_step), key=str(run.last_step))
    whole = run.last_step >= run.planned_steps
    share = "" if whole else f"{numerals.percent(run.last_step / run.planned_steps)} of {count(run.planned_steps)}"
    return Cell(count(run.last_step), share, str(run.last_step))


def _age(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    seconds = result.finished - _known(run.ended, math.nan)
    return Cell(numerals.age(seconds), key=str(round(max(0.0, seconds)))) if math.isfinite(seconds) else Cell("")


def _best(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    if run.best is None:
        return Cell("")
    other = clean(run.metric, 30) if run.metric != metric else ""
    step = "" if run.best_step is None else f"step {count(run.best_step)}"
    return Cell(numerals.value(run.best), ", ".join(part for part in (other, step) if part), _key(run.best))


def _gpu(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    return Cell("") if run.gpu_hours is None else Cell(_short(run.gpu_hours), key=_key(run.gpu_hours))


def _money(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    return Cell("") if run.money is None else Cell(numerals.money(run.money), key=_key(run.money))


def _wasted(run: AuditedRun, result: AuditResult, metric: str) -> Cell:
    return Cell(f"{_short(run.wasted_hours)} h", key=_key(run.wasted_hours)) if run.wasted_hours else Cell("")


def _short(number: float) -> str:
    return numerals.value(float(f"{number:.3g}"))


def _key(number: float) -> str:
    return f"{number:.6g}" if math.isfinite(number) else ""


_CELLS = {"progress": _progress, "age": _age, "best": _best, "gpu": _gpu, "money": _money, "wasted": _wasted}
