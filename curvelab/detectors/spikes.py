"""Isolated jumps of the train loss that recover within a few logs.

What
----
Single points or short episodes that stand far above the local level and come back: about twice the level, or beyond six
robust sigmas of the local noise and at least a quarter above the level. Longer episodes, up to 8 % of the run, count when
they stand half again above it. One finding lists every episode.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvelab import synth
from curvelab.facts import LEVELS, Facts
from curvelab.model.finding import Change, Finding, Measured, Point
from curvelab.model.run import Curve
from curvelab.proposals import clip_at, log_every, lower_rate, proposes, rate_can_fall, settled_norms
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.decline import ONE_SIDED
from curvelab.signals.episodes import episodes
from curvelab.signals.noise import grain_of, local_sigma, running_median, sigma_of, step_noise

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
Episode = tuple[int, int]  # first and last index
Episodes = NDArray[np.int64]  # [k, 2], the same

LISTED = 12  # episodes that are named one by one
GUARD = 0.5  # the local sigma is not taken below this share of the run's (a quiet stretch by chance is no quiet stretch)
LOG_GUARD = 1.0  # relative noise does not shrink as the loss falls, so in the logarithm the run's own noise is the least
LOG_SHARE = 0.8  # of the sigmas on the logarithmic scale, where a jump counts for less than on the linear one
UNDONE = 0.5  # share of the starting loss: a jump from near zero back to it loses all that was learned, whatever the noise
SOLVED_HEIGHT = 1.0  # of the local level near zero: definition of the pattern, about twice the level
NEAR_ZERO = 0.05  # share of the starting loss that is near zero (half of what counts as solved)
BLOCKS = 150  # stretches whose medians are searched for longer episodes: 8 % of the run are 12 of them, and fit half a window twice
BROAD = 0.5  # of the local level: a broad bump that is lower is a wave (judgement)
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
        meaning="if surely more points than this stand out, they are the noise of the run and not spikes",
    )  # fmt: skip
    longest: float = threshold(
        0.08, unit="of the points", low=0.0, high=1.0, source="judgement",
        meaning="an episode that lasts longer is a change of level",
    )  # fmt: skip


COARSE = 50  # steps from log to log from which on most spikes are not seen (judgement)
PALM_SCALE = 10_000  # steps of a run that can spare the 200 to 500 batches that PaLM skipped (judgement)


def _clip(facts: Facts, finding: Finding) -> Iterator[Change]:
    """The usual norm as the threshold, where the norm stood above it at a spike: elsewhere clipping would not have acted."""
    norms, curve = settled_norms(facts), facts.finite("train/grad_norm")
    spikes = np.array([e.step for e in finding.evidence if isinstance(e, Point)])
    if not len(norms) or not len(spikes):
        return
    near = np.searchsorted(curve.step, spikes)
    around = np.unique(np.concatenate([near - 1, near, near + 1])).clip(0, len(curve) - 1)
    if float(curve.value[around].max()) > float(np.percentile(norms, 90)):
        yield from clip_at(facts, norms, "logged norms after warm-up", "down")


def _repeated(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "episodes" and m.value > 1 for m in finding.measured)


def _coarse(facts: Facts, finding: Finding) -> bool:
    step = facts.loss.step
    return len(step) > 1 and float(np.median(np.diff(step))) >= COARSE and proposes(log_every)(facts, finding)


REMEDIES = (
    Remedy(
        title="Nothing, if it stays rare: the loss came back within a few logs",
        why="A transient spike costs only the steps until it has recovered.",
        when_not="Spikes become higher or more frequent.",
        cost="none",
        source="palm",
        applies=lambda facts, finding: not _repeated(facts, finding),
    ),
    Remedy(
        title="Look at the batches of the marked steps: empty, mislabelled, foreign or far too long samples",
        why="Spikes at unrelated steps usually come from the data.",
        when_not="The spikes sit at the peak of the learning rate or at the end of warm-up.",
        cost="none",
        source=("axolotl-stability", "judgement"),
        causes=("odd-batches", "epoch-boundary"),
    ),
    Remedy(
        title="Clip the gradients at about the 90th percentile of the logged norm ({flag_max_grad_norm})",
        why="The norm stood above that at the spikes; clipping bounds the step that a single batch can cause.",
        when_not="Most updates would be clipped: then the learning rate is the cause.",
        cost="rerun",
        source=("playbook", "zclip"),
        propose=_clip,
        applies=proposes(_clip),
        causes=("odd-batches", "rate-too-high"),
    ),
    Remedy(
        title="Lower {flag_learning_rate}",
        why="{episodes:.0f} spikes on clean data mean that the steps are too large.",
        when_not="The batches of the spikes are broken: mend the data first.",
        cost="rerun",
        source="axolotl-stability",
        propose=lower_rate(2, "2 to 5x in the source; 2x taken, for the loss came back"),
        alternative=True,
        causes=("rate-too-high", "warmup-end"),
        applies=lambda facts, finding: _repeated(facts, finding) and rate_can_fall(facts, finding),
    ),
    Remedy(
        title="Restart about 100 steps before a spike and skip the next 200 to 500 batches",
        why="The same batches at other weights made no spike in the source, nor did other batches at these weights.",
        when_not="The loss has recovered and the run is cheap.",
        cost="resume",
        source="palm",
        applies=lambda facts, finding: _repeated(facts, finding) and facts.saves and facts.length >= PALM_SCALE,
    ),
    Remedy(
        title="Log more often ({flag_logging_steps})",
        why="With so few logs, shorter spikes are invisible and the step of a spike is not known.",
        when_not="The logger averages over its window and the disk is slow.",
        cost="rerun",
        source="judgement",
        propose=log_every,
        applies=_coarse,
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
    found = _merged(_jumps(facts, loss, limits) + _bumps(facts, loss, limits))
    if not found:
        return
    peaks = [a + int(np.argmax(loss.value[a : b + 1])) for a, b in found]
    around = _level_around(loss.value, _as_array(found))
    heights = np.where(around > 0, loss.value[peaks] / np.where(around > 0, around, 1), np.inf)
    top = int(np.argmax(heights))
    steps = [int(loss.step[p]) for p in peaks]
    where = ", ".join(str(s) for s in steps[:LISTED]) + (f" and {len(steps) - LISTED} more" if len(steps) > LISTED else "")
    where = f"{'step' if len(steps) == 1 else 'steps'} {where}"
    coarse = float(np.median(np.diff(loss.step)))
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.25 * min(1.0, (float(heights.max()) - 1 - limits.height) / 1.0) + 0.1 * (n >= 100),
        metric="train/loss",
        headline=f"train/loss jumped {_times(len(steps))} and recovered: at {where}; the highest to {heights[top]:.1f} times its local level"
        + (f" (logged every {coarse:.0f} steps: shorter spikes are invisible)" if coarse >= 50 else ""),
        start_step=int(loss.step[found[0][0]]),
        end_step=int(loss.step[found[-1][1]]),
        measured=(
            Measured(name="episodes", value=float(len(steps))),
            Measured(name="height", value=float(heights[top]) - 1, unit="of the local level, above it", threshold=limits.height, setting="spikes.height"),
        ),
        evidence=tuple(
            Point(metric="train/loss", step=int(loss.step[p]), value=float(loss.value[p]), label=f"{h:.1f}x") for p, h in zip(peaks, heights, strict=True)
        ),
    )  # fmt: skip


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _after_the_start(facts: Facts) -> Curve:
    """The loss after warm-up, and without the first 3 % of the points where a loss may do anything."""
    loss = facts.settled
    skip = max(0, len(facts.loss) // 33 - (len(facts.loss) - len(loss)))
    return loss.take(np.arange(skip, len(loss)))


def _window(n: int) -> int:
    return int(np.clip(n // 12, 7, 31)) | 1


def _jumps(facts: Facts, loss: Curve, limits: Thresholds) -> list[Episode]:
    """Points, or short episodes, that jump out of the local level and come back."""
    level = running_median(loss.value, _window(len(loss)))
    found = _isolated(loss.value, level, facts.start_level, limits.height, ~_near_epoch_ends(facts, loss), limits)
    return [(int(a), int(b)) for a, b in found[~_at_seam(facts, loss, found)]]


def _bumps(facts: Facts, loss: Curve, limits: Thresholds) -> list[Episode]:
    """Longer episodes, that a narrow window takes for the level: looked for in the medians of blocks, in a wide window."""
    size = block_size(len(loss), BLOCKS)
    value = coarse(loss.value, size)
    level = running_median(value, max(7, len(value) // 6))
    usual = np.ones(len(value), dtype=bool)
    found = _isolated(value, level, facts.start_level, max(BROAD, limits.height), usual, limits)
    found = found[found[:, 1] > found[:, 0]]
    whole = np.column_stack([found[:, 0] * size, np.minimum((found[:, 1] + 1) * size, len(loss)) - 1])
    whole = whole[whole[:, 1] - whole[:, 0] >= _window(len(loss)) // 2]
    return [(int(a), int(b)) for a, b in whole[~_at_seam(facts, loss, whole)]]


def _isolated(value: Floats, level: Floats, start: float, height: float, usual: Marks, limits: Thresholds) -> Episodes:
    """Episodes that stand out of the level and of the noise, recover, and are few. `usual`: points that show the noise."""
    sigmas, relative = _distances(value, level, height)
    far = _far_out(value, level, start, height, limits.sigmas, sigmas, relative)
    half = _far_out(value, level, start, height / 2, limits.sigmas / 2, sigmas, relative)
    found, common = _as_array(episodes(far, gap=1)), _as_array(episodes(half, gap=1))
    if not len(found) or _too_many(common, len(value), limits):
        return found[:0]
    found = found[_recover(value, level, found, limits)]
    if relative is None or not len(found):
        return found
    undone = (value >= UNDONE * start) & (level <= NEAR_ZERO * start)
    return found[(_highest(relative, found) >= TAIL * _reach_down(relative[usual])) | (_highest(undone, found) > 0)]


def _as_array(found: list[Episode]) -> Episodes:
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _level_around(value: Floats, found: Episodes) -> Floats:
    """The level that each episode stands out of: the mean of those half a window before and after it. float64[k]."""
    level, half = running_median(value, _window(len(value))), _window(len(value)) // 2
    before, after = (found[:, 0] - half).clip(0), (found[:, 1] + half).clip(max=len(value) - 1)
    around: Floats = (level[before] + level[after]) / 2
    return around


def _merged(found: list[Episode]) -> list[Episode]:
    """Episodes in their order; those that overlap are one."""
    merged: list[Episode] = []
    for first, last in sorted(found):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _too_many(found: Episodes, n: int, limits: Thresholds) -> bool:
    """Whether more of the run stands out than is allowed, beyond what so few events leave open (one-sided 95 %)."""
    lengths = found[:, 1] - found[:, 0] + 1
    surely = float(lengths.sum()) - ONE_SIDED * float(np.sqrt(np.sum(lengths**2)))
    return surely > limits.common * n


def _distances(value: Floats, level: Floats, height: float) -> tuple[Floats, Floats | None]:
    """How far every point stands out of its level in sigmas, on the linear and on the logarithmic scale.

    The second is None where the loss has no logarithm; both are zero where no point is `height` above its level.
    """
    if not (value - level >= height * np.abs(level)).any():
        return np.zeros(len(value)), None
    linear = _sigmas(value - level, GUARD, grain_of(value[:: block_size(len(value), LEVELS)]))
    if value.min() <= 0 or level.min() <= 0:
        return linear, None
    return linear, _sigmas(np.log(value) - np.log(level), LOG_GUARD, 0.0)


def _far_out(
    value: Floats, level: Floats, start: float, height: float, sigmas: float, linear: Floats, relative: Floats | None
) -> Marks:
    """Points beyond the local noise on both scales: a heavy tail is symmetric in the logarithm, a spike is not."""
    solved = level <= NEAR_ZERO * start  # there a jump that does not double the level is nothing that was lost
    least = np.where(solved, np.maximum(height, SOLVED_HEIGHT), height)
    far: Marks = (value - level >= least * np.abs(level)) & (value > level) & (linear >= sigmas)
    climbed = level > (1 + CLIMBED) * np.minimum.accumulate(np.where(level > 0, level, np.inf))
    far &= ~climbed | solved
    if relative is not None:
        undone = (value >= UNDONE * start) & solved
        far &= relative >= np.where(undone, 0.5, LOG_SHARE) * sigmas
    return far


def _near_epoch_ends(facts: Facts, loss: Curve) -> Marks:
    """Points at the end of an epoch, whose logging window may be shorter: they are no noise."""
    near = np.zeros(len(loss), dtype=bool)
    ends = np.searchsorted(loss.step, facts.epoch_ends)
    for shift in (-1, 0, 1):
        near[(ends + shift).clip(0, len(near) - 1)] = True
    return near


def _reach_down(relative: Floats) -> float:
    """How far the noise reaches downward on the logarithmic scale: the second lowest point is the measure."""
    return -float(np.partition(relative, 1)[1]) if len(relative) > 1 else 0.0


def _highest(values: NDArray[Any], found: Episodes) -> NDArray[Any]:
    """The largest value in each episode."""
    ends = np.minimum(found[:, 1] + 1, len(values) - 1)  # an episode ends before the last point
    highest: NDArray[Any] = np.maximum.reduceat(values, np.column_stack([found[:, 0], ends]).ravel())[::2]
    return highest


def _sigmas(residual: np.ndarray, guard: float, least: float) -> np.ndarray:
    """Every point's distance from its level in units of the noise around it, which is never taken below `least`."""
    n = len(residual)
    overall = max(sigma_of(residual), step_noise(residual))
    local = np.maximum(local_sigma(residual, 3 * _window(n)), max(guard * overall, least))
    return np.where(local > 0, residual / np.where(local > 0, local, 1), np.where(residual > 0, np.inf, 0))


def _recover(value: Floats, level: Floats, found: Episodes, limits: Thresholds) -> Marks:
    """Which episodes are short, rise from the level, and are back there soon; one at the very end is still open.

    What falls from the first point on is a start and no jump.
    """
    n, (first, last) = len(value), found.T
    short = (last - first + 1 <= max(3, limits.longest * n)) & (first >= 1) & (last < n - 1)
    before = np.median(value[(first[:, None] - np.arange(1, 4)).clip(0)], axis=1)
    after = np.median(value[(last[:, None] + np.arange(1, 6)).clip(max=n - 1)], axis=1)
    height = _highest(value, found) - level[first]
    back: Marks = short & (np.maximum(before, after) - level[first] < BACK * height)
    return back


def _at_seam(facts: Facts, loss: Curve, found: Episodes) -> Marks:
    """Which episodes sit right after a restart."""
    step, near = loss.step[found[:, 0]], np.zeros(len(found), dtype=bool)
    if facts.run.seams:
        gap = 3 * float(np.median(np.diff(loss.step)))
        for seam in facts.run.seams:
            near |= (step >= seam.step) & (step <= seam.step + gap)
    return near
