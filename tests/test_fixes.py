"""The fix catalogue: what holds for every remedy and every proposed value, and the proposals for the sample runs."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from states import CORPUS, SAMPLES

from curvelab import proposals, synth
from curvelab.catalogue import detectors
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import gather, load
from curvelab.knowledge.references import JUDGEMENT, REFERENCES
from curvelab.knowledge.setting_bounds import BOUNDS, WHOLE
from curvelab.knowledge.setting_names import KNOWN
from curvelab.model.finding import CHEAPEST_FIRST, Change, Finding, Fix
from curvelab.model.run import Run
from curvelab.rules import Detector, Remedy
from curvelab.synth.families import FAMILIES, sample

REMEDIES = [(one, remedy) for one in detectors() for remedy in one.remedies]
VERBS = re.compile(
    r"(Accumulate|Add|Call|Check|Checkpoint|Choose|Clip|Compare|Count|Detach|Divide|End|Evaluate|Find|Give|Go|Grade|Judge|Keep"
    r"|Leave|Lengthen|Load|Log|Look|Lower|Mend|Nothing|Overfit|Penalise|Profile|Raise|Read|Regularise|Replace|Restart|Resume"
    r"|Run|Sample|Save|Set|Shrink|Shuffle|Stop|Take|Train|Turn|Use)[ ,:]"
)


def each_remedy(check):
    ids = [f"{one.pattern}: {remedy.title[:40]}" for one, remedy in REMEDIES]
    return pytest.mark.parametrize(("one", "remedy"), REMEDIES, ids=ids)(check)


# the catalogue


def test_every_pattern_has_a_remedy():
    assert [one.pattern for one in detectors() if not one.remedies] == []


@each_remedy
def test_sources_exist(one: Detector, remedy: Remedy):
    keys = (remedy.source,) if isinstance(remedy.source, str) else remedy.source
    assert keys
    assert [key for key in keys if key != JUDGEMENT and key not in REFERENCES] == []
    assert len(set(keys)) == len(keys)


def test_every_reference_is_used_and_has_an_address():
    used = {reference for _, remedy in REMEDIES for reference in remedy.references}
    assert used == set(REFERENCES.values())
    for reference in REFERENCES.values():
        assert reference.address.startswith("https://"), reference
        assert reference.by and reference.title
        assert reference.year is None or 2010 <= reference.year <= 2030


@each_remedy
def test_a_title_begins_with_a_verb_and_stands_alone(one: Detector, remedy: Remedy):
    assert VERBS.match(remedy.title)


@each_remedy
def test_settings_are_written_as_flags(one: Detector, remedy: Remedy):
    """A flag is a placeholder, so that it can be shown under the name of the run's own trainer."""
    for text in (remedy.title, remedy.why, remedy.when_not):
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name]
        flags = [name.removeprefix("flag_") for name in names if name.startswith("flag_")]
        assert set(flags) <= set(KNOWN)
        bare = re.sub(r"\{[^{}]*\}", "", text)
        assert [name for name in KNOWN if "_" in name and re.search(rf"\b{name}\b", bare)] == []


def test_bounds_are_of_known_settings():
    assert set(BOUNDS) <= set(KNOWN)
    assert set(BOUNDS) >= WHOLE
    assert all(low < high for low, high in BOUNDS.values())


# every proposal, on whatever run


def runs_of_all_kinds() -> Iterator[tuple[str, Run]]:
    for one in detectors():
        for example in one.examples:
            yield f"{one.pattern}: {example.name}", example.build()
    for family in FAMILIES:
        for seed in (0, 1):
            yield f"{family} {seed}", sample(family, seed).run
    roots = [SAMPLES, *(CORPUS / name for name in ("trained", "wild") if (CORPUS / name).is_dir())]
    for run in gather(roots).runs:
        yield run.path, run


@pytest.fixture(scope="module")
def findings() -> list[tuple[str, Finding]]:
    return [(where, finding) for where, run in runs_of_all_kinds() for finding in diagnose(run).findings]


@pytest.fixture(scope="module")
def changes(findings) -> list[tuple[str, Finding, Fix, Change]]:
    return [(where, found, fix, change) for where, found in findings for fix in found.fixes for change in fix.changes]


