"""What a fault cost, in words: wasted steps, steps done twice, steps lost, time lost."""

from __future__ import annotations

from curvelab.model.result import Diagnosis, Toll, Waste
from curvelab.report import numerals
from curvelab.report.numerals import count, percent, plural
from curvelab.report.plain import clean

LEAST = 0.005  # of the run: less is nothing that was wasted
_SINCE = {  # what made a step the last useful one, by the pattern that says so
    "overfitting": "the best eval",
    "plateau": "the loss stopped improving",
    "schedule-anomaly": "the learning rate is zero",
}


def wasted(diagnosis: Diagnosis) -> str:
    """What came after the last useful step, and what it cost, or an empty string."""
    waste = _worth_telling(diagnosis)
    if waste is None:
        return ""
    parts = [plural(waste.steps, "step"), *_share(diagnosis, waste), *spent(waste.seconds, waste.gpu_hours, waste.money)]
    parts += [f"{numerals.value(waste.tokens)} tokens"] if waste.tokens is not None else []
    after = _SINCE.get(waste.why) or clean(waste.why, 60) or "the last useful one"
    return f"{', '.join(parts)} after step {count(waste.since_step)} ({after}){_reckoned(diagnosis)}"


def in_short(diagnosis: Diagnosis, start: int | None) -> str:
    """The cost as a clause of the verdict; `start` is the step that the verdict names, None where it names none."""
    waste = _worth_telling(diagnosis)
    if waste is not None:
        place = "it" if waste.since_step == start else f"step {count(waste.since_step)}"
        told = [*_share(diagnosis, waste), *spent(waste.seconds, waste.gpu_hours, waste.money)]
        about = f" ({', '.join(told)})" if told else ""
        one = waste.steps == 1
        return f"the {'one step' if one else plural(waste.steps, 'step')} after {place}{about} {'was' if one else 'were'} wasted"
    if diagnosis.toll is not None:
        return toll(diagnosis.toll)
    return "what it cost is not known"


def toll(one: Toll) -> str:
    """ "46 steps were done twice (3 s)"."""
    told = spent(one.seconds, one.gpu_hours, one.money)
    about = f" ({', '.join(told)})" if told else ""
    were = "was" if one.steps == 1 else "were"
    if one.kind == "slowed":
        return f"it took {', '.join(told)} more than at the speed before"
    if one.kind == "repeated":
        return f"{plural(one.steps or 0, 'step')} {were} done twice{about}"
    if one.since_step is None:
        return f"nothing was saved, so {'all ' if one.steps != 1 else ''}{plural(one.steps or 0, 'step')} {were} lost{about}"
    return f"the {plural(one.steps or 0, 'step')} after the last checkpoint (step {count(one.since_step)}) {were} lost{about}"


def spent(seconds: float | None, gpu_hours: float | None, money: float | None) -> list[str]:
    """Time, GPU-hours and money, as far as they are known."""
    parts = [] if seconds is None else [numerals.duration(seconds)]
    parts += [] if gpu_hours is None else [f"{numerals.value(float(f'{gpu_hours:.3g}'))} GPU-hours"]
    return parts + ([] if money is None else [f"a cost of {numerals.money(money)}"])


def _worth_telling(diagnosis: Diagnosis) -> Waste | None:
    waste = diagnosis.wasted
    if waste is None or waste.steps <= 0 or (waste.share is not None and waste.share < LEAST):
        return None
    return waste


def _share(diagnosis: Diagnosis, waste: Waste) -> list[str]:
    share = waste.share
    if share is None and diagnosis.last_step:
        share = waste.steps / diagnosis.last_step
    return [] if share is None else [f"{percent(round(share, 2))} of the run"]


def _reckoned(diagnosis: Diagnosis) -> str:
    """What the cost was reckoned with: GPUs and where they were read, the price; an empty string where neither counts."""
    waste = diagnosis.wasted
    if waste is None or waste.gpus is None or waste.gpu_hours is None:
        return ""
    price = "" if waste.price is None else f" at {numerals.money(waste.price)} an hour"
    return f"; {plural(waste.gpus, 'GPU')}{price} ({clean(waste.gpus_from, 120)})"
