"""Scoring: counts by hand, the same numbers as the corpus's own scorer, confidence in bins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from states import ROOT

from curvelab.diagnosis import diagnose
from curvelab.ingest import gather
from curvelab.labels import Case, read_labels
from curvelab.model.errors import UnreadableError
from curvelab.reliability import bins_of, calibration_error
from curvelab.scoring import Answer, Score, answer_of, score, wrong

SHARED = ROOT.parent / "shared"
SCORER = SHARED / "bench" / "score.py"
CORPORA = [SHARED / "corpus" / name for name in ("trained", "wild")]


def case(name: str, source: str = "", onset: dict | None = None, **labels: str) -> Case:
    named = {pattern.replace("_", "-"): label for pattern, label in labels.items()}
    return Case(name, Path(name), source or name, named, onset or {})  # type: ignore[arg-type]


def said(*patterns: str, sure: float = 0.9, **onset: int) -> Answer:
    return Answer(dict.fromkeys(patterns, sure), onset, 1000)


def row(result: Score, pattern: str):
    return next(one for one in result.patterns if one.pattern == pattern)


def test_counts_by_hand():
    a, b, c, d = (
        case("a", spikes="yes"),
        case("b", spikes="yes"),
        case("c", spikes="no"),
        case("d", spikes="unsure"),
    )
    answers = {a: said("spikes"), b: said(), c: said("spikes", "plateau"), d: said("spikes")}
    spikes = row(score([a, b, c, d], answers), "spikes")
    assert (spikes.hits, spikes.false, spikes.missed) == (1, 1, 1)
    assert spikes.precision == spikes.recall == spikes.f1 == 0.5
    assert row(score([a, b, c, d], answers), "plateau").false == 0, "a pattern without a label is not scored"
    assert [(one.what, one.case) for one in wrong([a, b, c, d], answers, ["spikes"])] == [("false", "c"), ("missed", "b")]


def test_a_case_without_an_answer_has_missed_all_and_alarms_when_healthy():
    bad, good = case("bad", plateau="yes"), case("good", healthy="yes", plateau="no")
    result = score([bad, good], {})
    assert row(result, "plateau").missed == 1
    assert result.false_alarms == ("good",)
    assert result.answered == 0


def test_only_curve_patterns_alarm_a_healthy_run():
    good = case("good", healthy="yes")
    assert score([good], {good: said("sparse-eval")}).false_alarms == ()
    assert score([good], {good: said("spikes")}).false_alarm_rate == 1.0


def test_onset_error_is_a_share_of_the_run():
    late = case("late", spikes="yes", plateau="yes", onset={"spikes": (100, 200), "plateau": (5, 5)})
    result = score([late], {late: said("spikes", "plateau", spikes=300)})
    assert sorted(result.onset_errors) == [0.1, 1.0]


def test_macro_leaves_out_what_has_few_cases():
    cases = [case(str(i), spikes="yes", plateau="yes" if i else "no") for i in range(3)]
    result = score(cases, {one: said("spikes") for one in cases})
    assert result.curve_macro_f1 == 1.0
    assert result.micro_f1 == pytest.approx(2 * 3 / (2 * 3 + 2))


def test_interval_draws_whole_sources():
    cases = [case(str(i), source="same", spikes="yes") for i in range(8)]
    answers = {one: said("spikes") for one in cases[:4]}
    low, high = score(cases, answers).interval
    assert low == high == score(cases, answers).micro_f1


def test_calibration_error():
    table = bins_of([(0.85, True)] * 3 + [(0.85, False)] + [(1.0, True)] * 4)
    assert [one.findings for one in table] == [4, 4]
    assert calibration_error(table) == pytest.approx(0.05)
    assert calibration_error(()) is None


def test_empty():
    result = score([], {})
    assert (result.micro_f1, result.interval, result.macro_f1, result.false_alarm_rate) == (0.0, (0.0, 0.0), None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is no labels file"),
        ('{"cases": [{"labels": {"spikes": "yes"}}]}', '"path" is missing'),
        ('{"cases": [{"path": "x", "labels": {"spikes": "yse"}}]}', 'did you mean "yes"'),
        ('{"cases": [{"path": "x", "labels": ["spikes"]}]}', "are objects"),
    ],
)
def test_labels_of_another_form_are_refused(tmp_path, text, said):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UnreadableError, match=said):
        read_labels(tmp_path)


@pytest.mark.skipif(not SCORER.exists(), reason="needs the labelled corpora")
@pytest.mark.parametrize("corpora", [CORPORA[:1], CORPORA[1:], CORPORA], ids=["trained", "wild", "both"])
def test_same_numbers_as_the_scorer_of_the_corpora(tmp_path, corpora):
    cases = [one for corpus in corpora for one in read_labels(corpus)]
    answers = {one: answer_of([diagnose(run) for run in gather([one.path]).runs]) for one in cases}
    # contradict some answers, so that every kind of count is there
    for number, one in enumerate(cases):
        if number % 5 == 0:
            answers[one] = Answer({"spikes": 0.8, "divergence": 0.6}, {"spikes": 40}, answers[one].last_step)
        elif number % 17 == 0:
            del answers[one]
    rows = [
        {"path": str(one.path), "patterns": sorted(a.patterns), "onset": a.onset, "last_step": a.last_step}
        for one, a in answers.items()
    ]
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    done = subprocess.run(
        [sys.executable, str(SCORER), *map(str, corpora), "--predictions", str(file), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    theirs, ours = json.loads(done.stdout), score(cases, answers)
    assert (ours.cases, ours.answered, ours.healthy) == (theirs["cases"], theirs["answered"], theirs["healthy"])
    for pattern, counts in theirs["patterns"].items():
        mine = row(ours, pattern)
        assert (mine.cases, mine.false, mine.missed) == (counts["support"], counts["fp"], counts["fn"]), pattern
        assert (mine.precision, mine.recall, mine.f1) == (counts["precision"], counts["recall"], counts["f1"]), pattern
    assert ours.micro_f1 == theirs["curve_micro_f1"]
    assert list(ours.interval) == pytest.approx(theirs["curve_micro_f1_interval"], abs=1e-12)
    assert ours.curve_macro_f1 == pytest.approx(theirs["curve_macro_f1"])
    assert ours.macro_f1 == pytest.approx(theirs["macro_f1"])
    assert list(ours.false_alarms) == theirs["false_alarms"]
    assert ours.median_onset_error == theirs["median_onset_error"]
    assert len(ours.onset_errors) == theirs["onsets"]
