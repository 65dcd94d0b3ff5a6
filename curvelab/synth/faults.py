"""Families of runs with one fault of the loss, of any strength. Strong ones are labelled yes, look-alikes no, between them unsure.

The truth is read off the curves without their noise, by the definition of the pattern. Two families a pattern, made in
different ways: what is fitted on one can be tested on the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from curvelab.synth.healthy import exponential, healthy_draft, linear, power_law
from curvelab.synth.parts import LEVELS, Draft, Floats, Labelled, draft, length, log_uniform, places

Build = Callable[[Generator], Labelled]
SHAPES = (exponential, power_law, linear)


def spoilt(rng: Generator, fewest: int = 30, most: int = 3000, quiet: float = 0.4) -> Draft:
    """A healthy run to spoil: rather quiet, since a fault that noise hides has no sure label."""
    return healthy_draft(rng, SHAPES[rng.integers(len(SHAPES))], (fewest, most), quiet)


def standing(rng: Generator, level: Floats, schedules: tuple[str, ...] = ("constant",), quiet: float = 0.2) -> Draft:
    """A run around a loss of one's own, float64[n], that begins at about 1."""
    return draft(rng, level, log_uniform(rng, *LEVELS), schedules, quiet)


def _evaluated(rng: Generator, one: Draft, fewest: int = 6) -> None:
    """Give a run enough evals to see a fault in them."""
    k = int(rng.integers(fewest, 41))
    one.eval_t = np.linspace(1 / k, 1, k)
    one.eval_level = np.interp(one.eval_t, one.t, one.level) * rng.uniform(0.95, 1.25)


