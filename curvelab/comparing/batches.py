"""Samples of one optimizer step: as the settings say, unless the log's own speeds say otherwise."""

from __future__ import annotations

import math

import numpy as np

from curvelab.facts import Facts

SPEEDS = (
    ("final/train_samples_per_second", "final/train_steps_per_second"),
    ("train/samples_per_second", "train/steps_per_second"),
)
APART = 0.1  # of the batch: an incomplete last batch of each epoch and the rounding of both speeds make less (judgement)
FEWEST_DIGITS = 0.02  # steps a second below which three decimals tell no batch


def told_batch(facts: Facts) -> tuple[int | None, bool]:
    """(samples of a step by the settings, whether they tell accumulation too): devices count as 1 where nothing says so."""
    each = whole(facts.setting("per_device_train_batch_size"))
    steps = whole(facts.setting("gradient_accumulation_steps"))
    if each is None:
        each = whole(facts.setting("train_batch_size"))
    if each is None:
        return None, False
    devices = whole(facts.setting("world_size")) or whole(facts.setting("n_gpu")) or 1
    return each * (steps or 1) * devices, steps is not None


def measured_batch(facts: Facts) -> float | None:
    """Samples a second over steps a second; None where the log has not both."""
    for samples, steps in SPEEDS:
        many, few = facts.finite(samples).value, facts.finite(steps).value
        if len(many) and len(few) and (slow := float(np.median(few))) >= FEWEST_DIGITS:
            found = float(np.median(many)) / slow
            return found if found >= 0.5 else None
    return None


def samples_a_step(facts: Facts) -> tuple[int | None, bool]:
    """(samples of one optimizer step or None, whether that is sure: told with its accumulation, or measured)."""
    told, sure = told_batch(facts)
    measured = measured_batch(facts)
    if measured is None:
        return told, sure
    if told is None:
        return round(measured), True
    if abs(measured / told - 1) <= APART:
        return told, True
    times = round(measured / told)
    near = times >= 1 and abs(measured / (times * told) - 1) <= APART / 2
    return (times * told if near else max(1, round(measured))), True


def whole(value: object) -> int | None:
    """A setting as a whole number above 0, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 1:
        return None
    return int(value)
