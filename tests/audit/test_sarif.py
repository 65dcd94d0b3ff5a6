"""SARIF: valid by the official schema, and what its viewers need is there."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
from results import NIGHT, ROOT, finding, hostile, night, run

from curvelab.catalogue import detectors
from curvelab.report.audited.sarif import sarif


@pytest.fixture(scope="session")
def schema():
    """The schema of SARIF 2.1.0, which .ci/run fetches; the tests that need it are skipped without."""
    path = os.environ.get("CURVELAB_SARIF_SCHEMA")
    if not path or not Path(path).is_file():
        pytest.skip("CURVELAB_SARIF_SCHEMA names no file")
    return json.loads(Path(path).read_text())


def results(result, **more):
    (run,) = sarif(result, **more)["runs"]
    return run["results"]


@pytest.mark.parametrize("make", [night, hostile, lambda: night(runs=(), findings=(), errors=())])
@pytest.mark.parametrize("only_open", [False, True])
def test_it_is_valid(schema, make, only_open):
    from jsonschema import Draft4Validator, FormatChecker

    log = json.loads(json.dumps(sarif(make(), only_open=only_open), allow_nan=False))
    problems = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in Draft4Validator(schema, format_checker=FormatChecker()).iter_errors(log)]
    assert problems == []


def test_the_schema_can_say_no(schema):
    from jsonschema import Draft4Validator

    log = sarif(night())
    log["runs"][0]["results"][0]["level"] = "critical"
    assert not Draft4Validator(schema).is_valid(log)


def test_a_state_becomes_a_baseline_state():
    assert [(one["ruleId"], one["baselineState"], one["level"]) for one in results(night())] == [
        ("divergence", "new", "error"), ("overfitting", "new", "warning"), ("spikes", "updated", "warning"),
        ("plateau", "unchanged", "warning"), ("sawtooth", "unchanged", "warning"), ("overfitting", "absent", "warning"),
    ]  # fmt: skip


def test_only_what_is_open():
    """For GitHub, which would show the others as open."""
    assert {one["properties"]["state"] for one in results(night(), only_open=True)} == {"new", "worse", "known"}


def test_a_mute_is_a_suppression_with_its_reason():
    muted = [one["suppressions"] for one in results(night()) if "suppressions" in one]
    assert muted == [[{"kind": "external", "justification": "a known loader (until 2027-01-01)"}]]


def test_every_result_names_its_rule_and_its_place():
    (run,) = sarif(night())["runs"]
    rules = run["tool"]["driver"]["rules"]
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
        place = one["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place["uriBaseId"] in run["originalUriBaseIds"]
    assert run["originalUriBaseIds"]["AUDITED"] == {"uri": f"file://{ROOT}/"}
    assert [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]][2] == "sub/c.d"


def test_a_rule_is_a_card():
    rules = {rule["id"]: rule for rule in sarif(night())["runs"][0]["tool"]["driver"]["rules"]}
    assert set(rules) == {one.pattern for one in detectors()}
    one = rules["overfitting"]
    assert one["name"] == "Overfitting" and one["shortDescription"]["text"]
    assert "Look-alikes" in one["help"]["text"] and "## Look-alikes" in one["help"]["markdown"]
    assert rules["divergence"]["defaultConfiguration"] == {"level": "error"}


def test_a_pattern_whose_plugin_is_gone_is_still_a_rule():
    only = night(findings=(finding("a", "my-own", "known"),))
    rules = {rule["id"]: rule for rule in sarif(only)["runs"][0]["tool"]["driver"]["rules"]}
    assert rules["my-own"] == {"id": "my-own", "defaultConfiguration": {"level": "warning"}}


def test_the_fingerprint_is_the_same_whatever_the_words_are():
    one, other = (
        results(night(findings=(finding("a", "spikes", state, headline=headline),)))[0]["partialFingerprints"]
        for state, headline in (("new", "one"), ("known", "other words"))
    )
    assert one == other and one["primaryLocationLineHash"].endswith(":1")


def test_a_run_of_a_file_that_holds_several():
    several = night(runs=(run("m.db#3f2a", path=f"{ROOT}/m.db"),), findings=(finding("m.db#3f2a", "spikes", "new"),))
    assert results(several)[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "m.db"
    unknown = night(runs=(), findings=(finding("m.db#3f2a", "spikes", "fixed"),))
    assert results(unknown)[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "m.db"


def test_the_place_is_the_log_of_the_run():
    logged = tuple(msgspec.structs.replace(one, log=f"{one.key}/trainer_state.json") for one in night().runs)
    one = results(night(runs=logged))[2]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "sub/c.d/trainer_state.json"


def test_what_could_not_be_read_is_told():
    (invocation,) = sarif(night())["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"] == f"{ROOT}/x/trainer_state.json: is empty"
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "x/trainer_state.json"
    assert invocation["startTimeUtc"] == "2026-09-21T14:13:20Z" and NIGHT == 1_790_000_000
    assert sarif(night(errors=()))["runs"][0]["invocations"][0]["executionSuccessful"] is True


def test_hostile_words_make_no_links_and_no_placeholders():
    for one in results(hostile()):
        text = one["message"]["text"]
        assert "](" not in text and not re.search(r"[{}\x00-\x1f\x7f]", text) and len(text) <= 1100
        uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii() and " " not in uri and unquote(uri)
