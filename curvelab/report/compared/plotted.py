"""The pictures of a comparison: which runs stand in them, on which scale, with what key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from markupsafe import Markup

from curvelab.model.comparison import Comparison, Row
from curvelab.model.verdicts import AxisName
from curvelab.report import numerals
from curvelab.report.compared import cells
from curvelab.report.compared.drawing import MOST_NARROW, SHADES, Pen, Sheet, backdrop, banded, miniature, overlay
from curvelab.report.compared.gaps import Spot, gaps, partings, reference, seams
from curvelab.report.compared.paper import Frame, Kind, telling_scale, width_of
from curvelab.report.compared.text import by_rank
from curvelab.report.compared.tracks import Band, Track, band_of, of_groups, outliers, tracks
from curvelab.report.plain import clean

FEW = 8  # runs that one picture shows line by line
MOST_LINES = 24  # lines of a picture for which there is no band
SEVERAL = 40  # runs that have a small picture each
SIZES: dict[Kind, tuple[int, int]] = {"wide": (960, 340), "narrow": (350, 250)}
GAP_SIZES: dict[Kind, tuple[int, int]] = {"wide": (960, 260), "narrow": (350, 220)}
MINI = (220, 90)
POINTS: dict[Kind, int] = {"wide": 320, "narrow": 110}
MINI_POINTS, MANY_POINTS = 60, 120
MOST_BEYOND = 4  # runs that are named as leaving a picture
ANY_PLACE = ("epoch", "time")  # axes whose ticks need not be whole numbers


@dataclass(frozen=True)
class Picture:
    """A metric on one axis: the picture in two widths, its key (row, number, class, text), and one small picture a run."""

    caption: str
    wide: Markup
    narrow: Markup
    keys: Sequence[tuple[int, int, str, str]]
    numbered: bool
    about: str
    back: Markup | str = ""
    small: Sequence[tuple[int, str, str, Markup]] = ()


Sheets = Callable[[Kind, Mapping[Kind, tuple[int, int]], str, str], Sheet]


def pictures(comparison: Comparison, axis: AxisName) -> list[Picture]:
    """One picture a metric that was logged by any run, and one of the differences from the baseline or the best."""
    made: list[Picture] = []
    for number, metric in enumerate(dict.fromkeys(one.metric for one in comparison.aligned)):
        made += _pictures(comparison, metric, axis, number)
    return made


def _pictures(comparison: Comparison, metric: str, axis: AxisName, number: int) -> list[Picture]:
    seeds = len(comparison.groups) < len(comparison.rows) and len(comparison.groups) <= FEW
    few = len(comparison.rows) <= FEW or seeds
    mine = tracks(comparison, metric, axis, POINTS["wide"] if few else MANY_POINTS)
    if not mine:
        return []
    band = None if few else band_of(mine)
    shown: list[Track]
    bands: list[Band | None] = []
    if seeds:
        shown, bands = (list(part) for part in zip(*of_groups(comparison, mine), strict=True))
    else:
        shown = mine[:MOST_LINES] if band is None else _named(comparison, mine, band)
    held = reference(comparison)
    pens = _pens(comparison, shown, held)
    numbered = any(width_of(clean(t.name, 80)) > MOST_NARROW for t in shown)
    sheets = partial(_sheet, whole=axis not in ANY_PLACE, pens=pens, numbered=numbered)
    mark = f"{axis}-{number}"
    alt = f"{clean(metric, 80)} of {numerals.plural(len(mine), 'run')} over {cells.AXES[axis]}"
    caption = f"{clean(metric, 80)} over {cells.AXES[axis]}" + (", smoothed" if metric == "train/loss" else "")
    keys = [(t.number, pens[t.number].number, pens[t.number].shade, _key(comparison, t, seeds)) for t in shown]
    scale, cut = telling_scale(_ranked(comparison, shown if band is None else mine) or shown)
    spots = [*partings(comparison, metric, axis, shown), *seams(comparison, axis, shown)]
    spots = [one for one in spots if 0 <= float(scale.place(one.value)) <= 1]
    drawn = {
        kind: overlay(sheets(kind, SIZES, alt, mark), shown, scale, bands, spots) if band is None
        else banded(sheets(kind, SIZES, alt, mark), mine, scale, band, shown, spots)
        for kind in SIZES
    }  # fmt: skip
    called = next((clean(_called(comparison, t), 60) for t in shown if comparison.rows[t.number].group == held), "the first")
    told = [_about(seeds, band, len(mine)), _marks(comparison, spots, shown, called), _beyond(comparison, shown, mine, scale.place, cut)]
    about = " ".join(filter(None, told))
    made = [Picture(caption, drawn["wide"], drawn["narrow"], keys, numbered, about)]
    apart = {comparison.ranking.metric, *(one.metric for one in comparison.partings if one.at is not None and not one.failed)}
    if metric in apart and (gap := _gaps(comparison, metric, axis, mine if band is not None else shown, shown, band, sheets, mark)) is not None:
        made.append(gap)
    if band is not None and len(comparison.rows) <= SEVERAL and metric == comparison.aligned[0].metric:
        back, small = _multiples(comparison, tracks(comparison, metric, axis, MINI_POINTS), mark)
        made[-1] = replace(made[-1], back=back, small=small)
    return made


def _sheet(
    kind: Kind, sizes: Mapping[Kind, tuple[int, int]], alt: str, mark: str, *, whole: bool, pens: Mapping[int, Pen], numbered: bool
) -> Sheet:
    return Sheet(kind, sizes[kind], alt, f"{kind[0]}{mark}", whole, pens, numbered)


def _gaps(
    comparison: Comparison, metric: str, axis: AxisName, mine: Sequence[Track], shown: Sequence[Track], band: Band | None,
    sheets: Sheets, mark: str,
) -> Picture | None:  # fmt: skip
    """How far each curve is from that of the baseline, else of the best: what the first picture hides in its range."""
    held, found = gaps(comparison, mine)
    if held is None or not found or held.number not in {t.number for t in shown}:
        return None
    numbers = {t.number for t in shown}
    named = [t for t in found if t.number in numbers]
    ranked = _ranked(comparison, found) or found
    leads = comparison.ranking.leads
    needed = leads[0].needed if leads and metric == comparison.ranking.metric else None
    scale, _ = telling_scale(ranked, [0.0] if needed is None else [-needed, 0.0, needed])
    own = clean(_called(comparison, held), 60)
    caption = f"{clean(metric, 80)} minus that of {own}, over {cells.AXES[axis]}: below zero is {'better' if comparison.ranking.goal == 'min' else 'worse'}"
    if metric != comparison.ranking.metric:
        caption = f"{clean(metric, 80)} minus that of {own}, over {cells.AXES[axis]}"
    spots = partings(comparison, metric, axis, named)
    wide_band = band_of(found) if band is not None else None
    drawn = {}
    for kind in GAP_SIZES:
        sheet = sheets(kind, GAP_SIZES, caption, f"{mark}-gap")
        if wide_band is None:
            drawn[kind] = overlay(sheet, found, scale, (), spots, (held, needed))
        else:
            drawn[kind] = banded(sheet, found, scale, wide_band, named, spots, (held, needed))
    about = _marks(comparison, spots, named, own)
    about += "" if needed is None else f" Shaded around zero: ±{numerals.value(float(f'{needed:.2g}'))}, what the best needs over the second to be believed."
    return Picture(caption, drawn["wide"], drawn["narrow"], (), False, about.strip())


def _pens(comparison: Comparison, shown: Sequence[Track], held: int | None) -> dict[int, Pen]:
    """A colour for each run that is drawn by name: the baseline is of none, so that it is found among all others."""
    pens: dict[int, Pen] = {}
    colour = 0
    for number, track in enumerate(shown, 1):
        row = comparison.rows[track.number]
        if comparison.baseline is not None and row.group == held:
            pens[track.number] = Pen("base", number, bool(row.unranked))
        else:
            pens[track.number] = Pen(f"r{colour % SHADES}", number, bool(row.unranked))
            colour += 1
    return pens


def _multiples(comparison: Comparison, mine: Sequence[Track], mark: str) -> tuple[Markup, list[tuple[int, str, str, Markup]]]:
    """A small picture for each run: its distance from the baseline or the best, or its curve where there is neither.

    Each stands before the band of all and their median.
    """
    held, found = gaps(comparison, mine)
    lines = mine if held is None else [replace(held, y=np.zeros(len(held.y))), *found]
    band = band_of(lines)
    if band is None:
        return Markup(""), []
    scale, _ = telling_scale(_ranked(comparison, lines) or lines, () if held is None else [0.0])
    frame = replace(Frame.around(lines, scale, MINI), left=2.0, right=2.0)
    by_number = {t.number: t for t in lines}
    small = []
    for place in by_rank(comparison):
        if place in by_number:
            row = comparison.rows[place]
            drawn = miniature(by_number[place], frame, f"back-{mark}", f"{clean(row.name, 80)} before the band of all")
            small.append((place, clean(row.name, 60), _place(row), drawn))
    return backdrop(band, held and by_number[held.number], frame, f"back-{mark}"), small


def _about(seeds: bool, band: Band | None, count: int) -> str:
    if seeds:
        return "A line is the mean of the seeds of a setting, its band their range."
    if band is None:
        return ""
    return f"The line in the middle is the median of {numerals.plural(count, 'run')}, the bands hold the middle 50 % and 90 % of them."


def _marks(comparison: Comparison, spots: Sequence[Spot], shown: Sequence[Track], held: str) -> str:
    """What the marks on the curves mean; `held`: the name of the run that others part from."""
    kinds = {one.kind for one in spots}
    told = [f"○ where a curve parts from that of {held}"] if "parts" in kinds else []
    told += ["┆ where a run was resumed"] if "seam" in kinds else []
    last = max(float(t.x[-1]) for t in shown) if shown else 0.0
    told += ["× where a curve ends early"] if any(comparison.rows[t.number].unranked and float(t.x[-1]) < last for t in shown) else []
    return f"{', '.join(told)}." if told else ""


def _named(comparison: Comparison, mine: Sequence[Track], band: Band) -> list[Track]:
    """The best run, the baseline and the outliers, each once."""
    by_number = {track.number: track for track in mine}
    first = [n for n in by_rank(comparison)[:1] if comparison.rows[n].rank is not None]
    base = [n for n, row in enumerate(comparison.rows) if comparison.baseline and row.run == comparison.baseline.run]
    wanted = [by_number[n] for n in (*first, *base) if n in by_number] + outliers(mine, band)
    return list({track.number: track for track in wanted}.values())[:SHADES]


def _ranked(comparison: Comparison, mine: Sequence[Track]) -> list[Track]:
    return [track for track in mine if not comparison.rows[track.number].unranked]


def _beyond(comparison: Comparison, shown: Sequence[Track], mine: Sequence[Track], place: Callable[..., object], cut: float) -> str:
    """What leaves the picture: the beginning of all, and runs without a place, which do not stretch its scale."""
    first = min(float(t.x[0]) for t in mine)
    early = cut > first and any(_outside(t, place, first, cut) for t in shown)
    told = ["Where the curves begin they are beyond the picture."] if early else []
    ranked = _ranked(comparison, shown)
    out = [clean(t.name, 40) for t in shown if t not in ranked and _outside(t, place, cut, float("inf"))]
    if out:
        more = f" and {len(out) - MOST_BEYOND} more" if len(out) > MOST_BEYOND else ""
        told.append(f"{'Later beyond it' if early else 'Beyond the picture'} at times: {', '.join(out[:MOST_BEYOND])}{more}.")
    return " ".join(told)


def _outside(track: Track, place: Callable[..., object], start: float, end: float) -> bool:
    at = np.asarray(place(track.y[(track.x >= start) & (track.x <= end)]))
    return bool(np.any((at > 1.001) | (at < -0.001)))


def _called(comparison: Comparison, track: Track) -> str:
    held = comparison.baseline
    return f"the baseline {track.name}" if held is not None and comparison.rows[track.number].run in held.runs else track.name


def _key(comparison: Comparison, track: Track, seeds: bool) -> str:
    row = comparison.rows[track.number]
    held = comparison.baseline
    base = "the baseline, " if held is not None and row.run in (held.runs or (held.run,)) else ""
    if seeds:
        place = f"rank {row.rank}" if row.rank is not None else "not ranked"
        return f"{clean(track.name, 80)} ({base}{place})"
    return f"{clean(row.name, 80)} ({base}{_place(row)})"


def _place(row: Row) -> str:
    value = "" if row.value is None else f", {numerals.value(row.value)}"
    if row.rank is not None:
        return f"rank {row.rank}{value}"
    return f"{clean(row.unranked, 60) or 'not ranked'}"
