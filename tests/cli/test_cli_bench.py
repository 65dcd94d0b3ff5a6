"""bench: one's own labelled runs, scored."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def labelled(tmp_path, write_state):
    """A folder with two labelled runs: one that became NaN, one that is healthy."""
    write_state("good")
    write_state("bad", nan_from=100)
    cases = [
        {"id": "good", "path": "good", "labels": {"healthy": "yes", "non-finite": "no", "spikes": "no"}},
        {"id": "bad", "path": "bad", "labels": {"non-finite": "yes", "spikes": "yes"}, "onset": {"non-finite": [95, 105]}},
        {"id": "unlabelled", "path": "nowhere"},
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"cases": cases}))
    return tmp_path


def test_table(call, labelled):
    answer = call("bench", labelled, "--misses")
    assert (answer.code, answer.err) == (0, "")
    assert "non-finite 1 0 0 1.000 1.000 1.000" in " ".join(answer.out.split())
    assert "flagged 0 of 1 healthy runs" in answer.out
    assert "missed spikes" in answer.out
    assert "no labelled case: abrupt-end" in answer.out


def test_json_has_counts_shares_and_misses(call, labelled):
    told = call("bench", labelled / "labels.json", "--format", "json", "--misses").json()
    together = told["together"]
    rows = {row["pattern"]: row for row in together["patterns"]}
    assert rows["non-finite"] | {"hits": 1, "f1": 1.0} == rows["non-finite"]
    assert rows["spikes"]["recall"] == 0.0
    assert together["onset_errors"] == [0.0]
    assert set(told["sets"]) == {labelled.name}
    assert [one["pattern"] for one in told["misses"]] == ["spikes"]
    assert sum(one["findings"] for one in together["reliability"]) == 1


def test_markdown_into_a_file(call, labelled):
    answer = call("bench", labelled, "--format", "md", "-o", "score.md")
    assert (answer.code, answer.out) == (0, "")
    assert "| `non-finite` | 1 | 0 | 0 | 1.000 |" in (labelled / "score.md").read_text()


def test_only_selected_patterns_are_scored(call, labelled):
    told = call("bench", labelled, "--select", "non-finite", "--format", "json").json()
    assert [row["pattern"] for row in told["together"]["patterns"]] == ["non-finite"]
    assert told["together"]["micro_f1"] == 1.0


def test_several_sets_are_scored_apart_and_together(call, labelled, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    case = {"path": "../good", "labels": {"healthy": "yes", "non-finite": "no", "plaetau": "no"}}
    (other / "labels.json").write_text(json.dumps({"cases": [case]}))
    answer = call("bench", labelled, other)
    assert answer.code == 0
    assert "\nall: 3 cases, 3 answered\n" in answer.out
    assert "\nother: 1 cases" in answer.out
    assert 'did you mean "plateau"' in answer.err


def test_a_run_that_is_not_there_is_said_and_counts_as_missed(call, labelled):
    (labelled / "labels.json").write_text(
        json.dumps({"cases": [{"id": "gone", "path": "gone", "labels": {"healthy": "yes", "spikes": "yes"}}]})
    )
    answer = call("bench", labelled)
    assert answer.code == 4
    assert answer.err.startswith("gone: ")
    assert "flagged 1 of 1 healthy runs (gone)" in answer.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 4, "labels are a labels.json"),
        ((".", "--format", "html"), 2, "text, json"),
        ((".", "--select", "spike"), 2, 'did you mean "spikes"'),
        ((), 2, "LABELS"),
    ],
)
def test_wrong_use(call, labelled, arguments, code, words):
    answer = call("bench", *arguments)
    assert answer.code == code
    assert words in answer.err


def test_an_empty_set_is_an_error(call, tmp_path):
    (tmp_path / "labels.json").write_text('{"cases": []}')
    answer = call("bench", tmp_path)
    assert answer.code == 4
    assert "no case has labels" in answer.err
