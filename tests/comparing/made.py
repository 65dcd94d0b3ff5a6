"""Runs to compare: a floor to fall to, settings, a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from curvelab import synth
from curvelab.model.run import Curve, Run

BASE = {
    "learning_rate": 1e-4, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "model_type": "gpt2",
    "vocab_size": 50257, "seed": 1, "max_steps": 500,
}  # fmt: skip


def made(name: str, floor: float = 1.8, *, noise: float = 0.01, points: int = 100, evals: int = 10, **config: Any) -> Run:
    """A healthy run that falls to `floor`; `config` goes over BASE, a value of None takes a setting out."""
    settings = {key: value for key, value in (BASE | config).items() if value is not None}
    number = sum(map(ord, name)) + 1000 * int(settings.get("seed", 0))
    train = synth.decay(points, 3.0, floor) + synth.noise(points, 0.03, seed=number)
    losses = synth.decay(evals, 2.6, floor) + synth.noise(evals, noise, seed=number + 1) if evals else None
    run = synth.run_of(train, evals=losses, config=settings, epoch=np.arange(1, points + 1) / points * 2)
    return replace(run, id=name, name=name, path=f"runs/{name}")


def with_metric(run: Run, metric: str, values: list[float]) -> Run:
    """The run with one more metric, spread evenly over its steps."""
    last = run.last_step or 0
    step = np.linspace(last / len(values), last, len(values)).astype(np.int64)
    return replace(run, logged={**run.logged, metric: Curve.of(metric, step, values)})


def renamed(run: Run, metric: str, name: str) -> Run:
    """The run with a metric under another name."""
    logged = {name if key == metric else key: value for key, value in run.logged.items()}
    return replace(run, logged={key: replace(value, metric=key) for key, value in logged.items()})


def broken(name: str, **config: Any) -> Run:
    """A run that became NaN in its middle, in train and eval."""
    run = made(name, 1.0, **config)
    spoilt = {
        m: replace(c, value=np.where(c.step > 300, np.nan, c.value)) if m.endswith("/loss") else c for m, c in run.logged.items()
    }
    return replace(run, logged=spoilt)
