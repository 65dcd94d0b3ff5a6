"""The faulty sample runs that were trained again: with all that the patch says, and without the finding."""

from __future__ import annotations

import functools
import sys
import tomllib
from pathlib import Path

import pytest
from states import SAMPLES

from curvelab.ingest import load
from curvelab.settings import same

sys.path.insert(0, str(SAMPLES))
from before_after import Fix, Retrained, folders, patch_settings, retrained

FOLDERS = folders()
WITHOUT_GPU = {"more/gpus-uneven", "more/gpus-waiting"}  # their figures are made up: there is nothing to train again
ADVICE_CHANGED = {"more/best-lost", "more/grpo-entropy", "more/grpo-kl"}  # after they were trained again: to be done once more
SOLVED = {"grpo-broken-patched"}  # its reward went from 0.2 to nearly 1: now the groups are alike because all is learned


@functools.cache
def result(folder: Path) -> Retrained:
    return retrained(folder)


def each(chosen: list[Path]):
    return pytest.mark.parametrize("folder", chosen, ids=lambda folder: folder.name)


def test_every_faulty_sample_run_was_trained_again():
    expected = [path for path in SAMPLES.rglob("expected.toml") if tomllib.loads(path.read_text()).get("findings")]
    faulty = {path.parent.relative_to(SAMPLES).as_posix() for path in expected}
    assert {Fix.read(folder).run for folder in FOLDERS} == faulty - WITHOUT_GPU - ADVICE_CHANGED


@each(FOLDERS)
def test_what_was_changed_is_the_whole_patch(folder: Path):
    """When this fails, the advice has changed: python sample_runs/retrain.py NAME shows what the new one does."""
    assert dict(result(folder).fix.changes) == patch_settings(result(folder).before)


@each(FOLDERS)
def test_what_was_done_by_hand_is_a_fix_of_the_report(folder: Path):
    one = result(folder)
    titles = {fix.title for finding in one.before.findings for fix in finding.fixes}
    assert bool(one.fix.by_hand) == bool(one.fix.advice)
    assert not one.fix.by_hand or one.fix.advice in titles


@each(FOLDERS)
def test_the_training_ran_with_the_new_settings(folder: Path):
    run = load(folder)
    if not list(folder.rglob("*tfevents*")):
        pytest.skip("a trainer state does not hold the settings")
    logged = {name: run.config[name].value for name in result(folder).fix.changes if name in run.config}
    if not Fix.read(folder).run.endswith("resumed"):  # its log begins with the settings before
        assert [name for name, value in logged.items() if not same(name, value, result(folder).fix.changes[name])] == []


@each([folder for folder in FOLDERS if folder.name.endswith("-fixed")])
def test_the_finding_is_gone(folder: Path):
    assert result(folder).gone, result(folder).row


@each([folder for folder in FOLDERS if folder.name.endswith("-patched")])
def test_a_fix_by_hand_was_needed(folder: Path):
    assert not result(folder).gone
    assert folder.name in SOLVED or folder.with_name(folder.name.replace("-patched", "-fixed")) in FOLDERS


def test_the_logs_stay_small():
    logs = [path for path in (SAMPLES / "fixed").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in logs) <= 60_000
    assert sum(path.stat().st_size for path in logs) <= 2_500_000
