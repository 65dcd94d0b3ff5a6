"""Which metric decides what the best model is, and how well it is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvelab.facts import Facts
from curvelab.knowledge.metric_names import canonical
from curvelab.model.log import Floats
from curvelab.model.run import Curve
from curvelab.signals.noise import step_noise

TASK_GAIN = 0.01  # relative gain of a task metric after the eval minimum that counts, twice (judgement)
RISES = re.compile(
    r"acc|f1|exact_match|bleu|rouge|precision|recall|auc|reward|win|mrr|map$|ndcg|pass@|spearman|pearson|matthews", re.I
)
FALLS = re.compile(r"(^|[/_])(wer|cer|perplexity|ppl|mae|mse|rmse|error|eer)$", re.I)


@dataclass(frozen=True)
class Judge:
    """The metric that decides, as it was logged: `curve` with every eval, non-finite ones too; whether higher is better."""

    curve: Curve
    greater: bool

    @property
    def metric(self) -> str:
        return self.curve.metric

    def costs(self, values: Floats) -> Floats:
        """The values as something to be minimised: float64[n] -> float64[n]."""
        return -values if self.greater else values


def judge_of(facts: Facts) -> Judge | None:
    """The run's metric_for_best_model where it was logged, else the eval loss.

    None where neither was logged, or where the eval loss is that of a policy gradient, which has no best value. Without
    greater_is_better, higher is better unless the name ends in "loss", as in Transformers.
    """
    named = facts.setting("metric_for_best_model")
    if isinstance(named, str):
        metric = _logged(facts, named)
        if metric is not None:
            greater = _truth(facts.setting("greater_is_better"))
            return Judge(facts.curve(metric), not named.endswith("loss") if greater is None else greater)
    if facts.has("eval/loss") and not facts.reinforced:
        return Judge(facts.curve("eval/loss"), greater=False)
    return None


def _logged(facts: Facts, name: str) -> str | None:
    """The logged metric that a trainer's name of a metric stands for ("loss", "eval_accuracy"), or None."""
    bare = name.removeprefix("eval_").removeprefix("eval/")
    found = next((m for m in (canonical(f"eval/{bare}"), canonical(name), name) if facts.has(m)), None)
    return None if found is None else facts.resolved(found)


def _truth(value: Any) -> bool | None:
    """A setting that is true or false, also where a log wrote it as a text or a number; None for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, bool | int | float) else None


def restores_best(facts: Facts) -> bool:
    """Whether the trainer put the best weights back at the end (load_best_model_at_end, of a run that got there)."""
    return _truth(facts.setting("load_best_model_at_end")) is True and facts.run.state == "finished"


def without_restored_best(evals: Floats) -> Floats:
    """Drop a last eval that repeats the minimum: load_best_model_at_end restores the best weights and evaluates again."""
    if len(evals) > 3 and evals[-1] == evals[:-1].min() and evals[-2] > evals[-1]:
        return evals[:-1]
    return evals


def eval_noise(evals: Floats, lowest: int) -> float:
    """Noise of one eval. Of fewer than six values second differences would count the turn itself as noise: there it is
    the largest step against the direction, up before the minimum or down after it.

    evals float64[n], finite; lowest: index of their minimum.
    """
    if len(evals) >= 6:
        return step_noise(evals)
    wrong = np.concatenate([np.diff(evals[: lowest + 1]), -np.diff(evals[lowest:])])
    return float(max(wrong.max(initial=0.0), 0.0))


def judge_of_best(facts: Facts) -> Judge | None:
    """The metric by which the best model is to be kept: as `judge_of`, but not the eval loss where a task metric of eval
    went on improving after its minimum."""
    judge = judge_of(facts)
    evals = judge.curve.finite if judge is not None else None
    if judge is None or evals is None or not len(evals) or not judge.metric.endswith("/loss"):
        return judge
    return task_judge(facts, int(evals.step[np.argmin(evals.value)])) or judge


def task_judge(facts: Facts, step: int) -> Judge | None:
    """The task metric of eval that decides instead of the eval loss, whose minimum is at `step`; None where none does."""
    better = still_improving(facts, step)
    if better is None or not better[0].startswith("eval/"):
        return None
    return Judge(facts.curve(better[0]), RISES.search(better[0]) is not None)


def still_improving(facts: Facts, step: int) -> tuple[str, int] | None:
    """(metric, its best step) of a task metric of eval that was clearly better after `step` than up to it."""
    for metric in facts.run.metrics:
        sign = 1 if RISES.search(metric) else -1 if FALLS.search(metric) else 0
        if not metric.startswith(("eval/", "test/")) or not sign:
            continue
        curve = facts.finite(metric)
        value = sign * curve.value
        before, after = value[curve.step <= step], value[curve.step > step]
        if not len(before) or len(after) < 2:
            continue
        margin = max(TASK_GAIN * abs(float(before.max())), 2 * step_noise(value))
        if float(np.sort(after)[-2]) > float(before.max()) + margin:
            return metric, int(curve.step[int(np.argmax(value))])
    return None