def test_three_fixes_at_most_those_for_the_likeliest_causes_first_of_equal_ones_the_cheapest(findings):
    for where, finding in findings:
        costs = [CHEAPEST_FIRST.index(fix.cost) for fix in finding.fixes]
        assert len(costs) <= 3, (where, finding.pattern)
        assert finding.causes or costs == sorted(costs), (where, finding.pattern)
        assert costs or finding.severity == "info", (where, finding.pattern)
        assert len({fix.title for fix in finding.fixes}) == len(costs)


def test_every_placeholder_is_filled(findings):
    for where, finding in findings:
        for fix in finding.fixes:
            for text in (fix.title, fix.why, fix.when_not):
                assert not re.search(r"[{}]|(^|[\s(,])\?|\d%|nan\b", text), (where, text)
        assert not re.search(r"\d%", finding.headline), finding.headline


def test_every_change_is_one_within_bounds_and_says_where_its_number_comes_from(changes):
    assert len(changes) > 300
    for where, _, fix, change in changes:
        about = (where, fix.title, change)
        assert change.canonical in KNOWN, about
        assert change.to is not None and change.to != change.from_, about
        assert change.because and "\n" not in change.because, about
        if change.basis == "measured":
            assert re.search(r"\d", change.because), about
        if change.basis == "documented":
            assert fix.source != JUDGEMENT, about
        if isinstance(change.to, bool | str):
            continue
        low, high = BOUNDS[change.canonical]
        assert math.isfinite(change.to) and low <= change.to <= high, about
        assert change.canonical not in WHOLE or isinstance(change.to, int), about


UPWARDS = {"Raise", "Lengthen", "Accumulate", "Give", "Load"}
DOWNWARDS = {"Lower", "Shorten", "Stop", "End"}


def test_a_change_goes_the_way_that_its_title_says(changes):
    """Of titles that move one setting; that of SGD raises one and lowers another, and says so."""
    for where, _, fix, change in changes:
        verb, numeric = fix.title.split()[0], isinstance(change.from_, int | float) and not isinstance(change.from_, bool)
        if not numeric or " and lower " in fix.title:
            continue
        assert verb not in UPWARDS or change.to > change.from_, (where, fix.title, change)
        assert verb not in DOWNWARDS or change.to < change.from_, (where, fix.title, change)


def test_a_rate_is_never_proposed_below_what_learns_anything(changes):
    lowest = min(c.to for *_, c in changes if c.canonical == "learning_rate")
    assert lowest >= 2e-7


# what is proposed for the sample runs


def proposed(folder: str, pattern: str) -> dict[str, tuple[object, object, str]]:
    finding = next(f for f in diagnose(load(SAMPLES / folder)).findings if f.pattern == pattern)
    return {c.canonical: (c.from_, c.to, c.basis) for fix in finding.fixes for c in fix.changes}


GOLDEN = {
    ("clip-saturation", "clip-saturation"): {"max_grad_norm": (0.05, 0.76, "measured")},
    ("overfitting", "overfitting"): {
        "max_steps": (450, 180, "measured"),
        "weight_decay": (0.0, 0.05, "judgement"),
    },
    ("spikes", "spikes"): {"max_grad_norm": (0.0, 0.69, "measured")},  # the rate is not the cause: see causes/spikes.py
    ("sawtooth", "sawtooth"): {
        "lr_scheduler_type": ("cosine_with_restarts", "cosine", "judgement"),
        "learning_rate": (0.03, 0.01, "judgement"),
    },
    ("non-finite", "non-finite"): {"logging_nan_inf_filter": (True, False, "documented")},
    ("killed", "abrupt-end"): {
        "per_device_train_batch_size": (16, 8, "judgement"),
        "gradient_accumulation_steps": (1, 2, "judgement"),
        "gradient_checkpointing": (False, True, "documented"),
    },
    ("plateau", "plateau"): {},
    ("more/best-lost", "overfitting"): {
        "load_best_model_at_end": (False, True, "documented"),
        "max_steps": (400, 200, "measured"),
        "weight_decay": (0.0, 0.05, "judgement"),
    },
    ("more/best-lost", "no-useful-checkpoint"): {
        "load_best_model_at_end": (False, True, "documented"),
        "save_total_limit": (1, 3, "judgement"),
    },
    ("more/no-warmup", "warmup-instability"): {
        "warmup_steps": (0, 20, "documented"),
        "learning_rate": (0.02, 0.004, "judgement"),
    },
    ("more/resumed", "resume-seam"): {
        "learning_rate": (0.0012, 0.0004, "measured"),
        "save_only_model": (True, False, "documented"),
        "save_steps": (40, 25, "judgement"),
    },
    ("more/dpo-collapse", "chosen-logp-collapse"): {
        "rpo_alpha": (None, 1.0, "documented"),
        "learning_rate": (0.002, 0.00067, "judgement"),
        "beta": (0.01, 0.02, "judgement"),
    },
    ("more/grpo-broken", "no-learning-signal"): {"learning_rate": (0.003711, 0.00074, "judgement")},
    ("more/gpus-waiting", "low-utilization"): {"dataloader_num_workers": (0, 4, "judgement")},
    ("more/grpo-entropy", "entropy-collapse"): {
        "epsilon_high": (None, 0.28, "documented"),
        "learning_rate": (0.001855, 0.00062, "judgement"),
    },
}


