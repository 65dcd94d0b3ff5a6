"""Outcome and Diagnosis: the result of looking at one run. Its JSON is the product; the page is drawn from it."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from curvelab.model.finding import Finding
from curvelab.model.log import State
from curvelab.model.note import Note

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
    wall_time: list[float] | None = None


class SeamMark(msgspec.Struct, frozen=True, kw_only=True):
    """A restart for drawing: the later attempt begins at `step`, the earlier one had reached `reached`."""

    step: int
    reached: int


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """What came after the last useful step: steps, and seconds where wall times were logged."""

    since_step: int
    steps: int
    seconds: float | None = None
    why: str = ""


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
    seams: tuple[SeamMark, ...]
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


def strict(value: Any) -> Any:
    """Replace non-finite floats by their names, deeply: strict JSON has no NaN."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value
