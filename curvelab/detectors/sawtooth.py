"""Sustained large oscillation of the train loss: teeth with a period, or waves far beyond the noise.

What
----
Either the detrended train loss after warm-up repeats itself: one period's folded shape explains a good part of its
variance. Or train loss and eval loss both swing up and down again and again, far beyond mini-batch noise.

Why
---
The optimizer is thrown about instead of descending: a learning rate that overshoots, cyclic restarts, or data that come
in unshuffled shards. Where the run stops on such a curve is luck.

Look-alikes
-----------
Ordinary noise of small batches. The staircase at epoch boundaries. The last, shorter logging window of an epoch under
gradient accumulation, a periodic fake dip of a single point.

When it is wrong
----------------
Length-grouped batches (group_by_length) and planned restarts of the learning rate give real, harmless teeth. Very small
classification sets are noisy in eval, too.

Sources
-------
definition of the pattern; fast.ai, Can LLMs learn from a single example? (2023-09-04) for the look-alikes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve
from curvelab.proposals import change, lower_rate, rate_can_fall, switched
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.episodes import zigzag_legs
from curvelab.signals.noise import sigma_of, step_noise
from curvelab.signals.periodicity import Period, best_period, detrended

DIPS = 0.12  # share of the points; more single low points than that are teeth (judgement)
LONG = 3000  # points; a longer loss is looked at in blocks, and whole in its middle (judgement)
STAIRS = 1.3  # falls of a period: teeth no higher only step down (measured: staircases 0.3 to 1.1, cyclic rates 1.8)


@dataclass(frozen=True)
class Thresholds:
    explained: float = threshold(
        0.37, unit="of the variance", low=0.05, high=1.0, source="measured: trained runs without teeth stay below 0.33",
        meaning="share of the detrended loss that the folded period explains, beyond chance",
    )  # fmt: skip
    with_cyclic_rate: float = threshold(
        0.25, unit="of the variance", low=0.05, high=1.0, source="judgement: a cyclic rate is evidence of its own",
        meaning="the same share when the logged learning rate goes up again and again",
    )  # fmt: skip
    swing: float = threshold(
        0.15, unit="of the level", low=0.01, high=10.0, source="judgement",
        meaning="how far the eval loss must move to count as a swing",
    )  # fmt: skip
    swings: float = threshold(
        4, unit="turns", low=2, high=1000, source="judgement: two full waves",
        meaning="how often the eval loss must swing the other way",
    )  # fmt: skip
    scatter: float = threshold(
        0.3, unit="of the level", low=0.01, high=10.0, source="judgement",
        meaning="scatter of the train loss that goes with the swings of eval",
    )  # fmt: skip


def _one_decay(facts: Facts, finding: Finding) -> Iterator[Change]:
    """A scheduler that is called so already was replaced in code: then there is no setting to change."""
    if str(facts.setting("lr_scheduler_type")).rpartition(".")[2].lower() not in ("cosine", "linear", "constant"):
        yield from change(facts, "lr_scheduler_type", "cosine", "judgement", "the logged rate rises again and again; one decay does not")


def _cyclic(facts: Facts, finding: Finding | None = None) -> bool:
    """Whether the logged learning rate goes up again and again."""
    rate = facts.rate.value[facts.rate.step >= facts.warmup_end]
    return len(rate) > 8 and zigzag_legs(rate + 1e-300, 0.2) >= 4


def _by_the_data(facts: Facts, finding: Finding) -> bool:
    return not _cyclic(facts) and any(m.name == "period" for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Replace the cyclic learning rate by one decay ({flag_lr_scheduler_type}), or lower its peak",
        why="The teeth follow the learning rate, which rises again and again.",
        when_not="The restarts are wanted and checkpoints are taken at the bottoms.",
        cost="rerun",
        source="judgement",
        propose=_one_decay,
        applies=_cyclic,
        causes=("rate-restarts",),
    ),
    Remedy(
        title="Shuffle the training data across shards; look at {flag_group_by_length}",
        why="A period of {period:.0f} steps without a cyclic learning rate means that the order of the data repeats.",
        when_not="Batches are grouped by length on purpose: then the teeth are harmless.",
        cost="rerun",
        source="judgement",
        propose=switched("group_by_length", False, "batches of like length come in an order of their own", basis="judgement", unknown=False),
        applies=_by_the_data,
        causes=("shards", "epoch-order", "length-groups"),
    ),
    Remedy(
        title="Lower {flag_learning_rate} by 2 to 5x",
        why="A rate that overshoots throws the loss about its minimum.",
        when_not="The teeth have the period of the data or of the schedule.",
        cost="rerun",
        source="axolotl-stability",
        propose=lower_rate(3, "2 to 5x in the source for unstable runs; 3x taken"),
        alternative=True,
        causes=("rate-too-high", "rate-restarts"),
        applies=rate_can_fall,
    ),
)  # fmt: skip


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        n = 240
        loss = synth.decay(n) + synth.noise(n, 0.05, seed=8)
        rate = synth.cosine(n)
        if name == "triangular teeth":
            loss += 0.3 * np.abs((np.arange(n) / 20) % 2 - 1)
        elif name == "small teeth in the noise":
            loss += 0.06 * np.abs((np.arange(n) / 20) % 2 - 1)
        elif name == "staircase":
            loss = 3 * 0.85 ** np.floor(np.arange(n) / 40) + synth.noise(n, 0.02, seed=8)
        return synth.run_of(loss, rate=rate)

    return Example(name, build, fires=fires, onset=(10, 300) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Sawtooth",
    kind="curve",
    needs={"train/loss": 24},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("triangular teeth", True),
        _example("small teeth in the noise", False),
        _example("plain noise", False),
        _example("staircase", False),
    ),
    yields_to=("divergence", "non-finite"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable("the loss changes sign: it has no level (policy-gradient losses do)")
    loss = facts.settled
    if len(loss) < 24:
        raise NotApplicable(f"{len(loss)} points after warm-up, 24 are needed")
    yield from _teeth(facts, loss, limits) or _waves(facts, loss, limits)


def _teeth(facts: Facts, loss: Curve, limits: Thresholds) -> list[Finding]:
    """Regular teeth: a period that explains the detrended loss, on the linear or the logarithmic scale."""
    period = _period(loss)
    cyclic = _cyclic(facts)
    needed = limits.explained + _doubt(len(loss)) if not cyclic else limits.with_cyclic_rate
    if period is None or period.explained < needed or _only_falls(loss.value, period):
        return []
    spacing = float(np.median(np.diff(loss.step)))
    steps = period.length * spacing
    start = int(loss.step[0])
    size = period.amplitude / abs(float(np.median(loss.value)))
    why = "; the learning rate is cyclic" if cyclic else ""
    return [
        Finding(
            severity="warning",
            confidence=0.6 + 0.35 * min(1.0, (period.explained - limits.explained) / 0.25),
            metric="train/loss",
            headline=f"train/loss has teeth with a period of about {steps:.0f} steps, which explain {percent(period.explained)} of its movement{why}",
            start_step=start,
            end_step=int(loss.step[-1]),
            measured=(
                Measured(name="period", value=steps, unit="steps"),
                Measured(name="explained", value=period.explained, unit="of the variance", threshold=limits.explained, setting="sawtooth.explained"),
                Measured(name="amplitude", value=size, unit="of the level"),
            ),
            evidence=(Span(metric="train/loss", start_step=start, end_step=int(loss.step[-1]), label=f"period {steps:.0f} steps"),),
        )
    ]  # fmt: skip


def _period(loss: Curve) -> Period | None:
    """The period that explains most of a loss. Of a long one, slow teeth are sought in medians of blocks, fast ones in its middle."""
    value = _without_fake_dips(loss.value)
    size = block_size(len(value), LONG)
    middle = (len(value) - LONG) // 2
    found = [p for p in (_best(coarse(value, size), size), _best(value[middle : middle + LONG], 1) if size > 1 else None) if p]
    return max(found, key=lambda p: p.explained, default=None)


def _best(value: np.ndarray, size: int) -> Period | None:
    """The best period on the linear or the logarithmic scale, in points; a value stands for `size` points."""
    scales = [value, np.log(value)] if value.min() > 0 else [value]
    found = [p for p in (best_period(detrended(values)) for values in scales) if p is not None]
    if not found:
        return None
    best = max(found, key=lambda p: p.explained)
    return Period(size * best.length, best.explained, found[0].amplitude)


def _only_falls(value: np.ndarray, period: Period) -> bool:
    """Whether the teeth are the steps of a falling staircase: no higher than the loss falls in a period or so.

    A staircase without its trend has teeth as well; the epochs of a run that memorises make one.
    """
    part = max(1, len(value) // 8)
    fall = float(np.median(value[:part])) - float(np.median(value[-part:]))
    return period.amplitude <= STAIRS * fall * period.length / (len(value) - part)


def _without_fake_dips(value: np.ndarray) -> np.ndarray:
    """Single low points are levelled: under gradient accumulation an epoch's last logging window is shorter, and dips."""
    inner = value[1:-1]
    lower = np.minimum(value[:-2], value[2:])
    dips = np.flatnonzero(lower - inner > 3 * step_noise(value)) + 1
    if not len(dips) or len(dips) > DIPS * len(value):
        return value
    levelled = value.copy()
    levelled[dips] = (value[dips - 1] + value[dips + 1]) / 2
    return levelled


