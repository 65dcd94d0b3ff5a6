"""Which checkpoint to use: the best eval, what was saved, how the final model compares, perplexity where it means something."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import SAMPLES, state_of

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import gather, load
from curvelab.model.run import Curve, Run
from curvelab.perplexity import perplexity
from curvelab.saved import saved, saved_by_settings

RISEN = [3.0, 2.0, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2]  # at steps 50 to 500
FALLEN = [3.0, 2.6, 2.3, 2.1, 1.95, 1.85, 1.78, 1.73, 1.7, 1.68]
EACH_50 = {"save_strategy": "steps", "save_steps": 50}


def run_with(evals: list[float], config: dict[str, Any] | None = None, **more: Any) -> Run:
    train = synth.decay(100, 3.0, 0.8, 2.0) + synth.noise(100, 0.02)
    return synth.run_of(train, evals=np.array(evals), config=config, **{"format": "trainer-state", **more})


def with_metric(run: Run, metric: str, values: object) -> Run:
    step = run.logged["eval/loss"].step
    return replace(run, logged={**run.logged, metric: Curve.of(metric, step, values)})


def advice(run: Run):
    return diagnose(run).checkpoint


# The advice


def test_a_run_that_overfitted():
    one = advice(run_with(RISEN, EACH_50))
    assert (one.best_step, one.best_value, one.final_step, one.final_value) == (150, 1.5, 500, 2.2)
    assert one.worse == pytest.approx(0.4667, abs=1e-4)
    assert (one.nearest_step, one.nearest_value, one.known_from) == (150, 1.5, "save_steps 50")
    assert one.perplexity == pytest.approx(math.exp(1.5)) and one.final_perplexity == pytest.approx(math.exp(2.2))
    assert one.sentence == "Use checkpoint-150: eval/loss 1.5 (perplexity 4.48); the final model is 47 % worse"


def test_a_healthy_run_keeps_its_final_model():
    one = advice(run_with(FALLEN, EACH_50))
    assert (one.worse, one.nearest_step) == (0.0, 500)
    assert one.sentence == "Use the final model: eval/loss 1.68 (perplexity 5.37), the best of the run"


def test_a_difference_within_the_noise_is_said():
    noisy = [3.0, 2.5, 2.05, 2.1, 2.03, 2.0, 2.08, 1.99, 2.07, 2.03]
    assert "within the noise of the best eval (1.99 at step 400)" in advice(run_with(noisy, EACH_50)).sentence
    wild = [3.0, 2.5, 1.6, 2.3, 1.7, 2.4, 1.5, 2.2, 1.8, 2.1]
    assert advice(run_with(wild, EACH_50)).sentence.endswith("the final model is 40 % worse, no more than the evals scatter by")


def test_only_the_last_was_kept():
    one = advice(run_with(RISEN, EACH_50 | {"save_total_limit": 1}))
    assert (one.nearest_step, one.known_from) == (500, "save_steps 50, save_total_limit 1")
    assert one.sentence.startswith("Only the final model is left: eval/loss 2.2 (perplexity 9.03), 47 % worse than the best eval (1.5 at step 150)")


def test_the_best_that_was_kept_is_not_the_best_eval():
    one = advice(run_with(RISEN, {"save_strategy": "steps", "save_steps": 220}))
    assert one.nearest_step == 220 and one.nearest_value == pytest.approx(1.64)
    assert "eval/loss about 1.64 (perplexity 5.16), the best that was kept; step 150 was better (1.5)" in one.sentence


def test_load_best_model_at_end_put_the_best_back():
    one = advice(run_with([*RISEN, 1.5], EACH_50 | {"load_best_model_at_end": True, "save_total_limit": 1}))
    assert (one.best_value, one.final_value) == (1.5, 2.2)  # the eval after training is no eval of training
    assert "load_best_model_at_end put the weights of step" in one.sentence
    cut_off = run_with(RISEN, EACH_50 | {"load_best_model_at_end": True}, state="crashed", planned=900)
    assert advice(cut_off).sentence.startswith("Use checkpoint-150")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "Use the checkpoint nearest to step 150, if one was saved"),
        ({"save_strategy": "no"}, "No checkpoint was saved: the best eval, eval/loss 1.5 (perplexity 4.48) at step 150, can only"),
    ],
)
def test_when_no_checkpoint_is_known(config, words):
    one = advice(run_with(RISEN, config))
    assert (one.nearest_step, one.nearest_value, one.nearest_path) == (None, None, None)
    assert one.sentence.startswith(words)
    assert one.sentence.endswith("the final model is 47 % worse")


def test_nothing_after_a_nan_or_a_divergence_is_advised():
    loss = synth.decay(100) + synth.noise(100, 0.02)
    loss[62:] = np.nan  # from step 315 on
    evals = [*FALLEN[:6], math.nan, 0.0, math.nan, math.nan]
    run = synth.run_of(loss, evals=np.array(evals), config=EACH_50, format="trainer-state")
    one = advice(run)
    assert (one.best_step, one.nearest_step) == (300, 300)
    assert one.sentence == "Use checkpoint-300: eval/loss 1.85 (perplexity 6.36); the training is not finite from step 315 on"
    none_before = synth.run_of(loss, evals=np.array([math.nan] * 10), config=EACH_50)
    assert advice(none_before) is None


def test_a_task_metric_decides_where_the_run_says_so_and_is_mentioned_where_not():
    accuracy = np.array([0.3, 0.5, 0.6, 0.7, 0.8, 0.82, 0.84, 0.86, 0.9, 0.88])
    run = with_metric(run_with(RISEN, EACH_50), "eval/accuracy", accuracy)
    assert "but eval/accuracy was best at step 450: decide by the metric that matters" in advice(run).sentence
    assert advice(run).perplexity is None
    named = with_metric(run_with(RISEN, EACH_50 | {"metric_for_best_model": "accuracy"}), "eval/accuracy", accuracy)
    one = advice(named)
    assert (one.metric, one.best_step, one.best_value, one.worse) == ("eval/accuracy", 450, 0.9, pytest.approx(0.0222, abs=1e-4))


def test_losses_without_a_scale_have_no_percentage():
    below = advice(run_with([0.5, -0.2, -1.0, -0.5, -0.3, 0.0, 0.1, 0.2, 0.3, 0.4], EACH_50))
    assert below.sentence == "Use checkpoint-150: eval/loss −1; the final model is worse (0.4 against −1)"
    assert below.perplexity is None


def test_one_eval_and_none():
    assert advice(run_with([2.0], EACH_50)).sentence.endswith("the only eval")
    assert advice(synth.run_of(synth.decay(50))) is None


@given(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=15), st.integers(1, 200), st.integers(0, 4))
def test_laws(evals, every, limit):
    one = advice(run_with(evals, {"save_strategy": "steps", "save_steps": every, "save_total_limit": limit}))
    finite = [value for value in evals if math.isfinite(value)]
    if one is None:
        return
    assert one.best_value >= min(finite) and one.worse >= 0 and one.sentence
    assert one.nearest_step is None or 0 < one.nearest_step <= 500
    assert one.nearest_value is None or one.nearest_value >= one.best_value - 1e-9 * abs(one.best_value)


# What was saved


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({"save_strategy": "steps", "save_steps": 150}, [150, 300, 450, 500]),
        ({"save_strategy": "steps", "save_steps": 0.3}, [150, 300, 450, 500]),
        ({"save_strategy": "IntervalStrategy.STEPS", "save_steps": 150, "save_total_limit": 2}, [450, 500]),
        ({"save_strategy": "steps", "save_steps": 150, "save_total_limit": "None"}, [150, 300, 450, 500]),
        (EACH_50 | {"save_total_limit": 2, "load_best_model_at_end": True}, [150, 500]),
        (EACH_50 | {"save_total_limit": 1, "metric_for_best_model": "loss"}, [150, 500]),
        ({"save_strategy": "best"}, [50, 100, 150]),
        ({"save_strategy": "epoch"}, [250, 500]),
        ({"save_strategy": "no"}, []),
        ({"save_strategy": "steps"}, []),
        ({"save_strategy": "steps", "save_steps": -5}, []),
        ({"save_strategy": "steps", "save_steps": math.nan}, []),
    ],
)
def test_checkpoints_by_the_settings(config, steps):
    found = saved_by_settings(Facts(run_with(RISEN, config, epoch=np.arange(1, 101) / 50)))
    assert found.steps.tolist() == steps
    assert bool(found.reason) == (not steps)


def test_a_run_that_was_cut_off_did_not_save_at_its_end():
    run = run_with(RISEN, {"save_strategy": "steps", "save_steps": 150}, state="crashed")
    assert saved_by_settings(Facts(run)).steps.tolist() == [150, 300, 450]
    early = run_with(RISEN, {"save_strategy": "steps", "save_steps": 800}, state="crashed")
    assert "before its first checkpoint" in saved_by_settings(Facts(early)).reason


def checkpoints(folder: Path, steps: list[int]) -> Path:
    """A run folder with checkpoints, each with the state of its step."""
    for step in steps:
        place = folder / f"checkpoint-{step}"
        place.mkdir(parents=True)
        evals = {at: value for at, value in zip(range(50, 501, 50), RISEN, strict=True) if at <= step}
        state = state_of([3.0 - 0.004 * i * 10 for i in range(step // 10)], evals=evals, max_steps=500, finished=False)
        (place / "trainer_state.json").write_text(json.dumps(state))
    return folder


def test_folders_that_are_there_count_more_than_settings(tmp_path):
    run = load(checkpoints(tmp_path / "out", [100, 200, 500]))
    assert saved(Facts(run)).steps.tolist() == [100, 200, 500]
    one = advice(run)
    assert (one.nearest_step, one.nearest_value, one.known_from) == (200, 1.6, "folders")
    assert one.nearest_path == str(tmp_path / "out" / "checkpoint-200")
    assert one.sentence.startswith("Use checkpoint-200 (./checkpoint-200): eval/loss 1.6 (perplexity 4.95), the best that was kept")
    assert str(tmp_path) not in one.sentence


def test_folders_of_weights_alone_count_too(tmp_path):
    home = checkpoints(tmp_path / "out", [500])
    for step in (150, 9000):
        (home / f"checkpoint-{step}").mkdir()
        (home / f"checkpoint-{step}" / "adapter_model.safetensors").write_bytes(b"x")
    (home / "checkpoint-100").mkdir()  # holds nothing
    assert saved(Facts(load(home))).steps.tolist() == [150, 500]  # 9000 lies beyond this run
    assert advice(load(home)).sentence.startswith("Use checkpoint-150 (./checkpoint-150): eval/loss 1.5")


def test_a_value_between_two_evals_is_about_and_the_last_eval_is_told():
    one = advice(run_with(FALLEN, {"save_strategy": "steps", "save_steps": 480}, state="crashed", planned=900))
    assert one.sentence == (
        "Use checkpoint-480: eval/loss about 1.688 (perplexity 5.41); the last eval before the log ends, 1.68 at step 500, was the best"
    )
    one = advice(run_with(FALLEN, EACH_50, state="crashed", planned=900))
    assert one.sentence == "Use checkpoint-500: eval/loss 1.68 (perplexity 5.37); that was the last eval before the log ends"


def test_a_lone_checkpoint_does_not_tell_of_its_neighbours(tmp_path):
    run = load(checkpoints(tmp_path / "out", [500]) / "checkpoint-500")
    found = saved(Facts(run))
    assert (found.steps.tolist(), found.partly) == ([500], True)
    assert advice(run).sentence.startswith("Use the checkpoint nearest to step 150, if it is still there: eval/loss 1.5")


# Perplexity


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"format": "tensorboard"}, False),  # nothing says what was trained
        ({"format": "tensorboard", "config": {"vocab_size": 32000, "model_type": "llama"}}, True),
        ({"format": "tensorboard", "config": {"vocab_size": 30522, "model_type": "distilbert"}}, False),
        ({"config": {"label_smoothing_factor": 0.1}}, False),
        ({"architectures": ["LlamaForCausalLM"], "format": "wandb-file"}, True),
        ({"architectures": ["LlamaForSequenceClassification"]}, False),
        ({"metrics": ["eval/accuracy"]}, False),
        ({"metrics": ["eval/accuracy", "eval/mean_token_accuracy"]}, True),
        ({"metrics": ["eval/mse"]}, False),
        ({"metrics": ["train/rewards/margins"]}, False),
        ({"metrics": ["train/reward"]}, False),
    ],
)
def test_perplexity_is_given_for_losses_of_tokens_only(more, expected):
    run = run_with(RISEN, more.get("config"), format=more.get("format", "trainer-state"))
    for metric in more.get("metrics", ()):
        run = with_metric(run, metric, np.linspace(0.1, 0.9, 10))
    run = replace(run, raw_config={"config.json": {"architectures": more["architectures"]}} if "architectures" in more else {})
    assert (perplexity(Facts(run), "eval/loss", 1.5) is not None) == expected


@pytest.mark.parametrize("loss", [0.0, -1.0, 20.5, 1e9, math.nan, math.inf])
def test_perplexity_of_what_can_be_no_cross_entropy(loss):
    assert perplexity(Facts(run_with(RISEN)), "eval/loss", loss) is None
    assert perplexity(Facts(run_with(RISEN)), "eval/accuracy", 0.5) is None


# Real logs


def test_advice_for_every_real_run(corpus):
    told = 0
    for run in gather([corpus / "trained" / "runs", corpus / "wild"]).runs:
        one = diagnose(run).checkpoint
        if one is None:
            continue
        told += 1
        assert one.sentence and "nan" not in one.sentence.lower() and "inf" not in one.sentence.lower().split()
        assert run.first_step <= one.best_step <= run.last_step
        assert one.perplexity is None or one.perplexity < math.exp(20)
    assert told > 80


def test_the_samples():
    lost = advice(load(SAMPLES / "more" / "best-lost"))
    assert (lost.best_step, lost.nearest_step) == (200, 400)
    killed = advice(load(SAMPLES / "killed"))
    assert killed.sentence.startswith("Use checkpoint-450 (./checkpoint-450): eval/loss 1.097 (perplexity 3.00)")


def test_no_perplexity_of_an_unknown_model_whose_loss_begins_like_that_of_two_classes():
    run = run_with([0.69] * 10)
    low = replace(run, logged={**run.logged, "train/loss": replace(run.logged["train/loss"], value=np.full(100, math.log(2)))})
    assert perplexity(Facts(run), "eval/loss", 0.69) is not None
    assert perplexity(Facts(low), "eval/loss", 0.69) is None
    assert perplexity(Facts(replace(low, config={**synth.run_of(np.ones(9), config={"vocab_size": 9}).config})), "eval/loss", 0.69) is not None
