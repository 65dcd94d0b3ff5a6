"""Early stopping on arrays: by hand, by its laws, and against the callback and the rotation of Transformers itself."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curvelab.signals.early_stopping import Replay, replay
from curvelab.signals.retention import left

NUMBERS = st.one_of(
    st.floats(-5, 5), st.sampled_from([0.0, 1.0, 1.001, 1.002, math.nan, math.inf, -math.inf]), st.integers(0, 3)
)
EVALS = st.lists(NUMBERS, max_size=30).map(lambda values: np.array(values, dtype=np.float64))


def test_it_stops_at_the_eval_that_exhausts_the_patience_and_keeps_the_best():
    assert replay(np.array([2.0, 1.0, 1.5, 1.6, 1.7, 0.5]), 3, 0.001) == Replay(4, 1)
    assert replay(np.array([2.0, 1.0, 1.5, 1.6, 0.5, 0.6]), 3, 0.001) == Replay(None, 4)
    assert replay(np.array([0.5, 0.9, 0.8, 0.7, 0.6]), 3, 0.0, greater=True) == Replay(4, 1)
    assert replay(np.empty(0), 3, 0.0) == Replay(None, None)


def test_many_gains_within_the_threshold_do_stop_and_the_last_of_them_is_kept():
    assert replay(np.array([1.0, 0.9995, 0.999, 0.9985]), 3, 0.001) == Replay(3, 3)
    assert replay(np.array([1.0, 0.9985, 0.997, 0.9955]), 3, 0.001) == Replay(None, 3)


def test_nan_improves_on_nothing():
    assert replay(np.array([1.0, math.nan, math.nan, math.nan]), 3, 0.0) == Replay(3, 0)
    assert replay(np.array([math.nan, math.nan, math.nan]), 2, 0.0) == Replay(2, None)


@given(EVALS, st.integers(1, 6), st.floats(0, 1), st.booleans())
def test_laws(values, patience, threshold, greater):
    stop, kept = replay(values, patience, threshold, greater)
    assert replay(-values, patience, threshold, not greater) == (stop, kept)
    until = values if stop is None else values[: stop + 1]
    if stop is not None:
        assert stop >= patience  # the first eval never counts
        assert replay(until, patience, threshold, greater) == (stop, kept)
        assert replay(values[:stop], patience, threshold, greater).stop is None
    cost = np.where(np.isnan(until), np.inf, -until if greater else until)
    assert kept is None or cost[kept] == cost.min()
    later = replay(values, patience + 1, threshold, greater).stop
    assert later is None or (stop is not None and later > stop)


@pytest.fixture(scope="module")
def transformers():
    """The library, with its own warnings silenced; skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers", reason="transformers is not installed")


def trained(transformers, values, patience, threshold, greater):
    """Evals as Trainer runs them: the callback first, then the best metric is brought up to date."""
    callback = transformers.EarlyStoppingCallback(patience, threshold)
    arguments = SimpleNamespace(metric_for_best_model="loss", greater_is_better=greater)
    state, control = SimpleNamespace(best_metric=None), SimpleNamespace(should_training_stop=False)
    better, kept = np.greater if greater else np.less, None
    for place, value in enumerate(values.tolist()):
        callback.on_evaluate(arguments, state, control, {"eval_loss": value})
        if state.best_metric is None:
            state.best_metric = -math.inf if greater else math.inf
        if better(value, state.best_metric):
            state.best_metric, kept = value, place
        if control.should_training_stop:
            return place, kept
    return None, kept


@settings(max_examples=500, deadline=None)
@given(values=EVALS, patience=st.integers(1, 6), threshold=st.sampled_from([0.0, 0.001, 0.3]), greater=st.booleans())
def test_it_does_as_the_callback_of_transformers(transformers, values, patience, threshold, greater):
    assert replay(values, patience, threshold, greater) == trained(transformers, values, patience, threshold, greater)


def test_checkpoints_over_the_limit_go_the_oldest_first():
    saves = [100, 200, 300, 400]
    assert left(saves, None) == left(saves, 0) == saves
    assert left(saves, 2) == [300, 400]
    assert left(saves, 9) == saves
    assert left([], 2) == []


def test_the_best_checkpoint_stays_beside_the_last():
    best = {100: 100, 200: 200, 300: 200, 400: 200}
    assert left([100, 200, 300, 400], 1, best) == [200, 400]
    assert left([100, 200, 300, 400], 3, best) == [200, 300, 400]
    assert left([100, 200, 300], 1, {100: 50, 200: 50, 300: None}) == [300]  # the best eval was not saved


SAVES = st.lists(st.integers(1, 500), max_size=12, unique=True).map(sorted)


@settings(max_examples=100, deadline=None)
@given(saves=SAVES, limit=st.integers(1, 5), draw=st.randoms(use_true_random=False))
def test_it_does_as_the_rotation_of_transformers(transformers, tmp_path_factory, saves, limit, draw):
    rotate = pytest.importorskip("transformers.trainer_utils").rotate_checkpoints
    folder = tmp_path_factory.mktemp("out")
    best = {save: draw.choice([None, *saves[: place + 1], 7]) for place, save in enumerate(saves)}
    good = None
    for save in saves:
        (folder / f"checkpoint-{save}").mkdir()
        known = folder / f"checkpoint-{best[save]}"
        good = str(known) if best[save] is not None and known.is_dir() else good
        rotate(str(folder), limit, good)
    there = sorted(int(place.name.removeprefix("checkpoint-")) for place in folder.iterdir())
    assert left(saves, limit, best) == there
