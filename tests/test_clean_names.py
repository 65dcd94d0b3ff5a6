"""Metric names are not trusted: what cannot be shown or stored is taken out before they become curves."""

from __future__ import annotations

import json

import pytest
from events import write_events

from curvelab.clean_names import LONGEST, clean_name
from curvelab.ingest import load


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("train/loss", "train/loss"),
        ("Verlust/größe ✓ 日本", "Verlust/größe ✓ 日本"),
        ("a\ud800b", "a\ufffdb"),
        ("\x1b[31mred\x07\r\nline", "[31mredline"),
        ("left\u202eright\u200b", "leftright"),
        ("\x00", "\ufffd"),
        ("", ""),
        ("x" * LONGEST, "x" * LONGEST),
    ],
)
def test_a_name_keeps_all_that_can_be_shown(name, clean):
    assert clean_name(name) == clean


def test_a_long_name_is_shortened():
    name = clean_name("x" * 50_000)
    assert len(name) < LONGEST
    assert name.endswith("(50,000 characters)")


@pytest.fixture
def hostile(tmp_path):
    names = ["bad\ud800", "bad\ufffd", "red\x1b[31m", "long" * 1000, "long" * 1000 + "er"]
    history = [{"step": step, "loss": 2.0, **dict.fromkeys(names, float(step))} for step in range(1, 9)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return tmp_path


def test_different_names_stay_different_and_it_is_said(hostile):
    run = load(hostile)
    assert len(run.metrics) == 6
    assert {"train/bad\ufffd", "train/red[31m"} < set(run.metrics)
    texts = [note.text for note in run.notes]
    assert f"2 metric names of more than {LONGEST} characters were shortened" in texts
    assert "characters that cannot be shown were taken out of 2 metric names" in texts
    for names in (run.metrics, *(curve.raw_names for curve in run.logged.values())):
        for name in names:
            name.encode()


def test_no_table_meets_a_name_that_it_cannot_hold(hostile):
    run = load(hostile)
    assert run.wide().shape == (8, 6)
    assert len(run.frame) == 48
    run.wide().to_csv(hostile / "wide.csv")


def test_a_name_that_was_given_for_a_file_as_a_whole_goes_with_its_series(tmp_path):
    write_events(tmp_path, [(step, {"train/loss\x07": 2.0, "train/loss": 3.0}) for step in range(5)])
    run = load(tmp_path)
    assert run.metrics == ("train/loss", "train/loss (2)")
    assert run.curve("train/loss").value.tolist() == [3.0] * 5
