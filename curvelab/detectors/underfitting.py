"""The loss barely falls: it ends near where it began, or near the level of guessing.

What
----
The train loss falls by a few percent at most over a run that is long enough to tell, noise included, and eval does not
say otherwise. Or it ends close to ln(vocabulary), the loss of a model that guesses, and no longer falls.

Why
---
The model has learned next to nothing: a learning rate that is far too low, nothing to train (frozen weights, wrong
adapters), or labels that carry no information.

Look-alikes
-----------
A short run that is still falling fast. A run that was resumed from a good checkpoint and has little left to gain: its
loss is far below the level of guessing. A diverged run. A loss that is summed over the micro-batches, and lies near the
level of guessing by chance.

When it is wrong
----------------
When fine-tuning starts from a model that already knows the task; without the vocabulary size in the log this cannot be
told apart, and the confidence is lower.

Sources
-------
definition of the pattern; Google, Deep Learning Tuning Playbook; TRL docs, LoRA Without Regret.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.proposals import number, raise_rate, scaled
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.decline import ONE_SIDED, share_seen, usual_fall, widened
from curvelab.signals.level import MEDIAN_COST, noise_of
from curvelab.signals.noise import block_medians, step_noise

BLOCKS = 6  # stretches whose medians are compared: long enough to pass over the noise
LOWEST = 2.0  # standard errors: the lowest of six lies 1.3 of them low by chance alone
PACE = 2 / 3  # of the fall of a run that learned: in a third of the run alone that is full speed (judgement)
BARELY = 0.2  # of the starting loss: one that fell by no more has stayed where it was (judgement)
HIGHEST_START = 1.2  # times ln(vocabulary): an untrained model begins at about it (judgement)


@dataclass(frozen=True)
class Thresholds:
    fall: float = threshold(
        0.03, unit="of the starting loss", low=0.0, high=1.0, source="judgement",
        meaning="a run that fell by less, its uncertainty included, has barely learned",
    )  # fmt: skip
    doubt: float = threshold(
        0.08, unit="of the starting loss", low=0.0, high=1.0, source="judgement: a run that learns falls by a tenth and more",
        meaning="largest fall that the noise may hide (one-sided 95 %)",
    )  # fmt: skip
    chance: float = threshold(
        0.85, unit="of ln(vocabulary)", low=0.0, high=1.0, source="judgement: a model that guesses has a loss of ln(V)",
        meaning="a loss that ends above this is near the level of guessing",
    )  # fmt: skip
    points: float = threshold(
        24, unit="logs", low=4, high=1e6, source="judgement",
        meaning="a shorter run may still be falling fast",
    )  # fmt: skip


FALLING = 0.5  # of the whole fall that must lie in the second half of a run that still falls (judgement)
LEAST = 0.005  # of the starting loss: with a smaller fall in that half, more steps of the kind lead nowhere (judgement)


def _too_short(facts: Facts, finding: Finding) -> bool:
    """Whether the plan was carried out, the loss still falls, and half of its fall or more came in the second half."""
    if facts.falling is None or not facts.carried_out:
        return False
    first, middle, last = (float(np.median(part)) for part in np.array_split(facts.loss_levels.value, 3))
    return middle - last >= max(FALLING * (first - last), LEAST * abs(first))


def _longer(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Twice the steps, under the setting that the run was planned with."""
    planned = "max_steps" if (number(facts, "max_steps") or 0) > 0 else "num_train_epochs"
    yield from scaled(planned, 2, "twice the run's own; the loss was still falling at its end")(facts, finding)


