"""The curves of a comparison for drawing: fewer points the more runs there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from curvelab.comparing.axes import Place
from curvelab.comparing.entrants import Entrant
from curvelab.model.comparison import Aligned
from curvelab.model.verdicts import AxisName
from curvelab.signals.thinning import min_max_rows

ALL_POINTS = 60_000  # of one metric over all runs
MOST, FEWEST = 800, 120  # of one run


def aligned(
    entrants: Sequence[Entrant], metrics: Sequence[str], places: Mapping[str, Mapping[AxisName, Place]]
) -> tuple[Aligned, ...]:
    """Every metric of every run that logged it, on every axis that all runs have. Values that are not finite are kept."""
    most = max(FEWEST, min(MOST, ALL_POINTS // max(1, len(entrants))))
    found = []
    for metric in metrics:
        for one in entrants:
            name = one.facts.resolved(metric)
            if name is None or not len(curve := one.run.curve(name)):
                continue
            rows = min_max_rows(curve.value, most)
            steps = curve.step[rows].astype(np.float64)
            along = {axis: _short(place(steps)) for axis, place in places[one.id].items()}
            found.append(
                Aligned(run=one.id, metric=metric, points=len(curve), value=_short(curve.value[rows]), along=along)
            )
    return tuple(found)


def _short(values: np.ndarray) -> list[float]:
    """Seven digits are more than a picture shows; integers stay as short as they are."""
    return [float(f"{value:.7g}") for value in values.tolist()]