@pytest.mark.parametrize(("folder", "pattern"), GOLDEN, ids=lambda one: one)
def test_proposals_for_a_sample_run(folder: str, pattern: str):
    assert proposed(folder, pattern) == GOLDEN[folder, pattern]


def test_the_evidence_is_named():
    (finding,) = diagnose(load(SAMPLES / "clip-saturation")).findings
    (change,) = (c for fix in finding.fixes for c in fix.changes)
    assert change.because == "90th percentile of 143 logged norms after warm-up"
    (finding,) = diagnose(load(SAMPLES / "overfitting")).findings
    because = {c.setting: c.because for fix in finding.fixes for c in fix.changes}
    assert because["max_steps"] == "best of 10 evals at step 180 of 450"


# the evidence behind single values


@pytest.mark.parametrize(("end", "lowers"), [(0.2, True), (0.5, False), (1.0, False)])
def test_a_signal_that_went_with_the_reward_asks_for_a_lower_rate_and_a_solved_task_does_not(end: float, lowers: bool):
    reward = np.r_[0.6 + synth.noise(20, 0.05, seed=3), np.full(60, end)]
    more = {"train/frac_reward_zero_std": np.r_[np.zeros(20), np.ones(60)], "train/reward": reward}
    run = synth.run_of(0.01 * synth.noise(80, 1.0), rate=synth.cosine(80), more=more, config={"learning_rate": 1e-4})
    (finding,) = (f for f in diagnose(run).findings if f.pattern == "no-learning-signal")
    named = {c.canonical for fix in finding.fixes for c in fix.changes}
    assert ("learning_rate" in named, "num_generations" in named) == (lowers, not lowers)


@pytest.mark.parametrize(("rate", "optim", "proposal"), [(0.02, "adamw_torch", 0.004), (2e-4, "adamw_torch", 1e-4), (0.1, "sgd", 0.05)])
def test_a_rate_far_beyond_the_usual_is_lowered_beside_the_longer_warm_up(rate: float, optim: str, proposal: float):
    """Else the one is an alternative to the other. SGD has rates of its own."""
    loss = synth.decay(150, 3.0, 1.5, 5.0) + synth.noise(150, 0.03, seed=12)
    loss[3:7] += 3.0 * np.array([0.5, 1.0, 0.8, 0.4])
    config = {"learning_rate": rate, "optim": optim, "warmup_steps": 0}
    result = diagnose(synth.run_of(loss, rate=rate * synth.cosine(151, warmup=0.0)[1:] / synth.cosine(151, warmup=0.0).max(), config=config))
    (finding,) = (f for f in result.findings if f.pattern == "warmup-instability")
    lowered = [(fix.alternative, c.to) for fix in finding.fixes for c in fix.changes if c.canonical == "learning_rate"]
    assert lowered == [(proposal != 0.004, proposal)]
    assert ("learning_rate" in {line.change.canonical for line in result.patch.changes}) == (proposal == 0.004)


def noisy_after(start: int) -> np.ndarray:
    """A loss that falls, then stands a quarter above its best."""
    loss = synth.decay(120) + synth.noise(120, 0.03)
    loss[start:] = 1.25 * loss[:start].min() + synth.noise(120 - start, 0.03)
    return loss


