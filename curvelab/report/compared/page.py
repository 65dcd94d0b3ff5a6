"""Comparison -> one self-contained HTML page, drawn from what the JSON holds. Nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from curvelab.model.comparison import Comparison, Row
from curvelab.model.verdicts import AxisName
from curvelab.report import inlined, numerals
from curvelab.report.compared import cells
from curvelab.report.compared.drawing import SHADES, Frame, Kind, backdrop, banded, miniature, overlay
from curvelab.report.compared.scatter import scatters
from curvelab.report.compared.text import by_rank
from curvelab.report.compared.tracks import Band, Track, band_of, of_groups, outliers, tracks
from curvelab.report.page import templates
from curvelab.report.plain import clean

FEW = 8  # runs that one picture shows line by line
SEVERAL = 40  # runs that have a small picture each
WIDE, NARROW = (960, 340), (350, 250)
MINI = (220, 90)
POINTS: dict[Kind, int] = {"wide": 320, "narrow": 110}
MINI_POINTS, MANY_POINTS = 60, 120
MOST_SETTINGS, MOST_PATTERNS = 14, 20  # columns
SIDE_BY_SIDE = 8  # runs whose settings stand in columns


@dataclass(frozen=True)
class Picture:
    """A metric on one axis: the picture in two widths, its key, and one small picture a run."""

    caption: str
    wide: Markup
    narrow: Markup
    keys: Sequence[tuple[int, int, str]]
    about: str
    back: Markup
    small: Sequence[tuple[int, str, str, Markup]]


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
        pictures={axis: _pictures(comparison, axis) for axis in comparison.axis.possible},
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


def _pictures(comparison: Comparison, axis: AxisName) -> list[Picture]:
    """One picture a metric that was logged by any run."""
    metrics = dict.fromkeys(one.metric for one in comparison.aligned)
    made = [_picture(comparison, metric, axis, number) for number, metric in enumerate(metrics)]
    return [one for one in made if one is not None]


def _picture(comparison: Comparison, metric: str, axis: AxisName, number: int) -> Picture | None:
    mark = f"{axis}-{number}"
    seeds = len(comparison.groups) < len(comparison.rows) and len(comparison.groups) <= FEW
    few = len(comparison.rows) <= FEW or seeds
    mine = tracks(comparison, metric, axis, POINTS["wide"] if few else MANY_POINTS)
    if not mine:
        return None
    alt = f"{clean(metric, 80)} of {numerals.plural(len(mine), 'run')} over {cells.AXES[axis]}"
    caption = f"{clean(metric, 80)} over {cells.AXES[axis]}" + (", smoothed" if metric == "train/loss" else "")
    if seeds:
        return _of_seeds(comparison, mark, mine, alt, caption)
    band = None if few else band_of(mine)
    if band is None:
        shown = mine[: 3 * FEW]
        narrow = tracks(comparison, metric, axis, POINTS["narrow"])[: 3 * FEW]
        keys = [(t.number, i % SHADES, _key(comparison.rows[t.number])) for i, t in enumerate(shown)]
        wide = overlay(shown, _ranked(comparison, shown), "wide", alt, WIDE, f"w{mark}")
        small = overlay(narrow, _ranked(comparison, narrow), "narrow", alt, NARROW, f"n{mark}")
        return Picture(caption, wide, small, keys, _beyond(comparison, shown), Markup(""), ())
    return _of_many(comparison, metric, axis, mark, mine, band, alt, caption)


def _of_seeds(comparison: Comparison, mark: str, mine: Sequence[Track], alt: str, caption: str) -> Picture:
    """Each setting as the mean of its seeds and the band that they span."""
    shown, bands = zip(*of_groups(comparison, mine), strict=True)
    ranked = _ranked(comparison, shown)
    wide = overlay(shown, ranked, "wide", alt, WIDE, f"w{mark}", bands)
    narrow = overlay(shown, ranked, "narrow", alt, NARROW, f"n{mark}", bands)
    keys = [(t.number, i % SHADES, f"{clean(t.name, 80)}{_rank_of(comparison.rows[t.number])}") for i, t in enumerate(shown)]
    about = f"A line is the mean of the seeds of a setting, its band their range. {_beyond(comparison, shown)}".strip()
    return Picture(caption, wide, narrow, keys, about, Markup(""), ())


def _rank_of(row: Row) -> str:
    return f" (rank {row.rank})" if row.rank is not None else ""


def _of_many(
    comparison: Comparison, metric: str, axis: AxisName, mark: str, mine: Sequence[Track], band: Band, alt: str, caption: str
) -> Picture:
    """The band of all with the best, the baseline and the outliers by name; small pictures where they are not too many."""
    ranked = _ranked(comparison, mine)
    named = _named(comparison, mine, band)
    wide = banded(mine, ranked, band, named, "wide", alt, WIDE, f"w{mark}")
    narrow = banded(mine, ranked, band, named, "narrow", alt, NARROW, f"n{mark}")
    keys = [(t.number, place % SHADES, _key(comparison.rows[t.number])) for place, t in enumerate(named)]
    back, small = Markup(""), []
    if len(comparison.rows) <= SEVERAL and metric == comparison.aligned[0].metric:
        frame = replace(Frame.around(mine, ranked, *MINI, labelled=False), left=2.0, right=2.0)
        back = backdrop(band, frame, f"back-{mark}")
        by_number = {t.number: t for t in tracks(comparison, metric, axis, MINI_POINTS)}
        for place in by_rank(comparison):
            if place in by_number:
                row = comparison.rows[place]
                drawn = miniature(by_number[place], frame, f"back-{mark}", f"{clean(row.name, 80)} before the band of all")
                small.append((place, clean(row.name, 60), _place(row), drawn))
    about = f"The line in the middle is the median of {numerals.plural(len(mine), 'run')}, the bands hold the middle 50 % and 90 % of them."
    return Picture(caption, wide, narrow, keys, f"{about} {_beyond(comparison, named)}".strip(), back, small)


def _named(comparison: Comparison, mine: Sequence[Track], band: Band) -> list[Track]:
    """The best run, the baseline and the outliers, each once."""
    by_number = {track.number: track for track in mine}
    first = [n for n in by_rank(comparison)[:1] if comparison.rows[n].rank is not None]
    base = [n for n, row in enumerate(comparison.rows) if comparison.baseline and row.run == comparison.baseline.run]
    wanted = [by_number[n] for n in (*first, *base) if n in by_number] + outliers(mine, band)
    return list({track.number: track for track in wanted}.values())[:SHADES]


def _ranked(comparison: Comparison, mine: Sequence[Track]) -> list[Track]:
    return [track for track in mine if not comparison.rows[track.number].unranked]


def _beyond(comparison: Comparison, shown: Sequence[Track]) -> str:
    """Which runs leave the picture: those without a place do not stretch its scale."""
    ranked = _ranked(comparison, shown)
    if not ranked:
        return ""
    top = max(float(track.y.max()) for track in ranked)
    out = [clean(t.name, 40) for t in shown if t not in ranked and float(t.y.max()) > top]
    return f"Higher than the picture at times: {', '.join(out[:4])}." if out else ""


def _key(row: Row) -> str:
    return f"{clean(row.name, 80)} ({_place(row)})"


def _place(row: Row) -> str:
    value = "" if row.value is None else f", {numerals.value(row.value)}"
    if row.rank is not None:
        return f"rank {row.rank}{value}"
    return f"{clean(row.unranked, 60) or 'not ranked'}"
