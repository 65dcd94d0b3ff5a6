"""Facts: what several detectors ask of a run, computed once and handed to each of them."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import numpy as np

from curvelab.model.log import Floats, Ints
from curvelab.model.run import Curve, Run
from curvelab.signals.epochs import epoch_ends
from curvelab.signals.noise import step_noise
from curvelab.signals.schedule import decayed_below, warmup_end


class Facts:
    """A run as detectors see it. All values are computed on first use from `run`, which is not changed."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def has(self, metric: str) -> bool:
        """Whether the metric was logged at all."""
        return self.resolved(metric) is not None

    def resolved(self, metric: str) -> str | None:
        """The logged name that answers to a canonical one: `eval/loss` is the largest eval set where only sets have one."""
        if metric in self.run.logged:
            return metric
        if metric == "eval/loss":
            sets = [m for m in self.run.logged if m.startswith("eval/") and m.endswith("/loss")]
            return max(sets, key=lambda m: (len(self.run.logged[m]), m), default=None)
        return None

    def curve(self, metric: str) -> Curve:
        """The winning line of a metric, non-finite values included."""
        name = self.resolved(metric)
        return self.run.curve(metric if name is None else name)

    def finite(self, metric: str) -> Curve:
        """The winning line of a metric, finite values only; an empty curve when it was not logged."""
        return self.curve(metric).finite if self.has(metric) else Curve.of(metric, [], [])

    def setting(self, name: str) -> Any:
        """A canonical hyperparameter, or None."""
        return self.run.setting(name)

    @cached_property
    def masked(self) -> Ints:
        """Steps at which a filter hid a NaN: int64[k], rising (see masked_steps)."""
        if not self.has("train/loss") or not self.has("train/grad_norm"):
            return np.empty(0, dtype=np.int64)
        return masked_steps(self.curve("train/loss"), self.curve("train/grad_norm"))

    @cached_property
    def loss(self) -> Curve:
        """Points of train/loss that were really measured: finite, and no filter's stand-in for a NaN."""
        loss = self.finite("train/loss")
        return loss.take(~np.isin(loss.step, self.masked)) if len(self.masked) else loss

    @cached_property
    def eval_loss(self) -> Curve:
        """Finite points of eval/loss."""
        return self.finite("eval/loss")

    @cached_property
    def rate(self) -> Curve:
        """Finite points of train/learning_rate."""
        return self.finite("train/learning_rate")

    @cached_property
    def warmup_end(self) -> int:
        """Optimizer step at which warm-up is over: from the logged rate, else from the settings, else 0."""
        if len(self.rate) >= 4:
            return int(self.rate.step[warmup_end(self.rate.value)]) if warmup_end(self.rate.value) else 0
        steps = self.setting("warmup_steps") or 0
        ratio = self.setting("warmup_ratio") or 0
        if isinstance(steps, int | float) and steps >= 1:
            return int(steps)
        if isinstance(ratio, int | float) and self.run.planned_steps:
            return int(ratio * self.run.planned_steps)
        return 0

    @cached_property
    def rate_gone(self) -> int | None:
        """Step from which on the learning rate stays below a tenth of its peak; None when it does not or is unknown."""
        place = decayed_below(self.rate.value, 0.1) if len(self.rate) >= 4 else None
        return None if place is None else int(self.rate.step[place])

    @cached_property
    def length(self) -> int:
        """Steps from the first to the last log, at least 1."""
        first, last = self.run.first_step, self.run.last_step
        return max(1, (last or 0) - (first or 0))

    @cached_property
    def start_level(self) -> float:
        """Level of the train loss at the start: the median of its first points (3, or 3 % of a long run); NaN without any."""
        n = len(self.loss)
        return float(np.median(self.loss.value[: max(3, min(n // 33, 20))])) if n else float("nan")

    @cached_property
    def settled(self) -> Curve:
        """Points of train/loss after warm-up."""
        return self.loss.take(self.loss.step >= self.warmup_end)

    @cached_property
    def noise(self) -> float:
        """Noise of one point of the train loss after warm-up."""
        return step_noise(self.settled.value)

    @cached_property
    def around_zero(self) -> bool:
        """Whether the loss has no level of its own: it changes sign, as policy-gradient losses do."""
        value = self.loss.value
        return len(value) > 0 and float(np.mean(value < 0)) > 0.1

    @cached_property
    def evals(self) -> Ints:
        """Steps at which anything was evaluated, whatever the metric: int64[k], rising."""
        names = [m for m in self.run.logged if EVALUATED.match(m)]
        longest = max(names, key=lambda m: len(self.run.curve(m)), default=None)
        return np.empty(0, dtype=np.int64) if longest is None else self.run.curve(longest).step

    @cached_property
    def reinforced(self) -> bool:
        """Whether the run learns from rewards of its own completions (PPO, GRPO and their kin)."""
        return any(self.has(m) for m in ("train/reward", "train/completions/mean_length", "train/frac_reward_zero_std"))

    @cached_property
    def epoch_ends(self) -> Floats:
        """Steps at which epochs end: float64[k]; empty when the epochs are not known."""
        return epoch_ends(self.loss.step, self.loss.epoch)


EVALUATED = re.compile(r"(eval|test|val|valid|validation|dev)[/_.]", re.I)
FROZEN = 3  # logs with the same loss beside a NaN norm that no real loss shows (judgement)


def masked_steps(loss: Curve, norm: Curve) -> Ints:
    """Steps at which a filter hid a NaN: the loss is exactly 0.0, or stands still for 3 logs, beside a NaN grad_norm.

    Transformers' logging_nan_inf_filter replaces a NaN loss before it is logged. Returns int64[k], rising.
    """
    beside = np.isin(loss.step, norm.step[np.isnan(norm.value)])
    change = np.ones(len(loss), dtype=bool)
    change[1:] = (loss.value[1:] != loss.value[:-1]) | ~beside[1:]
    start = np.maximum.accumulate(np.where(change, np.arange(len(loss)), 0))
    run_length = np.bincount(start, minlength=len(loss))[start] if len(loss) else np.empty(0, dtype=np.int64)
    hidden: Ints = loss.step[beside & ((loss.value == 0.0) | (run_length >= FROZEN))]
    return hidden
