"""For what amount of training a ranking is: runs of other lengths are held against each other where all of them were, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from curvelab.comparing.axes import Place
from curvelab.comparing.choice import Choice
from curvelab.comparing.noise import Noise
from curvelab.comparing.ranking import Unit, Value, ahead, in_order, lead, value_in
from curvelab.comparing.wording import place_text
from curvelab.model.verdicts import AxisName, Common

SAME = 1.1  # times the shortest run that the longest may be to be of one budget (judgement)
Places = Mapping[str, Mapping[AxisName, Place]]


def budget(units: Sequence[Unit], choice: Choice, axis: AxisName, places: Places) -> str:
    """The amount of training in words: "1,000 steps each", or from the shortest to the longest run."""
    ends = _ends(units, choice, axis, places)
    if not ends:
        return ""
    low, high = place_text(axis, min(ends)), place_text(axis, max(ends))
    return f"up to {high}" if max(ends) <= SAME * min(ends) else f"whole runs of different lengths, from {low} to {high}"


def common(units: Sequence[Unit], choice: Choice, noise: Noise, axis: AxisName, places: Places) -> tuple[Common | None, dict[str, float]]:
    """(the ranked runs at the last place that all reached, the value of each there by id); None where all went as far."""
    ends = _ends(units, choice, axis, places)
    if len(units) < 2 or not ends or max(ends) <= SAME * min(ends):
        return None, {}
    shared = min(ends) * (1 + 1e-9)
    there = [replace(unit, values=_values_at(unit, shared, choice, axis, places)) for unit in units]
    if not all(unit.values for unit in there):
        return None, {}
    first, second, *_ = order = in_order(there, choice)
    held = lead(first, second, choice, noise)
    where = place_text(axis, min(ends))
    reached = ", ".join(f"{unit.name} {unit.mean:.4g}" for unit in order[:3]) + (" …" if len(order) > 3 else "")
    if held.real:
        outcome = f"{first.name} is {ahead(held.by, held.noise, held.noise_from, than=second.name)}"
    else:
        outcome = f"no difference beyond noise ({held.by:.2g}; {held.needed:.2g} would be needed)"
    sentence = f"at {where}, the last place that all reached, longer schedules still under way: {reached}, {outcome}"
    values = {value.run: value.value for unit in there for value in unit.values}
    return Common(axis=axis, at=min(ends), order=tuple(one.number for one in order), lead=held, sentence=sentence), values


def _ends(units: Sequence[Unit], choice: Choice, axis: AxisName, places: Places) -> list[float]:
    """The last place of the metric of each ranked run."""
    lines = [(one, one.line(choice.metric)) for unit in units for one in unit.ranked]
    return [float(places[one.id][axis](line.step[-1:].astype(np.float64))[0]) for one, line in lines if len(line)]


def _values_at(unit: Unit, shared: float, choice: Choice, axis: AxisName, places: Places) -> tuple[Value, ...]:
    found = []
    for one, whole in zip(unit.ranked, unit.values, strict=True):
        line = one.line(choice.metric)
        value = value_in(line.take(places[one.id][axis](line.step.astype(np.float64)) <= shared), choice)
        if value is not None:  # the noise of its evals is better known from all of them
            found.append(replace(value, run=one.id, noise=min(value.noise, whole.noise)))
    return tuple(found)
