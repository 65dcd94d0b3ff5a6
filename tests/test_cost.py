"""What a mistake cost: which steps were wasted, how long they took, on how many GPUs, for how much, on how many tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curvelab import synth
from curvelab.clock import clock_of, tokens_after
from curvelab.cost import tariff_of
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.gpus import gpus_of
from curvelab.ingest import gather, load
from curvelab.model.errors import UsageError
from curvelab.model.options import Options
from curvelab.model.run import Curve, Run, Seam, Setting

N, EVERY = 120, 5
LAST = N * EVERY


def overfitted(**more: object) -> Run:
    """Best eval at step 200 of 600, four seconds a step."""
    x = np.linspace(0, 1, 12)
    evals = 2.0 + 1.2 * np.exp(-8 * x) + 0.8 * np.clip((x - 0.25) / 0.75, 0, None)
    run = synth.run_of(synth.decay(N, 3.0, 0.8, 2.0) + synth.noise(N, 0.02), every=EVERY, evals=evals, **more)  # type: ignore[arg-type]
    return timed(run)


def timed(run: Run, seconds: float = 4.0, **columns: np.ndarray) -> Run:
    loss = run.logged["train/loss"]
    return with_curves(run, **{"train/loss": replace(loss, **({"wall_time": 1.7e9 + seconds * loss.step} | columns))})


def with_curves(run: Run, **curves: Curve) -> Run:
    return replace(run, logged={**run.logged, **curves})


def with_metric(run: Run, metric: str, step: object, value: object) -> Run:
    return with_curves(run, **{metric: Curve.of(metric, step, value)})


def settled(run: Run, origin: str = "config.json", **settings: object) -> Run:
    return replace(run, config={name: Setting(value, origin) for name, value in settings.items()})


def wasted(run: Run, **options: object):
    return diagnose(run, Options(**options)).wasted  # type: ignore[arg-type]


# Which steps were wasted


def test_after_the_best_eval_of_a_run_that_overfitted():
    waste = wasted(overfitted())
    assert (waste.why, waste.since_step, waste.steps, waste.share) == ("overfitting", 200, 400, pytest.approx(2 / 3, abs=1e-4))
    assert (waste.seconds, waste.seconds_from) == (1600.0, "wall times")
    assert (waste.gpus, waste.gpu_hours, waste.money, waste.tokens) == (None, None, None, None)


def test_nothing_is_wasted_while_a_task_metric_improves():
    run = overfitted()
    at = run.logged["eval/loss"].step
    assert wasted(with_metric(run, "eval/accuracy", at, np.linspace(0.3, 0.9, len(at)))) is None
    assert wasted(with_metric(run, "eval/accuracy", at, np.full(len(at), 0.5))).since_step == 200


def test_another_eval_set_that_still_improved_moves_the_last_useful_step():
    run = overfitted()
    at = run.logged["eval/loss"].step
    assert wasted(with_metric(run, "eval/other/loss", at, 3 - np.minimum(np.arange(len(at)), 8) / 10)).since_step == 450


def test_after_the_nan_and_after_the_divergence():
    loss = synth.decay(N) + synth.noise(N, 0.02)
    bad = loss.copy()
    bad[60:] = np.nan
    assert (wasted(synth.run_of(bad)).why, wasted(synth.run_of(bad)).since_step) == ("non-finite", 305)
    gone = loss + np.where(np.arange(N) >= 80, 3.0, 0.0)
    waste = wasted(synth.run_of(gone))
    assert (waste.why, waste.seconds) == ("divergence", None)
    assert 395 <= waste.since_step <= 410


def test_a_spike_that_recovered_and_a_healthy_run_wasted_nothing():
    loss = synth.decay(N) + synth.noise(N, 0.02)
    assert wasted(synth.run_of(loss)) is None
    loss[60] = np.nan
    assert wasted(synth.run_of(loss)) is None


def test_a_learning_rate_of_zero_wastes_the_rest_of_the_run():
    rate = np.concatenate([synth.cosine(60), np.zeros(60)])
    loss = np.concatenate([synth.decay(60, 3.0, 1.5), np.full(60, 1.55)]) + synth.noise(N, 0.01)
    waste = wasted(synth.run_of(loss, rate=rate))
    assert waste.why in ("schedule-anomaly", "plateau") and 240 <= waste.since_step <= 310


def flat(tail: float = 5.5) -> np.ndarray:
    loss = 5.5 + 5 * np.exp(-np.arange(N) / 5.0) + synth.noise(N, 0.02, seed=4)
    loss[100:] += tail - 5.5
    return loss


def test_a_plateau_is_wasted_unless_the_loss_fell_after_it_or_an_eval_did():
    rate = np.concatenate([np.full(100, 1e-4), 1e-4 * np.linspace(0.09, 0.01, 20)])
    waste = wasted(synth.run_of(flat(), rate=np.full(N, 1e-4)))
    assert waste.why == "plateau" and waste.since_step < 200
    assert wasted(synth.run_of(flat(tail=4.8), rate=rate)) is None  # a constant phase that waits for its decay
    better = with_metric(synth.run_of(flat(), rate=np.full(N, 1e-4)), "eval/accuracy", [50, 150, 300, 450, 600], [0.2, 0.3, 0.5, 0.7, 0.8])
    assert wasted(better) is None


# How long it took


def test_pauses_between_attempts_are_no_training_time_and_work_done_twice_is():
    step = np.concatenate([np.arange(5, 405, 5), np.arange(305, 605, 5)])
    segment = np.repeat([0, 1], [80, 60])
    wall = np.concatenate([4.0 * step[:80], 1e6 + 4.0 * step[80:]])
    run = overfitted()
    loss = Curve.of("train/loss", step, np.interp(step, run.logged["train/loss"].step, run.logged["train/loss"].value), segment=segment, wall_time=wall)
    run = replace(with_curves(run, **{"train/loss": loss}), seams=(Seam(1, 305, 400),))
    clock = clock_of(Facts(run))
    assert clock is not None and clock.told_by == "wall times"
    assert clock.after(500) == 400
    assert clock.after(200) == pytest.approx(800 + 20 + 4 * 295)  # to step 400, one interval, then from 305 to 600
    assert clock.after(350) == pytest.approx(1000)  # done for good by the second attempt


def test_a_new_file_of_the_same_run_is_a_new_attempt_though_no_step_was_repeated():
    run = overfitted()
    loss = run.logged["train/loss"]
    late = loss.step > 300
    moved = replace(loss, wall_time=loss.wall_time + 500.0 * late, origin=late.astype(np.int16), origins=("a", "b"))
    assert clock_of(Facts(with_curves(run, **{"train/loss": moved}))).after(200) == pytest.approx(1600)


def test_long_pauses_are_left_out_and_said():
    run = overfitted()
    loss = run.logged["train/loss"]
    slept = timed(run, wall_time=loss.wall_time + np.where(loss.step > 400, 30_000.0, 0.0))
    waste = wasted(slept)
    assert (waste.seconds, waste.seconds_from) == (1600.0, "wall times, 1 long pause left out")


def test_without_wall_times_the_runtime_is_shared_among_the_steps():
    run = with_curves(overfitted(), **{"train/loss": replace(overfitted().logged["train/loss"], wall_time=np.full(N, np.nan))})
    assert wasted(run).seconds is None and wasted(run).seconds_from == ""
    waste = wasted(with_metric(run, "final/train_runtime", [LAST], [1200.0]))
    assert (waste.seconds, waste.seconds_from) == (800.0, "train_runtime")
    twice = with_metric(run, "final/train_runtime", [300, LAST], [9000.0, 600.0])
    assert wasted(twice).seconds == 800.0  # of the last attempt only, which began at step 300
    speed = wasted(with_metric(run, "final/train_steps_per_second", [LAST], [0.5]))
    assert (speed.seconds, speed.seconds_from) == (800.0, "train_steps_per_second")


def test_times_written_in_one_go_after_the_fact_tell_nothing():
    assert wasted(timed(overfitted(), wall_time=np.full(N, 1.7e9))).seconds is None


@given(st.integers(0, LAST + 50), st.integers(0, LAST + 50), st.integers(0, 2**32 - 1))
def test_time_after_a_step_never_grows_with_the_step(one, other, seed):
    draw = np.random.default_rng(seed)
    run = overfitted()
    wall = 1.7e9 + np.cumsum(draw.exponential(5, N)) + np.cumsum(draw.random(N) < 0.03) * 1e5
    clock = clock_of(Facts(timed(run, wall_time=wall)))
    assert clock.after(max(one, other)) <= clock.after(min(one, other)) + 1e-6
    assert 0 <= clock.after(0) <= 1.1 * float(wall[-1] - wall[0]) + clock.pace * EVERY


# GPUs, money, tokens


def test_what_the_user_says_wins_over_the_log():
    run = settled(overfitted(), world_size=4)
    assert gpus_of(Facts(run)) == (4, "world_size in config.json")
    waste = wasted(run, gpus=8, gpu_price=2.5)
    assert (waste.gpus, waste.gpus_from, waste.price) == (8, "--gpus", 2.5)
    assert waste.gpu_hours == pytest.approx(1600 * 8 / 3600, rel=1e-5)
    assert waste.money == pytest.approx(2.5 * waste.gpu_hours, rel=1e-5)


def test_a_price_without_gpus_gives_no_money():
    waste = wasted(overfitted(), gpu_price=2.5)
    assert (waste.price, waste.gpu_hours, waste.money) == (2.5, None, None)


@pytest.mark.parametrize(
    ("settings", "origin", "gpus"),
    [
        ({"world_size": 1}, "training_args.bin", None),  # the trainer writes 1 on a CPU, too
        ({"world_size": 1, "n_gpu": 1}, "training_args.bin", 1),
        ({"world_size": 1, "n_gpu": 4}, "training_args.bin", 4),  # DataParallel
        ({"world_size": 8, "n_gpu": 1}, "training_args.bin", 8),
        ({"world_size": 8, "n_gpu": 8}, "config.json", 8),  # both count all of them
        ({"world_size": 2, "n_gpu": 4}, "config.json", 8),
        ({"world_size": 8}, "accelerate.yaml", 8),
        ({"n_gpu": 2}, "config.yaml", 2),
        ({"world_size": 0}, "accelerate.yaml", None),
        ({"world_size": "8"}, "accelerate.yaml", None),
        ({}, "", None),
    ],
)
def test_gpus_by_the_settings(settings, origin, gpus):
    assert gpus_of(Facts(settled(overfitted(), origin, **settings)))[0] == gpus


def test_gpus_by_the_log_are_those_that_worked():
    step = np.arange(10, 110, 10)
    run = overfitted()
    for gpu, level in enumerate((95, 90, 0, 2)):
        run = with_metric(run, f"gpu/{gpu}/utilization", step, np.full(10, level))
    assert gpus_of(Facts(run)) == (2, "GPUs at work by gpu/*/utilization")
    run = overfitted()
    for gpu, level in enumerate((60, 61, 59, 0.4)):
        run = with_metric(run, f"gpu/{gpu}/memory_gb", step, np.full(10, level))
    assert gpus_of(Facts(run)) == (3, "GPUs at work by gpu/*/memory_gb")
    idle = with_metric(overfitted(), "gpu/0/utilization", step, np.zeros(10))
    assert gpus_of(Facts(idle)) == (None, "")


def test_tokens_are_counted_from_the_log_and_a_counter_that_began_again_goes_on():
    run = overfitted()
    loss = run.logged["train/loss"]
    seen = with_curves(run, **{"train/loss": replace(loss, tokens=1000.0 * loss.step)})
    assert wasted(seen).tokens == 400_000
    again = np.where(loss.step <= 300, 1000.0 * loss.step, 1000.0 * (loss.step - 300))
    assert tokens_after(Facts(with_curves(run, **{"train/loss": replace(loss, tokens=again)})), 200) == 400_000
    metric = with_metric(run, "train/num_input_tokens_seen", loss.step, 500.0 * loss.step)
    assert tokens_after(Facts(metric), 200) == 200_000
    assert tokens_after(Facts(with_metric(run, "train/num_input_tokens_seen", loss.step, 0.0 * loss.step)), 200) is None


@pytest.mark.parametrize(
    "wrong",
    [{"gpus": 10**12}, {"gpu_price": 1e300}, {"gpus": 0}, {"gpus": -1}, {"gpus": 1.5}, {"gpus": True}, {"gpu_price": 0}, {"gpu_price": float("nan")},
     {"gpu_price": float("inf")}, {"gpu_price": "2"}, {"patience": 0}, {"patience": 2.0}, {"min_gain": -0.1}],
)  # fmt: skip
def test_numbers_that_cannot_be_meant_so_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name} takes a "):
        Options(**wrong)


# Real logs


def test_seconds_of_real_runs_are_about_what_the_trainer_said(corpus):
    compared = 0
    for run in gather([corpus / "trained" / "runs"]).runs:
        facts = Facts(run)
        clock, runtime = clock_of(facts), run.logged.get("final/train_runtime")
        waste = diagnose(run).wasted
        assert waste is None or (0 < waste.steps <= run.last_step and (waste.seconds is None or waste.seconds >= 0))
        assert tariff_of(facts, Options()).gpus is None  # they were trained on a CPU
        if clock is not None and runtime is not None and len(runtime) == 1 and not run.seams:
            compared += 1
            assert clock.after(0) == pytest.approx(float(runtime.value[0]), rel=0.35, abs=1.0), run.path
    assert compared > 40


def test_a_resumed_sample_run_took_as_long_as_its_two_attempts_together():
    from states import SAMPLES

    run = load(SAMPLES / "more" / "resumed")
    runtimes = run.logged["final/train_runtime"].value
    assert clock_of(Facts(run)).after(0) == pytest.approx(runtimes.sum(), rel=0.35)
