"""Finding, Fix and the five kinds of evidence: all that a report needs to know about a fault."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Cost = Literal["none", "resume", "rerun"]
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
    """A number behind a finding, the threshold it was held against, and the name to override that with (`--set`)."""

    name: str
    value: float
    unit: str = ""
    threshold: float | None = None
    setting: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A setting of the run's trainer, from its own value (None: not known) to a proposed one."""

    setting: str
    from_: Scalar = None
    to: Scalar = None


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: verb first; why; when not; what it costs; where the advice comes from."""

    title: str
    why: str
    when_not: str
    changes: tuple[Change, ...] = ()
    cost: Cost = "rerun"
    source: str = "judgement"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a run. A detector leaves `pattern`, `fixes` and `explained_by` to the engine."""

    pattern: str = ""
    severity: Severity
    confidence: float
    metric: str
    headline: str
    start_step: int | None
    end_step: int | None
    measured: tuple[Measured, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    explained_by: str | None = None
