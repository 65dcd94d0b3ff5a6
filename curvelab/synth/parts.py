"""The parts of a random run: length, noise, schedule, evals and gradient norms. A family draws a Draft, changes it,
and finishes it to a labelled run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from curvelab.model.run import Run
from curvelab.synth.curves import run_of

Floats = NDArray[np.float64]

CURVE_PATTERNS = (
    "overfitting", "underfitting", "plateau", "sawtooth", "spikes", "divergence", "non-finite", "clip-saturation",
    "exploding-gradients", "vanishing-gradients", "eval-stall",
)  # fmt: skip
NOISES = ("white", "autocorrelated", "log-normal", "gamma", "heavy-tailed")
SCHEDULES = ("cosine", "linear", "constant", "wsd", "restarts")
LENGTHS = (10, 10_000)  # logged points
LEVELS = (1e-3, 1e4)  # where a loss begins
NOISE_LEVELS = (0.003, 0.25)  # of the loss
WAVY = 0.12  # the most of autocorrelated and heavy-tailed noise: with more it swings and jumps by the definitions
HIGHEST = 0.9  # what noise may add to the level at most: twice the level is a spike by definition
MOST_EVALS = 40


@dataclass(frozen=True)
class Labelled:
    """A synthetic run and the truth of it: a label for each curve pattern and `healthy`, the right steps of the onset.

    `about` holds what was drawn (points, noise, kind of noise, schedule, strength of the fault), for tables.
    """

    run: Run
    labels: Mapping[str, str]
    onset: Mapping[str, tuple[int, int]]
    about: Mapping[str, Any]


@dataclass
class Draft:
    """A run in the making. `level` float64[n] and `eval_level` float64[k] are the losses without their noise.

    `t` float64[n] and `eval_t` float64[k] are places in the run, 0 to 1. What a family writes over `loss` (with noise)
    stays as it is written. Labels begin with everything "no" and healthy "yes".
    """

    t: Floats
    level: Floats
    noise: Floats
    noise_level: float
    noise_kind: str
    eval_t: Floats
    eval_level: Floats
    eval_noise: float
    rate: Floats | None
    schedule: str
    norms: Floats | None
    clip: float | None
    every: int
    epochs: float
    config: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=lambda: {**dict.fromkeys(CURVE_PATTERNS, "no"), "healthy": "yes"})
    onset: dict[str, tuple[int, int]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    format: str = "synthetic"

    @property
    def points(self) -> int:
        return len(self.t)

    @property
    def loss(self) -> Floats:
        """The train loss with its noise."""
        return np.asarray(self.level * (1 + self.noise))

    def step(self, place: float) -> int:
        """The optimizer step of a place in the run."""
        return round(place * self.points * self.every)

    def fault(self, pattern: str, strength: float, *, yes: bool, holds: bool, no: bool, onset: tuple[float, float]) -> None:
        """Label a fault by its strength: yes, no, or unsure where people would disagree.

        holds  whether the definition holds to the letter, with a hard border; for calibration, which needs the margin
        onset  its first and last right place
        """
        self.labels[pattern] = "yes" if yes and holds else "no" if no and not holds else "unsure"
        self.labels["healthy"] = "no" if yes else "unsure"
        self.about |= {"fault": pattern, "strength": float(strength), "holds": bool(holds)}
        if yes:
            self.onset[pattern] = (self.step(onset[0]), self.step(onset[1]))

    def unsure(self, *patterns: str) -> None:
        """Leave companions of the fault out of the score."""
        self.labels |= dict.fromkeys(patterns, "unsure")

    def finished(self, rng: Generator, loss: Floats | None = None) -> Labelled:
        """The run with its labels; `loss` float64[n] where the family made the noisy loss itself."""
        evals = self.eval_level * (1 + self.eval_noise * rng.normal(size=len(self.eval_level)))
        if self.clip is not None:
            self.config["max_grad_norm"] = self.clip
        run = run_of(
            self.loss if loss is None else loss,
            every=self.every,
            evals=evals if len(evals) else None,
            norms=self.norms,
            rate=self.rate,
            epoch=self.epochs * (self.t + 1 / self.points),
            config=self.config,
            format=self.format,
        )
        about = {"points": self.points, "noise": self.noise_level, "noise_kind": self.noise_kind, "schedule": self.schedule}
        return Labelled(run, dict(self.labels), dict(self.onset), about | {"evals": len(evals)} | self.about)


def log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def length(rng: Generator, low: int = LENGTHS[0], high: int = LENGTHS[1]) -> int:
    return int(log_uniform(rng, low, high + 0.5))


def places(n: int) -> Floats:
    return np.arange(n) / n


def noise_of_kind(rng: Generator, n: int, kind: str, sigma: float) -> Floats:
    """Relative noise, float64[n], mean about 0, standard deviation about `sigma`; 1 + noise stays positive."""
    z = rng.normal(size=n)
    if kind == "autocorrelated":
        rho = rng.uniform(0.1, 0.7)
        kernel = rho ** np.arange(min(n, 60))
        z = np.convolve(z, kernel)[:n] * np.sqrt(1 - rho**2)
    elif kind == "heavy-tailed":
        freedom = rng.uniform(4.0, 10.0)
        z = rng.standard_t(freedom, size=n) / np.sqrt(freedom / (freedom - 2))
    if kind in ("log-normal", "heavy-tailed"):
        relative = np.expm1(sigma * z)
    elif kind == "gamma":
        relative = rng.gamma(1 / sigma**2, sigma**2, size=n) - 1
    else:
        relative = sigma * z
    return np.clip(relative, -0.9, HIGHEST)


def rate_of(rng: Generator, n: int, schedule: str) -> Floats:
    """A learning rate, float64[n], with a linear warm-up of up to a tenth of the logs."""
    ramp = max(1, int(rng.uniform(0, 0.1) * n))
    x = np.arange(n - ramp) / max(1, n - ramp)
    after = {
        "cosine": 0.5 * (1 + np.cos(np.pi * x)),
        "linear": 1 - x,
        "constant": np.ones(n - ramp),
        "wsd": np.minimum(1, (1 - x) / rng.uniform(0.1, 0.3)),
        "restarts": 0.5 * (1 + np.cos(np.pi * (x * rng.integers(2, 6) % 1))),
    }[schedule]
    return np.asarray(log_uniform(rng, 1e-6, 1e-2) * np.concatenate([(np.arange(ramp) + 1) / (ramp + 1), after]))


def norms_of(rng: Generator, t: Floats, scale: float, warm: float = 0.05) -> Floats:
    """Gradient norms, float64[n], of a loss that begins at `scale`: noisy, drifting a little, higher in warm-up."""
    usual = scale * log_uniform(rng, 0.05, 50.0)
    drift = rng.uniform(0.6, 2.0) ** t
    early = 1 + rng.uniform(0, 6) * np.exp(-t / warm)
    return np.asarray(usual * drift * early * np.exp(rng.uniform(0.05, 0.6) * rng.normal(size=len(t))))


def draft(rng: Generator, level: Floats, scale: float, schedules: tuple[str, ...] = SCHEDULES, quiet: float = 1.0) -> Draft:
    """Everything of a healthy run around a loss without noise, float64[n], that begins at about 1.

    scale    where the loss begins
    quiet    the largest noise as a share of the usual largest: a fault must be visible for its label to be sure
    """
    n, t = len(level), places(len(level))
    kind, schedule = str(rng.choice(NOISES)), str(rng.choice(schedules))
    loudest = quiet * (WAVY if kind in ("autocorrelated", "heavy-tailed") else NOISE_LEVELS[1])
    sigma = log_uniform(rng, NOISE_LEVELS[0], max(loudest, 2 * NOISE_LEVELS[0]))
    k = int(rng.integers(0, MOST_EVALS + 1)) if rng.random() < 0.8 else 0
    eval_t = np.linspace(1 / k, 1, k) if k else np.empty(0)
    norms = norms_of(rng, t, scale) if rng.random() < 0.8 else None
    clip = None
    if norms is not None and rng.random() < 0.7:
        clip = 0.0 if rng.random() < 0.15 else float(np.quantile(norms, rng.uniform(0.4, 1.0)))
    return Draft(
        t=t,
        level=scale * level,
        noise=noise_of_kind(rng, n, kind, sigma),
        noise_level=sigma,
        noise_kind=kind,
        eval_t=eval_t,
        eval_level=np.interp(eval_t, t, scale * level) * rng.uniform(0.95, 1.25),
        eval_noise=log_uniform(rng, 0.0005, 0.02),
        rate=rate_of(rng, n, schedule) if rng.random() < 0.85 else None,
        schedule=schedule,
        norms=norms,
        clip=clip,
        every=int(rng.choice([1, 5, 10, 50])),
        epochs=float(rng.choice([1, 2, 3, 5])),
    )
