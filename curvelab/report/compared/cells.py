"""The words that page, terminal and Markdown of a comparison share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from curvelab.model.comparison import Comparison, Difference, Group, Row
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.result import Diagnosis
from curvelab.model.verdicts import Standing
from curvelab.report import numerals
from curvelab.report.compared.prices import price
from curvelab.report.plain import clean, shortened
from curvelab.report.wording import HEALTHY, title_of

AGAINST = {
    "better": "better",
    "worse": "worse",
    "within-noise": "within noise",
    "failed": "failed",
    "not-comparable": "not comparable",
}
AXES: Mapping[str, str] = {"step": "step", "epoch": "epoch", "tokens": "tokens", "samples": "samples", "time": "seconds of training"}
NOTHING = "–"
Pattern = tuple[str, str, list[tuple[Severity | None, str]]]  # its id, its title, severity and status in each row
SEEDS = re.compile(r" \(\d+ seeds\)$")
LONG_NAME = 60  # characters of a name in a sentence


@dataclass(frozen=True)
class Cell:
    """One cell of the table: its text, what stands small below it, and the number to sort by (None: by the text)."""

    text: str
    below: str = ""
    key: float | None = None


@dataclass(frozen=True)
class Column:
    """A column with the cells of all rows; `number`: aligned to the right."""

    title: str
    cells: tuple[Cell, ...]
    number: bool = True


def columns(comparison: Comparison) -> list[Column]:
    """The columns of the table that say something: one without a single value is left out."""
    ranking = comparison.ranking
    several = {group.number: group.name for group in comparison.groups if len(comparison.groups) < len(comparison.rows)}
    made = [  # a rank is that of a setting: of its seeds only their table tells it
        Column("Setting", tuple(_member(row, several) for row in comparison.rows), number=False) if several
        else Column("Rank", tuple(_rank(row.rank) for row in comparison.rows)),
        Column("Verdict", tuple(Cell(_verdict(row), _why_unranked(row)) for row in comparison.rows), number=False),
        Column(f"{clean(ranking.metric, 60)} ({ranking.goal})", tuple(_value(row.value, row.value_step) for row in comparison.rows)),
        Column("Best eval loss", tuple(_value(row.best, row.best_step) for row in comparison.rows)),
        Column("Last eval loss", tuple(_value(row.last, row.last_step) for row in comparison.rows)),
        Column("Where all were", tuple(_value(row.common) for row in comparison.rows)),
        Column("Perplexity", tuple(_value(row.perplexity) for row in comparison.rows)),
        Column("Final train loss", tuple(_value(row.train_loss) for row in comparison.rows)),
        Column("Throughput", tuple(_speed(row) for row in comparison.rows)),
        Column("Cost", tuple(_cost(row) for row in comparison.rows)),
        Column("Findings", tuple(_findings(row) for row in comparison.rows), number=False),
    ]  # fmt: skip
    if ranking.metric == "eval/loss" and ranking.goal == "min" and all(row.best == row.value for row in comparison.rows):
        del made[2]
    if comparison.baseline is not None:
        held = comparison.baseline
        made.insert(2, Column("Against the baseline", tuple(_against(comparison, held.of(row.run)) for row in comparison.rows), number=False))
    return [one for one in made if any(cell.text != NOTHING for cell in one.cells)]


def groups(comparison: Comparison) -> list[tuple[str, list[Cell]]]:
    """The table of settings, the best first, where any has several seeds: (title of a column, its cells)."""
    if len(comparison.groups) == len(comparison.rows):
        return []
    there = sorted(comparison.groups, key=lambda one: (one.rank is None, one.rank or 0, _signed(comparison, one.mean), one.number))
    held = comparison.baseline
    told = [
        ("Setting", [Cell(clean(one.name, 80)) for one in there]),
        ("Rank", [_rank(one.rank) for one in there]),
        ("Runs", [Cell(str(len(one.runs)), f"seeds {clean(', '.join(map(str, one.seeds)), 40)}" if one.seeds else "", len(one.runs)) for one in there]),
        (f"Mean of {clean(comparison.ranking.metric, 60)}", [_value(one.mean) for one in there]),
        ("Standard deviation", [Cell(NOTHING) if one.spread is None else Cell(f"{one.spread:.2g}", "", one.spread) for one in there]),
        ("Range", [_range(one) for one in there]),
    ]
    if held is not None:
        standings = [next((found for run in one.runs if (found := held.of(run)) is not None), None) for one in there]
        told.append(("Against the baseline", [_against(comparison, one) for one in standings]))
    return told


def _signed(comparison: Comparison, mean: float | None) -> float:
    return float("inf") if mean is None else mean if comparison.ranking.goal == "min" else -mean


def _range(group: Group) -> Cell:
    if group.low is None or group.high is None or group.low == group.high:
        return Cell(NOTHING)
    return Cell(f"{numerals.value(group.low)} to {numerals.value(group.high)}", "", group.low)


def _rank(rank: int | None) -> Cell:
    return Cell(NOTHING) if rank is None else Cell(str(rank), "", rank)


def _member(row: Row, names: Mapping[int, str]) -> Cell:
    """The setting of a run, sorted by its rank."""
    return Cell(SEEDS.sub("", clean(names[row.group], 60)), "", row.rank)


def _verdict(row: Row) -> str:
    if row.verdict == "healthy":
        return HEALTHY
    return "Not assessed" if row.verdict == "not-assessed" else title_of(row.verdict)


def _why_unranked(row: Row) -> str:
    return f"not ranked: {clean(row.unranked, 80)}" if row.unranked else ""


def _value(value: float | None, step: int | None = None) -> Cell:
    if value is None:
        return Cell(NOTHING)
    return Cell(numerals.value(value), "" if step is None else numerals.steps(step), value)


def _speed(row: Row) -> Cell:
    if row.throughput is None:
        return Cell(NOTHING)
    return Cell(f"{numerals.value(float(f'{row.throughput:.3g}'))} {row.throughput_unit}/s", "", row.throughput)


def _cost(row: Row) -> Cell:
    if row.seconds is None:
        return Cell(NOTHING)
    told = [] if row.gpu_hours is None else [f"{numerals.value(float(f'{row.gpu_hours:.3g}'))} GPU-hours"]
    told += [] if row.money is None else [numerals.money(row.money)]
    told += [] if not row.wasted else [f"{numerals.percent(round(row.wasted, 2))} wasted"]
    return Cell(numerals.duration(row.seconds), ", ".join(told), row.seconds)


def _findings(row: Row) -> Cell:
    return Cell(", ".join(clean(one, 60) for one in row.findings) or "none", "", float(len(row.findings)))


def _against(comparison: Comparison, standing: Standing | None) -> Cell:
    if standing is None:
        return Cell("the baseline", "", 0.0)
    return Cell(AGAINST[standing.against], price(comparison, standing), standing.change)


def settings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) of the settings that differ; ≈ before what was read off the curves."""
    return [(one.setting, [_setting(one, row.run) for row in comparison.rows]) for one in comparison.differences]


