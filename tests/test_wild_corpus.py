"""Real logs of strangers: every one is read, and `inspect` gives the counts that the reference readers gave."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from states import CORPUS

WILD = CORPUS / "wild"
CASES = json.loads((WILD / "labels.json").read_text())["cases"] if WILD.is_dir() else []
EXPECTED = [case for case in CASES if case.get("expect")]


@pytest.fixture(scope="module")
def inspected() -> dict:
    """What `inspect --format json` says of the whole folder."""
    command = [sys.executable, "-m", "curvelab", "inspect", "--format", "json", str(WILD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) | {"code": done.returncode}


pytestmark = pytest.mark.skipif(not CASES, reason="the labelled corpus is not beside the project")


def test_no_file_of_the_corpus_is_an_error(inspected):
    assert (inspected["code"], inspected["errors"]) == (0, [])


def file_of(inspected: dict, case: dict) -> dict:
    (file,) = [f for f in inspected["files"] if f["path"] == str(WILD / case["path"])]
    return file


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_log_is_read(case, inspected):
    assert file_of(inspected, case)["format"].replace("-", "_").startswith(case["kind"].split("_")[0])


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["id"])
def test_counts_and_native_steps_are_those_of_the_reference_reader(case, inspected):
    file = file_of(inspected, case)
    expect, tags = case["expect"], file["tags"]
    if case["kind"] == "tensorboard":
        wanted = {tag: (e["count"], e["first_step"], e["last_step"]) for tag, e in expect["scalar_tags"].items()}
        assert {tag: (t["count"], t["first_step"], t["last_step"]) for tag, t in tags.items()} == wanted
        return
    counts = {key: tag["count"] for key, tag in tags.items()}
    for key, texts in file["skipped"].items():
        counts[key] = counts.get(key, 0) + texts
    wanted = expect.get("history_keys") or {}
    assert {key: count for key, count in counts.items() if key in wanted} == {
        key: count for key, count in wanted.items() if not key.startswith("_")
    }
    if wanted:
        stepped = [tag for tag in tags.values() if tag["first_step"] is not None]
        assert min(tag["first_step"] for tag in stepped) == expect["first_step"]
        assert max(tag["last_step"] for tag in stepped) == expect["last_step"]
