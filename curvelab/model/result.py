"""Outcome and Diagnosis: the result of looking at one run. Its JSON is the product; the page is drawn from it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from curvelab.model.finding import Change, Finding
from curvelab.model.log import State
from curvelab.model.note import Note
from curvelab.model.strict_json import strict

SCHEMA = 1
Status = Literal["found", "clear", "not-applicable", "failed"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one detector said: found, clear, not-applicable (with the reason) or failed (with the error)."""

    pattern: str
    status: Status
    reason: str = ""


class Thinned(msgspec.Struct, frozen=True, kw_only=True):
    """A metric for drawing: at most a few thousand points, extremes kept. Arrays of one length.

    `points` is the number of points before thinning.
    """

    points: int
    step: list[int]
    value: list[float]
    epoch: list[float] | None = None
    tokens: list[float] | None = None
    wall_time: list[float] | None = None


class SeamMark(msgspec.Struct, frozen=True, kw_only=True):
    """A restart for drawing: the later attempt begins at `step`, the earlier one had reached `reached`."""

    step: int
    reached: int


class Landmarks(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of a run that help to read its curves.

    warmup_end   where warm-up of the learning rate is over; None: there was none, or it is not known
    epoch_ends   where epochs end; empty: not known, or too many to be drawn
    """

    warmup_end: int | None = None
    epoch_ends: tuple[int, ...] = ()


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """What came after the last useful step.

    steps, share   optimizer steps after `since_step`, and their share of all steps of the run (0..1)
    seconds        wall time of them; None where no times were logged
    gpus           number of GPUs and `gpus_from` where it was read ("world_size in training_args.bin", "--gpus"); None: not known
    gpu_hours      seconds x gpus / 3600; None unless both are known
    price, money   what the user said a GPU-hour costs, and gpu_hours times that
    tokens         tokens trained on in that time, when they were logged
    seconds_from   how the seconds are known ("wall times", "train_runtime", …)
    """

    since_step: int
    steps: int
    seconds: float | None = None
    why: str = ""
    share: float | None = None
    gpus: int | None = None
    gpus_from: str = ""
    gpu_hours: float | None = None
    price: float | None = None
    money: float | None = None
    tokens: int | None = None
    seconds_from: str = ""


class Toll(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault cost where no step came after the last useful one (see curvelab.toll).

    kind        repeated: steps that were done twice; lost: those after the last checkpoint of a run that was cut off;
                slowed: the time beyond what the steps would have taken at the speed before
    since_step  the last checkpoint, or the step of the drop; None: from the first step on, or not one place
    seconds, gpu_hours, money   None where not known
    """

    pattern: str
    kind: Literal["repeated", "lost", "slowed"]
    steps: int | None = None
    since_step: int | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    money: float | None = None


class EarlyStopping(msgspec.Struct, frozen=True, kw_only=True):
    """EarlyStoppingCallback simulated on the log.

    stop_step      the eval at which it would have stopped; None: it would not have
    kept_step      the eval whose weights it would have kept, with the metric's value there
    saved_*        steps, seconds, GPU-hours and money from the stop to the end; None where not known
    later_*        the best eval after the stop, where it is better than what would have been kept: the price of stopping
    """

    metric: str
    patience: int
    threshold: float
    evals: int
    stop_step: int | None
    kept_step: int
    kept_value: float
    saved_steps: int = 0
    saved_seconds: float | None = None
    saved_gpu_hours: float | None = None
    saved_money: float | None = None
    later_step: int | None = None
    later_value: float | None = None


class CheckpointAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkpoint to use.

    metric                    metric_for_best_model where it was logged, else the eval loss
    best_step, best_value     the best eval; `perplexity` = exp of it where the metric is a cross entropy of tokens
    final_step, final_value   the last finite eval; `worse` = by how much it is worse than the best, as a share of the best
                              (0 when it is the best)
    nearest_step              the saved checkpoint that stands next to the best: the best value of those saved; None: none
                              is known
    nearest_value             the metric at that checkpoint, between two evals in proportion
    nearest_path              its folder, when it stands beside the log
    known_from                how the saved checkpoints are known ("folders", "save_steps 50, save_total_limit 2", …)
    sentence                  the advice in one sentence
    """

    metric: str
    best_step: int
    best_value: float
    final_step: int
    final_value: float
    worse: float
    perplexity: float | None = None
    final_perplexity: float | None = None
    nearest_step: int | None = None
    nearest_value: float | None = None
    nearest_path: str | None = None
    known_from: str = ""
    sentence: str = ""


class PatchChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the patch: a change, the findings that ask for it, and a remark where they pulled differently."""

    change: Change
    patterns: tuple[str, ...]
    remark: str = ""


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The settings to change, merged over all findings without contradictions, ready to copy.

    trainer, because   name of the trainer whose flags these are, and how it was recognised
    forms              the texts by kind: "python", "cli", "yaml" (those that the trainer takes, its usual one first)
    by_hand            fixes that change no setting, as titles
    """

    trainer: str
    because: str
    changes: tuple[PatchChange, ...]
    forms: dict[str, str]
    by_hand: tuple[str, ...] = ()


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything curvelab has to say about one run (an element of `runs` in the JSON contract)."""

    id: str
    name: str
    path: str
    format: str
    state: State
    first_step: int | None
    last_step: int | None
    planned_steps: int | None
    points: int
    metrics: dict[str, int]
    verdict: str
    best_step: int | None
    notes: tuple[Note, ...]
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    config: dict[str, Any]
    wasted: Waste | None
    toll: Toll | None = None
    early_stopping: EarlyStopping | None = None
    checkpoint: CheckpointAdvice | None = None
    patch: Patch | None = None
    seams: tuple[SeamMark, ...]
    landmarks: Landmarks = Landmarks()
    series: dict[str, Thinned]
    provenance: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: NaN and infinities as "NaN", "Infinity", "-Infinity"."""
        plain: dict[str, Any] = strict(msgspec.to_builtins(self))
        return plain

    def to_json(self) -> str:
        """Strict JSON of this diagnosis alone."""
        return msgspec.json.encode(self.to_dict()).decode()

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Diagnosis:
        """The inverse of `to_dict`. Raises msgspec.ValidationError where a field does not fit."""
        return msgspec.convert(plain, cls, strict=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Diagnosis:
        """The inverse of `to_json`."""
        return cls.from_dict(msgspec.json.decode(text))

    def __repr__(self) -> str:
        found = ", ".join(finding.pattern for finding in self.findings) or "no findings"
        return f"<Diagnosis of {self.name}: {self.verdict} ({found}; {self.points:,} points)>"