def _rises(rng: Generator, shape: Callable[[Floats], Floats]) -> Labelled:
    """Eval falls to a minimum and rises by `shape` of the rest of the run, 0 to 1; train goes on falling."""
    one = spoilt(rng, 40)
    _evaluated(rng, one, 8)
    turn, rise = rng.uniform(0.15, 0.6), log_uniform(rng, 0.01, 1.0)
    start = one.eval_level[0]
    bottom = start * rng.uniform(0.5, 0.9)
    fall = bottom + (start - bottom) * np.clip(1 - one.eval_t / turn, 0, 1) ** 2
    one.eval_level = fall + bottom * rise * shape(np.clip((one.eval_t - turn) / (1 - turn), 0, 1))
    lowest = float(one.eval_level.min())
    after = one.eval_level[int(np.argmin(one.eval_level)) + 1 :]
    level = float(np.median(after[-max(2, len(after) // 3) :])) / lowest - 1
    near = one.eval_t[one.eval_level <= lowest * (1 + 2 * one.eval_noise)]
    seen = level >= max(0.06, 4 * one.eval_noise)
    one.fault("overfitting", level, yes=seen, holds=level >= 0.05, no=level <= 0.035, onset=(near[0], near[-1]))
    one.unsure("eval-stall")
    return one.finished(rng)


def hockey_stick(rng: Generator) -> Labelled:
    return _rises(rng, lambda x: x)


def memorised(rng: Generator) -> Labelled:
    return _rises(rng, lambda x: 1 - (1 - x) ** 2)


def barely_falls(rng: Generator) -> Labelled:
    """The loss falls by next to nothing, or by a little more."""
    n, fall = length(rng, 30, 3000), log_uniform(rng, 0.001, 0.2)
    one = standing(rng, 1 - fall * places(n) ** rng.uniform(0.5, 1.0), ("constant", "cosine", "linear"))
    one.fault("underfitting", fall, yes=fall <= 0.025, holds=fall <= 0.03, no=fall >= 0.05, onset=(0.0, 0.1))
    one.unsure("plateau")
    return one.finished(rng)


def at_chance(rng: Generator) -> Labelled:
    """The loss falls from far above to about ln(vocabulary), the level of guessing."""
    n, words = length(rng, 30, 3000), int(log_uniform(rng, 200, 250_000))
    share, start = rng.uniform(0.5, 1.0), rng.uniform(1.3, 2.0)
    level = share + (start - share) * np.exp(-rng.uniform(5, 40) * places(n))
    one = draft(rng, level, float(np.log(words)), ("constant", "cosine"), 0.2)
    one.config["vocab_size"] = words
    one.fault("underfitting", share, yes=share >= 0.87, holds=share >= 0.85, no=share <= 0.8, onset=(0.0, 0.1))
    one.unsure("plateau")
    return one.finished(rng)


def _stands(rng: Generator, one: Draft, begin: float, slope: float) -> Labelled:
    """Label a run that improves by `slope` of its level per third of the run from the place `begin` on."""
    flat = 1 - begin
    one.fault(
        "plateau", slope, yes=flat >= 0.38 and slope <= 0.005, holds=flat >= 0.33 and slope <= 0.01, no=slope >= 0.025,
        onset=(max(0.0, begin - 0.12), begin + 0.12),
    )  # fmt: skip
    one.unsure("underfitting")
    return one.finished(rng)


def falls_then_flat(rng: Generator) -> Labelled:
    """A fast fall, then next to no improvement at an unsolved level while the rate is on."""
    n, begin, slope = length(rng, 40, 3000), rng.uniform(0.05, 0.6), log_uniform(rng, 0.0005, 0.1)
    t, floor = places(n), rng.uniform(0.2, 0.8)
    level = floor + (1 - floor) * np.clip(1 - t / begin, 0, 1) ** 2
    level = level * (1 - slope) ** (3 * np.clip(t - begin, 0, None))
    return _stands(rng, standing(rng, level), begin, slope)


def rate_gone_early(rng: Generator) -> Labelled:
    """The learning rate decays to nothing long before the end, and the loss stands still from there on."""
    n, begin, slope = length(rng, 40, 3000), rng.uniform(0.2, 0.6), log_uniform(rng, 0.0005, 0.1)
    t, floor = places(n), rng.uniform(0.2, 0.7)
    level = floor + (1 - floor) * np.exp(-3 * np.minimum(t, begin) / begin)
    level = level * (1 - slope) ** (3 * np.clip(t - begin, 0, None))
    one = standing(rng, level)
    one.rate = log_uniform(rng, 1e-6, 1e-3) * (0.001 + 0.5 * (1 + np.cos(np.pi * np.minimum(1, t / begin))))
    return _stands(rng, one, begin - 0.05, slope)


def _teeth(rng: Generator, one: Draft, wave: Floats) -> Labelled:
    """Add a periodic wave, float64[n], 0 to 1, by its height over the noise."""
    ratio = log_uniform(rng, 0.3, 12.0)
    height = ratio * one.noise_level
    one.level = one.level * (1 + height * wave)
    seen = ratio >= 4 and height >= 0.08
    holds = ratio >= 2 and height >= 0.04
    one.fault("sawtooth", ratio, yes=seen, holds=holds, no=ratio <= 1.0 and height <= 0.1, onset=(0.0, 0.15))
    one.unsure("plateau", "spikes", "divergence")
    return one.finished(rng)


def regular_teeth(rng: Generator) -> Labelled:
    one = spoilt(rng, 80)
    cycles = rng.uniform(5, min(40, one.points / 8))
    return _teeth(rng, one, np.abs((one.t * cycles) % 1 * 2 - 1))


def restart_teeth(rng: Generator) -> Labelled:
    """Each restart of the learning rate throws the loss up; then it falls again."""
    one = spoilt(rng, 80)
    cycle = one.t * rng.integers(5, max(6, min(20, one.points // 10))) % 1
    one.rate = log_uniform(rng, 1e-6, 1e-3) * (0.02 + 0.5 * (1 + np.cos(np.pi * cycle)))
    one.schedule = "restarts"
    return _teeth(rng, one, np.exp(-4 * cycle))


def _jumps(rng: Generator, recovery: float) -> Labelled:
    """One to six isolated jumps; `recovery` is the share of a jump that is left at the next point."""
    one = spoilt(rng, 60)
    n, height = one.points, log_uniform(rng, 0.1, 6.0)
    count = int(rng.integers(1, 2 + min(5, n // 60)))
    at = np.sort(rng.choice(np.arange(int(0.12 * n), int(0.95 * n), max(8, n // 20)), count, replace=False))
    loss = one.loss
    for place in at.tolist():
        tail = height * rng.uniform(0.8, 1.2) * recovery ** np.arange(min(5, n - place))
        loss[place : place + len(tail)] += one.level[place] * np.where(tail > 0.02, tail, 0)
    if one.norms is not None:
        one.norms[at] *= 1 + 3 * height
    sigmas = height / one.noise_level
    one.fault(
        "spikes", height, yes=height >= 0.8 and sigmas >= 8, holds=height >= 0.25 and sigmas >= 6,
        no=height <= 0.2 or sigmas <= 3, onset=(at[0] / n, (at[0] + 2) / n),
    )  # fmt: skip
    return one.finished(rng, loss)


def jumps(rng: Generator) -> Labelled:
    return _jumps(rng, 0.0)


def jumps_that_fade(rng: Generator) -> Labelled:
    return _jumps(rng, rng.uniform(0.2, 0.5))


def _climbs(rng: Generator, path: Callable[[Floats, float], Floats]) -> Labelled:
    """From some place on the loss climbs along `path` (0 to 1) by a share of what it had learned, eval with it."""
    one = spoilt(rng, 40)
    turn, lost = rng.uniform(0.3, 0.85), log_uniform(rng, 0.03, 3.0)
    best = float(np.interp(turn, one.t, one.level))
    top = best + lost * (one.level[0] - best)
    over = np.clip((one.t - turn) / (1 - turn), 0, 1)
    one.level = np.where(one.t < turn, one.level, best + (top - best) * path(over, rng.uniform(0.02, 0.2)))
    one.eval_level = np.interp(one.eval_t, one.t, one.level) * 1.05
    rise = top / best - 1
    clear = lost >= 0.35 and rise >= 0.15 and rise >= 6 * one.noise_level
    one.fault(
        "divergence", lost, yes=clear, holds=lost >= 0.2 and rise >= 0.08, no=lost <= 0.1 or rise <= 0.05,
        onset=(turn - 0.05, turn + 0.1),
    )  # fmt: skip
    one.unsure("plateau", "underfitting", "exploding-gradients", "overfitting", "spikes", "sawtooth")
    return one.finished(rng)


def climbs(rng: Generator) -> Labelled:
    return _climbs(rng, lambda x, speed: x / (x + speed) * (1 + speed))


def ramps(rng: Generator) -> Labelled:
    return _climbs(rng, lambda x, speed: np.minimum(1, x / (3 * speed)))


def _stalls(rng: Generator, wave: float) -> Labelled:
    """Eval follows the train loss by a small share only, and may swing a little."""
    one = spoilt(rng, 60)
    _evaluated(rng, one, 8)
    follows = rng.uniform(0.0, 0.8)
    train = np.interp(one.eval_t, one.t, one.level)
    start = train[0] * rng.uniform(1.0, 1.5)
    one.eval_level = start * (1 + follows * (train / train[0] - 1) + wave * np.sin(7 * one.eval_t))
    one.eval_noise = log_uniform(rng, 0.0005, 0.01)
    fall = 1 - train[-1] / train[0]
    moved = 1 - one.eval_level[-1] / start
    one.fault(
        "eval-stall", follows, yes=fall >= 0.25 and follows <= 0.1 and moved <= 0.04, no=follows >= 0.35 or moved >= 0.1,
        holds=fall >= 0.2 and follows <= 0.22 and moved <= 0.08, onset=(0.0, 0.15),
    )  # fmt: skip
    one.unsure("plateau", "overfitting")
    return one.finished(rng)


def eval_stands(rng: Generator) -> Labelled:
    return _stalls(rng, 0.0)


def eval_drifts(rng: Generator) -> Labelled:
    return _stalls(rng, rng.uniform(0.0, 0.015))


LOSS_FAULTS: dict[str, Build] = {
    build.__name__.replace("_", "-"): build
    for build in (
        hockey_stick, memorised, barely_falls, at_chance, falls_then_flat, rate_gone_early, regular_teeth, restart_teeth,
        jumps, jumps_that_fade, climbs, ramps, eval_stands, eval_drifts,
    )
}  # fmt: skip
