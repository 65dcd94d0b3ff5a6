"""The Python interface: its names, what it accepts, and how results show themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from events import VERSION, event, framed, scalar
from states import SAMPLES

import curvelab


@pytest.fixture(scope="module")
def result() -> curvelab.Diagnosis:
    return curvelab.diagnose(curvelab.load(str(SAMPLES / "overfitting")))


def test_dir_lists_every_public_name_without_importing_them():
    assert set(curvelab.__all__) <= set(dir(curvelab))
    code = "import sys, curvelab; dir(curvelab); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("settings", [{"overfitting": {"rise": 0.1}}, ["spikes"], "spikes", {}])
def test_settings_that_are_no_options_are_refused_with_a_hint(result, settings):
    run = curvelab.load(str(SAMPLES / "overfitting"))
    with pytest.raises(curvelab.UsageError, match=r"Options\(thresholds=\{.*\}\), not as "):
        curvelab.diagnose(run, settings)


def test_a_diagnosis_is_short_in_a_shell(result):
    assert repr(result) == "<Diagnosis of overfitting: overfitting (overfitting; 150 points)>"


def test_a_notebook_shows_verdict_fix_and_picture(result):
    shown = result._repr_html_()
    assert "Overfitting since step" in shown
    assert "To do: " in shown
    assert shown.count("<svg") == 1
    assert "<script" not in shown
    assert "<style" not in shown
    assert "#finding-" not in shown


def test_a_diagnosis_made_below_the_public_name_shows_itself_once_that_is_used():
    code = (
        "import curvelab; from curvelab.model.result import Diagnosis;"
        "assert not hasattr(Diagnosis, '_repr_html_'); curvelab.Diagnosis; assert hasattr(Diagnosis, '_repr_html_')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_time_past_every_calendar_costs_no_frame(tmp_path):
    records = [VERSION, *(framed(event(s, scalar("train/loss", 0.5), wall=1e18 + s)) for s in range(5))]
    (tmp_path / "events.out.tfevents.1.h").write_bytes(b"".join(records))
    run = curvelab.load(tmp_path)
    assert run.frame["wall_time"].isna().all() and len(run.frame) == 5
    assert any("after 2099" in note.text for note in run.notes)
