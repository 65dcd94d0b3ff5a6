"""What several files of this shelf ask of a log: norms and loss before a step, the rate at it, epochs, settings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curvelab.facts import Facts
from curvelab.model.finding import Finding, Point
from curvelab.model.log import Ints
from curvelab.model.run import Curve, Seam
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Sign

AT_PEAK = 0.92  # of the highest learning rate: from here on it is at its peak (judgement)
LAST = 3  # logs whose median is the level right before an event (judgement)
EARLIER = 60  # logs before those that are what is usual (judgement)
FEWEST = 5  # earlier logs without which nothing is called usual (judgement)
CLOSE = 0.05  # of the run: a restart this long before an event may be its cause (judgement)
_SLASH, _EVENTS = re.compile(r"[/\\]"), re.compile(r"events\.out\.tfevents[^\s:]*")


def number(value: float) -> str:
    """A number as a person writes it: 38, 0.0512, 32,000, 2e-4."""
    if not math.isfinite(value):
        return "an infinite value" if math.isinf(value) else "no number"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-3:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """0.92 -> "92 %"; what is not zero is not called zero."""
    hundred = 100 * share
    return f"{number(hundred)} %" if abs(hundred) < 10 or not math.isfinite(hundred) else f"{hundred:,.0f} %"


def amount(facts: Facts, name: str) -> float | None:
    """A setting that is a finite number, or None."""
    value = facts.setting(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def origin(facts: Facts, *names: str) -> str:
    """The file that a setting was read from, as " (training_args.bin)"; empty when it is not in the log."""
    found = next((facts.run.config[name] for name in names if name in facts.run.config), None)
    return "" if found is None else f" ({_EVENTS.sub('event file', _SLASH.split(str(found.origin))[-1])[:60]})"


def measured(finding: Finding, name: str) -> float | None:
    """A number of the finding by its name, when it is finite."""
    return next((m.value for m in finding.measured if m.name == name and math.isfinite(m.value)), None)


def places(finding: Finding) -> list[int]:
    """The steps of the marked points of a finding."""
    return [one.step for one in finding.evidence if isinstance(one, Point)]


def spacing(steps: Ints) -> float:
    """The usual distance of two logs in optimizer steps, 1.0 at least."""
    return max(1.0, float(np.median(np.diff(steps)))) if len(steps) > 1 else 1.0


def level(values: np.ndarray) -> float | None:
    """The median of finite values; None without any."""
    return float(np.median(values)) if len(values) else None


@dataclass(frozen=True)
class Climb:
    """What a curve did before an event: its usual level, that of the last logs, and how many steps those span."""

    usual: float
    last: float
    steps: int

    @property
    def times(self) -> float:
        return self.last / self.usual


def climb(curve: Curve, step: int, since: int = 0) -> Climb | None:
    """The last LAST logs before `step` against the EARLIER ones.

    None with too few of them, or when the usual level is not positive.
    """
    before = curve.take((curve.step < step) & (curve.step >= since))
    if len(before) < LAST + FEWEST:
        return None
    usual = float(np.median(before.value[-LAST - EARLIER : -LAST]))
    last = float(np.median(before.value[-LAST:]))
    if not (usual > 0 and math.isfinite(last / usual)):
        return None
    return Climb(usual, last, int(step - before.step[-LAST]))


def rate_share(facts: Facts, step: int) -> float | None:
    """The learning rate at a step as a share of its peak; None when it was not logged, or never above zero."""
    rate = facts.rate
    if not len(rate) or not facts.peak_rate > 0:
        return None
    return float(np.interp(step, rate.step, rate.value)) / facts.peak_rate


def high_rate_signs(facts: Facts, cause: str, factor: float = SLIGHT) -> list[Sign]:
    """Whether the learning rate is more than ten times the upper end of the usual ones; tiny models bear that."""
    rate, limit = amount(facts, "learning_rate"), facts.high_rate
    if rate is None or rate < limit:
        return []
    text = f"the learning rate {number(rate)} is more than ten times the usual (it lies above {number(limit)}), though tiny models bear it"
    return [Sign(text, {cause: factor})]


def seam_before(facts: Facts, step: int) -> Seam | None:
    """The last restart within CLOSE of the run before a step."""
    near = [s for s in facts.run.seams if step - CLOSE * facts.length <= s.step <= step]
    return near[-1] if near else None


def epoch_steps(facts: Facts) -> float | None:
    """Optimizer steps of one epoch, from the epoch column; None when that is not known."""
    ends = facts.epoch_ends
    if len(ends) > 1:
        return float(np.median(np.diff(ends)))
    clock = facts.loss.epoch
    known = np.isfinite(clock)
    if known.sum() < 2:
        return None
    epochs, steps = float(np.ptp(clock[known])), float(np.ptp(facts.loss.step[known]))
    return steps / epochs if epochs > 0 and steps > 0 else None


def epochs_at(facts: Facts, step: int) -> float | None:
    """How many epochs were seen at a step; None when the log has no epochs."""
    known = np.isfinite(facts.loss.epoch)
    if known.sum() < 2:
        return None
    return float(np.interp(step, facts.loss.step[known], facts.loss.epoch[known]))


def samples_of_epoch(facts: Facts) -> float | None:
    """Training samples: steps of an epoch x batch x accumulation x processes; None unless steps and batch are known."""
    steps = epoch_steps(facts)
    batch = amount(facts, "train_batch_size") or amount(facts, "per_device_train_batch_size")
    if steps is None or not batch:
        return None
    # train_batch_size counts all GPUs of one process already
    devices = amount(facts, "world_size") or (None if amount(facts, "train_batch_size") else amount(facts, "n_gpu"))
    return steps * batch * (amount(facts, "gradient_accumulation_steps") or 1.0) * max(1.0, devices or 1.0)


def restart_signs(facts: Facts, step: int, cause: str, others: Sequence[str] = ()) -> list[Sign]:
    """Whether a restart lies right before a step. Without a restart in the log the cause is ruled out."""
    seam = seam_before(facts, step)
    if seam is not None:
        text = f"the run was restarted at step {seam.step}, {step - seam.step} steps before"
        return [Sign(text, {cause: STRONG} | dict.fromkeys(others, 1 / CLEAR))]
    if not facts.run.seams:
        return [Sign("the log shows no restart", {cause: RULED_OUT})]
    return [Sign(f"the nearest restart is not within {percent(CLOSE)} of the run before it", {cause: 1 / STRONG})]


def jump_signs(facts: Facts, step: int, cause: str, others: Sequence[str] = ()) -> list[Sign]:
    """Whether the logged learning rate jumps up threefold or more near a step."""
    if len(facts.rate) < 4:
        return [Sign("the learning rate was not logged: a jump of it cannot be seen", {cause: 1.0})]
    jump = facts.rate_jump(step)
    if jump is None:
        return [Sign("the learning rate does not jump there", {cause: 1 / STRONG})]
    text = f"the learning rate jumps from {number(jump[1])} to {number(jump[2])} at step {jump[0]}"
    return [Sign(text, {cause: STRONG} | dict.fromkeys(others, 1 / CLEAR))]