def clipped(
    config: dict[str, object], norm: float = 2.5, sigma: float = 0.25, loss: np.ndarray | None = None
) -> dict[str, tuple[object, object]]:
    norms = np.abs(norm + synth.noise(120, sigma, seed=2))
    falling = synth.decay(120) + synth.noise(120, 0.03) if loss is None else loss
    run = synth.run_of(falling, norms=norms, rate=synth.cosine(120), config=config)
    finding = next(f for f in diagnose(run).findings if f.pattern == "clip-saturation")
    return {c.canonical: (c.from_, c.to) for fix in finding.fixes for c in fix.changes}


def test_adam_keeps_its_rate_where_every_update_was_clipped_and_sgd_gets_the_one_it_really_had():
    """Adam divides a constant scale of the gradient out again; the step of SGD was threshold over norm times as long."""
    adam = {"max_grad_norm": 0.25, "learning_rate": 2e-4, "optim": "adamw_torch"}
    assert clipped(adam) == {"max_grad_norm": (0.25, 2.8)}
    assert clipped(adam | {"optim": "sgd"}) == {"max_grad_norm": (0.25, 2.8), "learning_rate": (2e-4, 2e-5)}


def test_a_restless_norm_also_asks_for_a_lower_rate():
    """Where the weighing leaves the rate in doubt: a threshold of 2 under norms of 3 that jump about."""
    run = {"max_grad_norm": 2.0, "learning_rate": 2e-4}
    assert clipped(run, norm=3.0, sigma=9.0, loss=noisy_after(60))["learning_rate"] == (2e-4, 1e-4)


def test_norms_logged_after_clipping_tell_no_threshold():
    norms = np.minimum(0.3, np.abs(2.5 + synth.noise(120, 0.25, seed=2)))
    run = synth.run_of(synth.decay(120), norms=norms, config={"max_grad_norm": 0.3})
    finding = next(f for f in diagnose(run).findings if f.pattern == "clip-saturation")
    assert [fix.title.split()[0] for fix in finding.fixes] == ["Log"]


def test_a_run_that_broke_while_its_rate_rose_gets_the_rate_that_it_bore():
    n = 150
    rate = np.concatenate([np.linspace(2e-5, 4e-4, 100), np.full(50, 4e-4)])
    loss = synth.decay(n, 3.0, 2.0, 6.0) + synth.noise(n, 0.02)
    loss[60:] += 2.0 * (1 - np.exp(-np.arange(90) / 5))
    finding = next(f for f in diagnose(synth.run_of(loss, rate=rate)).findings if f.pattern == "divergence")
    (change,) = (c for fix in finding.fixes for c in fix.changes if c.canonical == "learning_rate")
    borne = float(np.interp(finding.start_step, (np.arange(n) + 1) * 5, rate))
    assert (change.basis, change.from_) == ("measured", 4e-4)
    assert 0.8 * borne <= change.to <= borne
    assert 0 < finding.start_step - int(re.search(r"at step (\d+)", change.because)[1]) <= 50


@pytest.mark.parametrize(("config", "to"), [({}, 5e-4), ({"r": 8}, 3e-3), ({"optim": "sgd"}, 0.02), ({"optim": "adamw_torch"}, 5e-4)])
def test_what_broke_under_adam_gets_no_rate_that_adam_never_bears(config, to):
    loss = synth.decay(120, 3.0, 2.0, 6.0) + synth.noise(120, 0.02)
    loss[60:] += 2.0 * (1 - np.exp(-np.arange(60) / 5))
    found = diagnose(synth.run_of(loss, config={"learning_rate": 0.1, **config})).findings
    finding = next(f for f in found if f.pattern == "divergence")
    (change,) = (c for fix in finding.fixes for c in fix.changes if c.canonical == "learning_rate")
    assert (change.to, change.basis) == (to, "judgement")


def test_all_findings_of_a_run_that_broke_advise_the_same_measured_rate():
    n = 150
    rate = np.concatenate([np.linspace(2e-5, 4e-4, 100), np.full(50, 4e-4)])
    loss, norms = synth.decay(n, 3.0, 2.0, 6.0) + synth.noise(n, 0.02), np.exp(synth.noise(n, 0.1, seed=3))
    loss[60:90] += np.geomspace(0.1, 100, 30)
    norms[58:90] *= np.geomspace(2, 100, 32)
    loss[90:] = norms[90:] = np.nan
    run = synth.run_of(loss, norms=norms, rate=rate, config={"optim": "adamw_torch"})
    rates = {(c.to, c.basis) for f in diagnose(run).findings for fix in f.fixes for c in fix.changes if c.canonical == "learning_rate"}
    assert len(rates) == 1 and next(iter(rates))[1] == "measured"


