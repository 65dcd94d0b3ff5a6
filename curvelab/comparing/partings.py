"""Where runs part, with the settings in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from curvelab.comparing.axes import Place
from curvelab.comparing.differences import differing
from curvelab.comparing.entrants import Entrant
from curvelab.model.comparison import AxisName, Parting
from curvelab.model.run import Curve
from curvelab.signals.parting import fork_of

MOST = 12
MOST_NAMED = 4
Places = Mapping[str, Mapping[AxisName, Place]]


def partings(first: Entrant, others: Sequence[Entrant], metric: str, axis: AxisName, places: Places) -> list[Parting]:
    """Where each of some runs parts from `first`: by the train loss where both logged it, else by the metric."""
    found = []
    for other in others[:MOST]:
        for name in ("train/loss", metric):
            one = _parting(first, other, name, axis, places)
            if one is not None:
                found.append(one)
                break
    return found


def _parting(a: Entrant, b: Entrant, metric: str, axis: AxisName, places: Places) -> Parting | None:
    """None where the two have too little common ground to be compared on."""
    one, two = a.line(metric), b.line(metric)
    if min(len(one), len(two)) < 4:
        return None
    x1, x2 = (places[e.id][axis](c.step.astype(np.float64)) for e, c in ((a, one), (b, two)))
    if np.ptp(x1) == 0 or np.ptp(x2) == 0:
        return None
    fork = fork_of(x1, one.value, x2, two.value)
    if fork is None:
        return None
    settings = differing(a, b)
    steps = None if fork.at is None else (_step_at(one, x1, fork.at), _step_at(two, x2, fork.at))
    return Parting(
        runs=(a.id, b.id),
        metric=metric,
        axis=axis,
        at=fork.at,
        steps=steps,
        gap=fork.gap,
        noise=fork.noise,
        settings=settings,
        sentence=_sentence(a, b, metric, axis, fork.at, fork.gap, steps) + _they_differ(settings),
    )


def _step_at(curve: Curve, x: np.ndarray, at: float) -> int:
    return int(curve.step[min(int(np.searchsorted(x, at)), len(curve) - 1)])


def _sentence(
    a: Entrant, b: Entrant, metric: str, axis: AxisName, at: float | None, gap: float | None, steps: tuple[int, int] | None
) -> str:
    if at is None or gap is None or steps is None:
        return f"{metric} of {a.name} and {b.name} does not part beyond noise"
    where = f"step {steps[0]:,}" if axis == "step" else f"{place_text(axis, at)} (steps {steps[0]:,} and {steps[1]:,})"
    side = "higher" if gap > 0 else "lower"
    return f"{metric} of {b.name} parts from that of {a.name} at {where}: {abs(gap):.3g} {side} from there on"


def place_text(axis: AxisName, at: float) -> str:
    """A place on an axis in words: "1.50 epochs", "2,400 samples", "35 s"."""
    if axis == "epoch":
        return f"epoch {at:.2f}"
    if axis == "time":
        return f"{at:,.0f} s of training" if at >= 10 else f"{at:.2g} s of training"
    return f"step {at:,.0f}" if axis == "step" else f"{at:,.0f} {axis}"


def _they_differ(settings: Sequence[str]) -> str:
    if not settings:
        return "; no logged setting differs"
    more = f" and {len(settings) - MOST_NAMED} more" if len(settings) > MOST_NAMED else ""
    return f"; they differ in {', '.join(settings[:MOST_NAMED])}{more}"
