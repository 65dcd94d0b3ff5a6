"""Finding, Cause, Fix and the five kinds of evidence: all that a report needs to know about a fault."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Cost = Literal["none", "resume", "rerun"]
CHEAPEST_FIRST: tuple[Cost, ...] = ("none", "resume", "rerun")
Basis = Literal["measured", "documented", "judgement"]
Scalar = bool | int | float | str | None


class Span(msgspec.Struct, frozen=True, tag="span", tag_field="kind", kw_only=True):
    """A stretch of steps in which something holds."""

    metric: str
    start_step: int
    end_step: int
    label: str = ""


class Point(msgspec.Struct, frozen=True, tag="point", tag_field="kind", kw_only=True):
    """One marked value. `value` is NaN or infinite where the log says so."""

    metric: str
    step: int
    value: float
    label: str = ""


class Level(msgspec.Struct, frozen=True, tag="level", tag_field="kind", kw_only=True):
    """A horizontal line: a threshold or a reference value; without steps over the whole run."""

    metric: str
    value: float
    start_step: int | None = None
    end_step: int | None = None
    label: str = ""


class Trend(msgspec.Struct, frozen=True, tag="trend", tag_field="kind", kw_only=True):
    """A straight line from one (step, value) to another."""

    metric: str
    start_step: int
    start_value: float
    end_step: int
    end_value: float
    label: str = ""


class Gap(msgspec.Struct, frozen=True, tag="gap", tag_field="kind", kw_only=True):
    """A stretch of steps in which nothing was logged although the plan has it."""

    metric: str
    start_step: int
    end_step: int
    label: str = ""


Evidence = Span | Point | Level | Trend | Gap


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A number behind a finding, the threshold it was held against, and the name to override that with (`--set`).

    fires  the side of the threshold on which it makes the finding; empty: the side on which the value lies
    """

    name: str
    value: float
    unit: str = ""
    threshold: float | None = None
    setting: str | None = None
    fires: Literal["above", "below", ""] = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A setting of the run's trainer, from its own value (None: not known) to a proposed one.

    setting    the flag as the run's own trainer calls it; a detector gives the canonical name, the engine translates
    canonical  the same setting by its canonical (Transformers') name
    basis      where the proposed number comes from: measured on this log, documented in the source, or judgement
    because    the sentence behind the number, such as "90th percentile of 120 logged norms"
    """

    setting: str
    from_: Scalar = None
    to: Scalar = None
    canonical: str = ""
    basis: Basis = "judgement"
    because: str = ""


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: verb first; why; when not; what it costs; where the advice comes from.

    alternative  another way to the end of a fix before it: do one of them, not both
    doubted      its causes are clearly outweighed by another: worth knowing, and no part of a patch
    conditional  right only if something holds that the log does not show ("if memory ran out"): no patch has it unasked
    """

    title: str
    why: str
    when_not: str
    changes: tuple[Change, ...] = ()
    cost: Cost = "rerun"
    source: str = "judgement"
    alternative: bool = False
    doubted: bool = False
    conditional: bool = False


class Cause(msgspec.Struct, frozen=True, kw_only=True, rename={"for_": "for"}):
    """What may lie behind a finding, weighed with what the log says.

    weight  0..1: share of the belief that this cause gets among those that were weighed
    for     what in the log speaks for it, one sentence each; `against` likewise
    """

    name: str
    title: str
    weight: float
    for_: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


class SampleRange(msgspec.Struct, frozen=True, kw_only=True):
    """The samples that were read in a stretch of optimizer steps: positions first <= i < end in the order of one epoch.

    step, end_step   the first and the last optimizer step
    epoch            number of the epoch, from 0
    first, end       positions, from 0; like `epoch` None where the log does not tell them
    """

    step: int
    end_step: int
    epoch: int | None = None
    first: int | None = None
    end: int | None = None


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Which data to look at: the ranges, how they were counted, and a snippet that fetches them.

    per_step   samples of one optimizer step; None: not known, the ranges tell steps only
    shuffled   whether the positions are those of a shuffled order (then the snippet needs the seed); None: not known
    because    how the positions were counted ("16 samples x 4 accumulated x 2 GPUs a step")
    doubts     what would make them wrong
    snippet    Python that prints the samples, empty where they cannot be found again
    logged     what a batch log beside the run says of these steps
    """

    ranges: tuple[SampleRange, ...]
    per_step: int | None
    seed: int | None
    shuffled: bool | None
    because: str
    doubts: tuple[str, ...] = ()
    snippet: str = ""
    logged: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a run. A detector leaves `pattern`, `fixes`, `samples` and `explained_by` to the engine.

    also  numbers that the sentences of its fixes use, and that say nothing of the fault itself
    """

    pattern: str = ""
    severity: Severity
    confidence: float
    metric: str
    headline: str
    start_step: int | None
    end_step: int | None
    measured: tuple[Measured, ...] = ()
    also: dict[str, float] = {}
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    causes: tuple[Cause, ...] = ()
    samples: Samples | None = None
    explained_by: str | None = None
