"""What came with one setting alone: pairs that differ in nothing else, and a trend where it has many values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvelab.comparing.choice import Choice
from curvelab.comparing.differences import one_change
from curvelab.comparing.noise import ENOUGH_SEEDS, LEVEL, Noise, single
from curvelab.comparing.ranking import Unit
from curvelab.comparing.told import comparable, number, shown
from curvelab.model.verdicts import Effect

MOST = 12
MOST_PAIRED = 60  # units among which pairs are looked for: their number grows with the square
FEW_VALUES = 3  # of a setting that are held against each other one by one; more of them make a trend
WIDE = 5.0  # times the least value that the largest is for the trend to be over the logarithm

Pair = tuple[Unit, Unit, Any, Any]


def effects(units: Sequence[Unit], choice: Choice, noise: Noise) -> tuple[Effect, ...]:
    """The effect of each change of one setting, over all groups that differ in nothing else that was logged.

    The intervals hold for all of them together: the largest of many is large by chance.
    """
    by_setting: dict[str, list[Pair]] = {}
    for a, b in combinations([one for one in units if one.values][:MOST_PAIRED], 2):
        change = one_change(a.members[0], b.members[0])
        if change is not None:
            first, second = change.values
            pair = (a, b, first, second) if _sorts_first(first, second) else (b, a, second, first)
            by_setting.setdefault(change.name, []).append(pair)
    steps: list[tuple[str, list[Pair]]] = []
    told: list[Effect] = []
    for name, pairs in by_setting.items():
        values = {comparable(value) for *_, one, other in pairs for value in (one, other)}
        if len(values) > FEW_VALUES:
            told += _over_many(name, pairs, len(values), choice, noise)
            continue
        same: dict[tuple[str, str], list[Pair]] = {}
        for pair in pairs:
            same.setdefault((comparable(pair[2]), comparable(pair[3])), []).append(pair)
        steps += [(name, group) for group in same.values()]
    told += [_effect(name, pairs, len(steps), choice, noise) for name, pairs in steps]
    return tuple(sorted(told, key=lambda one: -abs(one.change) / max(one.high - one.low, 1e-12))[:MOST])


def _effect(name: str, pairs: Sequence[Pair], tested: int, choice: Choice, noise: Noise) -> Effect:
    blocks = _blocks(pairs)
    changes = np.array([np.mean([one.mean for one in after]) - np.mean([one.mean for one in before]) for before, after in blocks])
    change = float(changes.mean())
    half = _half(pairs, blocks, changes, tested, noise)
    _, _, from_, to = pairs[0]
    runs = len({one.id for before, after, _, _ in pairs for one in (*before.members, *after.members)})
    count = "one pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
    together = f" for all {tested} together" if tested > 1 else ""
    sentence = (
        f"{name} {_shown(from_)} → {_shown(to)}: {choice.metric} {_went(change)} "
        f"(95 %{together}: {change - half:+.3g} to {change + half:+.3g}, from the {noise.origin}; {count}, {runs} runs){_sure(change, half)}"
    )
    return Effect(
        setting=name, from_=from_, to=to, change=change, low=change - half, high=change + half, pairs=len(pairs), runs=runs, sentence=sentence
    )


def _blocks(pairs: Sequence[Pair]) -> list[tuple[list[Unit], list[Unit]]]:
    """The groups before and after the change, those together that differ in nothing else: their pairs are not independent."""
    found: list[tuple[list[Unit], list[Unit]]] = []
    for before, after, *_ in pairs:
        mine = next((block for block in found if before in block[0] or after in block[1]), None)
        if mine is None:
            found.append(([before], [after]))
            continue
        for one, side in ((before, mine[0]), (after, mine[1])):
            if one not in side:
                side.append(one)
    return found


def _half(
    pairs: Sequence[Pair], blocks: Sequence[tuple[list[Unit], list[Unit]]], changes: NDArray[np.float64], tested: int, noise: Noise
) -> float:
    """Half of the interval: by the noise, by how runs of equal settings spread, by how differently the blocks answered."""
    sides = [side for block in blocks for side in block]
    each = math.sqrt(sum(noise.of_mean(one) ** 2 / len(side) ** 2 for side in sides for one in side)) / len(blocks)
    least = float(np.mean([noise.least(before, after) for before, after, *_ in pairs]))
    half = max(least, single(noise.freedom if noise.seeds is not None else 0, tested) * each)
    freedom = sum(len(side) - 1 for side in sides)
    if freedom:
        spread = sum(float(np.var([one.mean for one in side])) * len(side) for side in sides) / freedom
        apart = math.sqrt(spread * sum(1 / len(side) for side in sides)) / len(blocks)
        told = single(freedom, tested) * apart
        half = max(least, told) if freedom >= ENOUGH_SEEDS else max(half, told)
    if len(blocks) > 2:
        half = max(half, single(len(blocks) - 1, tested) * float(changes.std(ddof=1)) / math.sqrt(len(blocks)))
    return half


def _over_many(name: str, pairs: Sequence[Pair], values: int, choice: Choice, noise: Noise) -> list[Effect]:
    """A line through the groups that differ in this setting only; nothing where its values have no order."""
    units = {unit.number: (unit, number(value)) for a, b, one, other in pairs for unit, value in ((a, one), (b, other))}
    points = [(value, unit) for unit, value in units.values() if value is not None]
    if len(points) <= FEW_VALUES or len(points) < len(units):
        return []
    from scipy.stats import t

    points.sort(key=lambda point: (point[0], point[1].number))
    raw = np.array([value for value, _ in points])
    y = np.array([unit.mean for _, unit in points])
    logarithmic = raw[0] > 0 and raw[-1] >= WIDE * raw[0]
    x = np.log10(raw) if logarithmic else raw
    x = (x - x[0]) / (x[-1] - x[0])
    slope, level = np.polyfit(x, y, 1)
    left = float(np.sum((y - level - slope * x) ** 2)) / (len(x) - 2)
    own = float(np.mean([noise.sigma(a, b) ** 2 / 2 for a, b, *_ in pairs]))
    half = float(t.ppf((1 + LEVEL) / 2, len(x) - 2)) * math.sqrt(max(left, own) / float(np.sum((x - x.mean()) ** 2)))
    change, runs = float(slope), sum(len(unit.members) for _, unit in points)
    sentence = (
        f"{name} {_shown(points[0][0])} … {_shown(points[-1][0])} ({values} values): {choice.metric} {_went(change)} from one end to the "
        f"other (a line{' over its logarithm' if logarithmic else ''}; 95 %: {change - half:+.3g} to {change + half:+.3g}; "
        f"{runs} runs){_sure(change, half)}"
    )
    return [
        Effect(
            setting=name, from_=points[0][0], to=points[-1][0], change=change, low=change - half, high=change + half,
            pairs=0, runs=runs, sentence=sentence,
        )
    ]  # fmt: skip


def _went(change: float) -> str:
    return f"went {'up' if change > 0 else 'down'} by {abs(change):.3g}"


def _sure(change: float, half: float) -> str:
    return "" if abs(change) > half else ", which may be nothing"


def _shown(value: Any) -> str:
    return "not told" if value is None else shown(value)


def _sorts_first(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None
    a, b = number(one), number(other)
    return a <= b if a is not None and b is not None else str(one) <= str(other)
