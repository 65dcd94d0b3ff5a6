"""Which settings go with the metric, over many runs: ranks for numbers, Kruskal and Wallis for kinds. No cause is claimed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvelab.comparing.choice import Choice
from curvelab.comparing.ranking import Unit
from curvelab.comparing.told import number, shown
from curvelab.knowledge.setting_names import KNOWN, LOGGING
from curvelab.model.verdicts import Association
from curvelab.signals.noise import running_median, sigma_of

MOST = 12
ENOUGH = 8  # groups without which no rank correlation is worth a word (judgement)
EACH = 3  # groups of a kind without which it is not counted (judgement)
MOST_KINDS = 12
FIELLER = 1.06  # variance of Fisher's z of a rank correlation, times n - 3 (Fieller, Hartley and Pearson 1957)
Z95 = 1.959964
SPARE = 4  # groups for each other setting that is held, without which it is not
BENT = 0.005  # p of the square below which a relation is called bent (judgement)
INNER = (0.15, 0.85)  # where the turn of a bent relation must lie, as a share of the ranks
NO_TREATMENT = frozenset((*LOGGING, "seed", "data_seed", "dataloader_num_workers"))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Tested:
    """A setting before the false discovery rate is known."""

    setting: str
    p: float
    rho: float | None
    partial: float | None
    count: int
    values: int
    shape: str
    kinds: str


def associations(units: Sequence[Unit], choice: Choice) -> tuple[Association, ...]:
    """What goes with the metric, the surest first; empty for fewer than ENOUGH groups."""
    ranked = [one for one in units if one.values]
    if len(ranked) < ENOUGH:
        return ()
    from scipy.stats import false_discovery_control

    numeric, kinds = _columns(ranked)
    metric = np.array([one.mean for one in ranked])
    if len(set(metric.tolist())) < 2:
        return ()
    tested = [_of_number(name, numeric, metric, choice) for name in numeric]
    tested += [one for name, column in kinds.items() if (one := _of_kinds(name, column, metric)) is not None]
    if not tested:
        return ()
    adjusted = false_discovery_control([one.p for one in tested])
    found = [_association(one, float(q), numeric, choice) for one, q in zip(tested, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: (one.q, -abs(one.rho or 0.0)))[:MOST])


def too_varied(units: Sequence[Unit]) -> list[str]:
    """Settings of kinds that are too many to be counted: "optim (40 values in 40 runs)"."""
    ranked = [one for one in units if one.values]
    if len(ranked) < ENOUGH:
        return []
    _, kinds = _columns(ranked)
    return [f"{name} ({len(set(column))} values in {len(column)} runs)" for name, column in kinds.items() if len(_counted(column)) < 2]


def _columns(ranked: Sequence[Unit]) -> tuple[dict[str, Floats], dict[str, list[str]]]:
    """(numbers by setting, NaN where not told; kinds by setting) of the settings that are not the same in all."""
    numeric: dict[str, Floats] = {}
    kinds: dict[str, list[str]] = {}
    for name in KNOWN:
        if name in NO_TREATMENT:
            continue
        values = [one.members[0].told.known.get(name) for one in ranked]
        told = [value for value in values if value is not None]
        if len({shown(value) for value in values}) < 2 or len(told) < EACH:
            continue
        numbers = [None if isinstance(value, bool) else number(value) for value in told]
        if None in numbers or len(set(numbers)) < 2:
            kinds[name] = ["not told" if value is None else shown(value) for value in values]
        elif len(told) >= ENOUGH:
            numeric[name] = np.array([math.nan if value is None else float(value) for value in values])
    return numeric, kinds


def _of_number(name: str, numeric: dict[str, Floats], metric: Floats, choice: Choice) -> _Tested:
    from scipy.stats import spearmanr

    x = numeric[name]
    there = np.isfinite(x)
    x, y = x[there], metric[there]
    result = spearmanr(x, y)
    rho, p = round(float(result.statistic), 6), float(result.pvalue)
    others = [column[there] for other, column in numeric.items() if other != name]
    partial, held_p = _partial(x, y, [one for one in others if np.isfinite(one).all() and np.ptp(one) > 0])
    p = p if held_p is None else held_p
    shape, bent = _shape(x, y, choice)
    return _Tested(name, min(1.0, 2 * min(p, bent)) if shape else p, rho, partial, len(x), len(set(x.tolist())), shape, "")


def _partial(x: Floats, y: Floats, others: Sequence[Floats]) -> tuple[float | None, float | None]:
    """(rank correlation with the other settings held, its p); None where there are none, or too few runs to hold them."""
    freedom = len(x) - 2 - len(others)
    if not others or freedom < SPARE * len(others):
        return None, None
    from scipy.stats import rankdata, t

    base = np.column_stack([np.ones(len(x)), *(rankdata(one) for one in others)])
    left = [ranks - base @ np.linalg.lstsq(base, ranks, rcond=None)[0] for ranks in (rankdata(x), rankdata(y))]
    size = math.sqrt(float(left[0] @ left[0]) * float(left[1] @ left[1]))
    if size < 1e-9:
        return None, None
    r = max(-0.999999, min(0.999999, float(left[0] @ left[1]) / size))
    return round(r, 6), float(2 * t.sf(abs(r) * math.sqrt(freedom / (1 - r**2)), freedom))


def _shape(x: Floats, y: Floats, choice: Choice) -> tuple[str, float]:
    """(what a bent relation looks like or an empty text, p of its bend), from a square in the ranks."""
    n = len(x)
    if n < 2 * ENOUGH or len(set(x.tolist())) < ENOUGH:
        return "", 1.0
    from scipy.stats import rankdata, t

    rx = (rankdata(x) - 0.5) / n
    ry = rankdata(choice.sign * y) / n
    base = np.column_stack([np.ones(n), rx, rx**2])
    fit, *_ = np.linalg.lstsq(base, ry, rcond=None)
    left = float(np.sum((ry - base @ fit) ** 2)) / (n - 3)
    error = math.sqrt(left * float(np.linalg.inv(base.T @ base)[2, 2]))
    p = float(2 * t.sf(abs(fit[2]) / max(error, 1e-12), n - 3))
    turn = -fit[1] / (2 * fit[2]) if fit[2] else -1.0
    if p > BENT or not INNER[0] <= turn <= INNER[1]:
        return "", 1.0
    order = np.argsort(x)
    width = max(EACH, n // 5)
    sign = choice.sign if fit[2] > 0 else -choice.sign
    levels = np.array([np.median(sign * y[order[i : i + width]]) for i in range(n - width + 1)])
    good = levels <= levels.min() + sigma_of(sign * y[order] - running_median(sign * y[order], width))
    first = last = int(np.argmin(levels))
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(levels) - 1 and good[last + 1]:
        last += 1
    low, high = x[order[first]], x[order[last + width - 1]]
    return f"{'best' if fit[2] > 0 else 'worst'} between {low:.3g} and {high:.3g}, {'worse' if fit[2] > 0 else 'better'} on both sides", p


def _counted(column: Sequence[str]) -> list[str]:
    """The kinds with enough groups, the most frequent first."""
    return [kind for kind, count in Counter(column).most_common(MOST_KINDS) if count >= EACH]


def _of_kinds(name: str, column: Sequence[str], metric: Floats) -> _Tested | None:
    from scipy.stats import kruskal

    kinds = _counted(column)
    groups = [metric[[one == kind for one in column]] for kind in kinds]
    if len(groups) < 2:
        return None
    p = float(kruskal(*groups).pvalue)
    order = sorted(range(len(kinds)), key=lambda i: float(np.median(groups[i])))
    told = ", ".join(f"{kinds[i]} {float(np.median(groups[i])):.4g} ({len(groups[i])})" for i in order)
    return _Tested(name, p, None, None, sum(map(len, groups)), len(groups), "", told)


def _association(one: _Tested, q: float, numeric: dict[str, Floats], choice: Choice) -> Association:
    chance = "" if q < 0.05 else "; not to be told from chance"
    after = f"p {_p(one.p)}, {_p(q)} after the false discovery rate"
    low = high = None
    together = _together(one.setting, numeric)
    if one.rho is None:
        sentence = f"{one.setting}: {choice.metric} by its values {one.kinds} (medians, runs); Kruskal-Wallis {after}{chance}"
    else:
        low, high = _interval(one.rho, one.count)
        span = f"rho {one.rho:+.2f} (95 %: {low:+.2f} to {high:+.2f})"
        held = f", {one.partial:+.2f} with the other settings held" if one.partial is not None else ""
        also = f"; its values go with those of {', '.join(together)}" if together else ""
        lead = f"{one.setting}: {choice.metric} is {one.shape}" if one.shape else (
            f"higher {one.setting} goes with {'higher' if one.rho > 0 else 'lower'} {choice.metric}"
        )  # fmt: skip
        sentence = f"{lead}: {span}{held}, {after}; {one.count} settings, {one.values} values{also}{chance}"
    return Association(
        setting=one.setting, rho=one.rho, low=low, high=high, p=one.p, q=q, count=one.count, values=one.values, sentence=sentence,
        partial=one.partial, shape=one.shape, together=tuple(together),
    )  # fmt: skip


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-6 else "below 1e-6"


def _interval(rho: float, n: int) -> tuple[float, float]:
    half = Z95 * math.sqrt(FIELLER / (n - 3))
    centre = math.atanh(max(-0.999999, min(0.999999, rho)))
    return min(rho, math.tanh(centre - half)), max(rho, math.tanh(centre + half))


def _together(name: str, numeric: dict[str, Any]) -> list[str]:
    """Other settings whose values rise or fall with those of this one, beyond chance."""
    from scipy.stats import spearmanr

    found = []
    for other, column in numeric.items():
        there = np.isfinite(column) & np.isfinite(numeric.get(name, np.array([math.nan])))
        if other == name or name not in numeric or there.sum() < ENOUGH or np.ptp(column[there]) == 0 or np.ptp(numeric[name][there]) == 0:
            continue
        result = spearmanr(column[there], numeric[name][there])
        if float(result.pvalue) < 0.05:
            found.append(f"{other} (rho {float(result.statistic):+.2f})")
    return found
