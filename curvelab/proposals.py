"""Proposals: new values of settings, computed from the evidence of a run. What remedies of several detectors share.

A proposal is a function (facts, finding) -> changes. Every change goes through `change`, which says where its number
comes from and drops one that is none, is out of bounds or leads the wrong way: then the remedy names no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np

from curvelab.deciding import still_improving, task_judge
from curvelab.facts import Facts
from curvelab.knowledge.setting_bounds import BOUNDS, WHOLE
from curvelab.model.finding import Basis, Change, Finding, Scalar
from curvelab.model.log import Floats
from curvelab.model.percent import percent
from curvelab.signals.level import noise_of
from curvelab.signals.noise import running_median

Propose = Callable[[Facts, Finding], Iterable[Change]]
Applies = Callable[[Facts, Finding], bool]
Way = Literal["up", "down", "any"]

FEWEST_NORMS = 10  # gradient norms that a 90th percentile needs (judgement)
FEWEST_LOSSES = 4  # losses before an onset that tell the good level (judgement)
STILL_RISING = 0.9  # of the peak; a rate below it, but not below the rates before, was on its way up (judgement)
TOO_EARLY = 0.05  # of the peak; a run that broke at a lower rate did not break by its rate (judgement)
ROOM = 1.5  # times the lowest sensible rate, below which a rate is not lowered any further (judgement)
SHORTEST_WARMUP, LONGEST_WARMUP = 0.05, 0.1  # of the steps: axolotl says 5 to 10 %, the Tuning Playbook no more than 10 %
EVALS_WANTED = 15  # evals in a run: one every 5 to 10 % of the steps
NEARLY = 1.2  # times the usual norm: a clip threshold no higher than this is at it already (judgement)
LOGS_WANTED = 300  # points of a curve: 100 to 500 show a fault and its onset (judgement)
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)  # times a power of ten: the steps between evals and logs that people choose


def number(facts: Facts, setting: str) -> float | None:
    """A setting that is a finite number and not a truth value, else None."""
    value = facts.setting(setting)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def change(facts: Facts, setting: str, to: Scalar, basis: Basis, because: str, way: Way = "any") -> Iterator[Change]:
    """The change of a setting to a value, or nothing where that is no change, out of bounds or the wrong way.

    Numbers are given as they are to be shown: round them first (`two_digits`, `round_steps`).
    """
    now = facts.setting(setting)
    value = _fitted(setting, to)
    if isinstance(now, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    known = number(facts, setting)
    wrong = isinstance(value, int | float) and known is not None and (
        (way == "up" and value <= known) or (way == "down" and value >= known)
    )  # fmt: skip
    if value is None or wrong or _same(value, now):
        return
    yield Change(setting=setting, from_=now, to=value, basis=basis, because=because)


def _fitted(setting: str, to: Scalar) -> Scalar:
    """A value as its setting takes it, or None when it is out of bounds."""
    if not isinstance(to, int | float) or isinstance(to, bool):
        return to
    low, high = BOUNDS[setting]
    if not low <= to <= high:
        return None
    return round(to) if setting in WHOLE else to


def _same(value: Scalar, now: object) -> bool:
    """Whether a setting has a value already; `SchedulerType.COSINE` is "cosine"."""
    if isinstance(value, str):
        return str(now).rpartition(".")[2].lower() == value
    return bool(value == now)


def proposes(propose: Propose) -> Applies:
    """For a remedy that makes no sense without a change: whether there is one to propose."""

    def applies(facts: Facts, finding: Finding) -> bool:
        return next(iter(propose(facts, finding)), None) is not None

    return applies


def two_digits(value: float) -> float:
    """0.000133 -> 0.00013, 617 -> 620."""
    return float(f"{value:.2g}")


def round_steps(steps: float) -> int:
    """The number of steps that people would write for this one: 47 -> 50, 27 -> 25, 7.3 -> 7."""
    if steps < 10:
        return max(1, round(steps))
    scale = 10.0 ** math.floor(math.log10(steps))
    nearest = min(ROUND, key=lambda k: abs(math.log(k * scale / steps)))
    return round(nearest * scale)


def scaled(setting: str, factor: float, because: str, basis: Basis = "judgement") -> Propose:
    """Propose the run's own value times a factor; nothing where the log lacks it or it is not above zero."""

    def propose(facts: Facts, finding: Finding) -> Iterator[Change]:
        now = number(facts, setting)
        if now is not None and now > 0:
            to = now * factor if setting in WHOLE else two_digits(now * factor)
            yield from change(facts, setting, to, basis, because, "up" if factor > 1 else "down")

    return propose