@pytest.mark.parametrize(("decay", "advised"), [(-11.0, True), (3.0, True), (0.1, False), (None, False)])
def test_a_weight_decay_that_cannot_be_meant_is_quoted_and_set_to_zero(decay, advised):
    loss = synth.decay(120, 3.0, 2.0, 6.0) + synth.noise(120, 0.02)
    loss[60:] += np.linspace(0, 3, 60)
    config = {"learning_rate": 2e-4, **({} if decay is None else {"weight_decay": decay})}
    diagnosis = diagnose(synth.run_of(loss, config=config))
    finding = next(f for f in diagnosis.findings if f.pattern == "divergence")
    changes = {c.canonical: c.to for fix in finding.fixes for c in fix.changes if not fix.doubted}
    assert (changes.get("weight_decay") == 0.0) == advised
    assert (finding.causes[0].name == "wrong-update" and f"weight_decay is {decay:g}" in finding.causes[0].for_[0] if advised else True)


def test_an_assumed_clip_threshold_is_asked_for_before_anything_is_raised():
    norms = np.abs(2.5 + synth.noise(120, 0.25, seed=2))
    run = replace(synth.run_of(noisy_after(60), norms=norms), format="trainer-state")
    finding = next(f for f in diagnose(run).findings if f.pattern == "clip-saturation")
    assert finding.fixes[0].title.startswith("Give the clip threshold")


@pytest.mark.parametrize(
    ("config", "to"),
    [
        ({"learning_rate": 2e-4}, 4e-5),
        ({"learning_rate": 3e-6}, 1e-6),  # a fifth would be too low to learn at
        ({"learning_rate": 1e-6}, None),
        ({"learning_rate": 2e-5, "r": 16}, 1e-5),  # LoRA wants ten times as much
        ({"learning_rate": 1e-5, "r": 16}, None),
        ({}, None),
    ],
)
def test_lower_rates_end_where_nothing_is_learned(config, to):
    facts = Facts(synth.run_of(synth.decay(40), config=config))
    found = [c.to for c in proposals.lower_rate(5, "a fifth")(facts, A_FINDING)]
    assert found == ([] if to is None else [to])


@pytest.mark.parametrize(
    ("config", "to"),
    [
        ({"learning_rate": 5e-6}, 1.5e-5),
        ({"learning_rate": 1e-7}, 1e-5),
        ({"learning_rate": 5e-5, "r": 8}, 1.5e-4),
        ({"learning_rate": 2e-5}, None),
        ({}, None),
    ],
)
def test_low_rates_are_raised_into_the_usual_range(config, to):
    facts = Facts(synth.run_of(synth.decay(40), config=config))
    assert [c.to for c in proposals.raise_rate(facts, A_FINDING)] == ([] if to is None else [to])


A_FINDING = Finding(severity="warning", confidence=0.8, metric="train/loss", headline="x", start_step=100, end_step=200)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"warmup_steps": 0}, {"warmup_steps": (0, 50)}),
        ({"warmup_steps": 40}, {"warmup_steps": (40, 80)}),
        ({"warmup_steps": 90}, {"warmup_steps": (90, 100)}),
        ({"warmup_steps": 100}, {}),
        ({"warmup_ratio": 0.03}, {"warmup_ratio": (0.03, 0.06)}),
    ],
)
def test_warmup_comes_from_the_plan_and_under_the_flag_of_the_run(config, expected):
    facts = Facts(synth.run_of(synth.decay(40), planned=1000, config=config))
    found = {c.setting: (c.from_, c.to) for c in proposals.warm_up(facts, A_FINDING)}
    assert found == expected


@pytest.mark.parametrize(
    ("steps", "rounded"), [(0.2, 1), (7.3, 7), (12, 10), (27, 25), (47, 50), (60, 50), (90, 100), (1550, 2000), (33_000, 25_000)]
)
def test_steps_are_rounded_as_people_write_them(steps, rounded):
    assert proposals.round_steps(steps) == rounded


