"""When not to compare: each reason with the runs it separates and what would be fair instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from curvelab.comparing.choice import Choice, task_metric
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.identity import eval_sets, model, tokenizer
from curvelab.comparing.scaling import scaled_by_accumulation
from curvelab.deciding import FALLS, RISES
from curvelab.model.verdicts import Refusal
from curvelab.perplexity import perplexity

SAME_SIZE = 0.02  # of an eval set; its size is runtime x samples a second, and both are rounded (judgement)
FEWEST = 3  # values of a metric without which one run's best is a matter of luck (judgement)
PER_TOKEN = "a loss per token of one tokenizer cannot be held against that of another"
NOT_TOLD = {
    "other-vocabulary": "vocabulary not told",
    "other-eval-set": "eval set not told",
    "other-definition": "the usual definition",
    "other-objective": "kind of loss not told",
}
DEFINITIONS = ("label_smoothing_factor", "loss_type", "completion_only_loss", "assistant_only_loss")


def refusals(entrants: Sequence[Entrant], choice: Choice) -> tuple[Refusal, ...]:
    """Every reason not to rank these runs by this metric; empty where it is fair."""
    if len(entrants) < 2:
        return ()
    rules: list[Callable[[Sequence[Entrant], Choice], Iterator[Refusal]]] = [_eval_sets, _eval_names]
    if choice.of_loss:
        rules = [_no_cross_entropy, _objectives, _definitions, _vocabularies, _tokenizers, _models, *rules, _summed]
    return tuple(refusal for rule in rules for refusal in rule(entrants, choice))


def too_few(entrants: Sequence[Entrant], choice: Choice, ranked: Sequence[Entrant]) -> Refusal | None:
    """The refusal where fewer than two runs have enough of the metric to be ranked."""
    if len(ranked) >= 2 or len(entrants) < 2:
        return None
    few = [one for one in entrants if not one.failure and one not in ranked]
    text = f"fewer than two runs can be ranked by {choice.metric}"
    if few:
        counts = ", ".join(f"{one.name} {len(one.line(choice.metric))}" for one in few[:4])
        text += f": too few values of it ({counts}; {FEWEST} are needed, or several seeds)"
    shorter = "evaluate more often (every 5–10 % of the steps), or repeat each setting with other seeds"
    return Refusal(kind="too-few-points", text=text, alternative=shorter, runs=tuple(one.id for one in few))


def _no_cross_entropy(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    odd = [one for one in entrants if one.facts.around_zero]
    if odd:
        reward = next((m for m in ("train/reward", "eval/reward") if all(one.facts.has(m) for one in entrants)), None)
        fair = f"--rank-by {reward} --goal max" if reward else "a reward or a task metric that every run logs"
        text = f"{_names(odd)}: the loss of a policy gradient or of other signs measures no error, less is not better"
        rest = [one for one in entrants if one not in odd]
        yield Refusal(kind="no-cross-entropy", text=text, alternative=fair, runs=_ids(odd), classes=_classes([*[[one] for one in odd], rest]))


def _objectives(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Preference tuning, language modelling and classification have losses of different kinds."""

    groups = _by([one for one in entrants if not one.facts.around_zero], lambda one: _kind(one, choice))
    groups.pop(None, None)
    if len(groups) > 1:
        yield _split("other-objective", "the losses are of different kinds", groups, _task(entrants), entrants)


def _kind(one: Entrant, choice: Choice) -> str | None:
    """What a run's loss is a loss of; None where the log does not tell."""
    if one.facts.preference:
        return "a preference loss"
    if perplexity(one.facts, choice.metric, 1.0) is not None:
        return "a loss of tokens"
    evals = [metric for metric in one.run.metrics if metric.startswith(("eval/", "test/"))]
    return "a loss of classes or numbers" if any(RISES.search(m) or FALLS.search(m) for m in evals) else None


