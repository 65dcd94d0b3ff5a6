"""The answer in a sentence or two, and what to keep in mind with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curvelab.comparing.choice import Choice
from curvelab.comparing.differences import differing
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.fairness import scaled_by_accumulation
from curvelab.comparing.ranking import Noise, Unit, ahead
from curvelab.model.comparison import Baseline, Ranking

MOST_NAMED = 3


def answer(
    entrants: Sequence[Entrant],
    order: Sequence[Unit],
    ranking: Ranking,
    placed: Mapping[int, int],
    held: Baseline | None,
) -> str:
    """Which is better, is it real, and what changed."""
    if ranking.refusals:
        first = ranking.refusals[0]
        told = f"No ranking of these {len(entrants)} runs by {ranking.metric}: {first.text}. Fair instead: {first.alternative}."
    elif len(order) == 1:
        told = f"All {len(entrants)} runs are seeds of one setting: {_spread(order[0], ranking)}."
    else:
        told = _best(order, ranking, placed) + _why(order)
    return told + _regressions(entrants, held)


def _best(order: Sequence[Unit], ranking: Ranking, placed: Mapping[int, int]) -> str:
    best, head = order[0], ranking.leads[0]
    tied = [one for one in order[1:] if placed[one.number] == placed[best.number]]
    reached = f"{ranking.metric} {best.mean:.4g}"
    if not tied:
        lead = ahead(head.by, head.noise, head.noise_from, than=order[1].name)
        return f"{best.name} is the best of {len(order)}: {reached}, {lead}."
    names = ", ".join(one.name for one in tied[:MOST_NAMED]) + (
        f" and {len(tied) - MOST_NAMED} more" if len(tied) > MOST_NAMED else ""
    )
    return (
        f"No clear winner: {best.name} ({reached}) and {names} are within noise of each other; "
        f"the lead of the first over the second is {head.by:.3g}, and {head.needed:.2g} would be needed."
    )


def _why(order: Sequence[Unit]) -> str:
    """The settings in which the first two differ."""
    settings = differing(order[0].members[0], order[1].members[0])
    if not settings:
        return " No logged setting tells the first two apart."
    left = len(settings) - MOST_NAMED
    more = f" and {left} more {'setting' if left == 1 else 'settings'}" if left > 0 else ""
    return f" They differ in {', '.join(settings[:MOST_NAMED])}{more}."


def _spread(unit: Unit, ranking: Ranking) -> str:
    spread = "" if unit.spread is None else f" ± {unit.spread:.2g} (one standard deviation)"
    return f"{ranking.metric} {unit.mean:.4g}{spread}"


def _regressions(entrants: Sequence[Entrant], held: Baseline | None) -> str:
    if held is None:
        return ""
    names = {one.id: one.name for one in entrants}
    base = names[held.run]
    if not held.regressed:
        unknown = sum(one.against == "not-comparable" for one in held.standings)
        if unknown:
            return f" Against the baseline {base}, {unknown} of {len(held.standings)} runs cannot be judged."
        return f" Against the baseline {base}, no run is worse beyond the noise."
    told = ", ".join(names[one] for one in held.regressed[:MOST_NAMED])
    more = f" and {len(held.regressed) - MOST_NAMED} more" if len(held.regressed) > MOST_NAMED else ""
    return f" Worse than the baseline {base}: {told}{more}."


def caveats(
    entrants: Sequence[Entrant], choice: Choice, units: Sequence[Unit], noise: Noise, whys: Mapping[str, str], refused: bool
) -> tuple[str, ...]:
    """What to keep in mind, each in one sentence."""
    told = [choice.warning] if choice.warning else []
    if not refused and noise.seeds is None:
        told.append(
            "one seed of each setting: the noise is that of the curves, and another seed may move a result by more than that"
        )
    elif not refused:
        told.append(
            f"the seed noise is {noise.seeds:.3g}, one standard deviation of one run, from {noise.freedom + _several(units)} runs "
            f"of {_several(units)} {'setting' if _several(units) == 1 else 'settings'}"
        )
    out = [one for one in entrants if whys[one.id]]
    told += [f"not ranked: {one.name} ({whys[one.id]})" for one in out[:6]]
    if len(out) > 6:
        told.append(f"and {len(out) - 6} more runs are not ranked (see the table)")
    if not refused and choice.metric.startswith("eval/"):
        counts = [len(one.line(choice.metric)) for one in entrants if not whys[one.id]]
        if counts and max(counts) > 3 * min(counts):
            told.append(f"from {min(counts)} to {max(counts)} evals a run: the best of more evals is a little better by luck alone")
    told += [
        f"train/loss of {one.name} is a sum over its accumulation steps: its train loss is not comparable"
        for one in scaled_by_accumulation(entrants)[:3]
        if choice.metric != "train/loss"
    ]
    kinds = {kind for one in entrants if (kind := one.facts.setting("model_type")) is not None}
    if not refused and len(kinds) > 1:
        told.append(f"models of different kinds ({', '.join(sorted(map(str, kinds))[:4])}) with vocabularies of one size: taken to be one")
    lengths = sorted({one.run.last_step or 0 for one in entrants if not whys[one.id]})
    if len(lengths) > 1 and lengths[-1] > 1.5 * max(1, lengths[0]):
        told.append(f"the runs are of different lengths (from {lengths[0]:,} to {lengths[-1]:,} steps)")
    return tuple(told)


def _several(units: Sequence[Unit]) -> int:
    return sum(one.spread is not None for one in units)
