"""The words that page, terminal and Markdown of a comparison share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curvelab.comparing.wording import names
from curvelab.model.comparison import Comparison, Difference, Row
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.result import Diagnosis
from curvelab.model.verdicts import Class, Standing
from curvelab.report import numerals
from curvelab.report.plain import clean
from curvelab.report.wording import HEALTHY, title_of

AGAINST = {
    "better": "better",
    "worse": "worse",
    "within-noise": "within noise",
    "failed": "failed",
    "not-comparable": "not comparable",
}
AXES = {"step": "step", "epoch": "epoch", "tokens": "tokens", "samples": "samples", "time": "seconds of training"}
NOTHING = "–"
GOES_WITH = "Settings that go with the metric (no cause is claimed)"
LONGEST = 1600  # characters of a sentence
PROSE = ("a", "the", "other", "fewer")  # words that begin a refusal; anything else there is a name


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
        Column("Where all were", tuple(_value(row.common) for row in comparison.rows)),
        Column("Perplexity", tuple(_value(row.perplexity) for row in comparison.rows)),
        Column("Final train loss", tuple(_value(row.train_loss) for row in comparison.rows)),
        Column("Throughput", tuple(_speed(row) for row in comparison.rows)),
        Column("Cost", tuple(_cost(row) for row in comparison.rows)),
        Column("Findings", tuple(_findings(row) for row in comparison.rows), number=False),
    ]
    if ranking.metric == "eval/loss" and ranking.goal == "min" and all(row.best == row.value for row in comparison.rows):
        del made[2]
    if comparison.baseline is not None:
        held = comparison.baseline
        made.insert(2, Column("Against the baseline", tuple(_against(held.of(row.run)) for row in comparison.rows), number=False))
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
    told = [f"{clean(one.name, 80)}: {AGAINST[one.against]}; {one.sentence}" for one in held.standings]
    return [f"The baseline cannot be judged: {held.unjudged}", *told] if held.unjudged else told


def settings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) of the settings that differ; ≈ before what was read off the curves."""
    return [(one.setting, [_setting(one, row.run) for row in comparison.rows]) for one in comparison.differences]


def _setting(one: Difference, run: str) -> str:
    if run not in one.values:
        return "not told"
    return ("≈ " if run in one.inferred else "") + numerals.setting(one.values[run])


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
    """(title, sentences) of everything that is told in words, empty ones left out. Names keep their case."""
    told: list[tuple[str, Sequence[str]]] = [
        (why_title(comparison), [f"{_capital(one.text)}. Fair instead: {one.alternative}" for one in comparison.ranking.refusals]),
        ("Comparable with each other", [_class(one) for one in comparison.ranking.classes if len(one.runs) > 1]),
        ("Keep in mind", comparison.caveats),
        ("Against the baseline", _standings(comparison)),
        ("Seeds", seed_groups(comparison)),
        ("Where they part", _partings(comparison)),
        ("One setting changed", [one.sentence for one in comparison.effects]),
        (GOES_WITH, [one.sentence for one in comparison.associations]),
        ("Other settings differ", [", ".join(comparison.also_differ)] if comparison.also_differ else []),
    ]
    return [(title, [_stopped(one) for one in lines]) for title, lines in told if lines]


def why_title(comparison: Comparison) -> str:
    """What the refusals explain."""
    return "Why there is no ranking" if comparison.refused else "Why not all runs are ranked"


def _class(one: Class) -> str:
    outcome = "ranked above" if one.ranked else one.sentence.rstrip(".") or "none of them can be ranked"
    told = f"{one.label} ({numerals.plural(len(one.runs), 'run')}): {outcome}"
    return f"{told}; {one.command}" if one.command else told


def _partings(comparison: Comparison) -> list[str]:
    """The partings; those that were not seen in one line a metric."""
    parted = [one.sentence for one in comparison.partings if one.at is not None]
    unseen = [one for one in comparison.partings if one.at is None]
    if len(unseen) < 2:
        return parted + [one.sentence for one in unseen]
    for key in dict.fromkeys((one.runs[0], one.metric, one.identical is not None) for one in unseen):
        mine = [one for one in unseen if (one.runs[0], one.metric, one.identical is not None) == key]
        if len(mine) == 1:
            parted.append(mine[0].sentence)
            continue
        called = {run: group.name for group in comparison.groups for run in group.runs}
        which = names([called[one.runs[1]] for one in mine])
        seen = max(one.seen or 0.0 for one in mine)
        parted.append(f"{key[1]} of {which} cannot be told from that of {called[key[0]]}: too noisy to see a gap below {seen:.2g}")
    return parted


def _stopped(text: str) -> str:
    """A sentence with its full stop."""
    plain = clean(text, LONGEST)
    return plain if plain.endswith((".", "!", "?")) or "curvelab compare" in plain else plain + "."


def _capital(text: str) -> str:
    first = text.partition(" ")[0]
    return text[0].upper() + text[1:] if first in PROSE else text