def _setting(one: Difference, run: str) -> str:
    if run not in one.values:
        return "not told"
    return ("≈ " if run in one.inferred else "") + numerals.setting(one.values[run])


def brief(comparison: Comparison, text: str) -> str:
    """A sentence whose endless names are cut: a name must not fill it."""
    named = {row.name for row in comparison.rows} | {group.name for group in comparison.groups}
    for name in sorted((name for name in named if len(name) > LONG_NAME), key=len, reverse=True):
        text = text.replace(name, shortened(name, LONG_NAME))
    return text


def patterns(comparison: Comparison) -> list[Pattern]:
    """The pattern matrix: (pattern, title, for each row its severity and status), the most frequent pattern first."""
    by_run = {one.id: one for one in comparison.runs}
    found = [pattern for one in comparison.runs for pattern in {f.pattern for f in one.findings}]
    order = sorted(set(found), key=lambda pattern: (-found.count(pattern), pattern))
    return [(p, title_of(p), [_mark(by_run[row.run], p) for row in comparison.rows]) for p in order]


def _mark(diagnosis: Diagnosis, pattern: str) -> tuple[Severity | None, str]:
    severities = [f.severity for f in diagnosis.findings if f.pattern == pattern]
    if severities:
        worst = max(severities, key=SEVERITIES.index)
        return worst, worst
    status = next((o.status for o in diagnosis.outcomes if o.pattern == pattern), "not-applicable")
    return None, "clear" if status == "clear" else "not looked"
