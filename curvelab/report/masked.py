"""What a curve shows where a filter hid a NaN: Transformers logs a loss of exactly 0.0 in its place."""

from __future__ import annotations

import math

import msgspec

from curvelab.model.finding import Span
from curvelab.model.result import Diagnosis, Thinned


def curve(diagnosis: Diagnosis, metric: str) -> Thinned | None:
    """The series of a metric as it is to be drawn: zeros in the span of a non-finite finding are NaN again."""
    series = diagnosis.series.get(metric)
    spans = _spans(diagnosis, metric)
    if series is None or not spans:
        return series
    value = [
        math.nan if v == 0.0 and any(first <= s <= last for first, last in spans) else v
        for s, v in zip(series.step, series.value, strict=False)
    ]
    return msgspec.structs.replace(series, value=value)


def hides(diagnosis: Diagnosis, metric: str) -> bool:
    """Whether the log of a metric has such zeros."""
    series = diagnosis.series.get(metric)
    spans = _spans(diagnosis, metric)
    return series is not None and any(
        v == 0.0 and first <= s <= last
        for s, v in zip(series.step, series.value, strict=False)
        for first, last in spans
    )


def _spans(diagnosis: Diagnosis, metric: str) -> list[tuple[int, int]]:
    marks = [mark for f in diagnosis.findings if f.pattern == "non-finite" for mark in f.evidence]
    return [(m.start_step, m.end_step) for m in marks if isinstance(m, Span) and m.metric == metric]
