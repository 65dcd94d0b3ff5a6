"""Entrant: a run that takes part in a comparison, with what is known of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curvelab.comparing.batches import samples_a_step, whole
from curvelab.comparing.told import Told, told_by
from curvelab.cost import fatal_step
from curvelab.facts import Facts
from curvelab.model.finding import SEVERITIES, Finding
from curvelab.model.log import Floats
from curvelab.model.result import Diagnosis
from curvelab.model.run import Curve, Run

DOUBTED = 0.5  # a finding of no more confidence keeps no run out of a ranking (judgement)
_SEED_IN_NAME = re.compile(r"(?:^|[^a-z])seed[-_=]?(\d{1,10})(?!\d)", re.I)


@dataclass(frozen=True, eq=False)
class Entrant:
    """One run of a comparison."""

    run: Run
    facts: Facts
    diagnosis: Diagnosis

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def name(self) -> str:
        return self.run.name

    def line(self, metric: str) -> Curve:
        """The finite points of a metric's winning line (a train loss without a filter's stand-ins); empty if not logged."""
        return self.facts.loss if metric == "train/loss" else self.facts.finite(metric)

    def pattern(self, pattern: str) -> Finding | None:
        """The finding of a pattern that is not doubted, or None."""
        return next((f for f in self.diagnosis.findings if f.pattern == pattern and f.confidence > DOUBTED), None)

    @cached_property
    def batch(self) -> int | None:
        """Samples of one optimizer step, by the settings or by the log's own speeds; None: not known."""
        return samples_a_step(self.facts)[0]

    @cached_property
    def batch_is_sure(self) -> bool:
        """Whether `batch` counts accumulation: a bare trainer_state.json tells the samples of one device only."""
        return samples_a_step(self.facts)[1]

    @cached_property
    def accumulation(self) -> int | None:
        """Micro-batches of a step: as told, else what the measured batch holds of the told one; None: not known."""
        steps = whole(self.facts.setting("gradient_accumulation_steps"))
        each = whole(self.facts.setting("train_batch_size"))
        return steps or (self.batch // each if each and self.batch and self.batch_is_sure else None)

    @cached_property
    def told(self) -> Told:
        """The settings that make this run the experiment that it is."""
        return told_by(self.facts, self.batch if self.batch_is_sure else None)

    @cached_property
    def seed(self) -> int | None:
        """The seed of the settings, else one that the name tells ("lr1e-4-seed2"); None: not known."""
        seed = self.facts.setting("seed")
        if isinstance(seed, int) and not isinstance(seed, bool):
            return seed
        return self.seeds[2]

    @cached_property
    def seeds(self) -> tuple[int | None, int | None, int | None]:
        """(seed, data_seed, the seed in the name), each None where it is not told: a wrapper's name may tell what the trainer's own
        seed, which stays at its default, does not."""
        own, data = (self.facts.setting(name) for name in ("seed", "data_seed"))
        found = _SEED_IN_NAME.search(self.name)
        whole = [one if isinstance(one, int) and not isinstance(one, bool) else None for one in (own, data)]
        return whole[0], whole[1], int(found[1]) if found else None

    @cached_property
    def failure(self) -> str:
        """Why this run has no place in a ranking, or an empty string: its weights were lost, or it did not get there."""
        if self.broke_at is not None:
            patterns = [f.pattern for f in self.diagnosis.findings if f.start_step == self.broke_at]
            return f"{'became NaN' if 'non-finite' in patterns else 'diverged'} at step {self.broke_at:,}"
        if self.pattern("abrupt-end") is not None and self.run.planned_steps:
            return f"ended at step {self.run.last_step or 0:,} of {self.run.planned_steps:,}"
        return "crashed" if self.run.state == "crashed" else ""

    @cached_property
    def broke_at(self) -> int | None:
        """The step at which the weights were lost, or None."""
        return fatal_step(self.diagnosis.findings)

    @cached_property
    def failed_at(self) -> int | None:
        """The step at which the run failed: its weights were lost, or its log ends; None for a run that did not fail."""
        if not self.failure:
            return None
        return self.broke_at if self.broke_at is not None else self.run.last_step

    @cached_property
    def key_findings(self) -> tuple[str, ...]:
        """Patterns at warning or critical, the one that names the run first, then the worst."""
        found = [f for f in self.diagnosis.findings if f.severity != "info"]
        found.sort(key=lambda f: (f.pattern != self.diagnosis.verdict, -SEVERITIES.index(f.severity)))
        return tuple(dict.fromkeys(f.pattern for f in found))


def level_at_end(curve: Curve) -> tuple[float, Floats]:
    """(median, the values) of the last tenth of a curve, at least its last 3 points; NaN and nothing of an empty one."""
    values = curve.value[-max(3, math.ceil(len(curve) / 10)) :]
    return (float(np.median(values)) if len(values) else math.nan), values