@pytest.mark.parametrize("planned", [30, 60, 100, 320, 400, 450, 750, 900, 2345, 23_259, 500_000])
def test_evals_come_every_5_to_10_percent_of_the_plan(planned):
    facts = Facts(synth.run_of(synth.decay(40), planned=planned))
    every = next(c.to for c in proposals.eval_every(facts) if c.setting == "eval_steps")
    assert 0.045 <= every / planned <= 0.105


def test_saves_fall_on_evals_where_the_best_is_kept():
    config = {"eval_strategy": "steps", "eval_steps": 500, "save_steps": 70, "load_best_model_at_end": True}
    facts = Facts(synth.run_of(synth.decay(40), planned=400, config=config))
    assert {c.setting: c.to for c in proposals.eval_every(facts)} == {"eval_steps": 25, "save_steps": 25}


def test_a_run_planned_in_epochs_is_shortened_in_epochs():
    loss = synth.decay(100)
    epoch = (np.arange(100) + 1) / 100 * 3
    for config, expected in (
        ({"num_train_epochs": 3}, {"num_train_epochs": (3, 1.2)}),
        ({"num_train_epochs": 3, "max_steps": -1}, {"num_train_epochs": (3, 1.2)}),
        ({"num_train_epochs": 3, "max_steps": 500}, {"num_train_epochs": (3, 1.2)}),  # the state of the Trainer has both
        ({"num_train_epochs": 5, "max_steps": 500}, {"max_steps": (500, 200)}),
        ({"max_steps": 500}, {"max_steps": (500, 200)}),
        ({"max_steps": 150}, {}),
    ):
        facts = Facts(synth.run_of(loss, epoch=epoch, config=config))
        assert {c.setting: (c.from_, c.to) for c in proposals.no_longer_than(facts, 200, "x 1")} == expected


def test_logs_become_more_frequent_only_where_they_are_few():
    few = Facts(synth.run_of(synth.decay(40), every=250, config={"logging_steps": 250}))
    assert [c.to for c in proposals.log_every(few, A_FINDING)] == [25]
    assert not list(proposals.log_every(Facts(synth.run_of(synth.decay(200), every=50)), A_FINDING))


@pytest.mark.parametrize(
    ("config", "flags"),
    [
        ({"fp16": True, "bf16": False}, {"fp16", "bf16"}),
        ({"fp16": True, "bf16": True}, set()),
        ({"bf16": True, "logging_nan_inf_filter": True}, {"logging_nan_inf_filter"}),
        ({"bf16": True, "logging_nan_inf_filter": False}, set()),
    ],
)
def test_what_is_on_already_is_not_advised(config, flags):
    loss = synth.decay(100) + synth.noise(100, 0.03)
    loss[60:] = np.nan
    (finding,) = (f for f in diagnose(synth.run_of(loss, config=config)).findings if f.pattern == "non-finite")
    assert {c.setting for fix in finding.fixes for c in fix.changes} == flags


def test_smaller_batches_keep_the_samples_of_an_update():
    for size, steps, expected in ((16, 2, (8, 4)), (3, 4, (1, 12)), (1, 8, None)):
        config = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
        run = synth.run_of(synth.decay(60), planned=600, state="crashed", config=config)
        finding = next(f for f in diagnose(run).findings if f.pattern == "abrupt-end")
        found = {c.setting: c.to for fix in finding.fixes for c in fix.changes}
        assert tuple(found.values()) == (expected or ())


@pytest.mark.parametrize(("memory", "conditional"), [(None, True), (np.linspace(20, 79, 60), False)])
def test_settings_against_a_full_memory_are_no_patch_unless_memory_ran_out(memory, conditional):
    more = {} if memory is None else {"gpu/0/memory_gb": memory}
    config = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}
    run = synth.run_of(synth.decay(60) + synth.noise(60, 0.03), planned=600, state="crashed", config=config, more=more)
    diagnosis = diagnose(run)
    (finding,) = [f for f in diagnosis.findings if f.pattern == "abrupt-end"]
    smaller = next(f for f in finding.fixes if f.title.startswith("Shrink"))
    assert smaller.changes and smaller.conditional is conditional
    changed = {line.change.setting for line in diagnosis.patch.changes} if diagnosis.patch else set()
    assert ("per_device_train_batch_size" in changed) is not conditional
