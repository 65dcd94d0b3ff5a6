"""When not to compare: each reason with the runs it separates and what would be fair instead."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant, level_at_end
from curvelab.comparing.identity import eval_sets
from curvelab.comparing.kinds import CLASSES, PREFERENCE, TOKENS, fair_metric, kind_of, kinds_of, per_token
from curvelab.comparing.scaling import divided_by_accumulation, scaled_by_accumulation
from curvelab.comparing.splitting import by_key, classes, ids, names_of, split
from curvelab.comparing.told import comparable
from curvelab.comparing.vocabularies import models, tokenizers, vocabularies
from curvelab.comparing.wording import names as names_told
from curvelab.model.verdicts import Refusal
from curvelab.perplexity import HIGHEST

SAME_SIZE = 0.02  # of an eval set; its size is runtime x samples a second, and both are rounded (judgement)
FEWEST = 3  # values of a metric without which one run's best is a matter of luck (judgement)
FEWEST_LOGS = 6  # of the train loss: the noise of its level is told by the curve alone (simulated: tests/comparing/test_noise.py)
MEND = "mend the runs that failed first: curvelab postmortem says why each did"
SMOOTHING = "label_smoothing_factor"
DEFINITIONS = (SMOOTHING, "loss_type", "completion_only_loss", "assistant_only_loss", "loss_reduction", "reduction", "loss_unit")
GUESSED = 1.2  # times ln of the vocabulary: a loss per token of weights that know nothing at all is no more (judgement)
SUMMED = 2.0  # times another loss that a sum of several is, at least


def refusals(entrants: Sequence[Entrant], choice: Choice) -> tuple[Refusal, ...]:
    """Every reason not to rank these runs by this metric; empty where it is fair."""
    if len(entrants) < 2:
        return ()
    rules: list[Callable[[Sequence[Entrant], Choice], Iterator[Refusal]]] = [_eval_sets, _eval_names]
    if per_token(entrants, choice):
        rules = [_definitions, vocabularies, tokenizers, models, *rules]
    if choice.of_loss:
        rules = [_no_cross_entropy, _objectives, *rules, _summed, _beyond_guessing]
    return tuple(refusal for rule in rules for refusal in rule(entrants, choice))


def too_few(entrants: Sequence[Entrant], choice: Choice, ranked: Sequence[Entrant]) -> Refusal | None:
    """The refusal where fewer than two runs have enough of the metric to be ranked."""
    if len(ranked) >= 2 or len(entrants) < 2:
        return None
    few = [one for one in entrants if not one.failure and one not in ranked]
    text = f"fewer than two runs can be ranked by {choice.metric}"
    failed = [one for one in entrants if one.failure]
    if few:
        counts = ", ".join(f"{one.name} {len(one.line(choice.metric))}" for one in few[:4])
        text += f": too few values of it ({counts}; {fewest(choice)} are needed, or several seeds)"
    elif failed:
        told = names_told([f"{one.name} {one.failure}" for one in failed])
        return Refusal(kind="failed", text=f"{text}: {told}", alternative=MEND, runs=ids(failed))
    shorter = "evaluate more often (every 5–10 % of the steps), or repeat each setting with other seeds"
    return Refusal(kind="too-few-points", text=text, alternative=shorter, runs=tuple(one.id for one in few))


def fewest(choice: Choice) -> int:
    """Values of the metric that a run without seeds must have to be ranked."""
    return FEWEST_LOGS if choice.metric == "train/loss" else FEWEST


def _no_cross_entropy(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    odd = [one for one in entrants if one.facts.around_zero]
    if odd:
        reward = next((m for m in ("train/reward", "eval/reward") if all(one.facts.has(m) for one in entrants)), None)
        fair = f"--rank-by {reward} --goal max" if reward else "a reward or a task metric that every run logs"
        text = f"{names_of(odd)}: the loss of a policy gradient or of other signs measures no error, less is not better"
        rest = [one for one in entrants if one not in odd]
        yield Refusal(kind="no-cross-entropy", text=text, alternative=fair, runs=ids(odd), classes=classes([*[[one] for one in odd], rest]))


def _objectives(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Preference tuning, language modelling and classification have losses of different kinds."""

    kinds = kinds_of(entrants)
    groups = by_key([one for one in entrants if not one.facts.around_zero], lambda one: kinds[one.id])
    groups.pop(None, None)
    if len(groups) > 1:
        yield split("other-objective", "the losses are of different kinds", groups, fair_metric(entrants), entrants)