REMEDIES = (
    Remedy(
        title="Raise {flag_learning_rate} towards the usual range (1e-5 to 5e-5 for full fine-tuning, 1e-4 to 3e-4 for LoRA)",
        why="The loss went from {start_loss:.4g} to {end_loss:.4g} in the whole run, at a rate that is not known to be in the usual range.",
        when_not="The loss is at the level of guessing although the rate is in the usual range: then look at the labels.",
        cost="rerun",
        source=("axolotl-stability", "unsloth-lora"),
        propose=raise_rate,
        applies=lambda facts, finding: facts.rate_is_low,
        causes=("rate-too-low",),
    ),
    Remedy(
        title="Check what trains: number of trainable parameters, LoRA on all linear layers, the label mask",
        why="A model whose weights cannot move ends where it began.",
        when_not="The same set-up trained well before.",
        cost="none",
        source=("trl-lora", "judgement"),
    ),
    Remedy(
        title="Train for more steps",
        why="Much of what was learned was learned in the second half: the loss had not had the time.",
        when_not="A higher learning rate gets there in the same time.",
        cost="resume",
        source="playbook",
        propose=_longer,
        applies=_too_short,
        causes=("too-short",),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        n = 120
        loss = 5.4 - 0.02 * np.arange(n) / n
        config = {}
        if name == "learns":
            loss = synth.decay(n, 3.0, 2.4)
        elif name == "at chance":
            loss, config = 5.55 + 5 * np.exp(-np.arange(n) / 4), {"vocab_size": 260}
        elif name == "too short":
            loss = loss[:14]
        return synth.run_of(loss + synth.noise(len(loss), 0.02, seed=14), config=config)

    return Example(name, build, fires=fires, onset=(0, 60) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Underfitting",
    kind="curve",
    needs={"train/loss": 6},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("barely falls", True),
        _example("at chance", True),
        _example("learns", False),
        _example("too short", False),
    ),
    yields_to=("vanishing-gradients", "non-finite", "divergence"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable("the loss changes sign: it has no level (policy-gradient losses do)")
    if facts.preference:
        raise NotApplicable("a preference loss begins at ln 2 and is judged by its rewards")
    if facts.resumed:
        raise NotApplicable("the log begins far from step 0: what was learned before is not in it")
    n = len(facts.loss_levels)
    if n < limits.points:
        raise NotApplicable(f"train/loss has {n} measured points, {limits.points:.0f} are needed")
    fall = _fall_of(facts)
    chance = _share_of_chance(facts, fall.end)
    guessing = chance is not None and limits.chance <= chance <= 1.1 and not _no_guess(facts, limits)
    barely = fall.share <= limits.fall and max(0.0, fall.share) + fall.unsure <= limits.doubt
    if fall.diverged or (not guessing and _eval_learned(facts, limits)):
        return
    if guessing or barely:
        yield _finding(facts, fall, chance, guessing, limits)
    elif fall.share - fall.unsure <= limits.fall and fall.share + fall.unsure > limits.doubt:
        raise NotApplicable(f"too noisy to tell: the noise hides a fall of up to {percent(fall.share + fall.unsure, '.1%')} of the starting loss")


def _finding(facts: Facts, fall: Fall, chance: float | None, guessing: bool, limits: Thresholds) -> Finding:
    step = facts.loss_levels.step
    return Finding(
        severity="warning",
        confidence=(0.85 if guessing else 0.65) - (0.1 if len(step) < 50 else 0.0),
        metric="train/loss",
        headline=_guessed(fall, chance) if guessing and chance is not None else _fell(fall),
        start_step=int(step[0]),
        end_step=int(step[-1]),
        measured=(
            Measured(name="start_loss", value=fall.start),
            Measured(name="end_loss", value=fall.end),
            Measured(name="fall", value=fall.told, unit="of the starting loss"),
            *_criterion(fall, chance, guessing, limits),
        ),
        evidence=(
            Span(metric="train/loss", start_step=int(step[0]), end_step=int(step[-1]), label="at the level of guessing" if guessing else "barely falls"),
            Level(metric="train/loss", value=fall.start, label=f"start {fall.start:.4g}"),
        ),
    )  # fmt: skip


def _criterion(fall: Fall, chance: float | None, guessing: bool, limits: Thresholds) -> Iterator[Measured]:
    """The number that decided, held against its threshold."""
    of_chance = Measured(
        name="share_of_chance", value=chance or 0.0, unit="of ln(vocabulary)",
        threshold=limits.chance if guessing else None, setting="underfitting.chance" if guessing else None, fires="above",
    )  # fmt: skip
    if not guessing:
        yield Measured(
            name="fall_beyond_noise", value=max(0.0, fall.share), unit="of the starting loss",
            threshold=limits.fall, setting="underfitting.fall", fires="below",
        )  # fmt: skip
    if chance is not None:
        yield of_chance


def _guessed(fall: Fall, chance: float) -> str:
    """The headline of a run whose loss is that of a model that guesses."""
    stayed = "stayed near" if abs(fall.told) <= BARELY else "ends near"
    return f"train/loss {stayed} the level of guessing: {fall.end:.4g}, {percent(chance)} of ln(vocabulary); it began at {fall.start:.4g}"


def _fell(fall: Fall) -> str:
    """The headline of a run whose loss hardly moved: start, end, and the share that is between these two."""
    if f"{fall.start:.4g}" == f"{fall.end:.4g}":
        return f"train/loss did not fall: it began and ends at {fall.end:.4g}"
    way = f"from {fall.start:.4g} to {fall.end:.4g}"
    if fall.told < 0:
        return f"train/loss did not fall: it went {way}, a rise of {percent(-fall.told, '.1%')}"
    return f"train/loss fell by only {percent(fall.told, '.1%')}, {way}"


@dataclass(frozen=True)
class Fall:
    """What a loss did from its `start` to its `end`.

    share, unsure  of its first level: what it fell by as far as the noise lets it be seen, unsure by so much (95 %)
    """

    start: float
    end: float
    share: float
    unsure: float
    diverged: bool

    @property
    def told(self) -> float:
        """The fall from `start` to `end`, as a share of `start`; negative for a rise."""
        return 1 - self.end / self.start


def _fall_of(facts: Facts) -> Fall:
    step, value = facts.loss_levels.step, facts.loss_levels.value
    width = max(3, len(value) // 10)
    first, end = float(np.median(value[:width])), float(np.median(value[-width:]))
    if first <= 0:
        raise NotApplicable("the loss is zero from the start: nothing is left to learn")
    seen, noise = share_seen(usual_fall(step.astype(np.float64)), value), noise_of(value)
    start = facts.start_level if facts.start_level > first + 3 * noise else first  # one noisy first point is no level
    return Fall(
        start=start,
        end=end,
        share=max(seen.decline, start - first, _fallen_between(value, first, noise, width)) / first,
        unsure=ONE_SIDED * widened(len(value)) * seen.decline_error / first,
        diverged=end > first + max(0.1 * first, 4 * MEDIAN_COST * noise * math.sqrt(2 / width)),
    )


def _fallen_between(value: np.ndarray, first: float, noise: float, width: int) -> float:
    """How far below its first level the loss surely was on the way, in its own unit: what came back was learned all the same."""
    best = float(block_medians(value, BLOCKS)[1].min())
    error = MEDIAN_COST * noise * math.sqrt(1 / width + BLOCKS / len(value))
    return first - best - LOWEST * error


def _share_of_chance(facts: Facts, level: float) -> float | None:
    """The level as a share of ln(vocabulary), the loss of guessing; None when the vocabulary is not in the log."""
    size = facts.setting("vocab_size")
    return level / math.log(size) if isinstance(size, int) and size > 2 else None


def _no_guess(facts: Facts, limits: Thresholds) -> bool:
    """Whether the loss is on its way from the level of guessing: its last third alone falls by most of what counts as learning.

    Or whether that level is no guess: with accumulation, some loggers sum the loss over the micro-batches.
    """
    step, value = facts.loss_levels.step, facts.loss_levels.value
    late = step >= step[-1] - (step[-1] - step[0]) / 3
    if late.sum() < 4:
        return False
    line = share_seen(step[late].astype(np.float64), value[late])
    if line.decline > max(PACE * limits.fall * float(np.median(value[late])), ONE_SIDED * line.decline_error):
        return True
    summed = facts.setting("gradient_accumulation_steps")
    above = _share_of_chance(facts, facts.start_level)
    return isinstance(summed, int) and summed > 1 and above is not None and above > HIGHEST_START


def _eval_learned(facts: Facts, limits: Thresholds) -> bool:
    """Whether the eval loss fell clearly more than the train loss did: from its first to the later half of its values."""
    evals = facts.eval_loss.value
    if len(evals) < 3 or evals[0] <= 0:
        return False
    later = evals[len(evals) // 2 :]
    unsure = ONE_SIDED * step_noise(evals) * math.sqrt(1 + MEDIAN_COST**2 / len(later))
    return float(evals[0] - np.median(later)) - unsure > 1.5 * limits.fall * float(evals[0])
