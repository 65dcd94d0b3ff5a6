"""Settings on both sides of a restart: what the files of the attempt before say, and those of the attempt after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curvelab.facts import Facts
from curvelab.knowledge.setting_names import OTHER_NAMES
from curvelab.model.log import Log
from curvelab.model.run import Seam

# those that training itself follows: a resume with another of these is no continuation
COMPARED = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs",
    "per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm", "weight_decay", "seed",
)  # fmt: skip
OF_THE_RATE = COMPARED[:6]  # those that the learning rate is computed from


@dataclass(frozen=True)
class Differing:
    """A setting that was given another value for the attempt that went on."""

    name: str
    before: int | float | str
    after: int | float | str


def differing(facts: Facts, seam: Seam) -> list[Differing] | None:
    """Settings that differ across a restart, in the order of COMPARED; None where one side left no settings."""
    before, after = _said(facts, seam.segment - 1, -1), _said(facts, seam.segment, 0)
    if not before or not after:
        return None
    return [
        Differing(name, before[name], after[name])
        for name in COMPARED
        if name in before and name in after and not _same(before[name], after[name])
    ]


def _same(one: float | str, other: float | str) -> bool:
    """Whether two values mean the same; the same number may have been written in two ways."""
    if isinstance(one, str) or isinstance(other, str):
        return str(one) == str(other)
    return math.isclose(one, other, rel_tol=1e-6)


def _said(facts: Facts, segment: int, row: int) -> Mapping[str, int | float | str]:
    """The settings in the file that holds the first (0) or the last (-1) train log of an attempt."""
    loss = facts.run.logged["train/loss"]
    rows = loss.take(np.flatnonzero(loss.segment == segment))
    if not len(rows):
        return {}
    file = rows.origins[int(rows.origin[row])]
    log = next((one for one in facts.run.logs if str(one.path) == file), None)
    return {} if log is None else _known(log)


def _known(log: Log) -> dict[str, int | float | str]:
    """The settings of one log by their canonical names, those that are told plainly."""
    found: dict[str, int | float | str] = {}
    for values in log.settings.values():
        for name, value in values.items():
            known = OTHER_NAMES.get(name, name)
            if known in COMPARED and isinstance(value, int | float | str) and not isinstance(value, bool):
                found.setdefault(known, value)
    return found


def short(value: float | str) -> str:
    """A value of a setting in a sentence."""
    return f"{value:g}" if isinstance(value, int | float) else value[:40]
