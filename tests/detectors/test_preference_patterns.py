"""The preference and policy patterns at their borders, on TRL's metric names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.model.finding import Finding
from curvelab.model.options import Options
from curvelab.model.run import Run

N = 80
X = np.linspace(0, 1, N)
PATTERNS = (
    "chosen-logp-collapse", "reward-accuracy-saturation", "kl-blowup", "entropy-collapse", "reward-hacking",
    "length-explosion", "no-learning-signal",
)  # fmt: skip


def noisy(level: np.ndarray | float, share: float = 0.05, seed: int = 41) -> np.ndarray:
    return np.broadcast_to(level, N) * np.exp(synth.noise(N, share, seed))


def run_with(config: dict[str, object] | None = None, **metrics: np.ndarray) -> Run:
    more = {f"train/{name.replace('__', '/')}": values for name, values in metrics.items()}
    return synth.run_of(0.01 * synth.noise(N, 1.0, seed=42), more=more, config=config)


def found(pattern: str, run: Run) -> Finding | None:
    diagnosis = diagnose(run, Options(select=(pattern,)))
    (outcome,) = diagnosis.outcomes
    assert outcome.status != "failed", outcome.reason
    return diagnosis.findings[0] if diagnosis.findings else None


def severity(pattern: str, run: Run) -> str | None:
    finding = found(pattern, run)
    return finding.severity if finding else None


def measured(finding: Finding | None, name: str) -> float:
    assert finding is not None
    return next(m.value for m in finding.measured if m.name == name)


def changes(finding: Finding | None) -> dict[str, tuple[object, object]]:
    assert finding is not None
    return {c.setting: (c.from_, c.to) for fix in finding.fixes for c in fix.changes}


# chosen-logp-collapse


@pytest.mark.parametrize(("fall", "fires"), [(0.5, True), (0.2, True), (0.05, False), (0.0, False), (-0.3, False)])
def test_chosen_logp_by_its_share(fall, fires):
    run = run_with(logps__chosen=noisy(-10 * (1 + fall * X), 0.01), rewards__margins=X + synth.noise(N, 0.1, seed=43))
    finding = found("chosen-logp-collapse", run)
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "fall") == pytest.approx(10 * 0.84 * fall / (1 + 0.05 * fall), rel=0.12)


def test_chosen_logp_by_nats():
    run = run_with(logps__chosen=noisy(-400 * (1 + 0.09 * X), 0.005))
    assert measured(found("chosen-logp-collapse", run), "fall") == pytest.approx(400 * 0.09 * 0.83, rel=0.15)


def test_noise_of_small_batches_is_no_fall():
    draws = (run_with(logps__chosen=noisy(-100.0, 0.35, seed)) for seed in range(60))
    assert sum(found("chosen-logp-collapse", run) is not None for run in draws) <= 1


def test_margins_that_fall_are_another_story():
    assert (
        found("chosen-logp-collapse", run_with(logps__chosen=noisy(-10 * (1 + X), 0.01), rewards__margins=-X)) is None
    )


def test_fixes_use_the_runs_own_settings():
    run = run_with({"learning_rate": 3e-6, "beta": 0.1}, logps__chosen=noisy(-10 * (1 + X), 0.01))
    assert changes(found("chosen-logp-collapse", run)) == {
        "rpo_alpha": (None, 1.0),
        "learning_rate": (3e-6, 1e-6),
        "beta": (0.1, 0.2),
    }


# reward-accuracy-saturation


def accuracy(at: float, top: float = 0.99) -> Run:
    values = np.where(at > X, 0.5 + (top - 0.5) * X / at, top) + synth.noise(N, 0.005, seed=44)
    return run_with(rewards__accuracies=np.clip(values, 0, 1))


@pytest.mark.parametrize(
    ("at", "top", "fires"), [(0.2, 0.99, True), (0.45, 0.99, True), (0.8, 0.99, False), (0.2, 0.9, False)]
)
def test_accuracy_saturates_early(at, top, fires):
    finding = found("reward-accuracy-saturation", accuracy(at, top))
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "reached") == pytest.approx(at, abs=0.06)
        assert measured(finding, "level") == pytest.approx(top, abs=0.01)


def test_single_perfect_batches_are_no_saturation():
    values = np.where(np.arange(N) % 3 == 0, 1.0, 0.8)
    assert found("reward-accuracy-saturation", run_with(rewards__accuracies=values)) is None


# kl-blowup


@pytest.mark.parametrize(("end", "expected"), [(20.0, "critical"), (4.0, "warning"), (1.5, None), (0.1, None)])
def test_kl_by_its_level(end, expected):
    kl = noisy(0.02 + end * (X > 0.5))
    assert severity("kl-blowup", run_with(kl=kl, reward=X)) == expected


def test_onset_of_the_kl():
    finding = found("kl-blowup", run_with(kl=noisy(0.02 + 5 * (X > 0.5)), reward=X))
    assert finding is not None
    assert abs((finding.start_step or 0) - 205) <= 10
    assert measured(finding, "level") == pytest.approx(5.02, rel=0.1)


def test_a_short_burst_of_kl_comes_back():
    kl = noisy(0.05)
    kl[30:36] = 9
    assert found("kl-blowup", run_with(kl=kl, reward=X)) is None


def test_a_sum_over_the_completion_has_its_own_limit():
    run = run_with(kl=noisy(10.0), reward=X)
    summed = replace(run.logged["train/kl"], raw_names=("objective/kl",))
    assert found("kl-blowup", run) is not None
    assert found("kl-blowup", replace(run, logged={**run.logged, "train/kl": summed})) is None


# entropy-collapse


@pytest.mark.parametrize(("end", "fires"), [(0.001, True), (0.02, True), (0.12, False), (0.5, False)])
def test_entropy_by_what_is_left(end, fires):
    finding = found("entropy-collapse", run_with(entropy=noisy(end + (1 - end) * np.exp(-12 * X)), reward=X))
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "level") < 0.05


def test_an_entropy_that_comes_back():
    entropy = noisy(np.where((X > 0.3) & (X < 0.6), 0.001, 0.8))
    assert found("entropy-collapse", run_with(entropy=entropy, reward=X)) is None


def test_entropy_of_supervised_runs_is_not_judged():
    (outcome,) = diagnose(run_with(entropy=noisy(0.001)), Options(select=("entropy-collapse",))).outcomes
    assert outcome.status == "not-applicable"


# reward-hacking, length-explosion


@pytest.mark.parametrize(
    ("reward", "longer", "fires"), [(0.5, 1.0, True), (0.5, 0.1, False), (0.0, 1.0, False), (-0.5, 1.0, False)]
)
def test_reward_that_rises_with_length(reward, longer, fires):
    run = run_with(
        reward=0.3 + reward * X + synth.noise(N, 0.02, seed=45),
        completions__mean_length=noisy(200 * (1 + longer * X), 0.03),
    )
    assert severity("reward-hacking", run) == ("info" if fires else None)


@pytest.mark.parametrize(("kl", "fires"), [(3.0, True), (0.2, False)])
def test_reward_that_rises_with_kl(kl, fires):
    run = run_with(reward=0.3 + X + synth.noise(N, 0.02, seed=46), kl=noisy(0.01 + kl * X))
    finding = found("reward-hacking", run)
    assert (finding is not None) == fires


@pytest.mark.parametrize(("clipped", "expected"), [(0.95, "critical"), (0.5, "warning"), (0.15, None)])
def test_completions_that_are_cut_off(clipped, expected):
    run = run_with(
        {"max_completion_length": 256},
        completions__mean_length=noisy(200.0),
        completions__clipped_ratio=clipped * np.minimum(1, 2 * X),
    )
    finding = found("length-explosion", run)
    assert (finding.severity if finding else None) == expected
    if finding:
        assert measured(finding, "clipped") == pytest.approx(clipped, abs=0.02)
        assert changes(finding)["max_completion_length"] == (256, 512)


@pytest.mark.parametrize(("times", "reward", "fires"), [(4.0, 0.0, True), (4.0, 0.6, False), (1.5, 0.0, False)])
def test_completions_that_grow_for_nothing(times, reward, fires):
    run = run_with(
        reward=0.3 + reward * X + synth.noise(N, 0.02, seed=47),
        completions__mean_length=noisy(200 * (1 + (times - 1) * X), 0.03),
    )
    finding = found("length-explosion", run)
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "times") == pytest.approx(
            (1 + (times - 1) * 0.875) / (1 + (times - 1) * 0.05), rel=0.1
        )


# no-learning-signal


@pytest.mark.parametrize(("share", "fires"), [(0.95, True), (0.85, True), (0.7, False), (0.1, False)])
def test_groups_with_equal_rewards(share, fires):
    values = np.clip(share + synth.noise(N, 0.03, seed=48), 0, 1)
    finding = found("no-learning-signal", run_with(reward=noisy(0.1), frac_reward_zero_std=values))
    assert (finding is not None) == fires
    if finding:
        assert measured(finding, "share") == pytest.approx(share, abs=0.02)
        assert measured(finding, "reward") == pytest.approx(0.1, abs=0.01)


def test_a_spread_of_zero_is_no_signal_either():
    assert found("no-learning-signal", run_with(reward=noisy(0.1), reward_std=np.zeros(N))) is not None
    assert found("no-learning-signal", run_with(reward=noisy(0.1), reward_std=noisy(0.2))) is None


def test_generations_are_proposed_from_the_runs_own():
    values = np.full(N, 0.9)
    run = run_with({"num_generations": 8, "temperature": 0.7}, reward=noisy(0.1), frac_reward_zero_std=values)
    assert changes(found("no-learning-signal", run)) == {"num_generations": (8, 16), "temperature": (0.7, 1.0)}


# all of them on sound runs


@pytest.mark.parametrize("seed", range(6))
def test_sound_preference_and_policy_runs_are_left_alone(seed):
    draw = np.random.default_rng(seed)
    preference = run_with(
        logps__chosen=-90 * np.exp(draw.normal(0, 0.15, N)),
        rewards__margins=X + draw.normal(0, 0.2, N),
        rewards__accuracies=np.clip(0.5 + 0.35 * X + draw.normal(0, 0.08, N), 0, 1),
        entropy=np.abs(draw.normal(0.5, 0.05, N)),
    )
    policy = run_with(
        reward=0.2 + 0.5 * X + draw.normal(0, 0.05, N),
        reward_std=np.abs(draw.normal(0.3, 0.03, N)),
        kl=0.01 + 0.1 * X * np.exp(draw.normal(0, 0.3, N)),
        entropy=np.exp(-0.8 * X + draw.normal(0, 0.1, N)),
        completions__mean_length=300 * (1 + 0.2 * X) * np.exp(draw.normal(0, 0.1, N)),
        completions__clipped_ratio=np.clip(draw.normal(0.05, 0.03, N), 0, 1),
        frac_reward_zero_std=np.clip(draw.normal(0.3, 0.15, N), 0, 1),
    )
    for run in (preference, policy):
        assert diagnose(run, Options(select=PATTERNS)).findings == ()
