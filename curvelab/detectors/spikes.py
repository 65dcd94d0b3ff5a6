"""Isolated jumps of the train loss that recover within a few logs.

What
----
Single points or short episodes that stand far above the local level and come back: about twice the level, or beyond six
robust sigmas of the local noise and at least a quarter above the level. One finding lists every episode.

Why
---
A spike is a step in a bad direction, usually from a broken or very unlike batch. One that recovers costs little; repeated
ones waste steps, wear out the optimizer's statistics, and announce divergence.

Look-alikes
-----------
The first steps and warm-up. The heavy tail of tiny batches, where single losses at twice the mean are normal. The jump at
the seam of a resumed run. Teeth that come back regularly (sawtooth).

When it is wrong
----------------
Where a log holds one point per hundreds of steps: shorter spikes are averaged away, and a point that stands out may be
anything. Near a loss of zero the relative height means little, so the noise decides there.

Sources
-------
PaLM, arXiv 2204.02311 section 5.1; ZClip, arXiv 2504.02507; the definition of the pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import LEVELS, Facts
from curvelab.model.finding import Change, Finding, Measured, Point
from curvelab.model.run import Curve
from curvelab.rules import Example, NotApplicable, Remedy, detector, scaled, threshold
from curvelab.signals.coarse import block_size
from curvelab.signals.episodes import episodes
from curvelab.signals.noise import grain_of, local_sigma, running_median, sigma_of, step_noise

LISTED = 12  # episodes that are named one by one
GUARD = 0.5  # the local sigma is not taken below this share of the run's (a quiet stretch by chance is no quiet stretch)
LOG_GUARD = 1.0  # relative noise does not shrink as the loss falls, so in the logarithm the run's own noise is the least
LOG_SHARE = 0.8  # of the sigmas on the logarithmic scale, where a jump counts for less than on the linear one
UNDONE = 0.5  # share of the starting loss: a jump from near zero back to it loses all that was learned, whatever the noise
NEAR_ZERO = 0.05  # share of the starting loss that is near zero (half of what counts as solved)
BACK = 0.35  # share of the height that may remain before and after a jump (judgement)
TAIL = 1.8  # times as far as the lowest points lie below the level: noise with a heavy tail has both (measured: 1.2 and 2.1)
CLIMBED = 0.3  # a level this far above an earlier one belongs to a divergence, and so do its jumps (judgement)


@dataclass(frozen=True)
class Thresholds:
    sigmas: float = threshold(
        6.0, unit="robust standard deviations of the local noise", low=2.0, high=100.0, source="definition of the pattern: about 6",
        meaning="how far a spike stands above the local level, on the linear and on the logarithmic scale",
    )  # fmt: skip
    height: float = threshold(
        0.25, unit="of the local level", low=0.0, high=100.0, source="judgement: smaller bumps do no harm",
        meaning="how far a spike stands above the local level at least",
    )  # fmt: skip
    common: float = threshold(
        0.05, unit="of the points", low=0.0, high=1.0, source="judgement",
        meaning="if more points than this stand out, they are the noise of the run and not spikes",
    )  # fmt: skip
    longest: float = threshold(
        0.05, unit="of the points", low=0.0, high=1.0, source="judgement",
        meaning="an episode that lasts longer is a change of level",
    )  # fmt: skip


def _clip(facts: Facts, finding: Finding) -> Iterator[Change]:
    norms = facts.finite("train/grad_norm")
    after = norms.value[norms.step >= facts.warmup_end]
    now = facts.setting("max_grad_norm")
    if len(after):
        usual = float(f"{np.percentile(after, 90):.2g}")
        if not isinstance(now, int | float) or now <= 0 or now > usual:
            yield Change(setting="max_grad_norm", from_=now, to=usual)


def _repeated(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "episodes" and m.value > 1 for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Nothing, if it stays rare: the loss came back within a few logs",
        why="A transient spike costs only the steps until it has recovered.",
        when_not="Spikes become higher or more frequent.",
        cost="none",
        source="PaLM, arXiv 2204.02311 section 5.1",
        applies=lambda facts, finding: not _repeated(facts, finding),
    ),
    Remedy(
        title="Look at the batches of the marked steps: empty, mislabelled, foreign or far too long samples",
        why="Spikes at unrelated steps usually come from the data.",
        when_not="The spikes sit at the peak of the learning rate or at the end of warm-up.",
        cost="none",
        source="PaLM, arXiv 2204.02311 section 5.1",
    ),
    Remedy(
        title="Clip the gradients at about the 90th percentile of the logged norm",
        why="Clipping bounds the step that a single batch can cause.",
        when_not="Most updates would be clipped: then the learning rate is the cause.",
        cost="rerun",
        source="ZClip, arXiv 2504.02507; Google, Deep Learning Tuning Playbook",
        propose=_clip,
        applies=lambda facts, finding: facts.has("train/grad_norm"),
    ),
    Remedy(
        title="Lower the learning rate by 2 to 5x or lengthen the warm-up",
        why="Repeated spikes on clean data mean that the steps are too large.",
        when_not="There are only one or two spikes.",
        cost="rerun",
        source="Google, Deep Learning Tuning Playbook",
        propose=scaled("learning_rate", 1 / 2),
        applies=_repeated,
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        loss = synth.decay(300) + synth.noise(300, 0.05, seed=6)
        if name == "three spikes":
            loss[[100, 170, 240]] += [4.0, 3.0, 2.5]
        elif name == "heavy tail":
            loss = synth.decay(300) * np.exp(synth.noise(300, 0.3, seed=7))
        elif name == "jumps up and down":
            loss[[60, 100, 170, 240]] *= [0.5, 2.0, 0.5, 1.9]
        elif name == "four sigma":
            loss[150] += 0.2
        return synth.run_of(loss, every=1, rate=synth.cosine(300))

    return Example(name, build, fires=fires, onset=(99, 103) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Loss spikes",
    kind="curve",
    needs={"train/loss": 20},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("three spikes", True),
        _example("heavy tail", False),
        _example("jumps up and down", False),
        _example("four sigma", False),
    ),
    yields_to=("divergence", "non-finite", "sawtooth"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable("the loss changes sign: a jump has no relative height (policy-gradient losses)")
    loss = _after_the_start(facts)
    n = len(loss)
    if n < 20:
        raise NotApplicable(f"{n} points after warm-up, 20 are needed")
    level = running_median(loss.value, _window(n))
    far, relative = _far_out(loss.value, level, facts.start_level, limits)
    found = [e for e in episodes(far, gap=1) if _recovers(loss.value, level, e, limits) and not _at_seam(facts, loss, e)]
    if not found or sum(b - a + 1 for a, b in found) > max(2, limits.common * n):
        return
    found = _beyond_the_tail(facts, loss, relative, found)
    if not found:
        return
    peaks = [a + int(np.argmax(loss.value[a : b + 1])) for a, b in found]
    heights = np.array([loss.value[p] / level[p] if level[p] else np.inf for p in peaks])
    top = int(np.argmax(heights))
    steps = [int(loss.step[p]) for p in peaks]
    where = ", ".join(str(s) for s in steps[:LISTED]) + (f" and {len(steps) - LISTED} more" if len(steps) > LISTED else "")
    coarse = float(np.median(np.diff(loss.step)))
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.25 * min(1.0, (float(heights.max()) - 1 - limits.height) / 1.0) + 0.1 * (n >= 100),
        metric="train/loss",
        headline=f"train/loss jumped {_times(len(steps))} and recovered: at step {where}; the highest to {heights[top]:.1f} times its local level"
        + (f" (logged every {coarse:.0f} steps: shorter spikes are invisible)" if coarse >= 50 else ""),
        start_step=int(loss.step[found[0][0]]),
        end_step=int(loss.step[found[-1][1]]),
        measured=(
            Measured(name="episodes", value=float(len(steps))),
            Measured(name="height", value=float(heights[top]) - 1, unit="of the local level", threshold=limits.height, setting="spikes.height"),
        ),
        evidence=tuple(
            Point(metric="train/loss", step=int(loss.step[p]), value=float(loss.value[p]), label=f"{h:.1f}x") for p, h in zip(peaks, heights, strict=True)
        ),
    )  # fmt: skip


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _after_the_start(facts: Facts) -> Curve:
    """The loss after warm-up, and without the first 3 % of the points where a loss may do anything."""
    loss = facts.settled
    skip = max(0, len(facts.loss) // 33 - (len(facts.loss) - len(loss)))
    return loss.take(np.arange(skip, len(loss)))


def _window(n: int) -> int:
    return int(np.clip(n // 12, 7, 31)) | 1


def _far_out(value: np.ndarray, level: np.ndarray, start: float, limits: Thresholds) -> tuple[np.ndarray, np.ndarray | None]:
    """Points beyond the local noise on both scales: a heavy tail is symmetric in the logarithm, a spike is not.

    Also returns how far every point stands out on the logarithmic scale; None where the loss has no logarithm.
    """
    far = (value - level >= limits.height * np.abs(level)) & (value > level)
    far &= level <= (1 + CLIMBED) * np.minimum.accumulate(np.where(level > 0, level, np.inf))
    if not far.any():
        return far, None
    far &= _sigmas(value - level, GUARD, grain_of(value[:: block_size(len(value), LEVELS)])) >= limits.sigmas
    if value.min() <= 0 or level.min() <= 0:
        return far, None
    relative = _sigmas(np.log(value) - np.log(level), LOG_GUARD, 0.0)
    undone = (value >= UNDONE * start) & (level <= NEAR_ZERO * start)
    far &= relative >= np.where(undone, 0.5, LOG_SHARE) * limits.sigmas
    return far, relative


def _beyond_the_tail(
    facts: Facts, loss: Curve, relative: np.ndarray | None, found: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The episodes that stand out further than the noise reaches downward, on the logarithmic scale.

    The second lowest point is the measure; those at the end of an epoch, whose logging window may be shorter, are no noise.
    """
    if relative is None:
        return found
    usual = np.ones(len(relative), dtype=bool)
    ends = np.searchsorted(loss.step, facts.epoch_ends)
    for near in (ends - 1, ends, ends + 1):
        usual[near.clip(0, len(usual) - 1)] = False
    low = np.sort(relative[usual])[:2]
    reach = -float(low[-1]) if len(low) else 0.0
    return [(a, b) for a, b in found if relative[a : b + 1].max() >= TAIL * reach]


