"""What page, terminal and Markdown of a comparison tell in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from curvelab.comparing.wording import names
from curvelab.model.comparison import Comparison
from curvelab.model.verdicts import Class
from curvelab.report import numerals
from curvelab.report.compared.cells import AGAINST, brief
from curvelab.report.compared.prices import price
from curvelab.report.plain import clean

GOES_WITH = "Settings that go with the metric (no cause is claimed)"
LONGEST = 1600  # characters of a sentence
PROSE = ("a", "the", "other", "fewer")  # words that begin a refusal; anything else there is a name
UNRANKED = re.compile(r"Not ranked: |And \d+ more runs are not ranked")  # caveats of single runs: here they are told by their reasons


def paragraphs(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(title, sentences) of everything that is told in words, empty ones left out. Names keep their case."""
    told: list[tuple[str, Sequence[str]]] = [
        (why_title(comparison), [f"{_capital(one.text)}. Fair instead: {one.alternative}" for one in comparison.ranking.refusals]),
        ("Comparable with each other", [_class(one) for one in comparison.ranking.classes if len(one.runs) > 1]),
        ("Keep in mind", [one for one in comparison.caveats if not UNRANKED.match(one)]),
        ("Not ranked", _unranked(comparison)),
        ("Against the baseline", _standings(comparison)),
        ("Where they part", _partings(comparison)),
        ("One setting changed", [one.sentence for one in comparison.effects]),
        (GOES_WITH, [one.sentence for one in comparison.associations]),
        ("Other settings differ", [", ".join(comparison.also_differ)] if comparison.also_differ else []),
    ]
    return [(title, [_stopped(brief(comparison, one)) for one in lines]) for title, lines in told if lines]


def why_title(comparison: Comparison) -> str:
    """What the refusals explain."""
    return "Why there is no ranking" if comparison.refused else "Why not all runs are ranked"


def _unranked(comparison: Comparison) -> list[str]:
    """The runs without a place, by what became of them: "13 runs diverged at step 400: a, b, c and 10 more"."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in comparison.rows:
        if row.unranked:
            found.setdefault(re.sub(r"\d[\d,.]*", "#", row.unranked), []).append((clean(row.name, 60), row.unranked))
    told = []
    for runs in sorted(found.values(), key=len, reverse=True):
        why = runs[0][1]
        if any(one != why for _, one in runs):
            why = re.split(r"\W*(?:at step )?\d", why)[0] or why
        told.append(f"{numerals.plural(len(runs), 'run')}, {clean(why, 120)}: {names([name for name, _ in runs])}")
    return told


def _standings(comparison: Comparison) -> list[str]:
    held = comparison.baseline
    if held is None:
        return []
    told = []
    for one in held.standings:
        cost = price(comparison, one)
        told.append(f"{clean(one.name, 80)}: {AGAINST[one.against]}; {one.sentence}" + (f"; at {cost}" if cost else ""))
    return [f"The baseline cannot be judged: {held.unjudged}", *told] if held.unjudged else told


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
