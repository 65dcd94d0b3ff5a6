"""By which metric runs are ranked, and whether more or less of it is better."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from curvelab.comparing.entrants import Entrant
from curvelab.deciding import FALLS, RISES, judge_of
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.verdicts import Goal


@dataclass(frozen=True)
class Choice:
    """The metric that ranks, its goal, and why it was chosen; `warning` where it is second best."""

    metric: str
    goal: Goal
    reason: str
    warning: str = ""

    @property
    def sign(self) -> float:
        """Times this, less is better."""
        return 1.0 if self.goal == "min" else -1.0

    @property
    def of_loss(self) -> bool:
        return self.metric.endswith("/loss") or self.metric.endswith("_loss")

    def logged(self, one: Entrant) -> str | None:
        """The name under which a run logged the metric, or None: eval/loss may be that of its one eval set."""
        return one.facts.resolved(self.metric)


def choose(entrants: Sequence[Entrant], rank_by: str | None, goal: str | None) -> Choice:
    """The metric asked for; else metric_for_best_model where all agree; else eval/loss; else train/loss.

    Raises UsageError for a metric that no run logged and for a goal that is unknown or cannot be told.
    """
    if goal not in (None, "min", "max"):
        raise UsageError(f'--goal takes min or max, not "{goal}"')
    if rank_by is not None:
        logged = dict.fromkeys(metric for one in entrants for metric in one.run.metrics)
        if not any(one.facts.resolved(rank_by) for one in entrants):
            raise UsageError(f'--rank-by {rank_by}: no run logged it{did_you_mean(rank_by, logged)}')
        return _warned(Choice(rank_by, _goal(rank_by, goal), "as asked for"))
    judges = [judge_of(one.facts) for one in entrants]
    told = {(judge.metric, judge.greater) for judge in judges if judge is not None}
    if len(told) == 1 and None not in judges:
        ((metric, greater),) = told
        named = any(one.facts.setting("metric_for_best_model") for one in entrants) and not metric.endswith("/loss")
        own: Goal = "max" if greater else "min"
        if named:
            return Choice(metric, _given(goal) or own, "metric_for_best_model of every run")
    if sum(one.facts.has("eval/loss") for one in entrants) >= max(2, _most_logging(entrants)):
        return _warned(Choice("eval/loss", _given(goal) or "min", "the eval loss, as nothing else was asked for"))
    warning = "ranked by train/loss for want of evals: it says how well the training data are fitted, not what was learned"
    return _warned(Choice("train/loss", _given(goal) or "min", "the train loss, as most runs logged no eval loss", warning))


def _warned(choice: Choice) -> Choice:
    """The choice with a warning where the goal is against the metric's name."""
    if not choice.of_loss or choice.goal == "min":
        return choice
    upside_down = f"--goal max ranks the highest {choice.metric} first, and of a loss less is better"
    return replace(choice, warning="; ".join(filter(None, (upside_down, choice.warning))))


def _most_logging(entrants: Sequence[Entrant]) -> int:
    """Half of the runs, rounded up: with fewer evals than that the train loss says more."""
    return -(-len(entrants) // 2)


def _goal(metric: str, goal: str | None) -> Goal:
    given = _given(goal)
    if given is not None:
        return given
    if RISES.search(metric):
        return "max"
    if metric.endswith("loss") or FALLS.search(metric):
        return "min"
    raise UsageError(f"--rank-by {metric}: say --goal min or --goal max, its name does not tell")


def _given(goal: str | None) -> Goal | None:
    return "min" if goal == "min" else "max" if goal == "max" else None


def task_metrics(entrants: Sequence[Entrant]) -> list[str]:
    """The eval metrics of the task (accuracy, F1, WER) that every run logged: fair where losses are not."""
    counts = Counter(
        metric
        for one in entrants
        for metric in one.run.metrics
        if metric.startswith(("eval/", "test/")) and (RISES.search(metric) or FALLS.search(metric))
    )
    return [m for m, count in counts.items() if count == len(entrants) and not re.search("perplexity|ppl$|token", m)]
