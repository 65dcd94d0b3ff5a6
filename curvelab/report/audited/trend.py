"""How the weeks went: the share of runs with findings, of all patterns and of each, as small bar charts by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from curvelab.model.audit import Week
from curvelab.report import numerals, wording
from curvelab.report.numerals import plural
from curvelab.report.plain import clean

MOST_WEEKS, FEW_WEEKS = 26, 12  # in the wide and in the narrow picture
MOST_PATTERNS = 8
FEW_RUNS = 5  # in a week: below it one run moves the share by more than 20 %, and its bar is drawn pale
WIDE, NARROW = (960, 190), (340, 170)
LEFT, RIGHT, TOP, BOTTOM = 44.0, 4.0, 8.0, 24.0
MINI = (130, 34)
_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@dataclass(frozen=True)
class Trend:
    """The weeks in a sentence, in two widths, pattern by pattern, and as a table."""

    sentence: str
    wide: Markup
    narrow: Markup
    patterns: Sequence[tuple[str, str, Markup]]  # title, how often in the last week, picture
    titles: Sequence[str]
    rows: Sequence[tuple[str, str, str, str, Sequence[str]]]  # week, runs, with findings, share, of each pattern


def trend(weeks: Sequence[Week]) -> Trend | None:
    """The last weeks; None where no run ended in any week that is known."""
    shown = _without_holes(weeks)[-MOST_WEEKS:]
    if not any(week.runs for week in shown):
        return None
    often: Counter[str] = Counter()
    for week in shown:
        often.update(week.patterns)
    patterns = [pattern for pattern, number in sorted(often.items(), key=lambda item: (-item[1], item[0])) if number > 0]
    patterns = patterns[:MOST_PATTERNS]
    last = next(week for week in reversed(shown) if week.runs)
    top = max(_share(week.patterns.get(pattern, 0), week) for week in shown for pattern in patterns) if patterns else 0.0
    return Trend(
        sentence=_sentence(shown, last),
        wide=_bars(shown, WIDE, "wide"),
        narrow=_bars(shown[-FEW_WEEKS:], NARROW, "narrow"),
        patterns=[
            (wording.title_of(p), f"{plural(last.patterns.get(p, 0), 'run')} in {_name(last)}", _mini(shown, p, top)) for p in patterns
        ],
        titles=[wording.title_of(pattern) for pattern in patterns],
        rows=[
            (clean(w.week, 20), numerals.count(w.runs), numerals.count(w.flagged), _percent(w), [str(w.patterns.get(p, 0)) for p in patterns])
            for w in reversed(shown)
        ],
    )


def _without_holes(weeks: Sequence[Week]) -> list[Week]:
    """The weeks in their order, with empty ones where no run ended: a quiet month must not look like a week."""
    known = {monday: week for week in weeks if (monday := _monday(week.week)) is not None}
    if not known:
        return list(weeks)
    end = max(known)
    first = max(min(known), end - timedelta(weeks=MOST_WEEKS - 1))
    mondays = [first + timedelta(weeks=number) for number in range((end - first).days // 7 + 1)]
    return [known.get(monday) or Week(week=monday.strftime("%G-W%V"), runs=0, flagged=0) for monday in mondays]


def _monday(week: str) -> date | None:
    parts = _WEEK.fullmatch(week)
    try:
        return date.fromisocalendar(int(parts[1]), int(parts[2]), 1) if parts else None
    except ValueError:
        return None


def _share(number: int, week: Week) -> float:
    return min(1.0, max(0.0, number / week.runs)) if week.runs > 0 else 0.0


def _percent(week: Week) -> str:
    return f"{round(100 * _share(week.flagged, week))}{numerals.PERCENT}" if week.runs else "–"


def _name(week: Week) -> str:
    """ "week 46"."""
    parts = _WEEK.fullmatch(week.week)
    return f"week {int(parts[2])}" if parts else clean(week.week, 20)


def _sentence(weeks: Sequence[Week], last: Week) -> str:
    """The last week against the four before it."""
    told = f"In {_name(last)}, {_percent(last)} of {plural(last.runs, 'run')} had findings"
    before = [week for week in weeks[: list(weeks).index(last)][-4:] if week.runs]
    if not before:
        return f"{told}."
    runs, flagged = sum(week.runs for week in before), sum(week.flagged for week in before)
    span = "week" if len(before) == 1 else f"{len(before)} weeks"
    together = Week(week="", runs=runs, flagged=flagged)
    return f"{told}; in the {span} before, {_percent(together)} of {plural(runs, 'run')}."


def _bars(weeks: Sequence[Week], size: tuple[int, int], kind: str) -> Markup:
    """One bar a week with grid and labels."""
    width, height = size
    floor, inner = height - BOTTOM, height - BOTTOM - TOP
    top = _ceiling(max(_share(week.flagged, week) for week in weeks))
    apart = (width - LEFT - RIGHT) / max(len(weeks), FEW_WEEKS if kind == "wide" else 1)
    bar = round(min(apart * 0.72, 40.0), 1)
    parts = []
    for part in range(5 if top > 0.5 else 3):
        share = top * part / (4 if top > 0.5 else 2)
        y = round(floor - share / top * inner, 1)
        parts.append(f'<path class="grid" d="M{LEFT:g} {y}H{width - RIGHT:g}"/>')
        parts.append(f'<text class="y" x="{LEFT - 6:g}" y="{y + 4:g}">{100 * share:g}{numerals.PERCENT}</text>')
    every = max(1, -(-40 // int(apart)))
    for place, week in enumerate(weeks):
        x = LEFT + apart * place + (apart - bar) / 2
        if week.runs:
            tall = max(1.0, _share(week.flagged, week) / top * inner)
            pale = " few" if week.runs < FEW_RUNS else ""
            about = f"{clean(week.week, 20)}: {week.flagged} of {plural(week.runs, 'run')} ({_percent(week)})"
            shape = Markup('<path class="bar{}" d="M{:.1f} {:.1f}h{}v{:.1f}h-{}z"><title>{}</title></path>')
            parts.append(shape.format(pale, x, floor - tall, bar, tall, bar, about))
        if (len(weeks) - 1 - place) % every == 0:
            label = Markup('<text class="x" x="{:.1f}" y="{:g}">{}</text>')
            parts.append(label.format(x + bar / 2, height - 7.0, _name(week).replace("week ", "W")))
    alt = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="Share of runs with findings, week by week, {} to {}">')
    head = alt.format(kind, width, height, clean(weeks[0].week, 20), clean(weeks[-1].week, 20))
    return head + Markup("".join(parts)) + Markup("</svg>")


def _ceiling(share: float) -> float:
    """The end of the axis: the next of a few round shares."""
    return next((round_ for round_ in (0.1, 0.2, 0.3, 0.5, 0.8) if share <= round_), 1.0)


def _mini(weeks: Sequence[Week], pattern: str, top: float) -> Markup:
    """The share of runs with one pattern, on the scale that all patterns have in common."""
    width, height = MINI
    apart = width / max(len(weeks), FEW_WEEKS)
    bars = []
    for place, week in enumerate(weeks):
        share = _share(week.patterns.get(pattern, 0), week)
        if share > 0:
            tall = max(1.0, share / top * (height - 2))
            bars.append(f"M{apart * place:.1f} {height - tall:.1f}h{apart * 0.72:.1f}v{tall:.1f}h-{apart * 0.72:.1f}z")
    head = '<svg class="mini" viewBox="0 0 {} {}" aria-hidden="true"><path class="bar" d="{}"/></svg>'
    return Markup(head).format(width, height, "".join(bars))
