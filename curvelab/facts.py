"""Facts: what several detectors ask of a run, computed once and handed to each of them."""

from __future__ import annotations

import math
import re
from functools import cached_property
from typing import Any

import numpy as np

from curvelab.dialects import Spoken, spoken
from curvelab.model.log import Floats, Ints
from curvelab.model.run import Curve, Run
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.epochs import epoch_ends
from curvelab.signals.noise import running_median, step_noise
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

    def levels(self, metric: str) -> Curve:
        """The finite points of a metric, no more than LEVELS of them: medians of blocks, each at its first step."""
        return levels_of(self.finite(metric))

    def setting(self, name: str) -> Any:
        """A canonical hyperparameter, or None; where only the trainer's own name for it is in the settings, its value.

        An unknown learning_rate is the peak of the logged one.
        """
        value = self.run.setting(name)
        if value is None:
            value = self.spoken.own(name)
        if value is None and name == "learning_rate" and len(self.rate):
            return float(f"{self.peak_rate:.4g}") or None
        return value

    @cached_property
    def spoken(self) -> Spoken:
        """The run's trainer and its words for settings."""
        return spoken(self.run)

    @cached_property
    def peak_rate(self) -> float:
        """Peak of the logged learning rate; a jump of one or two logs is no peak. 0.0 when no rate was logged."""
        value = self.rate.value
        return float(running_median(value, 5).max()) if len(value) >= 5 else float(value.max()) if len(value) else 0.0

    @cached_property
    def usual_rate(self) -> float:
        """Low end of the usual learning rates for what is trained: 1e-5 for full fine-tuning, 1e-4 for LoRA."""
        return 1e-4 if self.setting("r") else 1e-5

    @cached_property
    def lowest_rate(self) -> float:
        """Learning rate below which lowering it cures nothing: a tenth of the usual one, a fiftieth for preferences and rewards."""
        return self.usual_rate / (50 if self.preference or self.reinforced else 10)

    @cached_property
    def high_rate(self) -> float:
        """Ten times the upper end of the usual learning rates (axolotl, TRL: 3e-4 for LoRA, 5e-5 for full fine-tuning)."""
        return 3e-3 if self.setting("r") else 5e-4

    @cached_property
    def plain_descent(self) -> bool:
        """Whether the optimizer is SGD, whose step grows with the gradient; Adam and its kin divide the scale out again."""
        return "sgd" in str(self.setting("optim") or "").lower()

    @cached_property
    def rate_is_low(self) -> bool:
        """Whether a higher learning rate may be the cure: it is below the usual ones, or unknown."""
        rate = self.setting("learning_rate")
        return not isinstance(rate, float) or rate < self.usual_rate

    def rate_jump(self, step: int) -> tuple[int, float, float] | None:
        """(step, before, after) where the logged rate jumps up at least threefold from one log to the next near `step`.

        Near is within 5 % of the run before it, or the log after it; a jump within warm-up is none.
        """
        rate = self.rate.take((self.rate.step >= self.warmup_end) & (self.rate.value > 0))
        near = (rate.step[1:] >= step - 0.05 * self.length) & (rate.step[:-1] <= step)
        jumps = np.flatnonzero(near & (rate.value[1:] >= 3 * rate.value[:-1]))
        if not len(jumps):
            return None
        at = int(jumps[0])
        return int(rate.step[at + 1]), float(rate.value[at]), float(rate.value[at + 1])

    @cached_property
    def saves(self) -> bool:
        """Whether the run kept checkpoints, as far as its settings tell; unknown counts as yes."""
        return self.setting("save_strategy") != "no" or bool(self.run.checkpoint_steps)

    @cached_property
    def eval_losses(self) -> tuple[Curve, ...]:
        """Finite points of every eval loss, `eval/loss` first, then the sets by name."""
        names = [m for m in self.run.logged if m.startswith("eval/") and m.endswith("/loss") and m != "eval/loss"]
        first = ["eval/loss"] if "eval/loss" in self.run.logged else []
        return tuple(self.run.curve(m).finite for m in (*first, *sorted(names)))

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
    def loss_levels(self) -> Curve:
        """The measured points of train/loss, no more than LEVELS of them (see levels_of)."""
        return levels_of(self.loss)

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
        if isinstance(steps, int | float) and 1 <= steps < math.inf:
            return int(steps)
        if isinstance(ratio, int | float) and 0 <= ratio < math.inf and self.run.planned_steps:
            return int(ratio * self.run.planned_steps)
        return 0

    @cached_property
    def rate_gone(self) -> int | None:
        """Step from which on the learning rate stays below a tenth of its peak; None when it does not or is unknown."""
        place = decayed_below(self.rate.value, 0.1 * self.peak_rate) if len(self.rate) >= 4 else None
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
        """Whether the loss has no level of its own: it changes sign, or it is a policy-gradient loss."""
        value = self.loss.value
        return self.reinforced or (len(value) > 0 and float(np.mean(value < 0)) > 0.1)

    @cached_property
    def preference(self) -> bool:
        """Whether the run learns from preferences (DPO and its kin): its loss begins at ln 2 and is judged by rewards."""
        return any(self.has(m) for m in ("train/rewards/margins", "train/rewards/accuracies", "train/logps/chosen"))

    @cached_property
    def resumed(self) -> bool:
        """Whether the log begins far from step 0: the run was resumed and began where another had ended."""
        step = self.loss.step
        return len(step) >= 4 and int(step[0]) > 10 * float(np.median(np.diff(step))) and int(step[0]) > 0.1 * int(step[-1])

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
LEVELS = 2000  # points that are enough to judge the level of a metric by (judgement)
FROZEN = 3  # logs with the same loss beside a NaN norm that no real loss shows (judgement)


def levels_of(curve: Curve, most: int = LEVELS) -> Curve:
    """A finite curve of no more than `most` points: medians of blocks, each at the first step of its block."""
    size = block_size(len(curve), most)
    return curve if size == 1 else Curve.of(curve.metric, curve.step[::size], coarse(curve.value, size))


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
