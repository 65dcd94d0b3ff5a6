"""The value axis of a panel: how far it reaches, and whether it is logarithmic."""

from __future__ import annotations

import numpy as np

from curvelab.model.finding import Level, Point, Trend
from curvelab.report.pictures import Panel, is_loss
from curvelab.report.scale import Scale, rises_far, scale_for


def scale_of(panel: Panel) -> Scale:
    """The value axis of a panel: its curves and marks, and its thresholds where they are not far away."""
    points = [mark.value for mark in panel.marks if isinstance(mark, Point)]
    ends = [v for mark in panel.marks if isinstance(mark, Trend) for v in (mark.start_value, mark.end_value)]
    marked = np.array([*points, *ends], dtype=np.float64)
    levels = [mark.value for mark in panel.marks if isinstance(mark, Level)]
    values = np.concatenate([*(one.value for one in panel.lines), marked])
    far = any(rises_far(one.value) for one in panel.lines if is_loss(one.metric))
    return scale_for(values, levels, log=True if far and not (values < 0).any() else None)
