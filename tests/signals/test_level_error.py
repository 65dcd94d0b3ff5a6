"""How well the level at the end of a curve is known: of white noise, and of noise that goes with itself."""

from __future__ import annotations

import numpy as np
import pytest

from curvelab.signals.level import error_of_level


def curves(r: float, n: int = 500, trials: int = 150) -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.03 * np.sqrt(1 - r**2), (trials, 2 * n))
    noise = np.zeros((trials, 2 * n))
    for i in range(1, 2 * n):
        noise[:, i] = r * noise[:, i - 1] + steps[:, i]
    return 1.8 + 1.2 * np.exp(-5 * np.arange(1, n + 1) / n) + noise[:, n:]


@pytest.mark.parametrize("r", [0.0, 0.7, 0.9])
def test_the_error_is_that_of_repeated_runs(r):
    found = curves(r)
    truth = np.median(found[:, -50:], axis=1).std()
    told = np.median([error_of_level(one, 50) for one in found])
    assert 0.8 <= told / truth <= 1.8