def _definitions(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    for name in DEFINITIONS:
        groups = _by(entrants, partial(_known, name=name))
        if len({key for key in groups if key is not None}) > 1:
            told = {f"{name} {key}": runs for key, runs in groups.items() if key is not None}
            yield _split("other-definition", f"{choice.metric} is not the same quantity", told, _task(entrants), entrants)


def _vocabularies(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Losses per token of other tokenizers are of other units: the same text is cut into other numbers of tokens."""
    of_tokens = [one for one in entrants if _kind(one, choice) != "a loss of classes or numbers"]
    sizes = _by(of_tokens, lambda one: _known(one, "vocab_size"))
    kinds = _by(of_tokens, lambda one: _known(one, "model_type"))
    why = PER_TOKEN
    if len({key for key in sizes if key is not None}) > 1:
        told = {f"vocabulary of {key}": runs for key, runs in sizes.items() if key is not None}
        yield _split("other-vocabulary", why, told, _task(entrants, bits=True), of_tokens)
    elif None in sizes and len({key for key in kinds if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in kinds.items() if key is not None}
        yield _split("other-vocabulary", f"{why}, and not every log tells its vocabulary", told, _task(entrants, bits=True), of_tokens)


def _tokenizers(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    of_tokens = [one for one in entrants if _kind(one, choice) != "a loss of classes or numbers"]
    groups = _by(of_tokens, tokenizer)
    if len({key for key in groups if key is not None}) > 1:
        told = {f"tokenizer {key}": runs for key, runs in groups.items() if key is not None}
        yield _split("other-vocabulary", PER_TOKEN, told, _task(entrants, bits=True), of_tokens)


def _models(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Other base models, where no log says that they cut text alike."""
    of_tokens = [one for one in entrants if _kind(one, choice) != "a loss of classes or numbers"]
    unclear = [one for one in of_tokens if _known(one, "vocab_size") is None and tokenizer(one) is None]
    groups = _by(of_tokens, model)
    if unclear and len({key for key in groups if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in groups.items() if key is not None}
        fair = f"{_task(entrants, bits=True)}; where they share a tokenizer, tell tokenizer_name or vocab_size"
        why = f"other base models may cut text into other tokens, and not every log tells its vocabulary; {PER_TOKEN}"
        yield _split("other-vocabulary", why, told, fair, of_tokens)


def _eval_sets(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    if not choice.metric.startswith(("eval/", "test/")):
        return
    logging = [one for one in entrants if choice.logged(one)]
    fair = "evaluate all of them on one set, or compare the runs of one set only"
    named = _by(logging, lambda one: str(choice.logged(one)))
    if len(named) > 1:
        shared = [m for m in logging[0].run.metrics if m.endswith("/loss") and all(m in o.run.logged for o in logging)]
        better = next((f"--rank-by {m}" for m in shared if m.startswith("eval/")), fair)
        yield _split("other-eval-set", "the eval sets have different names", named, better, logging)
        return
    sized = sorted(((size, one) for one in logging if (size := _eval_size(one)) is not None), key=lambda pair: pair[0])
    groups: dict[str, list[Entrant]] = {}
    least = 0.0
    for size, one in sized:  # sizes that may be one by rounding are one
        if not groups or _apart([least, size]):
            least, members = size, groups.setdefault(f"about {size:,.0f} examples", [])
        members.append(one)
    if len(groups) > 1:
        yield _split("other-eval-set", "the eval sets are of different sizes", groups, fair, logging)


def _eval_names(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Settings that name the eval data."""
    if not choice.metric.startswith(("eval/", "test/")):
        return
    logging = [one for one in entrants if choice.logged(one)]
    names = dict(zip((one.id for one in logging), eval_sets(logging), strict=True))
    groups = _by(logging, lambda one: names[one.id])
    if len({key for key in groups if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in groups.items() if key is not None}
        fair = "evaluate all of them on one set, or compare the runs of one set only"
        yield _split("other-eval-set", "the settings name different eval data", told, fair, logging)


def _summed(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    if choice.metric != "train/loss":
        return
    summed = scaled_by_accumulation(entrants)
    if summed and len({one.accumulation for one in entrants}) > 1:
        rest = [one for one in entrants if one not in summed]
        alike = _by(summed, lambda one: one.accumulation)
        evals = all(one.facts.has("eval/loss") for one in entrants)
        yield Refusal(
            kind="scaled-loss",
            text=f"{_names(summed)}: train/loss is logged as a sum over the accumulation steps "
            f"({', '.join(f'{k}' for k in alike)}), in the others it is not",
            alternative="--rank-by eval/loss" if evals else "divide it by gradient_accumulation_steps, or log evals",
            runs=_ids(summed),
            classes=_classes([*alike.values(), rest]),
        )


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


def _known(one: Entrant, name: str) -> str | None:
    value = one.facts.setting(name)
    return None if value is None else f"{float(value):g}" if isinstance(value, int | float) else str(value)[:60]


def _task(entrants: Sequence[Entrant], bits: bool = False) -> str:
    metric = task_metric(entrants)
    if metric is not None:
        return f"--rank-by {metric}, which every run logged"
    return "bits per byte of the same text, or a task metric; or compare the runs of one kind only" if bits else (
        "a task metric that all runs log, or the runs of one kind only"
    )  # fmt: skip


def _by(entrants: Sequence[Entrant], key: Callable[[Entrant], Any]) -> dict[Any, list[Entrant]]:
    groups: dict[Any, list[Entrant]] = {}
    for one in entrants:
        groups.setdefault(key(one), []).append(one)
    return groups


def _split(kind: str, why: str, groups: dict[str, list[Entrant]], fair: str, concerned: Sequence[Entrant]) -> Refusal:
    """The refusal that sets some groups apart. `concerned` runs of which nothing is told are taken to be alike, as they would
    be without the others."""
    told = "; ".join(f"{label}: {_names(runs)}" for label, runs in list(groups.items())[:4])
    more = f"; and {len(groups) - 4} more" if len(groups) > 4 else ""
    members = [one for runs in groups.values() for one in runs]
    unclear = [one for one in concerned if one not in members]
    return Refusal(
        kind=kind,
        text=f"{why} ({told}{more})",
        alternative=fair,
        runs=_ids(members),
        classes=_classes([*groups.values(), unclear]),
        labels=(*groups, *([NOT_TOLD[kind]] if unclear else [])),
    )


def _classes(groups: Sequence[Sequence[Entrant]]) -> tuple[tuple[str, ...], ...]:
    return tuple(_ids(group) for group in groups if group)


def _names(entrants: Sequence[Entrant]) -> str:
    shown = ", ".join(one.name for one in entrants[:3])
    return f"{shown} and {len(entrants) - 3} more" if len(entrants) > 3 else shown


def _ids(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    return tuple(one.id for one in entrants)