def _definitions(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    for name in DEFINITIONS:
        groups = by_key(entrants, _definition(entrants, name))
        if len({key for key in groups if key is not None}) > 1:
            told = {f"{name} {key}": runs for key, runs in groups.items() if key is not None}
            yield split("other-definition", f"{choice.metric} is not the same quantity", told, fair_metric(entrants), entrants)


def _definition(entrants: Sequence[Entrant], name: str) -> Callable[[Entrant], str | None]:
    """How a run defines the loss. Without a word on label smoothing there is none, in the same kind of file as one that tells it."""
    told = {one.id: _told(one, name) for one in entrants}
    telling = frozenset(file for one in entrants if told[one.id] is not None for file in one.told.files)

    def of(one: Entrant) -> str | None:
        untold = "0" if name == SMOOTHING and telling & one.told.files else None
        return told[one.id] or untold

    return of


def _told(one: Entrant, name: str) -> str | None:
    value = one.facts.setting(name)
    raw = (value for key, value in one.told.raw.items() if re.split(r"[./]", key)[-1] == name)
    value = next(raw, None) if value is None else value
    return None if value is None else comparable(value)[:60]


def _eval_sets(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    if not choice.metric.startswith(("eval/", "test/")):
        return
    logging = [one for one in entrants if choice.logged(one)]
    fair = "evaluate all of them on one set, or compare the runs of one set only"
    named = by_key(logging, lambda one: str(choice.logged(one)))
    if len(named) > 1:
        shared = [m for m in logging[0].run.metrics if m.endswith("/loss") and all(m in o.run.logged for o in logging)]
        better = next((f"--rank-by {m}" for m in shared if m.startswith("eval/")), fair)
        yield split("other-eval-set", "the eval sets have different names", named, better, logging)
        return
    sized = sorted(((size, one) for one in logging if (size := _eval_size(one)) is not None), key=lambda pair: pair[0])
    groups: dict[str, list[Entrant]] = {}
    least = 0.0
    for size, one in sized:  # sizes that may be one by rounding are one
        if not groups or _apart([least, size]):
            least, members = size, groups.setdefault(f"about {size:,.0f} examples", [])
        members.append(one)
    if len(groups) > 1:
        yield split("other-eval-set", "the eval sets are of different sizes", groups, fair, logging)


def _eval_names(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Settings that name the eval data."""
    if not choice.metric.startswith(("eval/", "test/")):
        return
    logging = [one for one in entrants if choice.logged(one)]
    names = dict(zip((one.id for one in logging), eval_sets(logging), strict=True))
    groups = by_key(logging, lambda one: names[one.id])
    if len({key for key in groups if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in groups.items() if key is not None}
        fair = "evaluate all of them on one set, or compare the runs of one set only"
        yield split("other-eval-set", "the settings name different eval data", told, fair, logging)


def _summed(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    if choice.metric != "train/loss":
        return
    scaled, divided = scaled_by_accumulation(entrants), divided_by_accumulation(entrants)
    rest = [one for one in entrants if one not in scaled]
    alike = by_key(scaled, lambda one: (one in divided, one.accumulation))
    if len(alike) + bool(rest) < 2:
        return
    evals = all(one.facts.has("eval/loss") for one in entrants)
    for runs, how in ((divided, "divided by"), ([one for one in scaled if one not in divided], "a sum over")):
        if runs:
            steps = ", ".join(dict.fromkeys(str(one.accumulation) for one in runs))
            yield Refusal(
                kind="scaled-loss",
                text=f"{names_of(runs)}: train/loss is logged as {how} the accumulation steps ({steps}), in the others it is not",
                alternative="--rank-by eval/loss" if evals else "log the mean over the accumulation steps, or log evals",
                runs=ids(runs),
                classes=classes([*(alike[key] for key in alike if key[0] == (runs is divided)), [one for one in entrants if one not in runs]]),
            )


def _beyond_guessing(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """A trained model's loss per token above that of guessing, and far above those of the others, is a sum of several."""
    summed = scaled_by_accumulation(entrants) if choice.metric == "train/loss" else []
    levels = {one.id: _level(one, choice) for one in entrants if not one.failure and len(one.line(choice.metric))}
    odd = [one for one in entrants if one.id in levels and one not in summed and levels[one.id] > _guessed(one)]
    rest = [one for one in entrants if one not in odd]
    others = [levels[one.id] for one in rest if one.id in levels]
    if odd and others and min(levels[one.id] for one in odd) >= SUMMED * max(others):
        yield Refusal(
            kind="scaled-loss",
            text=f"{names_of(odd)}: {choice.metric} is higher than that of guessing among all tokens, so it is a sum and no mean over tokens",
            alternative="log the mean over the tokens, or compare the runs of one kind only",
            runs=ids(odd),
            classes=classes([*[[one] for one in odd], rest]),
        )


def _level(one: Entrant, choice: Choice) -> float:
    line = one.line(choice.metric)
    return level_at_end(line)[0] if choice.metric == "train/loss" else float(line.value.min())


def _guessed(one: Entrant) -> float:
    """The loss per token that weights do not exceed which know nothing; infinite where it may be no loss of tokens."""
    size, kind = one.facts.setting("vocab_size"), kind_of(one)
    known = isinstance(size, int | float) and not isinstance(size, bool) and size > 1
    if kind in (CLASSES, PREFERENCE) or not (known or kind == TOKENS):
        return math.inf
    return GUESSED * math.log(float(size)) if known else HIGHEST


def _eval_size(one: Entrant) -> float | None:
    """Examples of the eval set: as logged, else runtime times examples a second; None where the log tells neither."""
    for metric in ("eval/samples", "final/eval_samples"):
        counted = one.facts.finite(metric)
        if len(counted):
            return float(np.median(counted.value))
    if "eval/loss" not in one.run.logged:
        return None  # these metrics are of the one set that has no name
    runtime, speed = one.facts.finite("eval/runtime"), one.facts.finite("eval/samples_per_second")
    both, first, second = np.intersect1d(runtime.step, speed.step, return_indices=True)
    sizes = runtime.value[first] * speed.value[second]
    return float(np.median(sizes)) if len(both) and np.median(sizes) > 0 else None


def _apart(sizes: Sequence[float]) -> bool:
    return max(sizes) > min(sizes) * (1 + SAME_SIZE) + 1
