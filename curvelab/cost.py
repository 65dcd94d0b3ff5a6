"""What a mistake cost: the steps, the time, the GPU-hours, the money and the tokens after the last useful step.

Useful is judged by the findings, each by the step after which the run could not get better any more:

non-finite, divergence   (critical ones) the event: what is trained from NaN weights, or after the loss has gone up for
                         good, is thrown away
overfitting              the best eval, over all eval sets; but nothing is called wasted while a task metric (accuracy,
                         F1, WER) still improved, and load_best_model_at_end saves the model, not the time
schedule-anomaly         the step from which the learning rate is zero: updates of size zero change no weight
plateau                  the step at which the loss came to its flat level, when it stood there to the end and no eval
                         said otherwise. The weights still moved, but for a third of the run or more nothing that was
                         measured got better. A flat stretch that ends in a fall was no waste: a loss that waits for a
                         lower learning rate is how a long constant phase looks

The earliest of them counts. Nothing is made up: without wall times there are no seconds, without a number of GPUs no
GPU-hours, without a price no money.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curvelab.clock import Clock, clock_of, tokens_after
from curvelab.deciding import eval_noise, still_improving
from curvelab.facts import Facts
from curvelab.gpus import gpus_of
from curvelab.model.finding import Finding
from curvelab.model.options import Options
from curvelab.model.result import Waste

FATAL = ("non-finite", "divergence")
DOUBTED = 0.5  # a finding of no more confidence is no ground to call time wasted (judgement)
FELL = 0.02  # of the level of a plateau; a loss that fell by more after it had not stopped for good (judgement)


@dataclass(frozen=True)
class Spent:
    """What some of the run's training cost; None for what is not known. Seconds, GPU-hours, money."""

    seconds: float | None
    gpu_hours: float | None
    money: float | None


@dataclass(frozen=True)
class Tariff:
    """What is known of a run's costs: its clock, its number of GPUs and where that was read, the price of a GPU-hour."""

    clock: Clock | None
    gpus: int | None
    gpus_from: str
    price: float | None

    def after(self, step: int) -> Spent:
        """What the training after `step` cost."""
        seconds = None if self.clock is None else round(self.clock.after(step), 1)
        hours = None if seconds is None or self.gpus is None else float(f"{seconds * self.gpus / 3600:.6g}")
        money = None if hours is None or self.price is None else float(f"{hours * self.price:.6g}")
        return Spent(seconds, hours, money)


def tariff_of(facts: Facts, options: Options) -> Tariff:
    """Read off a run, and off what the user said, what its training cost."""
    gpus, origin = gpus_of(facts, options.gpus)
    return Tariff(clock_of(facts), gpus, origin, options.gpu_price)


def wasted(facts: Facts, story: Sequence[Finding], tariff: Tariff) -> Waste | None:
    """What came after the last useful step; None where every step was of use, as far as the findings say."""
    last = facts.run.last_step or 0
    since, why = min(_ends(facts, story), default=(last, ""))
    if since >= last:
        return None
    spent = tariff.after(since)
    begun = (facts.run.first_step or 0) if facts.resumed else 0
    return Waste(
        since_step=since,
        steps=last - since,
        seconds=spent.seconds,
        why=why,
        share=round((last - since) / max(1, last - begun), 4),
        gpus=tariff.gpus,
        gpus_from=tariff.gpus_from,
        gpu_hours=spent.gpu_hours,
        price=tariff.price,
        money=spent.money,
        tokens=tokens_after(facts, since),
        seconds_from="" if tariff.clock is None else tariff.clock.told_by,
    )


def fatal_step(story: Sequence[Finding]) -> int | None:
    """The step from which on the weights are lost: the first critical NaN or divergence; None where they are sound."""
    return min(
        (f.start_step for f in story if f.pattern in FATAL and f.severity == "critical" and f.start_step is not None),
        default=None,
    )


def _ends(facts: Facts, story: Sequence[Finding]) -> Iterator[tuple[int, str]]:
    """(last useful step, pattern) of every finding that says so."""
    for finding in story:
        start = finding.start_step
        if start is None:
            continue
        if finding.pattern in FATAL and finding.severity == "critical":
            yield start, finding.pattern
        elif finding.pattern == "overfitting" and still_improving(facts, start) is None:
            yield max([start, *_best_evals(facts)]), finding.pattern
        elif _idle(finding) or (finding.pattern == "plateau" and _in_vain(facts, finding)):
            yield start, finding.pattern


def _best_evals(facts: Facts) -> list[int]:
    """The step of the lowest value of every eval loss."""
    return [int(curve.step[np.argmin(curve.value)]) for curve in facts.eval_losses if len(curve)]


def _idle(finding: Finding) -> bool:
    """Whether a finding says that the learning rate is zero from its start on."""
    return finding.pattern == "schedule-anomaly" and any(m.name == "idle" for m in finding.measured)


def _in_vain(facts: Facts, plateau: Finding) -> bool:
    """Whether nothing that was measured got better after a plateau had begun.

    One that is doubted does not count, nor one that another finding explains: a rate that is too low learns slowly.
    """
    if plateau.confidence <= DOUBTED or plateau.explained_by is not None:
        return False
    start, end = plateau.start_step or 0, plateau.end_step or 0
    flat, after = facts.loss.between(start, end).value, facts.loss.value[facts.loss.step > end]
    level = float(np.median(flat)) if len(flat) else 0.0
    if len(after) and float(np.median(after[-max(3, len(after) // 3) :])) < level - FELL * abs(level):
        return False
    for curve in facts.eval_losses:
        before, later = curve.value[curve.step <= start], curve.value[curve.step > start]
        if len(before) and len(later) and float(before.min() - later.min()) > _margin(curve.value):
            return False
    return still_improving(facts, start) is None


def _margin(evals: np.ndarray) -> float:
    """What two evals must differ by to be different: three sigmas of their noise, and 2 % of the best."""
    return max(3 * eval_noise(evals, int(np.argmin(evals))), FELL * abs(float(evals.min())))
