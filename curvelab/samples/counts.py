"""How many samples an optimizer step takes, from a run's settings and from what it logged of its speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvelab.facts import Facts

_TRAINERS = frozenset(("trainer-state", "trainer-log", "trainer-console"))  # formats that only a Trainer writes
_OF_A_TRAINER = ("per_device_train_batch_size", "micro_batch_size")  # the latter is axolotl's name for it
_STATE = "trainer_state.json"
_MOST = 2**31  # a larger count is no count but damage
_PRINTED = 0.001  # relative: speeds are printed with three decimals


@dataclass(frozen=True)
class Counted:
    """Samples of one optimizer step.

    at_once      samples of one forward pass, all GPUs together; None: not known
    accumulated  forward passes of a step; None: not known
    gpus         processes that each read samples of their own; None: not known, counted for one
    """

    at_once: int | None
    accumulated: int | None
    gpus: int | None
    because: str
    doubts: tuple[str, ...] = ()

    @property
    def per_step(self) -> int | None:
        """Samples of a step that is not the last of its epoch."""
        return self.at_once * self.accumulated if self.at_once and self.accumulated else None


def is_trainers(facts: Facts) -> bool:
    """Whether the Trainer of Transformers, or one of the many that stand on it, wrote the log."""
    if _TRAINERS & set(facts.run.format.split("+")):
        return True
    return any(name in values for values in facts.run.raw_config.values() for name in _OF_A_TRAINER)


def raw_setting(facts: Facts, name: str) -> Any:
    """A setting that is not canonical, by its name in any file of the run; None when none has it."""
    return next((values[name] for values in facts.run.raw_config.values() if name in values), None)


def counted(facts: Facts) -> Counted:
    """Count the samples of one step: batch x accumulation x processes, or the speeds that the Trainer logs at its end."""
    batch, doubts = _batch(facts)
    accumulated, world = _count(facts, "gradient_accumulation_steps"), _count(facts, "world_size")
    if accumulated is None and _count(facts, "per_device_train_batch_size"):
        accumulated = 1
        doubts += ("gradient_accumulation_steps is not in the settings; 1 is the default",)
    if batch is None:
        why = "the batch size is not in the log; training_args.bin or a config beside it would tell"
        return Counted(None, accumulated, world, "", (why,))
    passes = _passes(facts, batch)
    if accumulated is None:
        if passes is None:
            why = "gradient_accumulation_steps is not in the log; training_args.bin or a config beside it would tell"
            return Counted(None, None, world, "", (*doubts, why))
        return Counted(batch * passes, 1, world or 1, f"{batch * passes} samples a step, by the logged speeds", doubts)
    if world is None and passes is not None and passes % accumulated == 0:
        world = passes // accumulated
    if world is None:
        doubts = (*doubts, "the number of GPUs is not in the log: counted for one; n GPUs read n times as many a step")
    elif passes is not None and passes != accumulated * world:
        doubts = (*doubts, f"the logged speeds speak for {passes * batch} samples a step")
    return Counted(batch * (world or 1), accumulated, world, _words(batch, accumulated, world), doubts)


def _words(batch: int, accumulated: int, world: int | None) -> str:
    parts = [f"{batch} samples" if batch != 1 else "1 sample"]
    parts += [f"{accumulated} accumulated"] if accumulated > 1 else []
    parts += [f"{world} GPUs"] if world and world > 1 else []
    return " x ".join(parts) + " a step"


def _batch(facts: Facts) -> tuple[int | None, tuple[str, ...]]:
    """(samples of one forward pass of one process, doubts).

    A trainer_state.json holds what the Trainer really used: all GPUs of the process together, and what it settled on
    where it searched for the batch size itself.
    """
    device, state = _count(facts, "per_device_train_batch_size"), facts.run.config.get("train_batch_size")
    used = _count(facts, "train_batch_size") if state is not None and state.origin.endswith(_STATE) else None
    gpus = _count(facts, "n_gpu") or 1
    if used is None:
        return (device * gpus if device else None), ()
    if device and used % device:
        return used, (f"per_device_train_batch_size is {device}, but the trainer's state says {used}; the state counts",)
    return used, ()


def _count(facts: Facts, name: str) -> int | None:
    value = facts.run.setting(name)
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < _MOST and value == int(value)
    return int(value) if whole else None


def _passes(facts: Facts, batch: int) -> int | None:
    """Forward passes of a step (accumulation x processes) by the speeds of the whole run; None unless one number fits.

    Samples per second by steps per second is a little less than a step's samples where epochs end with a short step, and
    a little more where a plan leaves the remainder of an epoch out: one step an epoch at most.
    """
    speeds = [facts.finite(f"final/train_{what}_per_second").value for what in ("samples", "steps")]
    epoch = facts.curve("train/loss").epoch
    if not all(len(one) for one in speeds) or not np.isfinite(epoch).any() or speeds[1][-1] <= 0:
        return None
    passes = float(speeds[0][-1] / speeds[1][-1]) / batch
    last = int(np.flatnonzero(np.isfinite(epoch))[-1])
    steps = float(facts.curve("train/loss").step[last]) / max(float(epoch[last]), 1e-9)  # of an epoch
    if not 0 < passes < _MOST or steps < 2:
        return None
    low, high = passes * (1 - 1 / steps - _PRINTED), passes * (1 + 1 / (steps - 1) + _PRINTED)
    first = math.ceil(low)
    return first if first >= 1 and first <= high < first + 1 else None
