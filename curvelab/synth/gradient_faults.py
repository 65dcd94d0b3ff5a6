"""Families of runs with one fault of the gradients, or with NaN, of any strength; as curvelab.synth.faults otherwise."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from curvelab.synth.faults import Build, spoilt, standing
from curvelab.synth.parts import CURVE_PATTERNS, Draft, Labelled, length, log_uniform, places


def becomes_nan(rng: Generator) -> Labelled:
    """Loss and norm are NaN from some place on."""
    one = spoilt(rng, 12)
    place = int(rng.uniform(0.05, 0.95) * one.points)
    loss = one.loss
    loss[place:] = np.nan
    if one.norms is not None:
        one.norms[place:] = np.nan
    one.fault("non-finite", 1.0, yes=True, holds=True, no=False, onset=(place / one.points, (place + 1) / one.points))
    one.unsure(*(name for name in CURVE_PATTERNS if name != "non-finite"))
    return one.finished(rng, loss)


def masked_nan(rng: Generator) -> Labelled:
    """A filter logs 0.0 for a NaN loss, beside a NaN norm; or the loss scaler skips one early step, which is no fault."""
    one = spoilt(rng, 40)
    one.norms = np.ones(one.points) if one.norms is None else one.norms
    loss, searching = one.loss, rng.random() < 0.3
    place = int(rng.uniform(0.02, 0.06) * one.points) if searching else int(rng.uniform(0.1, 0.95) * one.points)
    if searching:
        one.norms[place], one.config["fp16"] = np.nan, True
    else:
        loss[place:], one.norms[place:] = 0.0, np.nan
        one.unsure(*CURVE_PATTERNS)
    one.fault(
        "non-finite", float(not searching), yes=not searching, holds=not searching, no=searching,
        onset=(place / one.points, (place + 1) / one.points),
    )  # fmt: skip
    if searching:
        one.labels["healthy"] = "yes"
    return one.finished(rng, loss)


def _clipped(rng: Generator, one: Draft, clip: float) -> Labelled:
    norms = one.norms
    assert norms is not None
    one.labels["exploding-gradients"] = "unsure"
    real = float(np.mean(norms[one.points // 8 :] >= clip * 0.999))
    one.fault("clip-saturation", real, yes=real >= 0.82, holds=real >= 0.8, no=real <= 0.76, onset=(0.0, 0.15))
    return one.finished(rng)


def norms_over_the_clip(rng: Generator) -> Labelled:
    """Norms logged before clipping stand above the threshold on a share of the logs."""
    one = spoilt(rng, 30)
    share = rng.uniform(0.4, 1.0)
    one.norms = one.level[0] * log_uniform(rng, 0.05, 50) * np.exp(rng.uniform(0.05, 0.6) * rng.normal(size=one.points))
    one.clip = float(np.quantile(one.norms, 1 - share)) * (rng.uniform(0.1, 1) if share > 0.95 else 1.0)
    return _clipped(rng, one, one.clip)


def norms_at_the_clip(rng: Generator) -> Labelled:
    """Norms logged after clipping stick at the threshold."""
    one = spoilt(rng, 30)
    share = rng.uniform(0.4, 1.0)
    free = np.exp(rng.uniform(0.05, 0.6) * rng.normal(size=one.points))
    one.clip = one.level[0] * log_uniform(rng, 0.1, 5)
    one.norms = np.minimum(free / float(np.quantile(free, 1 - share)), 1.0) * one.clip * (1 - 1e-6)
    return _clipped(rng, one, one.clip)


def _stuck(rng: Generator, rises: bool) -> Draft:
    """A run that learns a little, then stands still or gets worse, with gradient norms."""
    n = length(rng, 40, 3000)
    t = places(n)
    level = 0.6 + 0.4 * np.exp(-8 * t) + (rng.uniform(0.2, 0.6) * np.clip(t - 0.5, 0, None) if rises else 0)
    one = standing(rng, level)
    one.norms, one.clip = log_uniform(rng, 0.1, 10) * one.level[0] * np.exp(0.3 * rng.normal(size=n)), None
    one.unsure("plateau", "underfitting", "divergence", "overfitting", "eval-stall", "spikes")
    return one


def norm_climbs(rng: Generator) -> Labelled:
    """The level of the norm rises many times over and stays; the loss does not improve."""
    one = _stuck(rng, rises=bool(rng.integers(2)))
    assert one.norms is not None
    turn, times = rng.uniform(0.4, 0.8), log_uniform(rng, 1.2, 1000)
    one.norms = one.norms * times ** np.clip((one.t - turn) / 0.1, 0, 1)
    one.fault("exploding-gradients", times, yes=times >= 12, holds=times >= 10, no=times <= 3, onset=(turn - 0.03, turn + 0.12))
    return one.finished(rng)


def norm_with_a_tail(rng: Generator) -> Labelled:
    """A share of the norms exceeds ten times their median."""
    one = _stuck(rng, rises=False)
    assert one.norms is not None
    share = rng.uniform(0.0, 0.45)
    far = rng.random(one.points) < share
    one.norms = np.where(far, one.norms * log_uniform(rng, 30, 1000), one.norms)
    later = one.norms[one.points // 10 :]
    real = float(np.mean(later > 10 * np.median(later)))
    one.fault("exploding-gradients", real, yes=real >= 0.22, holds=real >= 0.2, no=real <= 0.15, onset=(0.0, 0.25))
    return one.finished(rng)


def _dies(rng: Generator, begin: float) -> Labelled:
    """The norm is next to nothing from the place `begin` on, and the loss stands still from there."""
    n, tiny = length(rng, 30, 3000), log_uniform(rng, 1e-9, 0.1)
    t = places(n)
    level = 0.7 + 0.3 * np.exp(-5 * np.minimum(t, begin))
    one = standing(rng, level, quiet=0.1)
    one.clip, one.norms = None, one.level[0] * np.exp(0.3 * rng.normal(size=n))
    one.norms[t >= begin] *= tiny
    border = 1e-3 if begin else 1e-4
    onset = (begin - 0.02, begin + 0.05)
    one.fault("vanishing-gradients", tiny, yes=tiny <= 5e-5, holds=tiny <= border, no=tiny >= 2e-3, onset=onset)
    one.unsure("plateau", "underfitting", "eval-stall")
    return one.finished(rng)


def dead_from_the_start(rng: Generator) -> Labelled:
    return _dies(rng, 0.0)


def dies_on_the_way(rng: Generator) -> Labelled:
    return _dies(rng, rng.uniform(0.1, 0.6))


GRADIENT_FAULTS: dict[str, Build] = {
    build.__name__.replace("_", "-"): build
    for build in (
        becomes_nan, masked_nan, norms_over_the_clip, norms_at_the_clip, norm_climbs, norm_with_a_tail,
        dead_from_the_start, dies_on_the_way,
    )
}  # fmt: skip
