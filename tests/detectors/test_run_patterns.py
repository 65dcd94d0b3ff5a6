"""The run patterns at their borders: what fires, what stays silent, and whether the numbers in a finding are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.model.finding import Finding, Point
from curvelab.model.options import Options
from curvelab.model.run import Curve, Run, Seam


def found(pattern: str, run: Run, **limits: float) -> Finding | None:
    """The one finding of a pattern, or None; the detector must not fail."""
    options = Options(select=(pattern,), thresholds={pattern: limits} if limits else {})
    diagnosis = diagnose(run, options)
    (outcome,) = diagnosis.outcomes
    assert outcome.status != "failed", outcome.reason
    return diagnosis.findings[0] if diagnosis.findings else None


def why_not(pattern: str, run: Run) -> str:
    (outcome,) = diagnose(run, Options(select=(pattern,))).outcomes
    assert outcome.status == "not-applicable", outcome
    return outcome.reason


def measured(finding: Finding | None, name: str) -> float:
    assert finding is not None
    return next(m.value for m in finding.measured if m.name == name)


def changes(finding: Finding | None) -> dict[str, tuple[object, object]]:
    assert finding is not None
    return {c.setting: (c.from_, c.to) for fix in finding.fixes for c in fix.changes}


def plain(n: int = 100, **more: object) -> Run:
    return synth.run_of(synth.decay(n) + synth.noise(n, 0.02, seed=31), **more)  # type: ignore[arg-type]


def with_column(run: Run, metric: str, **columns: np.ndarray) -> Run:
    return replace(run, logged={**run.logged, metric: replace(run.logged[metric], **columns)})


# sparse-eval


@pytest.mark.parametrize(
    ("points", "evals", "severity"),
    [
        (120, 0, "info"),
        (10, 0, "info"),
        (120, 1, "warning"),
        (51, 3, "warning"),
        (50, 3, None),
        (120, 4, None),
        (120, 12, None),
    ],
)
def test_sparse_eval_counts_evals(points, evals, severity):
    run = plain(points, evals=synth.decay(evals, 2.9, 1.9) if evals else None)
    finding = found("sparse-eval", run)
    assert (finding.severity if finding else None) == severity


@pytest.mark.parametrize("metric", ["eval/accuracy", "test/loss", "eval_f1", "val_accuracy", "eval/code/loss"])
def test_any_eval_metric_counts(metric):
    assert found("sparse-eval", plain(100, more={metric: np.ones(100)})) is None


def test_policy_runs_need_no_eval():
    assert "reward" in why_not("sparse-eval", plain(100, more={"train/reward": np.ones(100)}))


def test_sparse_eval_proposes_a_regular_interval():
    finding = found("sparse-eval", plain(150, config={"eval_strategy": "no"}))
    assert changes(finding) == {"eval_strategy": ("no", "steps"), "eval_steps": (None, 50)}


# epoch-staircase


def stairs(drop: float, sigma: float = 0.03, per_epoch: int = 40, rounded: bool = False, seed: int = 32) -> Run:
    n = 3 * per_epoch
    epoch = (np.arange(n) + 1) / per_epoch
    loss = synth.decay(n, 2.6, 2.0, 2.0) - drop * np.floor(epoch - 1e-9) + synth.noise(n, sigma, seed)
    return with_column(synth.run_of(loss), "train/loss", epoch=np.round(epoch, 2) if rounded else epoch)


def test_staircase_measures_the_steps():
    finding = found("epoch-staircase", stairs(0.3))
    assert finding is not None
    assert finding.severity == "info"
    assert measured(finding, "boundaries") == 2
    assert [e.step for e in finding.evidence if isinstance(e, Point)] == [200, 400]
    assert (finding.start_step, finding.end_step) == (200, 400)
    assert measured(finding, "drop") == pytest.approx(0.3 / 1.85, rel=0.25)  # the loss before the second step


def test_staircase_in_a_rounded_epoch_column():
    assert found("epoch-staircase", stairs(0.3, rounded=True)) is not None


@pytest.mark.parametrize(("drop", "sigma"), [(0.0, 0.03), (0.0, 0.3), (0.03, 0.1), (-0.3, 0.03)])
def test_no_staircase(drop, sigma):
    assert found("epoch-staircase", stairs(drop, sigma)) is None


def test_staircase_needs_epochs_and_points_in_them():
    assert "epoch" in why_not("epoch-staircase", plain(100))
    assert "half epoch" in why_not("epoch-staircase", stairs(0.3, per_epoch=8))


def test_smooth_declines_are_no_staircase():
    alarms = sum(found("epoch-staircase", stairs(0.0, sigma=0.05, seed=seed)) is not None for seed in range(100))
    assert alarms <= 1


# throughput-drop


def speed(
    after: float, *, at: int = 50, n: int = 100, sigma: float = 0.08, metric: str = "train/tokens_per_second"
) -> Run:
    values = 1000 * np.exp(synth.noise(n, sigma, seed=33))
    values[at:] *= after
    return plain(n, more={metric: values})


@pytest.mark.parametrize(
    ("after", "severity"), [(0.4, "critical"), (0.55, "warning"), (0.72, "warning"), (0.88, None), (1.3, None)]
)
def test_throughput_drop_by_size(after, severity):
    finding = found("throughput-drop", speed(after))
    assert (finding.severity if finding else None) == severity
    if finding:
        assert measured(finding, "drop") == pytest.approx(1 - after, abs=0.05)
        assert abs((finding.start_step or 0) - 255) <= 15


def test_a_step_time_that_doubles_is_a_drop_to_a_half():
    seconds = np.repeat([0.5, 1.1], 50) * np.exp(synth.noise(100, 0.05, seed=34))
    finding = found("throughput-drop", plain(100, more={"train/step_time": seconds}))
    assert measured(finding, "drop") == pytest.approx(1 - 0.5 / 1.1, abs=0.05)


def clocked(factor: float, seconds: float, evals: bool = False) -> Run:
    """A run whose logs, each `seconds` apart, come `factor` times slower in its second half."""
    between = np.repeat([seconds, seconds * factor], 60) * np.exp(synth.noise(120, 0.05, seed=35))
    if evals:
        between[10::10] += 20 * seconds
    run = plain(120, evals=synth.decay(12) if evals else None)
    return with_column(run, "train/loss", wall_time=1.7e9 + np.cumsum(between))


def test_times_of_the_logs_tell_the_speed_where_none_was_logged():
    finding = found("throughput-drop", clocked(2.5, 10.0))
    assert finding is not None
    assert finding.severity == "critical"
    assert measured(finding, "before") == pytest.approx(0.5, rel=0.05)  # 5 steps in 10 s
    assert finding.confidence < 0.95  # less sure than of a speed that was logged


def test_the_clock_rule_is_stricter_and_ignores_fast_logs():
    assert found("throughput-drop", clocked(1.33, 10.0)) is None  # 25 % slower
    assert "too short" in why_not("throughput-drop", clocked(2.5, 0.05))


def test_pauses_for_evals_are_no_drop():
    assert found("throughput-drop", clocked(1.0, 10.0, evals=True)) is None


def test_a_slow_start_and_a_dip_are_no_drop():
    values = 1000 * np.exp(synth.noise(100, 0.05, seed=36))
    values[0] = 50
    values[60:70] = 300
    assert found("throughput-drop", plain(100, more={"train/samples_per_second": values})) is None


# low-utilization


def test_low_utilization_looks_at_the_working_gpus_only():
    idle = np.zeros(100)
    finding = found(
        "low-utilization", plain(100, more={"gpu/0/utilization": np.full(100, 40.0), "gpu/1/utilization": idle})
    )
    assert measured(finding, "utilization") == 40
    assert (
        found("low-utilization", plain(100, more={"gpu/0/utilization": np.full(100, 95.0), "gpu/1/utilization": idle}))
        is None
    )


def test_all_gpus_idle_is_doubtful():
    finding = found("low-utilization", plain(100, more={"gpu/0/utilization": np.zeros(100)}))
    assert finding is not None
    assert finding.confidence == 0.5


@pytest.mark.parametrize(("mfu", "fires"), [(0.06, True), (6.0, True), (0.18, False), (18.0, False)])
def test_mfu_as_share_or_percent(mfu, fires):
    finding = found("low-utilization", plain(60, more={"train/mfu": np.full(60, mfu)}))
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "mfu") == pytest.approx(0.06)


# memory-leak, memory-imbalance


def memory(shape: np.ndarray, metric: str = "host/memory_mb", sigma: float = 0.005) -> Run:
    return plain(len(shape), more={metric: 4000 * shape * np.exp(synth.noise(len(shape), sigma, seed=37))})


RAMP = np.linspace(0, 1, 100)


@pytest.mark.parametrize(("growth", "fires"), [(0.5, True), (0.2, True), (0.08, False), (0.0, False), (-0.3, False)])
def test_leak_by_growth(growth, fires):
    finding = found("memory-leak", memory(1 + growth * RAMP))
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "growth") == pytest.approx(0.9 * growth / (1 + 0.1 * growth), rel=0.1)
        assert measured(finding, "per_thousand") == pytest.approx(4000 * growth / 0.495, rel=0.1)
        assert finding.start_step == 5


@pytest.mark.parametrize(
    "metric", ["train/rss_GB", "gpu/0/memory_bytes", "train/cuda_memory_gb", "memory/max_active(GiB)", "gpu_mem"]
)
def test_memory_is_known_by_many_names(metric):
    assert found("memory-leak", memory(1 + 0.5 * RAMP, metric)) is not None


@pytest.mark.parametrize(
    "metric",
    [
        "system.proc.memory.availableMB",
        "system.gpu.0.memoryClock",
        "system.memory_percent",
        "train/grammar",
        "system.gpu.0.memory",
    ],
)
def test_what_is_no_memory_of_the_run(metric):
    assert "memory" in why_not("memory-leak", memory(1 + 0.5 * RAMP, metric))


@pytest.mark.parametrize(
    "shape",
    [1 + 0.5 * (RAMP > 0.5), 1 + 0.5 * (1 - np.exp(-10 * RAMP)), 1 + 0.3 * (RAMP * 10 % 1)],
    ids=["a step", "levels off", "teeth"],
)
def test_what_is_no_leak(shape):
    assert found("memory-leak", memory(shape)) is None


@pytest.mark.parametrize(("last", "departs"), [(60.0, 0.5), (28.0, -0.3), (46.0, None)])
def test_imbalance_by_size(last, departs):
    levels = {f"gpu/{i}/memory_gb": np.full(40, v) for i, v in enumerate([40.0, 40.0, last])}
    finding = found("memory-imbalance", plain(40, more=levels))
    assert (finding is None) == (departs is None)
    if finding:
        assert measured(finding, "departs") == pytest.approx(abs(departs))
        assert finding.also["gpu"] == 2 and ("more" in finding.headline) == (departs > 0)
        assert f"({last:g} GB against 40 GB)" in finding.headline


def test_gpus_that_do_not_work_are_not_compared():
    levels = {"gpu/0/memory_gb": np.full(40, 40.0), "gpu/1/memory_gb": np.full(40, 10.0)}
    used = {"gpu/0/utilization": np.full(40, 90.0), "gpu/1/utilization": np.zeros(40)}
    assert found("memory-imbalance", plain(40, more=levels)) is not None
    assert "two or more" in why_not("memory-imbalance", plain(40, more=levels | used))


# warmup-instability


def bump(height: float, at: int = 15, width: int = 5, warmup: float = 0.1, seed: int = 38) -> Run:
    n = 150
    loss = synth.decay(n, 3.0, 1.5, 5.0) + synth.noise(n, 0.03, seed)
    loss[at : at + width] += height
    rate = synth.cosine(n, warmup=warmup) if warmup else synth.cosine(n + 1, warmup=0.0)[1:]
    return synth.run_of(loss, rate=rate)


def test_bump_at_the_end_of_warmup():
    finding = found("warmup-instability", bump(1.5))
    assert measured(finding, "rise") == pytest.approx(1.5 / 2.4, rel=0.2)
    assert finding is not None and 75 <= (finding.start_step or 0) <= 100
    assert changes(finding) == {"learning_rate": (2e-4, 1e-4)}  # the warm-up is a tenth of the run already


def test_a_short_warmup_is_lengthened():
    finding = found("warmup-instability", bump(2.0, at=6, warmup=0.04))
    assert changes(finding)["warmup_steps"] == (None, 60)  # twice the 30 of now, 8 % of 750


@pytest.mark.parametrize(
    "run",
    [bump(0.0), bump(0.4), bump(1.5, at=90), bump(1.5, width=1)],
    ids=["none", "small", "later", "one log of many"],
)
def test_no_warmup_instability(run):
    assert found("warmup-instability", run) is None


def test_the_same_bump_again_is_not_the_peak_of_the_rate():
    run = bump(1.5)
    loss = run.logged["train/loss"].value.copy()
    loss[100:105] += 1.2
    assert found("warmup-instability", with_column(run, "train/loss", value=loss)) is None


def test_no_warmup_and_an_unstable_start():
    finding = found("warmup-instability", bump(2.5, at=3, warmup=0.0))
    assert finding is not None
    assert "without a warm-up" in finding.headline


def test_a_norm_alone_is_information():
    norms = np.ones(150)
    norms[16] = 40
    run = bump(0.0)
    run = replace(
        run, logged={**run.logged, "train/grad_norm": Curve.of("train/grad_norm", run.logged["train/loss"].step, norms)}
    )
    finding = found("warmup-instability", run)
    assert finding is not None
    assert (finding.severity, finding.metric) == ("info", "train/grad_norm")


# schedule-anomaly


def rated(rate: np.ndarray, kind: str | None = None, **config: object) -> Run:
    settings = {**config, **({"lr_scheduler_type": kind} if kind else {})}
    return plain(len(rate), rate=rate, config=settings)


def test_rate_of_zero_for_most_of_the_run():
    finding = found("schedule-anomaly", rated(np.concatenate([synth.cosine(40), np.zeros(60)])))
    assert finding is not None
    assert measured(finding, "idle") == pytest.approx(0.62, abs=0.03)
    assert "from the first log on" in found("schedule-anomaly", rated(np.zeros(100))).headline


@pytest.mark.parametrize("kind", ["linear", "cosine", "SchedulerType.COSINE", "cosine_with_min_lr"])
def test_constant_rate_under_a_decaying_schedule(kind):
    assert found("schedule-anomaly", rated(np.full(100, 1e-4), kind)) is not None
    assert found("schedule-anomaly", rated(np.full(100, 1e-4))) is None
    assert found("schedule-anomaly", rated(np.full(100, 1e-4), "constant")) is None


def test_constant_rate_of_a_run_that_was_cut_early():
    assert found("schedule-anomaly", replace(rated(np.full(100, 1e-4), "cosine"), planned_steps=5000)) is None


@pytest.mark.parametrize(("times", "severity"), [(8.0, "warning"), (1.4, "info"), (1.05, None)])
def test_a_rate_that_jumps_up(times, severity):
    rate = synth.cosine(100)
    rate[50:] *= times
    for kind in ("cosine", None):
        finding = found("schedule-anomaly", rated(rate, kind))
        assert (finding.severity if finding else None) == severity
        if finding:
            assert finding.start_step == 255


@pytest.mark.parametrize("kind", ["cosine_with_restarts", "reduce_lr_on_plateau", "cyclic"])
def test_declared_restarts_may_rise(kind):
    assert found("schedule-anomaly", rated(np.tile(synth.cosine(25, warmup=0.04), 4), kind)) is None


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.3, 0.8])
@pytest.mark.parametrize("kind", ["cosine", None])
def test_ordinary_schedules(warmup, kind):
    n = 200
    rate = synth.cosine(n, warmup=warmup)
    assert found("schedule-anomaly", rated(rate, kind, warmup_steps=int(warmup * n) * 5)) is None


# resume-seam


def resumed(loss_jump: float = 0.0, rate_times: float = 1.0) -> Run:
    step, again = np.arange(1, 101) * 5, 50
    loss, rate = synth.decay(100) + synth.noise(100, 0.02, seed=39), synth.cosine(100)
    steps, segment = np.concatenate([step[:60], step[again:]]), np.repeat([0, 1], [60, 50])
    logged = {
        "train/loss": Curve.of(
            "train/loss", steps, np.concatenate([loss[:60], loss[again:] + loss_jump]), segment=segment
        ),
        "train/learning_rate": Curve.of(
            "train/learning_rate", steps, np.concatenate([rate[:60], rate[again:] * rate_times]), segment=segment
        ),
    }
    return replace(plain(100), logged=logged, seams=(Seam(segment=1, step=255, reached=300),))


def test_a_clean_resume_is_information():
    finding = found("resume-seam", resumed())
    assert finding is not None
    assert finding.severity == "info"
    assert measured(finding, "repeated") == 46  # steps 255 to 300


def test_steps_done_twice_are_counted_from_the_checkpoint():
    """The first log after a resume from checkpoint-250 is at step 255: steps 251 to 300 were done twice."""
    finding = found("resume-seam", replace(resumed(), checkpoint_steps=(100, 250)))
    assert finding is not None
    assert measured(finding, "repeated") == 50
    assert "50 steps were done twice (from checkpoint-250)" in finding.headline


def test_a_jump_that_the_noise_explains_is_not_denied_by_a_measurement():
    run = resumed()
    rows = run.logged["train/loss"]
    noisy = replace(rows, value=rows.value + synth.noise(len(rows), 1.0, seed=4) + 0.5 * (rows.segment == 1))
    finding = found("resume-seam", replace(run, logged={**run.logged, "train/loss": noisy}))
    assert finding is not None
    assert "the loss goes on within its noise" in finding.headline
    assert "loss_jump" not in {m.name for m in finding.measured}
    assert measured(finding, "loss_jump_sigmas") < 5


@pytest.mark.parametrize("jump", [0.6, -0.5])
def test_a_jump_of_the_loss_at_the_seam(jump):
    finding = found("resume-seam", resumed(loss_jump=jump))
    assert finding is not None
    assert finding.severity == "warning"
    assert measured(finding, "loss_jump") == pytest.approx(jump / 1.96, abs=0.03)


@pytest.mark.parametrize(("times", "severity"), [(2.0, "warning"), (0.5, "warning"), (1.05, "info")])
def test_a_jump_of_the_rate_at_the_seam(times, severity):
    finding = found("resume-seam", resumed(rate_times=times))
    assert finding is not None
    assert finding.severity == severity
    assert measured(finding, "rate_jump") == pytest.approx(times - 1, abs=0.01) if severity == "warning" else True


def test_the_schedule_leaves_a_seam_to_the_seam():
    assert found("schedule-anomaly", resumed(rate_times=2.0)) is None


def test_a_run_that_begins_again_is_another_training_and_no_resume():
    run = replace(resumed(rate_times=3.0), seams=(Seam(segment=1, step=5, reached=300),))
    finding = found("resume-seam", run)
    assert finding is not None
    assert finding.severity == "info" and not finding.measured
    assert finding.headline.startswith("a second training was written into the same log: at step 5 it begins again")
    assert [fix.title for fix in finding.fixes] == ["Log each training into a folder of its own"]
    assert diagnose(run).toll is None


def test_no_seam_no_finding():
    assert found("resume-seam", plain()) is None


# train-eval-mismatch


def both(share: float, steps: int | None = None) -> Run:
    config = {} if steps is None else {"gradient_accumulation_steps": steps}
    return plain(100, evals=share * synth.decay(10, 2.7, 1.8), config=config)


@pytest.mark.parametrize(
    ("share", "steps", "fires"), [(0.2, None, True), (0.45, None, False), (1.0, None, False), (1.5, 4, False)]
)
def test_eval_far_below_train(share, steps, fires):
    assert (found("train-eval-mismatch", both(share, steps)) is not None) == fires


@pytest.mark.parametrize(
    ("share", "steps", "fires"), [(0.5, 2, True), (0.25, 4, True), (0.125, 8, True), (0.5, 4, False), (0.85, 1, False)]
)
def test_a_sum_over_accumulation_steps(share, steps, fires):
    finding = found("train-eval-mismatch", both(share, steps))
    assert (finding is not None and "gradient_accumulation_steps" in finding.headline) == fires
    if fires:
        assert measured(finding, "ratio") == pytest.approx(steps, rel=0.1)


# no-useful-checkpoint


def saved(rise: float = 0.6, **config: object) -> Run:
    x = np.linspace(0, 1, 20)
    evals = 2.0 + 1.2 * np.exp(-8 * x) + rise * np.clip((x - 0.3) / 0.7, 0, None) + synth.noise(20, 0.01, seed=40)
    return plain(100, evals=evals, config=config)


def test_only_the_last_checkpoint_was_kept():
    finding = found("no-useful-checkpoint", saved(save_strategy="steps", save_steps=50, save_total_limit=1))
    assert finding.also["kept_step"] == 500
    assert measured(finding, "worse") == pytest.approx(0.24, abs=0.05)
    assert changes(finding)["load_best_model_at_end"] == (None, True)


@pytest.mark.parametrize(
    "config",
    [
        {"save_strategy": "steps", "save_steps": 25},
        {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 8},
        {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 1, "rise": 0.0},
        {"save_strategy": "steps", "save_steps": 0.1},
    ],
)
def test_a_good_checkpoint_is_left(config):
    assert found("no-useful-checkpoint", saved(**config)) is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "does not say"),
        ({"save_steps": 500}, "does not say"),
        ({"save_strategy": "no", "save_steps": 500}, "saved nothing"),
        ({"save_strategy": "steps", "save_steps": 50, "load_best_model_at_end": True}, "best checkpoint is kept"),
        ({"save_strategy": "best"}, "best checkpoint is kept"),
    ],
)
def test_nothing_is_said_where_saving_is_off_or_unknown(config, reason):
    assert reason in why_not("no-useful-checkpoint", saved(**config))


def test_it_is_explained_by_overfitting():
    run = saved(save_strategy="steps", save_steps=50, save_total_limit=1)
    diagnosis = diagnose(run, Options(select=("overfitting", "no-useful-checkpoint")))
    assert diagnosis.verdict == "overfitting"
    assert [f.explained_by for f in diagnosis.findings] == [None, "overfitting"]


# all of them on ordinary runs

RUN_PATTERNS = (
    "epoch-staircase", "throughput-drop", "low-utilization", "memory-leak", "memory-imbalance", "warmup-instability",
    "schedule-anomaly", "resume-seam", "train-eval-mismatch", "no-useful-checkpoint", "sparse-eval",
)  # fmt: skip


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("n", [30, 100, 1000])
def test_healthy_runs_are_left_alone(n, sigma):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        loss = synth.decay(n) * np.exp(draw.normal(0, sigma, n))
        more = {
            "train/tokens_per_second": 2e4 * np.exp(draw.normal(0, 0.1, n)),
            "train/rss_gb": 8 * np.exp(draw.normal(0, 0.01, n)),
        }
        config = {"save_strategy": "steps", "save_steps": n, "save_total_limit": 2, "lr_scheduler_type": "cosine"}
        run = synth.run_of(loss, evals=synth.decay(12, 2.8, 1.9), rate=synth.cosine(n), more=more, config=config)
        run = with_column(run, "train/loss", epoch=3 * (np.arange(n) + 1) / n)
        assert diagnose(run, Options(select=RUN_PATTERNS)).findings == ()
