"""Comparison -> one self-contained HTML page, drawn from what the JSON holds. Nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from curvelab.model.comparison import Comparison
from curvelab.model.strict_json import strict
from curvelab.report import inlined, numerals
from curvelab.report.compared import cells, paragraphs
from curvelab.report.compared.cells import Pattern
from curvelab.report.compared.plotted import pictures
from curvelab.report.compared.scatter import scatters
from curvelab.report.compared.text import by_rank
from curvelab.report.page import templates
from curvelab.report.plain import clean

MOST_SETTINGS, MOST_PATTERNS = 14, 20  # columns
SIDE_BY_SIDE = 8  # runs whose settings stand in columns


def page(comparison: Comparison) -> str:
    """The page of a comparison."""
    environment = templates()
    order = by_rank(comparison)
    told = dict(paragraphs.paragraphs(comparison))
    why_title = paragraphs.why_title(comparison)
    why = told.pop(why_title, [])
    patterns = cells.patterns(comparison)[:MOST_PATTERNS]
    script = inlined.script(environment, "sort.js", "compare.js")
    text: str = environment.get_template("compare.html").render(
        c=comparison,
        title=_title(comparison),
        facts=_facts(comparison),
        axes=[(axis, cells.AXES[axis]) for axis in comparison.axis.possible],
        pictures={axis: pictures(comparison, axis) for axis in comparison.axis.possible},
        columns=cells.columns(comparison),
        order=order,
        winner=len({row.group for row in comparison.rows if row.rank == 1}) == 1,
        told=[_told(comparison, place) for place in range(len(comparison.rows))],
        words=[_words(comparison, place) for place in range(len(comparison.rows))],
        refusals=why,
        why_title=why_title,
        settings=cells.settings(comparison)[:MOST_SETTINGS],
        settings_left=max(0, len(comparison.differences) - MOST_SETTINGS),
        transposed=len(comparison.rows) > SIDE_BY_SIDE,
        patterns=patterns,
        found=_found_first(comparison, order, patterns),
        groups=cells.groups(comparison),
        sentence=clean(cells.brief(comparison, comparison.sentence)),
        withheld=[f"{cells.AXES[axis]}: {clean(why, 200)}" for axis, why in comparison.axis.withheld.items()],
        paragraphs=list(told.items()),
        scatters={paragraphs.GOES_WITH: scatters(comparison)},
        extra_style=inlined.source(environment, "compare.css"),
        script=script,
        script_hash=inlined.allowed(script),
        shapes={"critical": "■", "warning": "▲", "info": "●"},
    )
    return text


def _title(comparison: Comparison) -> str:
    """The answer in a few words."""
    if comparison.refused:
        return "These runs must not be ranked"
    rows = [row for row in comparison.rows if row.rank == 1]
    if not rows:
        return f"{len(comparison.rows)} runs compared"
    groups = {row.group for row in rows}
    if len(groups) > 1:
        return f"No clear winner among {numerals.plural(len(comparison.rows), 'run')}"
    if len(comparison.groups) == 1:
        return "Seeds of one setting"
    name = next(group.name for group in comparison.groups if group.number == rows[0].group)
    if len(comparison.ranking.order) == 1:
        return f"Only {clean(name, 80)} can be ranked"
    if any(row.group == rows[0].group and row.rank is None for row in comparison.rows):
        return f"{clean(name, 80)} leads, but not all of its seeds arrived"
    common = comparison.ranking.common
    same = common is None or (common.lead.real and common.order[0] == rows[0].group)
    return f"{clean(name, 80)} is the best" + ("" if same else ", with more training than the others")


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    ranking = comparison.ranking
    ranked = sum(row.rank is not None for row in comparison.rows)
    told = [
        ("Runs", numerals.count(len(comparison.rows))),
        ("Ranked", "refused" if comparison.refused else numerals.count(ranked)),
        ("By", f"{clean(ranking.metric, 60)}, {'least' if ranking.goal == 'min' else 'most'} is best ({clean(ranking.reason, 80)})"),
        ("Noise from", "the seeds" if ranking.noise_from == "seed noise" else clean(ranking.noise_from, 80)),
        ("Budget", clean(ranking.budget, 120)),
        ("Aligned", clean(comparison.axis.reason, 240)),
    ]
    return [one for one in told if one[1] and not (comparison.refused and one[0] == "Noise from")]


def _told(comparison: Comparison, place: int) -> str:
    """The settings of a run that differ, as JSON for the search: numbers as they are, so that they can be held against others."""
    run = comparison.rows[place].run
    settings = {clean(one.setting, 80).lower(): one.values[run] for one in comparison.differences if run in one.values}
    plain = {name: value if _is_number(value) else clean(numerals.setting(value), 120).lower() for name, value in settings.items()}
    return msgspec.json.encode(strict(plain)).decode()


def _is_number(value: object) -> bool:
    return isinstance(value, float | bool) or (isinstance(value, int) and abs(value) < 2**63)


def _words(comparison: Comparison, place: int) -> str:
    """What a run is found by beside its settings: its name, verdict and findings."""
    row = comparison.rows[place]
    return clean(" ".join((row.name, row.verdict, *row.findings)).lower(), 600)


def _found_first(comparison: Comparison, order: list[int], patterns: Sequence[Pattern]) -> list[int]:
    """The rows in which any pattern was found, those with the most first."""
    count = {place: sum(marks[place][0] is not None for _, _, marks in patterns) for place in order}
    return sorted((place for place in order if count[place]), key=lambda place: -count[place])
