"""export: every format gives the frame back."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from curvelab.ingest import gather
from curvelab.model.frame import COLUMNS


@pytest.fixture
def frame(broken):
    return gather([broken]).runs[0].frame.reset_index(drop=True)


def same(read: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert tuple(read.columns) == COLUMNS
    for name in ("step", "value", "epoch", "segment", "order"):
        np.testing.assert_array_equal(read[name].astype(float), frame[name].astype(float))
    for name in ("run", "metric", "raw_name", "origin"):
        assert read[name].astype(str).tolist() == frame[name].astype(str).tolist()


def test_csv_on_stdout(call, broken, frame):
    answer = call("export", broken)
    assert answer.code == 0
    assert ",NaN," in answer.out
    same(pd.read_csv(io.StringIO(answer.out)), frame)


def test_formats_by_suffix(call, broken, frame, tmp_path):
    pytest.importorskip("pyarrow")
    for name in ("out/a.csv", "out/a.parquet", "out/a.jsonl"):
        answer = call("export", broken, "-o", name)
        assert (answer.code, answer.out, answer.err) == (0, "", "")
    same(pd.read_csv(tmp_path / "out/a.csv"), frame)
    same(pd.read_parquet(tmp_path / "out/a.parquet"), frame)
    lines = [
        json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "out/a.jsonl").read_text().splitlines()
    ]
    assert "NaN" in {line["value"] for line in lines}
    same(pd.DataFrame(lines), frame)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "a.jsonl", "a.parquet"]


def test_wall_times_are_iso_8601_in_utc():
    from curvelab.commands.export import _as_csv, _as_jsonl

    times = pd.to_datetime([1795209416.25, None], unit="s", utc=True)
    frame = pd.DataFrame({"wall_time": times, "value": [1.0, 2.0]})
    assert _as_csv(frame) == "wall_time,value\n2026-11-20T21:16:56.250000Z,1.0\n,2.0\n"
    assert [json.loads(line)["wall_time"] for line in _as_jsonl(frame).splitlines()] == [
        "2026-11-20T21:16:56.250000Z",
        None,
    ]


def test_wide_has_a_row_a_step(call, state, tmp_path):
    answer = call("export", state, "--wide")
    read = pd.read_csv(io.StringIO(answer.out))
    assert list(read.columns[:2]) == ["run", "step"]
    assert len(read) == 40
    assert read["eval/loss"].notna().sum() == 4


def test_wide_keeps_the_steps_at_which_all_is_nan(call, broken):
    read = pd.read_csv(io.StringIO(call("export", broken, "--wide", "--metrics", "train/loss").out))
    assert len(read) == 40
    assert read["train/loss"].isna().sum() == 21


def test_metrics_are_chosen_by_glob(call, state):
    for arguments in (["--metrics", "eval/*,train/loss"], ["--metrics", "eval/*", "--metrics", "train/loss"]):
        read = pd.read_csv(io.StringIO(call("export", state, *arguments).out))
        assert set(read["metric"]) == {"eval/loss", "train/loss"}
    read = pd.read_csv(io.StringIO(call("export", state, "--wide", "--metrics", "eval/*").out))
    assert list(read.columns) == ["run", "step", "eval/loss"]
    assert len(read) == 4
    answer = call("export", state, "--metrics", "eval/los")
    assert answer.code == 2
    assert 'did you mean "eval/loss"?' in answer.err


def test_cells_that_look_like_formulas_are_quoted(call, write_state):
    names = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "'=1+1", "plain"]
    state = write_state("=cmd", log=[dict.fromkeys(names, 1.0) | {"step": 1}])
    for arguments in ([], ["--wide"]):
        read = pd.read_csv(io.StringIO(call("export", state, *arguments).out))
        assert set(read["run"]) == {"'=cmd"}
    read = pd.read_csv(io.StringIO(call("export", state).out), keep_default_na=False)
    cleaned = ["x", "x (2)"]  # a tab and a carriage return never come as far as here
    assert sorted(read["raw_name"]) == sorted(["'" + name for name in names[:4]] + cleaned + ["'=1+1", "plain"])


def test_several_runs_and_an_unreadable_one(call, write_state, tmp_path):
    one, other = write_state("one"), write_state("other")
    answer = call("export", one, other, tmp_path / "absent", "-o", "all.csv")
    assert answer.code == 3
    assert set(pd.read_csv("all.csv")["run"]) == {"one", "other"}
    assert call("export", tmp_path / "absent", "-o", "none.csv").code == 4
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "a.txt"], "suffix"),
        (["--format", "xml"], "csv, parquet, jsonl"),
        (["--format", "parquet"], "-o"),
        (["-o", "."], "is a folder"),
        (["-o", "run/trainer_state.json/x.csv"], "cannot be written"),
    ],
)
def test_wrong_use(call, state, arguments, words):
    answer = call("export", state, *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_parquet_without_pyarrow_names_the_extra(call, state, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    answer = call("export", state, "-o", "a.parquet")
    assert answer.code == 2
    assert "pip install 'curvelab[parquet]'" in answer.err


def test_format_goes_before_the_suffix(call, state, tmp_path):
    assert call("export", state, "--format", "jsonl", "-o", "a.txt").code == 0
    assert json.loads((tmp_path / "a.txt").read_text().splitlines()[0])["run"] == "run"


def test_a_failed_write_leaves_the_old_file(call, state, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("old")

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    answer = call("export", state, "-o", "a.csv")
    assert answer.code == 2
    assert "No space left" in answer.err
    assert [path.name for path in tmp_path.glob("*.csv*")] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"
