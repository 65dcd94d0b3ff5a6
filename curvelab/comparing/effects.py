"""What goes with a setting: pairs of settings that differ in one only, and rank correlations over many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from curvelab.comparing.choice import Choice
from curvelab.comparing.differences import one_change
from curvelab.comparing.ranking import Noise, Unit
from curvelab.knowledge.setting_names import KNOWN, LOGGING
from curvelab.model.comparison import Association, Effect

MOST = 12
MOST_PAIRED = 60  # units among which pairs are looked for: their number grows with the square
ENOUGH = 8  # units without which no rank correlation is worth a word (judgement)
FIELLER = 1.06  # variance of Fisher's z of a rank correlation, times n - 3 (Fieller, Hartley and Pearson 1957)
Z95 = 1.959964
NO_TREATMENT = frozenset((*LOGGING, "seed", "data_seed", "dataloader_num_workers"))


def effects(units: Sequence[Unit], choice: Choice, noise: Noise) -> tuple[Effect, ...]:
    """The effect of each change of one setting, over all pairs of units that differ in nothing else that was logged."""
    found: dict[tuple[str, str, str], list[tuple[Unit, Unit, Any, Any]]] = {}
    for a, b in combinations([one for one in units if one.values][:MOST_PAIRED], 2):
        name = one_change(a.members[0], b.members[0])
        if name is not None:
            one, other = a.members[0].facts.setting(name), b.members[0].facts.setting(name)
            low, high = (a, b) if _sorts_first(one, other) else (b, a)
            values = (one, other) if low is a else (other, one)
            found.setdefault((name, str(values[0]), str(values[1])), []).append((low, high, *values))
    told = [_effect(name, pairs, choice, noise) for (name, _, _), pairs in found.items()]
    return tuple(sorted(told, key=lambda one: -abs(one.change) / max(one.high - one.low, 1e-12))[:MOST])


def _effect(name: str, pairs: Sequence[tuple[Unit, Unit, Any, Any]], choice: Choice, noise: Noise) -> Effect:
    changes = np.array([after.mean - before.mean for before, after, _, _ in pairs])
    needed = [noise.of(before, after)[1] for before, after, _, _ in pairs]
    change = float(changes.mean())
    half = math.sqrt(sum(one**2 for one in needed)) / len(pairs)
    if len(pairs) > 2:  # how differently the pairs answered counts as well
        half = max(half, 2 * float(changes.std(ddof=1)) / math.sqrt(len(pairs)))
    _, _, from_, to = pairs[0]
    low, high = change - half, change + half
    runs = len({one.id for before, after, _, _ in pairs for one in (*before.members, *after.members)})
    verb = "went up" if change > 0 else "went down"
    sure = "" if low > 0 or high < 0 else ", which may be nothing"
    count = "one pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
    sentence = (
        f"{name} {_shown(from_)} → {_shown(to)}: {choice.metric} {verb} by {abs(change):.3g} "
        f"(95 %: {low:+.3g} to {high:+.3g}, from the {noise.origin}; {count}, {runs} runs){sure}"
    )
    return Effect(setting=name, from_=from_, to=to, change=change, low=low, high=high, pairs=len(pairs), runs=runs, sentence=sentence)


def associations(units: Sequence[Unit], choice: Choice) -> tuple[Association, ...]:
    """Rank correlation of every numeric setting with the metric; empty for fewer than ENOUGH units."""
    ranked = [one for one in units if one.values]
    if len(ranked) < ENOUGH:
        return ()
    from scipy.stats import false_discovery_control, spearmanr

    tested = []
    for name in KNOWN:
        if name in NO_TREATMENT:
            continue
        pairs = [(number, one.mean) for one in ranked if (number := _number(one.members[0].facts.setting(name))) is not None]
        if len(pairs) >= ENOUGH and len({number for number, _ in pairs}) > 1 and len({value for _, value in pairs}) > 1:
            x, y = np.array(pairs, dtype=np.float64).T
            result = spearmanr(x, y)
            tested.append((name, x, round(float(result.statistic), 6), float(result.pvalue)))
    if not tested:
        return ()
    adjusted = false_discovery_control([p for *_, p in tested])
    found = [_association(*one, float(q), choice) for one, q in zip(tested, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: -abs(one.rho))[:MOST])


def _association(name: str, x: np.ndarray, rho: float, p: float, q: float, choice: Choice) -> Association:
    n = len(x)
    half = Z95 * math.sqrt(FIELLER / (n - 3))
    centre = math.atanh(max(-0.999999, min(0.999999, rho)))
    low, high = min(rho, math.tanh(centre - half)), max(rho, math.tanh(centre + half))
    direction = "higher" if rho > 0 else "lower"
    clear = "" if low > 0 or high < 0 else "; the interval holds zero"
    sentence = (
        f"higher {name} goes with {direction} {choice.metric}: rho {rho:+.2f} (95 %: {low:+.2f} to {high:+.2f}), "
        f"p {p:.2g}, {q:.2g} after the false discovery rate; {n} settings, {len(set(x.tolist()))} values{clear}"
    )
    return Association(
        setting=name, rho=rho, low=low, high=high, p=p, q=q, count=n, values=len(set(x.tolist())), sentence=sentence
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float) and math.isfinite(value) else None


def _sorts_first(one: Any, other: Any) -> bool:
    a, b = _number(one), _number(other)
    return a <= b if a is not None and b is not None else str(one) <= str(other)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:60]
