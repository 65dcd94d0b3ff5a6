"""The engine: outcomes, failures, the story of several findings, the verdict, JSON both ways."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from curvelab import catalogue, diagnosis, synth
from curvelab.diagnosis import diagnose
from curvelab.model.errors import UsageError
from curvelab.model.finding import Finding, Point
from curvelab.model.options import Options
from curvelab.model.result import Diagnosis
from curvelab.rules import NotApplicable, detector, threshold


@dataclass(frozen=True)
class Thresholds:
    share: float = threshold(0.5, unit="share", low=0, high=1, source="judgement", meaning="nothing")


def pretend(monkeypatch, **functions):
    """Replace the shelf of detectors by functions: pattern -> detect."""
    shelf = []
    for name, (detect, facts) in functions.items():
        detect.__module__ = __name__
        made = detector(**{"title": name, "kind": "curve", "needs": {}, "thresholds": Thresholds, **facts})(detect)
        shelf.append(type(made)(**{**vars(made), "pattern": name.replace("_", "-")}))
    monkeypatch.setattr(diagnosis, "detectors", lambda: tuple(shelf))
    monkeypatch.setattr(diagnosis, "detector_of", lambda pattern: next(d for d in shelf if d.pattern == pattern))


def finding(start: int, severity: str = "warning") -> Finding:
    return Finding(
        severity=severity, confidence=0.8, metric="train/loss", headline="x", start_step=start, end_step=100, evidence=()
    )


RUN = synth.run_of(synth.decay(40) + synth.noise(40, 0.02))


def outcome(result, pattern):
    return next(o for o in result.outcomes if o.pattern == pattern)


def test_missing_metrics_and_too_few_points_are_not_applicable_with_the_reason():
    result = diagnose(synth.run_of(synth.decay(8)))
    assert outcome(result, "overfitting").reason == "eval/loss was not logged"
    assert outcome(result, "plateau").reason == "train/loss has 8 points, 12 are needed"
    assert all(o.reason for o in result.outcomes if o.status == "not-applicable")


def test_a_detector_that_fails_is_an_outcome_and_the_others_go_on(monkeypatch):
    def broken(facts, limits):
        raise ZeroDivisionError("by hand")
        yield

    def fine(facts, limits):
        yield finding(10)

    def declines(facts, limits):
        raise NotApplicable("no such setting")
        yield

    pretend(monkeypatch, broken=(broken, {}), fine=(fine, {}), declines=(declines, {}))
    result = diagnose(RUN)
    assert (outcome(result, "broken").status, outcome(result, "broken").reason) == ("failed", "ZeroDivisionError: by hand")
    assert outcome(result, "declines").reason == "no such setting"
    assert [f.pattern for f in result.findings] == ["fine"]


def test_a_finding_that_another_explains_names_it_and_the_verdict_is_the_root(monkeypatch):
    def cause(facts, limits):
        yield finding(20)

    def effect(facts, limits):
        yield finding(60, "critical")

    pretend(monkeypatch, cause=(cause, {"yields_to": ("effect",)}), effect=(effect, {"yields_to": ("cause",)}))
    result = diagnose(RUN)
    assert {f.pattern: f.explained_by for f in result.findings} == {"cause": None, "effect": "cause"}
    assert result.verdict == "cause"


@pytest.mark.parametrize(("kind", "severity", "verdict"), [("curve", "info", "healthy"), ("run", "warning", "one")])
def test_info_names_no_run_and_run_patterns_come_after_curve_patterns(monkeypatch, kind, severity, verdict):
    def one(facts, limits):
        yield finding(20, severity)

    def quiet(facts, limits):
        yield from ()

    def still(facts, limits):
        yield from ()

    pretend(monkeypatch, one=(one, {"kind": kind}), quiet=(quiet, {}), still=(still, {}))
    assert diagnose(RUN).verdict == verdict


def test_a_doubted_curve_pattern_names_no_run_that_has_a_certain_run_pattern(monkeypatch):
    def doubted(facts, limits):
        yield msgspec.structs.replace(finding(5), confidence=0.5)

    def certain(facts, limits):
        yield finding(20)

    pretend(monkeypatch, doubted=(doubted, {}), certain=(certain, {"kind": "run"}))
    assert diagnose(RUN).verdict == "certain"
    pretend(monkeypatch, doubted=(doubted, {}))
    assert diagnose(RUN).verdict == "doubted"


def test_too_little_data_is_not_called_healthy():
    assert diagnose(synth.run_of(np.array([3.0, 2.0]))).verdict == "not-assessed"
    assert diagnose(RUN).verdict == "healthy"


def test_unknown_patterns_and_thresholds_offer_the_nearest_name():
    with pytest.raises(UsageError, match='did you mean "overfitting"'):
        diagnose(RUN, Options(select=("overfiting",)))
    with pytest.raises(UsageError, match='did you mean "rise"'):
        diagnose(RUN, Options(thresholds={"overfitting": {"rize": 1.0}}))
    with pytest.raises(UsageError, match="out of bounds"):
        diagnose(RUN, Options(thresholds={"overfitting": {"rise": -1.0}}))


def test_select_and_ignore_decide_what_is_looked_for():
    assert [o.pattern for o in diagnose(RUN, Options(select=("spikes",))).outcomes] == ["spikes"]
    assert "spikes" not in [o.pattern for o in diagnose(RUN, Options(ignore=("spikes",))).outcomes]


def hostile_runs():
    n = 60
    yield "all nan", synth.run_of(np.full(n, np.nan))
    yield "one value", synth.run_of(np.array([1.0]))
    yield "constant", synth.run_of(np.full(n, 2.0), norms=np.zeros(n), rate=np.zeros(n), evals=np.full(8, 2.0))
    yield "zero", synth.run_of(np.zeros(n), norms=np.zeros(n), evals=np.zeros(8))
    yield "huge", synth.run_of(np.geomspace(1, 1e308, n), norms=np.geomspace(1e-308, 1e308, n), evals=np.geomspace(1, 1e308, 9))
    yield "infinite", synth.run_of(np.where(np.arange(n) % 3 == 0, np.inf, 1.0), norms=np.full(n, -np.inf), evals=np.full(9, np.inf))
    yield "negative", synth.run_of(-synth.decay(n), norms=-np.ones(n), rate=-np.ones(n), evals=-np.ones(9))
    yield "denormal", synth.run_of(np.full(n, 5e-324) * np.arange(n), norms=np.full(n, 5e-324), evals=np.full(9, 5e-324))
    yield "same step", synth.run_of(synth.decay(n), every=0)


@pytest.mark.parametrize(("name", "run"), list(hostile_runs()), ids=[name for name, _ in hostile_runs()])
def test_no_detector_fails_on_any_curve_and_the_json_stays_strict(name, run):
    result = diagnose(run)
    assert [(o.pattern, o.reason) for o in result.outcomes if o.status == "failed"] == []
    text = result.to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"bare {word} in the JSON"))
    assert Diagnosis.from_json(text).to_json() == text


def test_non_finite_numbers_survive_json():
    result = diagnose(synth.run_of(np.array([1.0, math.nan, math.inf, -math.inf, 2.0])))
    back = Diagnosis.from_json(result.to_json())
    np.testing.assert_array_equal(back.series["train/loss"].value, [1.0, math.nan, math.inf, -math.inf, 2.0])
    point = next(e for f in back.findings for e in f.evidence if isinstance(e, Point))
    assert math.isnan(point.value)


def test_the_shelves_hold_each_pattern_once():
    names = [d.pattern for d in catalogue.detectors()]
    assert len(names) == len(set(names)) >= 12
