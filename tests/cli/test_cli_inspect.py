"""inspect: what was recognised, and --verify against the reference readers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from curvelab import verify
from curvelab.ingest import load
from curvelab.model.log import Log, RawSeries


def test_json_tells_files_runs_and_errors(call, state):
    answer = call("inspect", "--format", "json", state)
    assert answer.code == 0
    told = answer.json()
    assert list(told) == ["schema", "curvelab", "files", "runs", "errors"]
    (file,) = told["files"]
    assert set(file) == {"path", "format", "run", "tags", "skipped", "damage", "verified"}
    assert (file["path"], file["format"]) == (str(state), "trainer-state")
    assert file["tags"]["loss"] == {"count": 40, "first_step": 5, "last_step": 200}
    assert file["tags"]["eval_loss"] == {"count": 4, "first_step": 50, "last_step": 200}
    assert file["verified"] is None
    (run,) = told["runs"]
    assert run["metrics"]["train/loss"] == 40
    assert run["planned_steps"] == 200
    assert run["files"] == [str(state)]


def test_text_tells_the_same(call, write_state):
    state = write_state(log=[{"loss": 1.5, "time": "59h:30m:19s", "step": 10}, {"loss": 1.25, "step": 20}])
    answer = call("inspect", state)
    assert answer.code == 0
    assert f"{state}: trainer-state" in answer.out
    assert "skipped: time, 1 value that is no number" in answer.out
    assert "train/loss" in answer.out


def test_a_file_of_several_runs_has_one_heading(call, tmp_path):
    chart = tmp_path / "chart.csv"
    chart.write_text("Step,a - loss,a - loss__MIN,b - loss,b - loss__MIN\n" + "".join(f"{i},1,1,2,2\n" for i in range(9)))
    out = call("inspect", chart).out
    assert out.count(f"{chart}: csv-table") == 1
    assert f"{chart}: csv-table, 2 runs\n  run a\n" in out


def test_damage_is_told(call, state):
    state.write_text(state.read_text()[:-300])
    answer = call("inspect", state)
    assert answer.code == 0
    assert "damage: " + str(state) in answer.out
    assert call("inspect", "--format", "json", state).json()["files"][0]["damage"][0]["line"] == 1


def test_unreadable(call, tmp_path):
    answer = call("inspect", "--format", "json", tmp_path / "absent")
    assert answer.code == 4
    assert answer.json()["errors"][0]["path"] == str(tmp_path / "absent")


def test_hostile_tags_are_printed_clean(call, write_state):
    state = write_state(log=[{"los\x1b[2Js\n": 1.0, "step": i} for i in range(9)])
    answer = call("inspect", state)
    assert "\x1b" not in answer.out
    assert "los[2Js" in answer.out


def test_verify_equal(call, broken):
    answer = call("inspect", "--verify", "--format", "json", broken)
    assert answer.code == 0
    verified = answer.json()["files"][0]["verified"]
    assert (verified["status"], verified["reader"], verified["values"]) == ("equal", "json", 124)
    assert "equal to json (124 values)" in call("inspect", "--verify", broken).out


def test_verify_different_is_1_and_says_where(call, state, monkeypatch):
    reference = verify._trainer_state

    def other(log: Log) -> verify.Reference:
        true = reference(log)
        rows = {tag: list(values) for tag, values in true.rows.items()}
        rows["loss"][3] = (20, 99.5, None)
        return replace(true, rows=rows)

    monkeypatch.setitem(verify._REFERENCES, "trainer-state", other)
    answer = call("inspect", "--verify", "--format", "json", state)
    assert answer.code == 1
    assert answer.err == f"{state}: differs from the reference reader\n"
    verified = answer.json()["files"][0]["verified"]
    assert verified["status"] == "different"
    assert verified["differences"][0].startswith("loss: row 4 is 99.5 at step 20, ours ")
    assert "differs from json" in call("inspect", "--verify", state).out


def test_verify_of_a_damaged_file_says_that_the_reference_cannot(call, state):
    state.write_text(state.read_text()[:-300])
    answer = call("inspect", "--verify", "--format", "json", state)
    assert answer.code == 0
    verified = answer.json()["files"][0]["verified"]
    assert verified["status"] == "not-verified"
    assert "json module cannot read it" in verified["reason"]


def test_verify_numbers_as_text_are_ours_alone(write_state):
    state = write_state(log=[{"loss": "tensor(1.5)", "step": 1}, {"loss": 1.25, "step": 2}])
    verified = verify.verify(load(state).logs[0])
    assert (verified.status, verified.values) == ("equal", 1)
    assert "logged as text" in verified.reason


def test_verify_misses_and_inventions_are_differences(state):
    log = load(state).logs[0]
    loss = log.find("loss")
    assert loss is not None
    fewer = replace(loss, step=loss.step[:-1], value=loss.value[:-1], order=loss.order[:-1], epoch=None, tokens=None)
    result = verify.verify(replace(log, series=(fewer, *log.series[1:])))
    assert result.status == "different"
    invented = RawSeries("invented", loss.step, loss.value, loss.order)
    result = verify.verify(replace(log, series=(*log.series, invented)))
    assert result.differences == ("invented: 40 values, the reference reader has 0",)


@pytest.mark.parametrize(
    ("format_", "module", "extra"), [("tensorboard", "tbparse", "tensorboard"), ("wandb-file", "wandb", "wandb")]
)
def test_verify_without_the_extra_names_it(state, monkeypatch, format_, module, extra):
    import importlib.util
    import sys

    find_spec = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find_spec(name))
    verified = verify.verify(replace(load(state).logs[0], format=format_))
    assert (verified.status, verified.extra) == ("not-verified", extra)
    assert f"pip install 'curvelab[{extra}]'" in verified.reason


def test_verify_without_the_reader_is_3_and_says_what_to_install(call, state, monkeypatch):
    def missing(log: Log) -> verify.Reference:
        raise verify.ReaderMissing("tbparse", "tensorboard")

    monkeypatch.setitem(verify._REFERENCES, "trainer-state", missing)
    answer = call("inspect", "--verify", state)
    assert answer.code == 3
    assert answer.err == f"{state}: not verified; needs tbparse: pip install 'curvelab[tensorboard]'\n"
    assert "not verified; needs tbparse" in answer.out
    assert call("inspect", state).code == 0


def test_a_format_without_a_reference_reader_is_no_error(call, tmp_path):
    table = tmp_path / "metrics.csv"
    table.write_text("epoch,step,train_loss\n" + "".join(f"0,{i},{3 - i / 20}\n" for i in range(20)))
    answer = call("inspect", "--verify", table)
    assert answer.code == 0
    assert "there is no reference reader for lightning-csv" in answer.out


def test_verify_a_reference_that_fails_is_no_difference(state, monkeypatch):
    def fail(log: Log) -> verify.Reference:
        raise AssertionError("invalid header")

    monkeypatch.setitem(verify._REFERENCES, "trainer-state", fail)
    verified = verify.verify(load(state).logs[0])
    assert verified.status == "not-verified"
    assert "AssertionError: invalid header" in verified.reason


def test_verify_compares_times_and_keeps_the_order():
    ours = [(1, 0.5, 10.0), (2, 0.25, 11.0), (3, float("nan"), 12.0)]
    assert verify._matched(ours, ours) == (3, "")
    assert verify._matched(ours, ours[1:]) == (2, "")
    matched, difference = verify._matched(ours, [(2, 0.25, 99.0)])
    assert matched == 0
    assert "time 99.0" in difference
    assert verify._matched(ours, [ours[1], ours[0]])[1]
    assert verify._matched([], ours[:1]) == (0, "row 1 is 0.5 at step 1, time 10.0, ours is missing")


def test_seconds_of_a_reference_keep_their_fraction():
    assert verify._seconds("2026-11-20T21:16:56.294078748Z") == pytest.approx(1795209416.294078748, abs=1e-6)
    assert verify._seconds(None) is None


def test_json_of_many_shapes_is_strict(call, write_state):
    state = write_state(
        log=[{"loss": value, "step": 1} for value in (float("nan"), float("inf"), -float("inf"), 1e308)]
    )
    json.dumps(call("inspect", "--format", "json", "--verify", state).json(), allow_nan=False)
