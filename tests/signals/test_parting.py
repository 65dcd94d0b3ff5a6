"""Where two curves part: found near the truth, and hardly ever where there is nothing."""

from __future__ import annotations

import numpy as np

from curvelab.signals.parting import averaged, fork_of


def pair(seed: int, gap: float, at: int = 60, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.arange(n, dtype=np.float64)
    level = 1.8 + np.exp(-x / 30)
    return x, level + rng.normal(0, 0.05, n), x, level + rng.normal(0, 0.05, n) + np.where(x >= at, gap, 0.0)


def test_the_place_is_found_near_the_truth():
    found = [fork_of(*pair(seed, 0.3)) for seed in range(40)]
    places = [one.at for one in found if one is not None and one.at is not None]
    assert len(places) == 40
    assert all(50 <= place <= 70 for place in places)
    assert all(0.15 <= one.gap <= 0.45 for one in found if one is not None and one.gap is not None)


def test_alike_curves_hardly_ever_part():
    assert sum(fork_of(*pair(seed, 0.0)).at is not None for seed in range(200)) <= 6


def test_a_spike_is_no_parting():
    x1, y1, x2, y2 = pair(3, 0.0)
    y2[40:43] += 3.0
    assert fork_of(x1, y1, x2, y2).at is None


def test_curves_without_common_ground_are_not_compared():
    x1, y1, x2, y2 = pair(1, 0.3)
    assert fork_of(x1, y1, x2 + 1000, y2) is None


def test_other_intervals_of_logging_are_laid_on_each_other():
    x1, y1, x2, y2 = pair(5, 0.5)
    found = fork_of(x1[::3], y1[::3], x2, y2)
    assert found is not None
    assert found.at is not None
    assert 45 <= found.at <= 72


def test_few_places_are_searched_more_boldly_and_still_hardly_ever_in_vain():
    rng = np.random.default_rng(0)
    x = np.arange(20) * 50.0
    level = 2 + 5 * np.exp(-np.sqrt(x / 60))
    false = [fork_of(x, level + rng.normal(0, 0.02, 20), x, level + rng.normal(0, 0.02, 20)).at is not None for _ in range(200)]
    assert sum(false) <= 4


def test_an_equal_beginning_is_named_to_its_last_place():
    x = np.arange(60.0)
    y = 2 + np.random.default_rng(0).normal(0, 0.05, 60)
    found = fork_of(x, y, x, np.where(x > 30, y + 0.5, y))
    assert (found.identical, found.at is not None and found.at > 25) == (30.0, True)
    assert fork_of(x, y, x, y).identical == 59.0


def waves(rng: np.random.Generator, n: int, r: float) -> np.ndarray:
    """Noise of which each value goes with the last."""
    steps = rng.normal(0, 0.03 * np.sqrt(1 - r**2), n)
    found = np.zeros(n)
    for i in range(1, n):
        found[i] = r * found[i - 1] + steps[i]
    return found


def test_waves_are_no_parting():
    rng = np.random.default_rng(0)
    x = np.arange(500.0)
    level = 1.8 + np.exp(-x / 100)
    for r in (0.8, 0.9, 0.98):
        found = [fork_of(x, level + waves(rng, 500, r), x, level + waves(rng, 500, r)).at is not None for _ in range(60)]
        assert sum(found) <= 4, r


def test_a_gap_that_opens_slowly_is_no_wave():
    rng = np.random.default_rng(0)
    x = np.arange(300.0)
    level = 1.8 + np.exp(-x / 60)
    gap = 0.3 * np.maximum(0, x - 120) / 180
    found = [fork_of(x, level + rng.normal(0, 0.03, 300), x, level + gap + rng.normal(0, 0.03, 300)) for _ in range(30)]
    assert all(one.at is not None and one.at < 200 for one in found)


def test_a_log_of_means_is_the_curve_averaged_since_the_last_of_them():
    x = np.arange(1.0, 13.0)
    at, mean = averaged(x, x, np.array([4.0, 8.0, 10.0]))
    assert (at.tolist(), mean.tolist()) == ([4.0, 8.0, 10.0], [2.5, 6.5, 9.5])