def at_least(setting: str, least: float, because: str, *, to: float | None = None, basis: Basis | None = None, unknown: bool = True) -> Propose:
    """Propose `least`, a value of the source, for a setting below it; also where that is not in the log, if `unknown`.

    to     what is taken instead, out of a range that `because` tells: a judgement
    basis  another one than that
    """

    value = least if to is None else to
    stands_on: Basis = basis or ("documented" if to is None else "judgement")

    def propose(facts: Facts, finding: Finding) -> Iterator[Change]:
        now = number(facts, setting)
        if (now is None and unknown and facts.setting(setting) is None) or (now is not None and now < least):
            yield from change(facts, setting, value, stands_on, because, "up")

    return propose


def switched(setting: str, to: bool, because: str, *, basis: Basis = "documented", unknown: bool = True) -> Propose:
    """Propose to switch something on or off; where the log lacks it only if `unknown`."""

    def propose(facts: Facts, finding: Finding) -> Iterator[Change]:
        if unknown or facts.setting(setting) is not None:
            yield from change(facts, setting, to, basis, because)

    return propose


def lower_rate(factor: float, because: str) -> Propose:
    """Propose a lower learning rate, two digits.

    A run that broke while its rate was still rising has shown which rate it bears: that of its last good log is
    measured. Any other gets its own rate over `factor`. None is too low to learn anything at, and where the run broke
    none is higher than an adaptive optimizer is likely to bear.
    """

    def propose(facts: Facts, finding: Finding) -> Iterator[Change]:
        now = number(facts, "learning_rate")
        if now is None or now <= ROOM * facts.lowest_rate:
            return
        borne = _rate_borne(facts, now)
        to = now / factor if borne is None else borne[1]
        if facts.adaptive and facts.broke_at is not None and to > facts.highest_rate:
            said = f"ten times the upper end of the usual rates for {facts.trained}; what broke bears hardly more"
            yield from change(facts, "learning_rate", facts.highest_rate, "judgement", said, "down")
        elif borne is not None:
            said = f"the rate at step {borne[0]}, the last good log; it was still rising to {now:.3g}"
            yield from change(facts, "learning_rate", to, "measured", said, "down")
        elif to >= facts.lowest_rate:
            yield from change(facts, "learning_rate", two_digits(to), "judgement", because, "down")
        else:
            said = f"{because.partition(';')[0]}; no lower than {facts.lowest_rate:.2g}, where little is learned"
            yield from change(facts, "learning_rate", two_digits(facts.lowest_rate), "judgement", said, "down")

    return propose


def _rate_borne(facts: Facts, peak: float) -> tuple[int, float] | None:
    """The last good log before a run broke and the rate at it, two digits rounded down, if that had only risen up to there."""
    rate, step = facts.rate, None if facts.broke_at is None else _last_good(facts, facts.broke_at)
    if step is None or len(rate) < 4 or not rate.step[0] <= step < rate.step[-1]:
        return None
    at = float(np.interp(step, rate.step, rate.value))
    highest = float(rate.value[rate.step <= step].max())
    if at < STILL_RISING * highest or not max(TOO_EARLY * peak, ROOM * facts.lowest_rate) < at < STILL_RISING * peak:
        return None
    scale = 10.0 ** (math.floor(math.log10(at)) - 1)
    return step, two_digits(math.floor(at / scale) * scale)


