"""Whether confidence means what it says: of findings reported at 0.8, about 80 % should be right."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

BINS = 10  # of equal width


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """The findings whose confidence lies from `low` up to `high`: how many, their mean confidence, the share right."""

    low: float
    high: float
    findings: int
    confidence: float
    right: float


def bins_of(certainties: Iterable[tuple[float, bool]], bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability table of (confidence, whether it was right) pairs; bins without findings are left out."""
    held: dict[int, list[tuple[float, bool]]] = {}
    for sure, right in certainties:
        held.setdefault(min(int(sure * bins), bins - 1), []).append((sure, right))
    return tuple(
        Bin(
            low=place / bins,
            high=(place + 1) / bins,
            findings=len(pairs),
            confidence=math.fsum(sure for sure, _ in pairs) / len(pairs),
            right=sum(right for _, right in pairs) / len(pairs),
        )
        for place, pairs in sorted(held.items())
    )


def calibration_error(table: Iterable[Bin]) -> float | None:
    """Expected calibration error: mean distance of confidence and share right over all findings; None without any."""
    rows = list(table)
    total = sum(row.findings for row in rows)
    return sum(row.findings * abs(row.confidence - row.right) for row in rows) / total if total else None