def _doubt(n: int) -> float:
    """A short curve folds well by chance: what its best period explains beyond that must be more."""
    return 8.0 / n


def _waves(facts: Facts, loss: Curve, limits: Thresholds) -> list[Finding]:
    """Irregular waves: eval swings up and down while train scatters widely."""
    evals = facts.eval_loss
    if len(evals) < 6 or evals.value.min() <= 0:
        return []
    turns = zigzag_legs(evals.value, limits.swing)
    later = loss.value[len(loss) // 3 :]
    scatter = sigma_of(detrended(loss.value)[len(loss) // 3 :]) / max(abs(float(np.median(later))), 1e-300)
    if turns < limits.swings or scatter < limits.scatter:
        return []
    start = int(loss.step[np.argmax(loss.value <= float(np.median(later)))])  # before that it only fell
    return [
        Finding(
            severity="warning",
            confidence=0.55 + 0.1 * min(3, turns - limits.swings),
            metric="train/loss",
            headline=f"train/loss swings by {percent(scatter)} of its level and {evals.metric} turned {turns} times",
            start_step=start,
            end_step=int(loss.step[-1]),
            measured=(
                Measured(name="scatter", value=scatter, unit="of the level", threshold=limits.scatter, setting="sawtooth.scatter"),
                Measured(name="turns", value=float(turns), unit="turns of eval", threshold=limits.swings, setting="sawtooth.swings"),
            ),
            evidence=(Span(metric="train/loss", start_step=start, end_step=int(loss.step[-1]), label="swings"),),
        )
    ]  # fmt: skip
