"""The answer in a sentence or two, and what to keep in mind with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curvelab.comparing.choice import Choice
from curvelab.comparing.differences import differing
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.identity import unclear_data
from curvelab.comparing.kinds import per_token
from curvelab.comparing.noise import BETWEEN, Noise
from curvelab.comparing.ranking import Unit, ahead
from curvelab.comparing.told import listed, untold
from curvelab.comparing.vocabularies import padded
from curvelab.comparing.wording import names, short
from curvelab.model.verdicts import Baseline, Ranking

MOST_NAMED = 3


def answer(
    entrants: Sequence[Entrant],
    order: Sequence[Unit],
    ranking: Ranking,
    placed: Mapping[int, int],
    held: Baseline | None,
) -> str:
    """Which is better, is it real, and what changed."""
    if not order:
        first = ranking.refusals[0]
        left = [one for one in entrants if not one.failure]
        instead = "Instead" if first.kind == "failed" else "Fair instead"
        told = _only(left[0], entrants) if first.kind == "failed" and len(left) == 1 else (
            f"No ranking of these {len(entrants)} runs by {ranking.metric}: {first.text}. {instead}: {first.alternative}."
        )
        apart = [one for one in ranking.classes if one.sentence and not one.ranked]
        told += f" Among those that are comparable ({apart[0].label}): {apart[0].sentence}" if apart else ""
    elif len(order) == 1:
        told = _sole(order[0], entrants, ranking)
    else:
        told = best(order, ranking, placed) + why(order) + _shorter(order, ranking, placed) + _odd_ones(entrants, ranking)
    return told + _regressions(held)


def _only(left: Entrant, entrants: Sequence[Entrant]) -> str:
    """The one run that did not fail is the better one, whatever its loss."""
    failed = [f"{short(one.name)} {one.failure}" for one in entrants if one.failure]
    return f"{short(left.name)} is the only one of {len(entrants)} runs that did not fail: {names(failed)}."


def _sole(unit: Unit, entrants: Sequence[Entrant], ranking: Ranking) -> str:
    """The one setting that is ranked: all runs are its seeds, or the others cannot be ranked."""
    if len(unit.members) == len(entrants):
        return f"All {len(entrants)} runs are seeds of one setting: {_spread(unit, ranking)}.{_lost(unit)}"
    out = [f"{short(one.name)} ({one.failure})" if one.failure else short(one.name) for one in entrants if one not in unit.members]
    return f"Only {unit.name} can be ranked: {_spread(unit, ranking)}.{_lost(unit)} Not ranked: {names(out)}."


def _lost(unit: Unit) -> str:
    if not unit.lost:
        return ""
    return f" But {len(unit.lost)} of its {len(unit.members)} seeds failed ({names([f'{short(one.name)} {one.failure}' for one in unit.lost])})."


def best(order: Sequence[Unit], ranking: Ranking, placed: Mapping[int, int]) -> str:
    """The best of some groups, or those that share its place."""
    first, head = order[0], ranking.leads[0]
    tied = [one for one in order[1:] if placed[one.number] == placed[first.number]]
    reached = f"{ranking.metric} {first.mean:.4g}"
    alone = ", one seed each" if all(len(one.values) == 1 for one in order) else ""
    if not tied:
        lead = ahead(head.by, head.noise, head.noise_from, than=order[1].name)
        if first.lost:
            lost, left = len(first.lost), len(first.values)
            few = f"{left} of its {len(first.members)} seeds {'is' if left == 1 else 'are'} ranked, {lost} failed ({first.lost[0].failure})"
            return f"{first.name} has the best {reached}, {lead}, but only {few}: no plain winner."
        return f"{first.name} is the best of {len(order)}{alone}: {reached}, {lead}."
    return (
        f"No clear winner{f' ({alone[2:]})' if alone else ''}: {first.name} ({reached}) and {names([one.name for one in tied])} are within "
        f"noise of each other; the lead of the first over the second is {head.by:.3g}, and {head.needed:.2g} would be needed."
    )


def why(order: Sequence[Unit]) -> str:
    """The settings in which the first two differ, with their values."""
    one, two = order[0].members[0], order[1].members[0]
    changes = differing(one, two)
    if changes:
        return f" They differ in {listed(changes)}."
    alone = untold(one.told, two.told)
    if alone:
        return f" {alone} settings are told by the log of one of the first two only."
    return " No logged setting tells the first two apart."


def _shorter(order: Sequence[Unit], ranking: Ranking, placed: Mapping[int, int]) -> str:
    """What the runs of other lengths were at the last place that all reached."""
    held = ranking.common
    if held is None:
        return ""
    first, tied = order[0].number, placed[order[0].number] == placed[order[1].number]
    doubt = "" if tied or (held.lead.real and held.order[0] == first) else ": the longer training may be all there is to it"
    doubt = ": there the order is another" if held.lead.real and held.order[0] != first else doubt
    return f" That is for {ranking.budget}; {held.sentence}{doubt}."


def _odd_ones(entrants: Sequence[Entrant], ranking: Ranking) -> str:
    ranked = next((one for one in ranking.classes if one.ranked), None)
    if ranked is None:
        return ""
    odd = [one.name for one in entrants if one.id not in ranked.runs]
    kinds = ", ".join(dict.fromkeys(one.kind.replace("-", " ") for one in ranking.refusals))
    return f" Not comparable with these: {names(odd)} ({kinds})."


def _spread(unit: Unit, ranking: Ranking) -> str:
    spread = "" if unit.spread is None else f" ± {unit.spread:.2g} (one standard deviation)"
    return f"{ranking.metric} {unit.mean:.4g}{spread}"


def _regressions(held: Baseline | None) -> str:
    if held is None:
        return ""
    if held.unjudged:
        return f" Nothing can be held against the baseline ({held.unjudged})."
    unknown = [one.name for one in held.standings if one.against == "not-comparable"]
    some = f" {len(unknown)} of {len(held.standings)} cannot be judged ({names(unknown)})." if unknown else ""
    worse = [one.name for one in held.standings if one.against in ("worse", "failed")]
    if worse:
        return f" Worse than the baseline {held.name}: {names(worse)}.{some}"
    if len(unknown) == len(held.standings):
        return f" Against the baseline {held.name}:{some}"
    return f" Against the baseline {held.name}, none is worse beyond the noise.{some}"


def caveats(
    entrants: Sequence[Entrant],
    choice: Choice,
    units: Sequence[Unit],
    noise: Noise,
    whys: Mapping[str, str],
    refused: bool,
    summed: Sequence[Entrant],
    budget: str,
    varied: Sequence[str],
) -> tuple[str, ...]:
    """What to keep in mind, each in one sentence."""
    told = [choice.warning] if choice.warning and not refused else []
    levels = [one.mean for one in units if one.values]
    if not refused and noise.seeds is None and levels:
        between = noise.between(sum(levels) / len(levels))
        source = "as runs of equal settings spread" if between == noise.equals else f"{100 * BETWEEN:g} % of the level, as is usual"
        told.append(
            f"one seed of each setting: what another seed would have done is not known; a standard deviation of {between:.2g} is taken "
            f"for it ({source}), beside the noise of the curves. Two or three seeds of the best two settings would tell"
        )
    elif not refused and noise.seeds is not None:
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
        for one in summed[:MOST_NAMED]
        if choice.metric != "train/loss"
    ]
    if not refused and per_token(entrants, choice) and choice.metric.startswith(("eval/", "test/")):
        cut = {length for one in entrants for length in [one.facts.setting("max_length") or one.facts.setting("max_seq_length")] if length}
        told += [f"texts are cut at other lengths ({names(sorted(map(str, cut)))}): with more of a text before it, a token is easier to tell"] * (
            len(cut) > 1
        )
    told += [f"the best {choice.metric} of {one} stands alone: the evals beside it are far off, which is taken for noise" for one in _alone(units)]
    if not refused and per_token(entrants, choice):
        told += _vocabularies([one for one in entrants if not whys[one.id]])
    data = unclear_data(entrants) if not refused and choice.metric.startswith(("eval/", "test/")) else []
    told += [f"trained on different data ({names(data)}), and no log names its eval set: it is taken to be one"] if data else []
    told += [f"the ranking is for {budget}"] if budget.startswith("whole") and not refused else []
    told += [f"not counted, each value has too few runs: {', '.join(varied)}"] if varied else []
    told += _unseen(entrants)
    return tuple(one[0].upper() + one[1:] if one.split(" ")[0].isalpha() else one for one in told)


def _vocabularies(ranked: Sequence[Entrant]) -> list[str]:
    """What is taken for granted of the vocabularies of the ranked runs."""
    sizes = padded(ranked)
    kinds = {kind for one in ranked if (kind := one.facts.setting("model_type")) is not None}
    told = [f"vocabularies of {names(sizes)} are taken to be one, with padding or a few added tokens"] if sizes else []
    if not sizes and len(kinds) > 1:
        told.append(f"models of different kinds ({', '.join(sorted(map(str, kinds))[:4])}) with vocabularies of one size: taken to be one")
    return told


def _alone(units: Sequence[Unit]) -> list[str]:
    """Runs whose best eval may be a glitch of the log."""
    return [short(one.name) for unit in units for one, value in zip(unit.ranked, unit.values, strict=True) if value.alone][:MOST_NAMED]


def _unseen(entrants: Sequence[Entrant]) -> list[str]:
    """Runs that tell so little that their settings cannot be held against those of the others."""
    most = max(len(one.told.known) for one in entrants)
    much = frozenset(file for one in entrants if 2 * len(one.told.known) >= most for file in one.told.files)
    few = [one.name for one in entrants if 2 * len(one.told.known) < most and not one.told.files & much]
    return [f"the logs of {names(few)} tell few settings: in what else these runs differ is not known"] if few else []


def _several(units: Sequence[Unit]) -> int:
    return sum(one.spread is not None for one in units)
