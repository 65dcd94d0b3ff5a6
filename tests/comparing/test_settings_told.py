"""Settings: what only some logs tell, what is read off the curves, what means the same, and batches that logs get wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparing.made import made, with_metric
from states import SAMPLES  # noqa: F401 - the path of the tests

import curvelab
from curvelab.comparing.told import comparable
from curvelab.model.run import Run


def with_rate(run: Run, every: int, peak: float = 3e-4) -> Run:
    """A run that tells no learning rate and logs its schedule every so many steps."""
    steps = np.arange(every, 501, every)
    values = peak * np.minimum(steps / 50, (500 - steps) / 450)
    run = with_metric(run, "train/learning_rate", [0.0] * len(steps))
    curve = replace(run.logged["train/learning_rate"], step=steps, value=values)
    return replace(run, logged={**run.logged, "train/learning_rate": curve})


def bare(name: str, speed: float | None, floor: float = 1.8, epochs: float = 1.0) -> Run:
    """A run of a bare trainer_state: it tells 8 samples a step of one device, and its speeds as they were."""
    run = made(name, floor, per_device_train_batch_size=None, gradient_accumulation_steps=None, train_batch_size=8, num_train_epochs=epochs)
    if speed is not None:
        run = with_metric(with_metric(run, "final/train_samples_per_second", [speed]), "final/train_steps_per_second", [2.0])
    return replace(run, logged={m: replace(c, epoch=c.epoch * epochs) for m, c in run.logged.items()})


def test_a_setting_that_one_log_tells_is_a_difference():
    told = curvelab.compare([made("plain"), made("neft", 1.4, neftune_noise_alpha=5)])
    (one,) = told.differences
    assert (one.setting, one.values) == ("neftune_noise_alpha", {"neft": 5})
    assert told.sentence.endswith("They differ in neftune_noise_alpha 5 against not told.")
    assert told.effects[0].sentence.startswith("neftune_noise_alpha not told → 5")


def test_logs_of_other_kinds_differ_in_what_one_tells_and_that_is_said():
    silent = replace(made("silent"), config={})
    told = curvelab.compare([made("telling", 1.5), silent])
    assert "No logged setting tells" not in told.sentence
    assert "settings are told by the log of one of the first two only" in told.sentence


def test_a_learning_rate_read_off_the_log_does_not_depend_on_how_often_it_was_logged():
    runs = [with_rate(made(f"every{n}", learning_rate=None), n) for n in (5, 25, 40)]
    told = curvelab.compare(runs)
    assert [one.setting for one in told.differences] == []
    assert told.effects == ()


def test_an_inferred_learning_rate_is_marked_and_has_no_effect():
    told = curvelab.compare([with_rate(made(n, learning_rate=None), 5, peak) for n, peak in (("a", 1e-4), ("b", 1e-3))])
    (one,) = told.differences
    assert (one.setting, one.inferred) == ("learning_rate", ("a", "b"))
    assert "learning_rate about" in told.sentence
    assert told.effects == ()


@pytest.mark.parametrize(("one", "other"), [(True, 1), (True, "True"), ("true", 1), (False, 0), ("false", False), ("1e-4", 1e-4)])
def test_values_that_mean_the_same_are_the_same(one, other):
    assert comparable(one) == comparable(other)


def test_words_for_true_make_no_difference_and_seeds_stay_together():
    told = curvelab.compare([made(f"x-{s}", seed=s, bf16=value) for s, value in ((1, True), (2, 1), (3, "True"))])
    assert [one.setting for one in told.differences] == ["seed"]
    assert len(told.groups) == 1


def test_a_bare_batch_is_checked_against_the_logged_speeds():
    told = curvelab.compare([bare("one", 16.0), bare("four", 64.0, 1.6, epochs=4)])
    assert told.axis.name == "samples"
    assert "8, 32 samples a step" in told.axis.reason
    assert "samples_per_step about 32 against about 8" in told.sentence
    assert told.effects == ()  # the epochs follow from the batch


def test_a_bare_batch_that_the_epochs_belie_is_not_known():
    told = curvelab.compare([bare("one", None), bare("four", None, epochs=4)])
    assert told.axis.name == "epoch"
    assert "samples" not in told.axis.possible
    assert "one device only" in told.axis.reason