def _last_good(facts: Facts, onset: int) -> int | None:
    """The last log before an onset whose loss was still at the best level up to then; None with too few logs to tell."""
    before = facts.loss.take(facts.loss.step < onset)
    if len(before) < FEWEST_LOSSES:
        return None
    best = float(running_median(before.value, 3).min())
    good = before.step[before.value <= best + 3 * noise_of(before.value)]
    return int(good[-1]) if len(good) else None


def decay_to_zero(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Propose no weight decay where the run's own cannot be meant (see Facts.absurd_decay)."""
    if facts.absurd_decay is not None:
        said = "a negative decay makes weights grow by themselves" if facts.absurd_decay < 0 else "above 1 weights decay faster than they learn"
        yield from change(facts, "weight_decay", 0.0, "judgement", f"{said}; 0.01 to 0.1 are usual")


def rate_can_fall(facts: Facts, finding: Finding) -> bool:
    """Whether lower learning rates are left to advise: the rate is not at the bottom of the sensible ones, or not known."""
    now = number(facts, "learning_rate")
    return now is None or now > ROOM * facts.lowest_rate


def raise_rate(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Propose three times a learning rate that is below the usual ones, but no less than the lowest of those."""
    now = number(facts, "learning_rate")
    if now is None or now <= 0 or not facts.rate_is_low:
        return
    if 3 * now >= facts.usual_rate:
        yield from change(facts, "learning_rate", two_digits(3 * now), "judgement", "2 to 5x in the source; 3x taken", "up")
    else:
        said = f"the low end of the usual rates for {facts.trained}"
        yield from change(facts, "learning_rate", facts.usual_rate, "documented", said, "up")


def settled_norms(facts: Facts, before: float = math.inf) -> Floats:
    """Finite gradient norms above zero that were logged after warm-up and before a step: float64[n]."""
    norms = facts.finite("train/grad_norm")
    return norms.value[(norms.step >= facts.warmup_end) & (norms.step < before) & (norms.value > 0)]


def clip_at(facts: Facts, norms: Floats, which: str, way: Way) -> Iterator[Change]:
    """Propose the 90th percentile of some norms as the clip threshold (Tuning Playbook); `which` says which they are.

    A threshold of 0 is clipping switched off, and any other is lower than that.
    """
    if len(norms) < FEWEST_NORMS:
        return
    because = f"90th percentile of {len(norms)} {which}"
    usual, now = two_digits(float(np.percentile(norms, 90))), number(facts, "max_grad_norm")
    if now and way == "down" and usual > now / NEARLY:
        return
    yield from change(facts, "max_grad_norm", usual, "measured", because, "any" if now == 0 else way)


def not_clipped(facts: Facts) -> bool:
    """Whether the log says that nothing is clipped (max_grad_norm 0 or null); without the setting Transformers clips at 1."""
    return "max_grad_norm" in facts.run.config and not number(facts, "max_grad_norm")


def warm_up(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Propose a warm-up of 5 % of the steps, or twice the present one up to 10 %; under the flag that the run uses."""
    steps = facts.run.planned_steps or facts.run.last_step or 0
    ratio = number(facts, "warmup_ratio")
    present = facts.warmup_end or number(facts, "warmup_steps") or (ratio or 0.0) * steps
    wanted = min(max(SHORTEST_WARMUP * steps, 2 * present), LONGEST_WARMUP * steps)
    if wanted <= present:
        return
    which = "planned" if facts.run.planned_steps else "logged"
    said = f"{percent(wanted / steps)} of {steps} {which} steps; 5 to 10 % in the source"
    basis: Basis = "judgement" if wanted == 2 * present else "documented"
    if ratio and not number(facts, "warmup_steps"):
        yield from change(facts, "warmup_ratio", two_digits(wanted / steps), basis, said, "up")
    else:
        yield from change(facts, "warmup_steps", two_digits(wanted), basis, said, "up")


def no_longer_than(facts: Facts, step: int, because: str) -> Iterator[Change]:
    """Propose to end the run at a step, in steps or epochs, whichever it was planned in."""
    planned = number(facts, "max_steps")
    known = facts.loss.take(np.isfinite(facts.loss.epoch))
    if planned and planned > 0 and not _planned_in_epochs(facts, planned):
        yield from change(facts, "max_steps", step, "measured", because, "down")
    elif len(known) > 1 and known.step[0] <= step:
        epochs = float(np.interp(step, known.step, known.epoch))
        yield from change(facts, "num_train_epochs", two_digits(epochs), "measured", because, "down")


def _planned_in_epochs(facts: Facts, planned: float) -> bool:
    """Whether max_steps is nothing but the epochs in steps: the state of Transformers' Trainer holds both."""
    epochs, known = number(facts, "num_train_epochs"), facts.loss.take(np.isfinite(facts.loss.epoch))
    if not epochs or not len(known) or known.epoch[-1] <= 0:
        return False
    per_epoch = float(known.step[-1] / known.epoch[-1])
    return abs(epochs * per_epoch - planned) <= 0.01 * planned


def eval_every(facts: Facts) -> Iterator[Change]:
    """Propose evals at regular steps, every 5 to 10 % of the plan, and saves that fall on them where the best is kept."""
    steps = facts.run.planned_steps or facts.run.last_step or 0
    every = round_steps(steps / EVALS_WANTED)
    if steps < EVALS_WANTED:
        return
    which = "planned" if facts.run.planned_steps else "logged"
    said = f"{percent(every / steps)} of {steps} {which} steps"
    regular = tuple(change(facts, "eval_steps", every, "judgement", said, "down" if _evaluates_by_steps(facts) else "any"))
    if _evaluates_by_steps(facts) and not regular:
        return
    yield from change(facts, "eval_strategy", "steps", "documented", "evals at regular step intervals in the source")
    yield from regular
    now = number(facts, "save_steps")
    if facts.setting("load_best_model_at_end") is True and now and now != every:
        yield from change(facts, "save_steps", every, "documented", "load_best_model_at_end keeps the best of the evals that were saved")


def keep_best(facts: Facts, step: int, because: str) -> Iterator[Change]:
    """Propose load_best_model_at_end, by the metric that decides; nothing where that one cannot be named to the trainer.

    step  of the lowest eval loss: a task metric that was clearly better after it decides instead
    """
    better = still_improving(facts, step)
    if better is None:
        yield from change(facts, "load_best_model_at_end", True, "documented", because)
        return
    judge, name = task_judge(facts, step), better[0].removeprefix("eval/")
    dialect = facts.spoken.dialect
    if judge is None or "/" in name or not dialect.arranges or dialect.hides_metrics:
        return
    said = f"{better[0]} still improved after step {step}, where the eval loss was lowest"
    yield from change(facts, "load_best_model_at_end", True, "documented", because)
    yield from change(facts, "metric_for_best_model", f"eval_{name}", "measured", said)
    yield from change(facts, "greater_is_better", judge.greater, "measured", said)


def _evaluates_by_steps(facts: Facts) -> bool:
    return str(facts.setting("eval_strategy")).rpartition(".")[2].lower() == "steps"


def log_every(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Propose logs so frequent that the curve has 100 to 500 points."""
    steps, points = facts.run.planned_steps or facts.run.last_step or 0, facts.run.points
    every = round_steps(steps / LOGS_WANTED)
    said = f"about {steps // max(1, every)} logs of {steps} steps instead of {points}"
    if 0 < points < LOGS_WANTED / 3:
        yield from change(facts, "logging_steps", every, "judgement", said, "down")
