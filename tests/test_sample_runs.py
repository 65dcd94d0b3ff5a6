"""Every sample run gives exactly what its expected.toml says: verdict, state, findings, where they begin."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from states import SAMPLES

from curvelab.diagnosis import diagnose
from curvelab.ingest import load

RUNS = sorted(path.parent for path in SAMPLES.glob("*/expected.toml"))
LOGS = {"state": "trainer_state.json", "event": "*tfevents*", "wandb": "*.wandb"}


def test_the_eight_causes_are_there():
    names = {"healthy", "overfitting", "plateau", "sawtooth", "spikes", "clip-saturation", "non-finite", "killed"}
    assert names <= {run.name for run in RUNS}


@pytest.mark.parametrize("folder", RUNS, ids=lambda p: p.name)
def test_a_sample_run_gives_exactly_its_expected_findings(folder: Path):
    expected = tomllib.loads((folder / "expected.toml").read_text())
    result = diagnose(load(folder))
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


def test_the_killed_run_is_filled_from_the_log_that_goes_furthest():
    state = load(next((SAMPLES / "killed").rglob("trainer_state.json")))
    whole = load(SAMPLES / "killed")
    assert whole.last_step > state.last_step
    assert whole.state == "crashed"
