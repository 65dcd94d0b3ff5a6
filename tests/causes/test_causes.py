"""Each cause wins on a run that was made for it; the true cause of every sample run wins; no run makes a weighing fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curvelab import synth
from curvelab.catalogue import causes
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import load
from curvelab.model.finding import Finding, Measured, Point
from curvelab.model.options import Options
from curvelab.model.run import Curve, Run, Seam
from curvelab.synth.families import FAULTS, sample

SAMPLES = Path(__file__).parents[2] / "sample_runs"
N = 200
ADAM = {"learning_rate": 2e-4, "fp16": False, "max_grad_norm": 1.0}


def noisy(level: np.ndarray, sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    return level * (1 + synth.noise(len(level), sigma, seed))


def falling(n: int = N) -> np.ndarray:
    return noisy(synth.decay(n))


def steady_norms(n: int = N, at: float = 1.0) -> np.ndarray:
    return at * np.exp(synth.noise(n, 0.1, seed=3))


# non-finite


def dead(at: int, norms: np.ndarray | None = None, loss: np.ndarray | None = None, **config: object) -> Run:
    """NaN from a log on, in loss and norm."""
    loss = falling() if loss is None else loss
    norms = steady_norms() if norms is None else norms
    loss[at:] = norms[at:] = np.nan
    return synth.run_of(loss, norms=norms, rate=synth.cosine(N), config={**ADAM, **config})


def climbing(at: int) -> np.ndarray:
    norms = steady_norms()
    norms[at - 10 : at] *= np.geomspace(1.2, 60, 10)
    return norms


def spoilt_loss() -> Run:
    loss = falling()
    loss[80:] = np.nan
    return synth.run_of(loss, norms=steady_norms(), evals=synth.decay(10), rate=synth.cosine(N), config=ADAM)


def skipped_steps() -> Run:
    norms = steady_norms()
    norms[[60, 90, 120, 150, 170]] = np.inf
    return synth.run_of(falling(), norms=norms, rate=synth.cosine(N), config={**ADAM, "fp16": True})


# spikes


def spiked(at: list[int], *, rate: np.ndarray | None = None, epoch: np.ndarray | None = None, norms_at: int = 0) -> Run:
    """Jumps at the logs `at`, the norm with them or `norms_at` logs earlier; one step a log."""
    loss, norms = falling(), steady_norms()
    loss[at] *= 3
    norms[np.array(at) - norms_at] *= 8
    rate = synth.cosine(N) if rate is None else rate
    return synth.run_of(loss, every=1, norms=norms, rate=rate, epoch=epoch, config=ADAM)


def peak_in_the_middle() -> np.ndarray:
    """Most of the run is away from the peak of the rate."""
    return np.concatenate([np.linspace(2e-5, 5e-5, 60), np.full(50, 2e-4), np.full(90, 3e-5)])


def short_peak() -> np.ndarray:
    return np.concatenate([np.linspace(1e-5, 2e-4, 30), np.full(40, 2e-4), np.full(N - 70, 5e-5)])


def restarted() -> Run:
    run = spiked([104, 108])
    logged = {name: replace(curve, segment=(curve.step >= 100).astype(np.int32)) for name, curve in run.logged.items()}
    return replace(run, logged=logged, seams=(Seam(segment=1, step=100, reached=110),))


def jumping_rate() -> Run:
    rate = np.full(N, 1e-5)
    rate[[80, 130]] = 2e-4
    return spiked([80, 130], rate=rate)


# plateau


def flat(level: float, start: float, speed: float, n: int = N, **more: object) -> Run:
    """From `start` to `level` with a time constant of `speed` logs, logged every 5 steps."""
    config = {"vocab_size": 32_000, **ADAM, **more.pop("config", {})}
    loss = noisy(level + (start - level) * np.exp(-np.arange(n) / speed), 0.004)
    norms = more.pop("norms", steady_norms(n))
    rate = more.pop("rate", synth.cosine(n, warmup=0.02))
    return synth.run_of(loss, norms=norms, rate=rate, config=config)


def gone_rate() -> Run:
    t = np.arange(N)
    loss = noisy(2.0 + 8 * np.exp(-3 * np.minimum(t, 60) / 60), 0.004)
    rate = np.where(t < 60, 2e-4 * (1 - t / 60), 0.0)
    return synth.run_of(loss, norms=steady_norms(), rate=rate, config={"vocab_size": 32_000, **ADAM})


def settles_late() -> Run:
    """Stands while the rate is high, and falls as soon as it decays."""
    t = np.arange(N)
    loss = np.where(t < 150, 3.0 + 7 * np.exp(-t / 12), 3.0 - 1.2 * (1 - np.exp(-(t - 150) / 8)))
    rate = np.where(t < 150, 2e-3, 1e-4)
    return synth.run_of(noisy(loss, 0.004), norms=steady_norms(), rate=rate, config={"vocab_size": 32_000, **ADAM, "learning_rate": 2e-3})


# sawtooth


def toothed(
    period: int,
    *,
    rate: np.ndarray | None = None,
    epoch: float | None = None,
    evals: np.ndarray | None = None,
    **config: object,
) -> Run:
    """Teeth of a period in logs, one step a log; `epoch` steps long."""
    t = np.arange(N)
    loss = noisy(synth.decay(N, 3.0, 1.8)) + 0.5 * ((t % period) / period)
    clock = None if epoch is None else (t + 1) / epoch
    rate = np.linspace(2e-4, 1.9e-4, N) if rate is None else rate
    evals = noisy(synth.decay(40, 2.8, 1.9), 0.002) if evals is None else evals
    return synth.run_of(loss, every=1, rate=rate, epoch=clock, evals=evals, config={**ADAM, **config})


def restarts(period: int) -> np.ndarray:
    return 2e-4 * (0.05 + 0.5 * (1 + np.cos(np.pi * (np.arange(N) % period) / period)))


def overshooting() -> Run:
    """Waves without a period, in train and eval alike."""
    rng = np.random.default_rng(5)
    walk = np.repeat(rng.choice([1.0, 2.2], 25), rng.integers(4, 14, 25))[:N]
    walk = np.concatenate([walk, np.ones(N - len(walk))])
    loss = walk * np.exp(synth.noise(N, 0.25, seed=6))
    return synth.run_of(loss, every=1, rate=np.full(N, 6e-3), evals=walk[::5], config={**ADAM, "learning_rate": 6e-3})


# clip-saturation


def clipped(clip: float | None, norms: np.ndarray, loss: np.ndarray | None = None) -> Run:
    config = {} if clip is None else {"max_grad_norm": clip}
    loss = falling() if loss is None else loss
    return synth.run_of(loss, norms=norms, rate=synth.cosine(N), config=config, format="trainer-state")


def rising_again() -> np.ndarray:
    return noisy(synth.decay(N) + 0.8 * np.linspace(-1, 1, N).clip(0))


MADE: dict[tuple[str, str], Callable[[], Run]] = {
    ("non-finite", "broken-from-start"): lambda: dead(1),
    ("non-finite", "bad-batch"): lambda: dead(120),
    ("non-finite", "updates-too-large"): lambda: dead(120, climbing(120)),
    ("non-finite", "fp16-overflow"): lambda: dead(120, fp16=True),
    ("spikes", "odd-batches"): lambda: spiked([71, 118, 163]),
    ("spikes", "rate-too-high"): lambda: spiked([66, 80, 99], rate=peak_in_the_middle(), norms_at=1),
    ("spikes", "warmup-end"): lambda: spiked([32, 35], rate=short_peak()),
    ("spikes", "epoch-boundary"): lambda: spiked([50, 100, 150], epoch=(np.arange(N) + 1) / 50),
    ("spikes", "resume"): restarted,
    ("spikes", "rate-jump"): jumping_rate,
    ("plateau", "guessing"): lambda: flat(np.log(32_000), 14.0, 8),
    ("plateau", "label-mask"): lambda: flat(2.3, 10.0, 4),
    ("plateau", "rate-gone"): gone_rate,
    ("plateau", "rate-too-low"): lambda: flat(4.0, 4.05, 5, config={"learning_rate": 2e-7}, rate=2e-7 * np.ones(N)),
    ("plateau", "floor"): lambda: flat(4.0, 6.0, 18),
    ("plateau", "rate-too-high"): settles_late,
    ("plateau", "nothing-trains"): lambda: flat(4.0, 4.05, 5, norms=np.full(N, 1e-3)),
    ("sawtooth", "rate-restarts"): lambda: toothed(20, rate=restarts(20), epoch=333),
    ("sawtooth", "rate-too-high"): overshooting,
    ("sawtooth", "epoch-order"): lambda: toothed(25, epoch=25),
    ("sawtooth", "shards"): lambda: toothed(23, epoch=333),
    ("sawtooth", "length-groups"): lambda: toothed(49, epoch=333, group_by_length=True, evals=np.linspace(2.8, 1.9, 40)),
    ("clip-saturation", "threshold-too-low"): lambda: clipped(0.05, steady_norms(at=1.5)),
    ("clip-saturation", "rate-too-high"): lambda: clipped(1.0, steady_norms() * np.geomspace(3, 60, N), rising_again()),
    ("clip-saturation", "threshold-assumed"): lambda: clipped(None, steady_norms(at=1.6) * np.linspace(0.9, 1.5, N), noisy(np.full(N, 2.0))),
}  # fmt: skip


def told(run: Run, pattern: str) -> Finding:
    result = diagnose(run, Options(select=(pattern,)))
    assert result.findings, f"{pattern} was not found: {result.outcomes}"
    assert [o.reason for o in result.outcomes] == [""]
    return result.findings[0]


@pytest.mark.parametrize(("pattern", "cause"), MADE, ids=lambda name: name)
def test_a_cause_wins_on_a_run_that_was_made_for_it(pattern: str, cause: str):
    found = told(MADE[pattern, cause](), pattern)
    assert found.causes[0].name == cause, [(c.name, c.weight, c.for_) for c in found.causes]
    assert found.causes[0].weight >= 0.4
    assert found.causes[0].for_
    meet_the_contract(found)


@pytest.mark.parametrize(("build", "cause"), [(spoilt_loss, "bad-batch"), (skipped_steps, "fp16-overflow")])
def test_weights_that_live_on_speak_against_updates_that_were_too_large(build, cause):
    found = told(build(), "non-finite")
    assert found.causes[0].name == cause
    large = next(c for c in found.causes if c.name == "updates-too-large")
    assert any("stayed finite" in text for text in large.against)


def test_sentences_hold_the_numbers_of_the_log():
    found = told(dead(120, climbing(120)), "non-finite")
    assert re.search(r"the gradient norm rose from \d+(\.\d+)? to \d+(\.\d+)? over the 15 steps before", found.causes[0].for_[0])
    chance = told(MADE["plateau", "guessing"](), "plateau").causes[0].for_[0]
    assert re.fullmatch(r"the loss 10\.\d+ is within 1 % of ln\(32,000\) = 10\.37 \(synthetic\)", chance)
    period = told(MADE["sawtooth", "epoch-order"](), "sawtooth").causes[0].for_[0]
    assert re.match(r"the period of 2[45](\.\d)? steps is one epoch of 25 steps", period)


def test_what_the_log_lacks_is_said():
    found = told(synth.run_of(np.where(np.arange(N) < 120, falling(), np.nan)), "non-finite")
    against = [text for cause in found.causes for text in cause.against]
    assert any("grad_norm was not logged" in text for text in against)
    assert any("precision is not in the log" in text for text in against)


@pytest.mark.parametrize(
    ("run", "pattern", "cause"),
    [
        ("spikes", "spikes", "odd-batches"),
        ("plateau", "plateau", "label-mask"),
        ("sawtooth", "sawtooth", "rate-restarts"),
        ("non-finite", "non-finite", "bad-batch"),
        ("clip-saturation", "clip-saturation", "threshold-too-low"),
        ("overfitting", "overfitting", "few-samples"),
        ("killed", "abrupt-end", "killed"),
        ("more/best-lost", "overfitting", "few-samples"),
        ("more/schedule-over", "plateau", "rate-gone"),
        ("more/resumed", "resume-seam", "other-settings"),
        ("more/loss-summed", "train-eval-mismatch", "summed-loss"),
        ("more/other-mask", "train-eval-mismatch", "other-mask"),
        ("more/dpo-collapse", "chosen-logp-collapse", "rate-too-high"),
        ("more/grpo-kl", "kl-blowup", "rate-too-high"),
        ("more/grpo-entropy", "entropy-collapse", "rate-too-high"),
    ],
)
def test_the_true_cause_of_a_sample_run_wins(run: str, pattern: str, cause: str):
    found = next(f for f in diagnose(load(SAMPLES / run)).findings if f.pattern == pattern)
    assert found.causes[0].name == cause
    meet_the_contract(found)


@pytest.mark.parametrize(
    ("case", "pattern", "cause"),
    [
        ("nf-lr", "non-finite", "updates-too-large"),
        ("diverge-sgd", "non-finite", "updates-too-large"),
        ("nf-masked-raw", "non-finite", "bad-batch"),
        ("nan-badtoken-filter", "non-finite", "bad-batch"),
        ("flat-random-labels", "plateau", "guessing"),
        ("low-lr", "plateau", "rate-too-low"),
        ("plateau-lr-gone-a", "plateau", "rate-gone"),
        ("vanish-deep", "plateau", "nothing-trains"),
        ("teeth-cyclic", "sawtooth", "rate-restarts"),
        ("teeth-shards", "sawtooth", "shards"),
        ("sawtooth-shards-a", "sawtooth", "shards"),
        ("teeth-hot-b", "sawtooth", "rate-too-high"),
        ("clipsat-mild", "clip-saturation", "threshold-too-low"),
        ("div-lr-jump", "divergence", "rate-jump"),
        ("diverge-warmup-end-a", "divergence", "rate-too-high"),
        ("div-ascend", "divergence", "wrong-update"),
        ("vanish-dead-relu", "vanishing-gradients", "dead-units"),
        ("underfit-lr-low-a", "underfitting", "rate-too-low"),
        ("evalstall-a", "eval-stall", "other-format"),
    ],
)
def test_the_true_cause_of_a_run_of_the_corpus_wins(corpus: Path, case: str, pattern: str, cause: str):
    found = next(f for f in diagnose(load(corpus / "trained" / "runs" / case)).findings if f.pattern == pattern)
    assert found.causes[0].name == cause


def meet_the_contract(found: Finding) -> None:
    weights = [cause.weight for cause in found.causes]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) <= 1
    assert all(0 <= weight <= 1 for weight in weights)
    for cause in found.causes:
        for sentence in (*cause.for_, *cause.against):
            assert sentence and sentence == sentence.strip() and "\n" not in sentence
            assert not re.search(r"\b(nan|None|inf)\b", sentence), sentence


@cache
def fault(name: str, seed: int) -> Run:
    return sample(name, seed).run


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_causes_of_synthetic_faults_meet_the_contract(name: str):
    for seed in range(3):
        result = diagnose(fault(name, seed))
        assert [o.reason for o in result.outcomes if o.status == "found" and o.reason] == []
        for found in result.findings:
            meet_the_contract(found)


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, -1.0, 5e-324, 1e308, float("nan"), float("inf")]),
)
COLUMNS = st.lists(VALUES, min_size=0, max_size=40)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(st.none(), st.booleans(), VALUES, st.integers(-2, 10**9), st.text(max_size=5))
        for name in (
            "learning_rate", "max_grad_norm", "vocab_size", "fp16", "bf16", "gradient_accumulation_steps", "beta", "r",
            "warmup_steps", "group_by_length", "train_batch_size",
        )
    },
)  # fmt: skip


MORE = (
    "train/kl", "train/entropy", "train/reward", "train/logps/chosen", "train/logps/rejected", "train/num_tokens",
    "gpu/0/memory_percent", "gpu/0/utilization",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    loss=COLUMNS, norms=COLUMNS, rate=COLUMNS, evals=COLUMNS, epoch=COLUMNS, config=SETTINGS,
    start=st.one_of(st.none(), st.integers(-5, 300)), number=VALUES, seam=st.integers(0, 200),
)  # fmt: skip
def test_no_run_makes_a_weighing_fail(loss, norms, rate, evals, epoch, config, start, number, seam):
    n = len(loss)
    run = synth.run_of(
        np.array(loss), norms=np.array(norms[:n]), rate=np.array(rate[:n]), evals=np.array(evals) if evals else None,
        epoch=np.array((epoch + [np.nan] * n)[:n]) if n else None, config=config, planned=1000,
        more={m: np.array(norms[:n]) for m in MORE},
    ) if n else synth.run_of(np.array([1.0]))  # fmt: skip
    run = replace(run, seams=(Seam(segment=1, step=seam, reached=seam + 3),) if seam % 2 else ())
    numbers = ("period", "explained", "median_norm", "max_grad_norm", "ratio", "level_rise", "far_share", "rate_jump", "loss_jump")
    finding = Finding(
        severity="warning", confidence=0.5, metric="train/loss", headline="x", start_step=start, end_step=start and start + 50,
        measured=tuple(Measured(name=name, value=number) for name in numbers),
        evidence=(Point(metric="train/loss", step=start or 0, value=number),) if seam % 3 else (),
    )  # fmt: skip
    for weighing in causes().values():
        with np.errstate(all="ignore"):
            found = weighing.weigh(Facts(run), finding)
        meet_the_contract(msgspec.structs.replace(finding, causes=found))


def test_a_constant_run_has_nothing_to_stumble_over():
    n = 60
    for value in (0.0, 2.0, 1e308, 5e-324):
        run = synth.run_of(np.full(n, value), norms=np.full(n, value), rate=np.full(n, value), evals=np.full(8, value))
        run = replace(run, logged={**run.logged, "train/logps/rejected": Curve.of("train/logps/rejected", [1], [value])})
        result = diagnose(run)
        assert [o for o in result.outcomes if o.reason.startswith("its causes")] == []


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_a_warm_up_without_end_is_none(value: float):
    for name in ("warmup_steps", "warmup_ratio"):
        assert Facts(synth.run_of(falling(), config={name: value})).warmup_end == 0
