"""Confidence: rising with what a detector says, bounded, lower with few points and with logs that disagree."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import ROOT

from curvelab import synth
from curvelab.catalogue import detector
from curvelab.confidence import ASSUMED, HIGHEST, calibrated, measured
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.model.note import Note
from curvelab.reliability import Bin, calibration_error

SHARE = st.floats(0, 1)


def overfitting(evals: int = 12, points: int = 120, notes: tuple[Note, ...] = ()):
    x = np.linspace(0, 1, evals)
    run = synth.run_of(synth.decay(points, 3.0, 0.8, 2.0), evals=2 + np.exp(-8 * x) + np.clip(x - 0.35, 0, None))
    return Facts(replace(run, notes=notes))


@given(SHARE, SHARE)
def test_the_map_rises_and_is_bounded(one, other):
    low, high = sorted((one, other))
    assert 0 <= measured(low) <= measured(high) <= 1
    facts = overfitting()
    assert calibrated(low, detector("overfitting"), facts) <= calibrated(high, detector("overfitting"), facts) <= HIGHEST


@pytest.mark.parametrize("said", [-1.0, 2.0])
def test_what_is_out_of_range_is_brought_back(said):
    assert 0 <= calibrated(said, detector("overfitting"), overfitting()) <= HIGHEST


def test_what_was_assumed_stays_doubtful():
    assert measured(ASSUMED) == ASSUMED
    assert measured(0.3) == 0.3


def test_few_points_make_it_less_sure():
    many, few = (calibrated(0.8, detector("overfitting"), overfitting(evals=k)) for k in (12, 5))
    assert few < many


def test_disagreeing_logs_make_it_less_sure():
    text = "12 values differ from those in trainer-state at the same step; the latter were kept"
    one = detector("overfitting")
    sure = calibrated(0.8, one, overfitting())
    assert calibrated(0.8, one, overfitting(notes=(Note(level="warning", text=text),))) < sure
    assert calibrated(0.8, one, overfitting(notes=(Note(level="warning", text="one line is damaged"),))) == sure


def test_the_engine_applies_it():
    facts = overfitting(evals=5)
    (finding,) = [one for one in diagnose(facts.run).findings if one.pattern == "overfitting"]
    (raw,) = [one.confidence for one in detector("overfitting").detect(facts, detector("overfitting").limits())]
    assert finding.confidence == pytest.approx(calibrated(raw, detector("overfitting"), facts), abs=1e-3)


def test_the_measured_error_is_small():
    table = msgspec.json.decode((ROOT / "tests/data/reliability.json").read_bytes(), type=tuple[Bin, ...])
    assert sum(one.findings for one in table) > 1000
    assert calibration_error(table) <= 0.05
