"""Parts of a synthetic run, and a run of them.

Every function is deterministic in its seed. Losses are in nats, steps in optimizer steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvelab.model.run import Curve, Run, Setting

Floats = NDArray[np.float64]


def run_of(
    train: Floats,
    *,
    every: int = 5,
    evals: Floats | None = None,
    norms: Floats | None = None,
    rate: Floats | None = None,
    epoch: Floats | None = None,
    planned: int | None = None,
    config: Mapping[str, Any] | None = None,
    state: str = "finished",
    format: str = "synthetic",
    more: Mapping[str, Floats] | None = None,
) -> Run:
    """A run from plain arrays: train float64[n] logged each `every` steps, evals float64[k] spread evenly to the end.

    epoch float64[n]: the clock of the train loss, not known without it.
    """
    n = len(train)
    step = (np.arange(n) + 1) * every
    logged = {"train/loss": Curve.of("train/loss", step, train, **({} if epoch is None else {"epoch": epoch}))}
    for metric, values in {"train/grad_norm": norms, "train/learning_rate": rate, **(more or {})}.items():
        if values is not None:
            logged[metric] = Curve.of(metric, step[: len(values)], values)
    if evals is not None:
        at = np.linspace(step[-1] / len(evals), step[-1], len(evals)).astype(np.int64)
        logged["eval/loss"] = Curve.of("eval/loss", at, evals)
    return Run(
        id="synthetic",
        name="synthetic",
        path="synthetic",
        format=format,
        logged=logged,
        config={name: Setting(value, "synthetic") for name, value in (config or {}).items()},
        planned_steps=int(step[-1]) if planned is None else planned,
        state=state,  # type: ignore[arg-type]
    )


def decay(n: int, start: float = 3.0, end: float = 1.8, speed: float = 4.0) -> Floats:
    """A healthy loss without noise: exponential fall from `start` towards `end`, `speed` time constants long."""
    return end + (start - end) * np.exp(-speed * np.arange(n) / n)


def noise(n: int, sigma: float, seed: int = 0) -> Floats:
    """White noise, float64[n]."""
    return np.random.default_rng(seed).normal(0.0, sigma, n)


def cosine(n: int, peak: float = 2e-4, warmup: float = 0.05) -> Floats:
    """A learning rate with linear warm-up over a share of the logs and cosine decay to zero."""
    ramp = max(1, int(warmup * n))
    rest = np.arange(n - ramp) / max(1, n - ramp)
    return np.concatenate([peak * (np.arange(ramp) + 1) / ramp, peak * 0.5 * (1 + np.cos(np.pi * rest))])
