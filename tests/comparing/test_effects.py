"""The effect of one setting: its interval holds, however many pairs the same few runs make."""

from __future__ import annotations

import numpy as np
import pytest
from comparing.made import made

from curvelab.comparing.choice import Choice
from curvelab.comparing.effects import effects
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.noise import noise_among
from curvelab.comparing.ranking import Unit, Value
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts

CHOICE = Choice("eval/loss", "min", "")


@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_interval_counts_runs_and_not_their_pairs(count):
    runs = [made(f"{rate}-{i}", evals=0, seed=None, learning_rate=rate) for rate in (1e-4, 2e-4) for i in range(count)]
    found = diagnose(runs[0])
    entrants = [Entrant(run, Facts(run), found) for run in runs]
    rng = np.random.default_rng(0)
    covered, widths = [], []
    for _ in range(200):
        units = [Unit(i, (one,), (Value(1.8 + rng.normal(0, 0.02), 1, 0.004, 9, one.id),)) for i, one in enumerate(entrants)]
        (effect,) = effects(units, CHOICE, noise_among(units))
        assert effect.pairs == count**2
        covered.append(effect.low <= 0 <= effect.high)
        widths.append(effect.high - effect.low)
    assert np.mean(covered) >= 0.92
    assert np.median(widths) <= 0.2 / np.sqrt(count)
