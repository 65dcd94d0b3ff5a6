"""The words that page, terminal and Markdown of a comparison share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curvelab.model.comparison import Comparison, Row, Standing
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.plain import clean
from curvelab.report.wording import HEALTHY, sentence, title_of

AGAINST = {
    "better": "better",
    "worse": "worse",
    "within-noise": "within noise",
    "failed": "failed",
    "not-comparable": "not comparable",
}
AXES = {"step": "step", "epoch": "epoch", "tokens": "tokens", "samples": "samples", "time": "seconds of training"}
NOTHING = "–"


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
    made = [
        Column("Rank", tuple(_rank(row) for row in comparison.rows)),
        Column("Verdict", tuple(Cell(_verdict(row), _why_unranked(row)) for row in comparison.rows), number=False),
        Column(f"{clean(ranking.metric, 60)} ({ranking.goal})", tuple(_value(row.value, row.value_step) for row in comparison.rows)),
        Column("Best eval loss", tuple(_value(row.best, row.best_step) for row in comparison.rows)),
        Column("Last eval loss", tuple(_value(row.last, row.last_step) for row in comparison.rows)),
        Column("Perplexity", tuple(_value(row.perplexity) for row in comparison.rows)),
        Column("Final train loss", tuple(_value(row.train_loss) for row in comparison.rows)),
        Column("Throughput", tuple(_speed(row) for row in comparison.rows)),
        Column("Cost", tuple(_cost(row) for row in comparison.rows)),
        Column("Findings", tuple(_findings(row) for row in comparison.rows), number=False),
    ]
    if ranking.metric == "eval/loss" and ranking.goal == "min" and all(row.best == row.value for row in comparison.rows):
        del made[2]
    if comparison.baseline is not None:
        standings = {one.run: one for one in comparison.baseline.standings}
        made.insert(2, Column("Against the baseline", tuple(_against(standings.get(row.run)) for row in comparison.rows), number=False))
    return [one for one in made if any(cell.text != NOTHING for cell in one.cells)]


def _rank(row: Row) -> Cell:
    if row.rank is None:
        return Cell(NOTHING, "", 1e9)
    return Cell(str(row.rank), "", row.rank)


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


def _against(standing: Standing | None) -> Cell:
    if standing is None:
        return Cell("the baseline", "", 0.0)
    return Cell(AGAINST[standing.against], "", standing.change)


def _standings(comparison: Comparison) -> list[str]:
    held = comparison.baseline
    if held is None:
        return []
    return [f"{clean(comparison.names[one.run], 80)}: {AGAINST[one.against]}; {one.sentence}" for one in held.standings]


def settings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) of the settings that differ; a dash where a log does not say."""
    return [
        (one.setting, [_setting(one.values, row.run) for row in comparison.rows]) for one in comparison.differences
    ]


def _setting(values: dict[str, Any], run: str) -> str:
    return numerals.setting(values[run]) if run in values else NOTHING


def patterns(comparison: Comparison) -> list[tuple[str, str, list[tuple[Severity | None, str]]]]:
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


def seed_groups(comparison: Comparison) -> list[str]:
    """The groups of several seeds in a line each."""
    told = []
    for group in comparison.groups:
        if len(group.runs) > 1:
            spread = "" if group.spread is None else f" ± {group.spread:.2g} (standard deviation)"
            mean = "no ranked seed" if group.mean is None else f"mean {numerals.value(group.mean)}{spread}"
            seeds = f", seeds {', '.join(map(str, group.seeds))}" if group.seeds else ""
            told.append(f"{clean(group.name, 100)}: {mean} of {len(group.runs)} runs{seeds}")
    return told


def paragraphs(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(title, sentences) of everything that is told in words, empty ones left out."""
    told: list[tuple[str, Sequence[str]]] = [
        ("Why there is no ranking", [f"{one.text}. Fair instead: {one.alternative}" for one in comparison.ranking.refusals]),
        ("Keep in mind", comparison.caveats),
        ("Against the baseline", _standings(comparison)),
        ("Seeds", seed_groups(comparison)),
        ("Where they part", [one.sentence for one in comparison.partings]),
        ("One setting changed", [one.sentence for one in comparison.effects]),
        ("Settings that go with the metric (no cause is claimed)", [one.sentence for one in comparison.associations]),
        ("Other settings differ", [", ".join(comparison.also_differ)] if comparison.also_differ else []),
    ]
    return [(title, [sentence(one) for one in lines]) for title, lines in told if lines]
