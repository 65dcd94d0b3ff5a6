"""JUnit XML: what fails, what is skipped, what passes; and that servers read it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from results import finding, hostile, night, run

from curvelab.report.audited.junit import junit

# What Jenkins (the schema junit-10 of its xUnit plugin) and GitLab both take: element -> attributes that must be there,
# attributes that may, children.
COMMON = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors"}, {"time", "skipped", "timestamp"}, {"testcase"}),
    "testcase": ({"name", "classname"}, {"time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": ({"message"}, set(), set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip


def parsed(result):
    root = ElementTree.fromstring(junit(result).encode())
    for element in root.iter():
        must, may, children = COMMON[element.tag]
        assert must <= set(element.attrib) <= must | may, element.tag
        assert {child.tag for child in element} <= children
    return root


def cases(root):
    """(suite, pattern or name) -> how it ended."""
    return {
        (suite.get("name"), case.get("classname").rpartition(".")[2], case.get("name").partition(" in ")[0]): next(
            (child.tag for child in case), "passed"
        )
        for suite in root
        for case in suite
    }


def test_every_finding_ends_as_its_state_says():
    assert cases(parsed(night())) == {
        ("vision", "a", "divergence"): "failure",
        ("vision", "b", "overfitting"): "skipped",
        ("outputs", "sub/c_d", "spikes"): "skipped",
        ("outputs", "d", "plateau"): "skipped",
        ("outputs", "e", "sawtooth"): "skipped",
        ("outputs", "f", "overfitting"): "system-out",
        ("outputs", "f", "no findings"): "passed",
        ("outputs", "g", "no findings"): "passed",
        ("outputs", "h", "no findings"): "skipped",
        ("outputs", "/data/team/outputs/x/trainer_state_json", "can be read"): "error",
    }


def test_a_failure_tells_what_and_what_to_do():
    failure = parsed(night()).find(".//failure")
    assert failure.get("message") == "eval/loss rose 8 % after step 1,200 while train/loss fell"
    assert failure.get("type") == "critical.divergence"
    for words in ("Lower learning_rate", "Steps: 1200 to 3000", "runs/a.html"):
        assert words in failure.text


def test_a_skipped_test_tells_why():
    told = [skipped.get("message") for skipped in parsed(night()).iter("skipped")]
    for words in ("provisional", "known since 2026-09-20", "muted until 2027-01-01 (a known loader)",
                  "worse warning, which does not fail the audit (--fail-on new-critical)", "not assessed"):  # fmt: skip
        assert any(words in one for one in told), words


def test_counts_are_those_of_the_tests():
    root = parsed(night())
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "10", "failures": "1", "errors": "1", "time": "12.500"
    }  # fmt: skip
    for suite in root:
        assert int(suite.get("tests")) == len(suite)
        for tag in ("failure", "error", "skipped"):
            name = {"failure": "failures", "error": "errors"}.get(tag, tag)
            assert int(suite.get(name)) == len(suite.findall(f"testcase/{tag}"))


def test_a_test_keeps_its_name_from_night_to_night():
    tonight = night()
    known = finding("a", "divergence", "known", severity="critical")
    later = night(findings=(known,), number=4, started=tonight.started + 86400, finished=tonight.finished + 86400)
    names = [{(case.get("classname"), case.get("name")) for case in parsed(one).iter("testcase")} for one in (tonight, later)]
    assert any("divergence" in name for _, name in names[0] & names[1])


def test_an_audit_of_nothing_is_an_empty_suite():
    root = parsed(night(runs=(), findings=(), errors=()))
    assert [(suite.get("name"), len(suite)) for suite in root] == [("outputs", 0)]


def test_a_finding_of_a_run_that_is_not_known_any_more():
    assert ("outputs", "gone", "spikes") in cases(parsed(night(runs=(run("g"),), findings=(finding("gone", "spikes", "fixed"),))))


@pytest.mark.parametrize("make", [hostile])
def test_hostile_words_are_read_as_words(make):
    text = junit(make())
    parsed(make())
    assert "<b>" not in text and "\x1b" not in text
    assert len(text) < 200_000
