"""Comparison -> one self-contained HTML page, drawn from what the JSON holds. Nothing is loaded from anywhere."""

from __future__ import annotations

from curvelab.model.comparison import Comparison
from curvelab.report import inlined, numerals
from curvelab.report.compared import cells
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
    paragraphs = dict(cells.paragraphs(comparison))
    why_title = cells.why_title(comparison)
    why = paragraphs.pop(why_title, [])
    script = inlined.script(environment, "sort.js", "compare.js")
    text: str = environment.get_template("compare.html").render(
        c=comparison,
        title=_title(comparison),
        facts=_facts(comparison),
        axes=[(axis, cells.AXES[axis]) for axis in comparison.axis.possible],
        pictures={axis: pictures(comparison, axis) for axis in comparison.axis.possible},
        columns=cells.columns(comparison),
        order=order,
        words=[_words(comparison, place) for place in range(len(comparison.rows))],
        refusals=why,
        why_title=why_title,
        settings=cells.settings(comparison)[:MOST_SETTINGS],
        settings_left=max(0, len(comparison.differences) - MOST_SETTINGS),
        transposed=len(comparison.rows) > SIDE_BY_SIDE,
        patterns=cells.patterns(comparison)[:MOST_PATTERNS],
        paragraphs=list(paragraphs.items()),
        scatters={cells.GOES_WITH: scatters(comparison)},
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


def _words(comparison: Comparison, place: int) -> str:
    """What a run is found by: its name, verdict, findings and the settings that differ."""
    row = comparison.rows[place]
    told = [f"{one.setting}={numerals.setting(one.values[row.run])}" for one in comparison.differences if row.run in one.values]
    return clean(" ".join((row.name, row.verdict, *row.findings, *told)).lower(), 600)
