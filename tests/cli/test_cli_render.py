"""curvelab render, and pictures as files: drawn from the result alone, the same bytes every time."""

from __future__ import annotations

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_pages_of_the_json_are_those_of_the_logs(call, state, broken, tmp_path):
    call("postmortem", state, broken, "-o", tmp_path / "logs")
    saved = tmp_path / "saved.json"
    call("postmortem", state, broken, "--format", "json", "-o", saved)
    answer = call("render", saved, "-o", tmp_path / "json")
    assert answer.code == 0
    assert "index.html" in answer.out
    assert read_all(tmp_path / "json") == read_all(tmp_path / "logs")


def test_one_run_alone_and_stdin(call, broken, tmp_path, monkeypatch):
    call("postmortem", broken, "-o", tmp_path / "logs.html")
    run = call("postmortem", broken, "--format", "json").json()["runs"][0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(run).encode())))
    assert call("render", "-", "-o", tmp_path / "stdin.html").code == 0
    assert (tmp_path / "stdin.html").read_bytes() == (tmp_path / "logs.html").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON (line 1, column 2"),
        ("[1]", "is no diagnosis (a JSON object is expected)"),
        ("{}", "is no diagnosis of curvelab (it: Object missing required field `id`)"),
        ('{"runs": []}', "holds no runs"),
        ('{"runs": [{"id": 1}]}', "is no diagnosis of curvelab (runs[0]: "),
        ('{"schema": 99, "runs": []}', "has schema 99, this curvelab reads 1"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\xff", "is no JSON"),
    ],
)
def test_what_is_no_diagnosis_is_said_in_one_line(text, message, call, tmp_path):
    file = tmp_path / "bad.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    answer = call("render", file)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith(f"{file}: ") and message in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "reports").exists()


def test_a_file_that_is_not_there_and_wrong_use(call, state, tmp_path):
    assert call("render", tmp_path / "none.json").code == 4
    saved = tmp_path / "saved.json"
    call("postmortem", state, "--format", "json", "-o", saved)
    assert call("render", saved, "-o", saved).code == 2
    assert call("render").code == 2


def test_every_picture_becomes_a_file_that_stands_alone(call, broken, tmp_path):
    answer = call("postmortem", broken, "--export-plots", tmp_path / "plots", "--plot-format", "svg,png", "--plot-format", "pdf")
    assert answer.code == 0
    files = read_all(tmp_path / "plots")
    assert f"{len(files)} pictures -> " in answer.err
    stems = {name.rsplit(".", 1)[0] for name in files}
    assert {"broken-loss", "broken-grad-norm", "broken-learning-rate"} <= stems
    assert len(files) == 3 * len(stems)
    for name, content in files.items():
        assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[name[-3:]])
    text = files["broken-loss.svg"].decode()
    words = " ".join("".join(ET.fromstring(text).itertext()).split())
    for expected in ("broken", "step", "loss", "train/loss", "eval/loss", "Non-finite loss or gradient"):
        assert expected in words
    assert "var(--" not in text
    assert re.findall(r'href="(?!#)', text) == []
    assert "#finding" not in text


def test_the_bytes_of_pictures_are_the_same_every_time(call, broken, tmp_path):
    for folder in ("a", "b"):
        call("postmortem", broken, "--format", "json", "--export-plots", tmp_path / folder, "--plot-format", "svg,png,pdf")
    assert read_all(tmp_path / "a") == read_all(tmp_path / "b")


def test_wrong_use_of_pictures(call, state, tmp_path):
    answer = call("postmortem", state, "--export-plots", tmp_path / "a", "--plot-format", "pgn")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "png" in answer.err
    assert call("postmortem", state, "--plot-format", "png").code == 2
    assert call("postmortem", state, "--export-plots", state).code == 2


def test_default_format_is_svg(call, state, tmp_path):
    call("postmortem", state, "--export-plots", tmp_path / "plots")
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".svg"}
