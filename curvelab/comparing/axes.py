"""By what runs are aligned: steps, unless they are not the same amount of training in all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from curvelab.clock import clock_of, tokens_seen
from curvelab.comparing.batches import measured_batch, whole
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.wording import names
from curvelab.model.comparison import AXES, Axis
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.log import Floats
from curvelab.model.run import Curve
from curvelab.model.verdicts import AxisName

PACE = 0.1  # by which the sizes of an epoch may differ and still be of one data set (judgement)
KNOTS = 64  # steps between which wall time is taken to run evenly
Place = Callable[[Floats], Floats]  # steps float64[n] -> places on an axis float64[n]


def align(entrants: Sequence[Entrant], by: str | None) -> tuple[Axis, dict[str, dict[AxisName, Place]]]:
    """The axis, and for each run (by id) how its steps are laid on every axis that all runs have.

    Raises UsageError for an axis that does not exist or that not all runs can be laid on.
    """
    if by is not None and by not in AXES:
        raise UsageError(f'--align takes {", ".join(AXES)}, not "{by}"{did_you_mean(by, AXES)}')
    places = {one.id: _places(one) for one in entrants}
    possible = tuple(axis for axis in AXES if all(axis in places[one.id] for one in entrants))
    if _unsure(entrants):
        possible = tuple(axis for axis in possible if axis != "samples")
    if by is not None and by not in possible:
        missing = [one.name for one in entrants if by not in places[one.id]]
        raise UsageError(f"--align {by}: the log of {missing[0]} does not tell it; possible: {', '.join(possible)}")
    name, reason = (by, f"by {by}, as asked for") if by is not None else _chosen(entrants, possible)
    chosen = next(axis for axis in AXES if axis == name)
    ordered = (chosen, *(axis for axis in possible if axis != chosen))
    kept = {id_: {axis: mine[axis] for axis in ordered} for id_, mine in places.items()}
    return Axis(name=chosen, reason=reason, possible=ordered, withheld=_withheld(entrants, places, ordered)), kept


def _withheld(
    entrants: Sequence[Entrant], places: Mapping[str, Mapping[AxisName, Place]], possible: Sequence[AxisName]
) -> dict[str, str]:
    """Why the runs cannot be laid on an axis, for each on which they cannot."""
    found = {}
    for axis in AXES:
        if axis not in possible:
            without = [one.name for one in entrants if axis not in places[one.id]]
            told = "no log tells it" if len(without) == len(entrants) else f"not told by the log of {names(without)}"
            found[str(axis)] = told if without else _unsure(entrants)
    return found


def _chosen(entrants: Sequence[Entrant], possible: Sequence[AxisName]) -> tuple[AxisName, str]:
    """The axis on which equal places are equal amounts of training, and why."""
    batches = {one.batch for one in entrants}
    unsure = _unsure(entrants)
    lengths = {one.facts.setting("max_length") or one.facts.setting("max_seq_length") for one in entrants}
    if len(lengths - {None}) > 1 and "tokens" in possible:
        return "tokens", "by tokens: the sequence lengths differ, so a step is not the same amount of text in all runs"
    if unsure and "tokens" in possible:
        return "tokens", f"by tokens: {unsure}"
    if unsure:
        return _fallback([axis for axis in possible if axis != "samples"], unsure)
    if len(batches) == 1:
        (batch,) = batches
        if batch is None:
            return "step", "by step: no log tells the batch size, so steps are taken to be alike"
        sure = all(one.batch_is_sure for one in entrants)
        if len(lengths - {None}) > 1:
            told = ", ".join(str(one) for one in lengths if one is not None)
            return "step", f"by step, though the sequence lengths differ ({told}) and no log counts tokens: a step is not the same amount of text"
        each = "" if sure else " on each device, and no log tells of more devices or of accumulation"
        return "step", f"by step: every run takes {batch:,} samples a step{each}"
    if None in batches:
        return _without_batches(possible)
    told = ", ".join(f"{batch:,}" for batch in sorted(batch for batch in batches if batch is not None)[:4])
    why = f"the batch sizes differ ({told}{', …' if len(batches) > 4 else ''} samples a step), so steps are not comparable"
    for axis in ("tokens", "samples"):
        if axis in possible:
            return axis, f"by {axis}: {why}"
    return _fallback(possible, why)


def _unsure(entrants: Sequence[Entrant]) -> str:
    """Why the told batches are not to be believed: some tell their devices and others do not, or bare logs tell that of one
    device, and epochs pass at another pace."""
    batches = {one.batch for one in entrants if one.batch is not None}
    devices = [whole(one.facts.setting("world_size")) or whole(one.facts.setting("n_gpu")) for one in entrants]
    measured = all(measured_batch(one.facts) is not None for one in entrants)
    if len(batches) > 1 and None in devices and any(count is not None and count > 1 for count in devices) and not measured:
        return "not every log tells its number of devices, so the batch sizes are not known"
    doubted = [one for one in entrants if one.batch is not None and not one.batch_is_sure]
    sizes = [one.batch * steps for one in entrants if one.batch is not None and (steps := _steps_an_epoch(one)) is not None]
    if not doubted or len(sizes) < 2 or max(sizes) <= min(sizes) * (1 + PACE):
        return ""
    return "the logs tell the batch of one device only, and the epochs do not pass as fast as those batches would have them"


def _steps_an_epoch(one: Entrant) -> float | None:
    known = _epochs(one)
    if known is None:
        return None
    steps, epochs = known
    return float(np.ptp(steps) / np.ptp(epochs))


def _without_batches(possible: Sequence[AxisName]) -> tuple[AxisName, str]:
    why = "not every log tells the batch size, so steps may not be comparable"
    return ("tokens", f"by tokens: {why}") if "tokens" in possible else _fallback(possible, why)


def _fallback(possible: Sequence[AxisName], why: str) -> tuple[AxisName, str]:
    if "epoch" in possible:
        return "epoch", f"by epoch: {why}"
    return ("time", f"by time: {why}") if "time" in possible else ("step", f"by step for want of better: {why}")


def _places(one: Entrant) -> dict[AxisName, Place]:
    """How the steps of a run are laid on each axis that its log knows."""
    found: dict[AxisName, Place] = {"step": lambda steps: steps}
    epochs = _epochs(one)
    if epochs is not None:
        found["epoch"] = _between(*epochs)
    tokens = tokens_seen(one.facts)
    if tokens is not None:
        found["tokens"] = _between(*tokens)
    if (batch := one.batch) is not None:  # (see `_unsure` for when it is not believed)
        found["samples"] = lambda steps: steps * batch
    clock = clock_of(one.facts)
    if clock is not None:
        first = min(0, one.run.first_step or 0) if not one.facts.resumed else (one.run.first_step or 0)
        whole = clock.after(first)
        knots = np.unique(np.linspace(first, one.run.last_step or first, KNOTS).astype(np.int64))
        spent = np.array([whole - clock.after(int(step)) for step in knots])
        found["time"] = _between(knots.astype(np.float64), np.maximum.accumulate(spent))
    return found


def _epochs(one: Entrant) -> tuple[Floats, Floats] | None:
    """(step, epoch) of the metric with the most known epochs; None where none is known."""
    metrics = [metric for metric in one.run.metrics if metric.startswith(("train/", "eval/"))]
    curves = [known for metric in metrics if len(known := _with_epochs(one.run.curve(metric))) > 1]
    best = max(curves, key=len, default=None)
    if best is None or np.ptp(best.epoch) <= 0:
        return None
    return best.step.astype(np.float64), np.maximum.accumulate(best.epoch)


def _with_epochs(curve: Curve) -> Curve:
    return curve.take(np.isfinite(curve.epoch))


def _between(at: Floats, value: Floats) -> Place:
    """Linear between known places, and on at the last pace beyond them."""

    def place(steps: Floats) -> Floats:
        inside = np.interp(steps, at, value)
        pace = (value[-1] - value[0]) / (at[-1] - at[0]) if at[-1] > at[0] else 0.0
        beyond = np.where(steps > at[-1], (steps - at[-1]) * pace, np.where(steps < at[0], (steps - at[0]) * pace, 0.0))
        moved: Floats = np.maximum(inside + beyond, 0.0)
        return moved

    return place