def _sigmas(residual: np.ndarray, guard: float, least: float) -> np.ndarray:
    """Every point's distance from its level in units of the noise around it, which is never taken below `least`."""
    n = len(residual)
    overall = max(sigma_of(residual), step_noise(residual))
    local = np.maximum(local_sigma(residual, 3 * _window(n)), max(guard * overall, least))
    return np.where(local > 0, residual / np.where(local > 0, local, 1), np.where(residual > 0, np.inf, 0))


def _recovers(value: np.ndarray, level: np.ndarray, episode: tuple[int, int], limits: Thresholds) -> bool:
    """Whether an episode is short, rises from the level, and is back there soon; one at the very end is still open.

    What falls from the first point on is a start and no jump.
    """
    first, last = episode
    if last - first + 1 > max(3, limits.longest * len(value)) or first < 1 or last >= len(value) - 1:
        return False
    before, after = value[max(0, first - 3) : first], value[last + 1 : last + 6]
    height = float(value[first : last + 1].max()) - float(level[first])
    return max(float(np.median(before)), float(np.median(after))) - float(level[first]) < BACK * height


def _at_seam(facts: Facts, loss: Curve, episode: tuple[int, int]) -> bool:
    """Whether an episode sits right after a restart."""
    step = loss.step[episode[0]]
    gap = 3 * float(np.median(np.diff(loss.step)))
    return any(0 <= step - seam.step <= gap for seam in facts.run.seams)
