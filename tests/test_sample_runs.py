"""Every sample run gives exactly what its expected.toml says: verdict, state, findings, where they begin."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from states import SAMPLES

from curvelab.diagnosis import diagnose
from curvelab.ingest import load

RUNS = sorted(path.parent for path in SAMPLES.glob("*/expected.toml"))
MORE = sorted(path.parent for path in SAMPLES.glob("more/*/expected.toml"))  # one log each
LOGS = {"state": "trainer_state.json", "event": "*tfevents*", "wandb": "*.wandb"}


def test_the_eight_causes_are_there():
    names = {"healthy", "overfitting", "plateau", "sawtooth", "spikes", "clip-saturation", "non-finite", "killed"}
    assert names <= {run.name for run in RUNS}


@pytest.mark.parametrize("folder", [*RUNS, *MORE], ids=lambda p: p.name)
def test_a_sample_run_gives_exactly_its_expected_findings(folder: Path):
    expected = tomllib.loads((folder / "expected.toml").read_text())
    result = diagnose(load(folder))
    clear = {o.pattern for o in result.outcomes if o.status == "clear"}
    assert set(expected.get("silent", ())) <= clear
    assert [o for o in result.outcomes if o.status == "failed"] == []
    assert {f.pattern for f in result.findings} == set(expected.get("findings", {}))
    assert result.verdict == expected["verdict"]
    assert result.state == expected["state"]
    for finding in result.findings:
        want = expected["findings"][finding.pattern]
        low, high = want["onset"]
        assert low <= finding.start_step <= high
        if "at" in want:
            logged = load(folder).curve("train/loss").step
            shown = [int(logged[np.searchsorted(logged, step)]) for step in want["at"]]  # the first log at or after it
            assert [e.step for e in finding.evidence] == shown


@pytest.mark.parametrize("folder", RUNS, ids=lambda p: p.name)
def test_the_three_logs_of_a_sample_run_say_the_same(folder: Path):
    """Step for step to float32; a killed run's logs end at different steps and agree as far as they go."""
    runs = {kind: load(next(folder.rglob(glob))) for kind, glob in LOGS.items()}
    for metric in ("train/loss", "train/grad_norm", "train/learning_rate", "eval/loss"):
        lines = [dict(zip((c := run.curve(metric)).step.tolist(), c.value.tolist(), strict=True)) for run in runs.values()]
        common = set.intersection(*(set(line) for line in lines))
        if folder.name == "killed":
            assert len(common) >= 0.9 * max(len(line) for line in lines)
        else:
            assert all(len(line) == len(common) for line in lines)
        for line in lines[1:]:
            np.testing.assert_allclose([line[s] for s in sorted(common)], [lines[0][s] for s in sorted(common)], rtol=2e-7)


UNLABELLED = (  # patterns without a label in the corpora, or with labels of one kind only: shown on real logs
    "memory-imbalance", "low-utilization", "no-useful-checkpoint", "warmup-instability", "schedule-anomaly", "resume-seam",
    "train-eval-mismatch", "kl-blowup", "reward-hacking", "length-explosion", "no-learning-signal", "entropy-collapse",
    "reward-accuracy-saturation", "chosen-logp-collapse",
)  # fmt: skip


@functools.cache
def outcomes_of_all_samples() -> dict[str, dict[str, str]]:
    """Run -> pattern -> outcome."""
    return {run.name: {o.pattern: o.status for o in diagnose(load(run)).outcomes} for run in (*RUNS, *MORE)}


@pytest.mark.parametrize("pattern", UNLABELLED)
def test_a_pattern_fires_on_a_real_log_and_is_silent_on_two(pattern: str):
    seen = [outcomes[pattern] for outcomes in outcomes_of_all_samples().values()]
    assert seen.count("found") >= 1
    assert seen.count("clear") >= 2


def test_the_logs_of_more_runs_stay_small():
    logs = [path for run in MORE for path in run.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in logs) <= 60_000
    assert sum(path.stat().st_size for path in logs) <= 1_500_000


def test_the_killed_run_is_filled_from_the_log_that_goes_furthest():
    state = load(next((SAMPLES / "killed").rglob("trainer_state.json")))
    whole = load(SAMPLES / "killed")
    assert whole.last_step > state.last_step
    assert whole.state == "crashed"
