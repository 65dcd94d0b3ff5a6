"""trainer_state.json: three classes of rows, NaN literals, strings, cut files, encodings, pointers."""

from __future__ import annotations

import gzip
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
from _reading import log_of, points, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from states import state_of

from curvelab.importers import _json_blocks
from curvelab.importers.trainer_state import common_name, read
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

READ = read.read


def read_text(tmp_path: Path, text: str | bytes, name: str = "trainer_state.json"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return READ(Source.at(path))


def test_rows_of_the_three_classes_keep_their_values_steps_and_order(tmp_path):
    log = read_text(tmp_path, json.dumps(state_of([3.0, 2.5, 2.0], evals={20: 2.4})))
    assert log.find("loss").value.tolist() == [3.0, 2.5, 2.0]
    assert log.find("loss").step.tolist() == [10, 20, 30]
    assert log.find("eval_loss").step.tolist() == [20]
    assert log.find("train_runtime").value.tolist() == [12.5]
    assert log.find("eval_loss").order[0] > log.find("loss").order[1]
    assert (log.plan, log.reached, log.finished) == (30, 30, True)


@pytest.mark.parametrize(
    ("raw", "common"),
    [
        ("loss", "train/loss"),
        ("eval_loss", "eval/loss"),
        ("eval_math_loss", "eval/math_loss"),
        ("train_loss", "final/train_loss"),
        ("rewards/chosen", "train/rewards/chosen"),
    ],
)
def test_names_follow_the_trainer_callbacks(raw, common):
    assert common_name(raw) == common


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", '"NaN"', '"tensor(nan)"'])
def test_non_finite_literals_are_values(tmp_path, literal):
    text = json.dumps(state_of([3.0, 77.5, 2.0])).replace("77.5", literal)
    value = read_text(tmp_path, text).find("loss").value
    assert len(value) == 3
    assert not math.isfinite(value[1])


def test_strings_bools_and_numpy_words_are_numbers_and_texts_are_counted(tmp_path):
    state = state_of([1.0])
    state["log_history"][0] |= {"a": "tensor(1.25)", "b": True, "c": "59h:30m:19s", "d": [1, 2], "e": "1e-4", "f": None}
    log = read_text(tmp_path, json.dumps(state))
    assert log.find("a").value.tolist() == [1.25]
    assert log.find("b").value.tolist() == [1.0]
    assert log.find("e").value.tolist() == [1e-4]
    assert log.find("f") is None
    assert log.skipped == {"c": 1, "d": 1}


def test_a_file_cut_anywhere_keeps_every_complete_entry(tmp_path):
    text = json.dumps(state_of([3.0 - i / 10 for i in range(8)], evals={40: 2.5}), indent=1)
    start = text.index('"log_history"')
    seen = 0
    for end in range(start + 20, len(text) - 2):
        complete = text[start:end].count("}")
        path = tmp_path / "trainer_state.json"
        path.write_text(text[:end])
        log = READ(Source.at(path))
        entries = len({int(o) for s in log.series for o in s.order})
        assert entries == min(complete, 10)
        assert log.damage
        seen += entries
    assert seen > 100


def test_the_salvage_note_names_file_line_and_what_was_kept(tmp_path):
    text = json.dumps(state_of([3.0, 2.0, 1.0]), indent=1)
    note = read_text(tmp_path, text[: text.rindex('"loss"')]).damage[0]
    assert note.file.endswith("trainer_state.json")
    assert note.line > 1
    assert "2 complete entries" in note.text


@pytest.mark.parametrize("indent", [2, None])
@pytest.mark.parametrize("flip", [0x01, 0x02, 0x20, 0x80])
def test_a_flipped_bit_anywhere_costs_the_entry_it_touches_and_no_more_than_one_neighbour(tmp_path, indent, flip):
    raw = json.dumps(state_of([3.0 - i / 10 for i in range(8)], evals={40: 2.5}), indent=indent).encode()
    starts = [match.start() for match in re.finditer(rb'\{\s*"epoch"', raw)]
    assert len(starts) == 10
    whole = rows_of(read_text(tmp_path, raw))
    for place in range(len(raw)):
        touched = sum(start <= place for start in starts) - 1  # -1 before the first entry
        log = read_text(tmp_path, raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :])
        kept = rows_of(log)
        lost = [i for i, entry in enumerate(whole) if entry not in kept]
        assert all(abs(i - touched) <= 1 for i in lost) and len(lost) <= 2, (place, lost, touched)
        if any(i != touched for i in lost):
            assert log.damage, place


def rows_of(log) -> list[frozenset[tuple[str, int, float]]]:
    """The values of each entry: (key, step, value)."""
    entries: dict[int, set[tuple[str, int, float]]] = {}
    for series in log.series:
        for order, step, value in zip(series.order, series.step, series.value, strict=True):
            entries.setdefault(int(order), set()).add((series.name, int(step), float(value)))
    return [frozenset(entries[order]) for order in sorted(entries)]


def test_entries_behind_a_damaged_place_are_kept_and_the_loss_is_said(tmp_path):
    text = json.dumps(state_of([3.0 - i / 100 for i in range(200)], max_steps=4000), indent=1)
    place = text.index('"step": 500')
    log = read_text(tmp_path, text[:place] + "@" + text[place + 1 :])
    assert len(log.find("loss")) == 199
    assert log.plan == 4000
    (note,) = log.damage
    assert note.line == text[: text.rindex("{", 0, place)].count("\n") + 1
    assert "(about 1 entry) dropped, 200 complete entries kept" in note.text


def test_many_damaged_places_are_summed_up(tmp_path):
    text = re.sub(r'"step": (\d+)00}', r'"step": @\g<1>00}', json.dumps(state_of([2.0] * 300)))
    log = read_text(tmp_path, text)
    assert len(log.find("loss")) == 270
    assert len(log.damage) == 21
    assert log.damage[-1].text.startswith("10 more damaged places")


@pytest.mark.parametrize("hostile", ['{"a": ', '{"', '{"step": 1, "b": [', "[" * 9])
def test_a_hostile_list_costs_no_time(tmp_path, hostile):
    start = time.perf_counter()
    log = read_text(tmp_path, '{"log_history": [{"step": 1, "loss": 2.0}, ' + hostile * 200_000)
    assert len(log.find("loss")) == 1
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_byte_order_marks(tmp_path, encoding):
    text = json.dumps(state_of([3.0, 2.0]))
    raw = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    assert read_text(tmp_path, raw).find("loss").value.tolist() == [3.0, 2.0]


def test_gzip_whole_and_cut(tmp_path):
    raw = gzip.compress(json.dumps(state_of([3.0 - i / 100 for i in range(200)])).encode())
    assert len(read_text(tmp_path, raw, "trainer_state.json.gz").find("loss")) == 200
    assert 0 < len(read_text(tmp_path, raw[: len(raw) * 3 // 4], "trainer_state.json.gz").find("loss")) < 200


@pytest.mark.parametrize("text", ["", "\x00" * 100, "[]", "{}", '{"log_history": 3}', "no json at all", "[" * 100_000])
def test_what_holds_no_log_is_one_clear_error(tmp_path, text):
    with pytest.raises(UnreadableError) as error:
        read_text(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_git_lfs_pointer_is_named_as_such(tmp_path):
    with pytest.raises(UnreadableError, match="Git LFS pointer"):
        read_text(tmp_path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def test_monstrous_numbers_do_no_harm(tmp_path):
    text = json.dumps(state_of([3.0, 77.5, 2.0])).replace("77.5", "1" + "0" * 6000)
    assert read_text(tmp_path, text).find("loss").value[1] == math.inf


def test_steps_that_are_no_steps_take_the_one_before(tmp_path):
    state = state_of([3.0, 2.0, 1.0])
    state["log_history"][1]["step"] = "what"
    state["log_history"][2]["step"] = 30.0
    log = read_text(tmp_path, json.dumps(state))
    assert log.find("loss").step.tolist() == [10, 10, 30]
    assert "1 entries have no usable step" in log.damage[0].text


def test_streaming_plan_without_end_is_no_plan(tmp_path):
    state = state_of([1.0]) | {"max_steps": 2**63 - 1}
    assert read_text(tmp_path, json.dumps(state)).plan is None


numbers = st.one_of(st.floats(), st.integers(-(10**30), 10**30), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(["loss", "grad_norm", "eval_loss", "odd key"]), numbers, min_size=1), min_size=1))
def test_what_was_written_is_what_is_read(tmp_path, rows):
    history = [{**row, "step": i} for i, row in enumerate(rows)]
    log = read_text(tmp_path, json.dumps({"log_history": history}))
    for key in {k for row in rows for k in row}:
        expected = [float(row[key]) for row in rows if key in row]
        np.testing.assert_array_equal(log.find(key).value, expected)
        assert log.find(key).step.tolist() == [i for i, row in enumerate(rows) if key in row]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_flipped_byte_is_read_or_refused_in_one_line(tmp_path, position, byte):
    raw = bytearray(json.dumps(state_of([3.0, 2.0, 1.0], evals={20: 2.1})).encode())
    raw[position % len(raw)] = byte
    try:
        read_text(tmp_path, bytes(raw))
    except UnreadableError as error:
        assert "\n" not in str(error)


def test_a_long_history_is_read_in_blocks(tmp_path, monkeypatch):
    history = [{"step": s, "loss": 1.0 / s, "note": "}, {", "parts": [{"a": 1}, {"b": 2}]} for s in range(1, 301)]
    state = {"global_step": 300, "log_history": history, "stateful_callbacks": [{"x": 1}, {"y": 2}], "max_steps": 400}
    for block in (1, 50, 3_000, 10**7):
        monkeypatch.setattr(_json_blocks, "BLOCK", block)
        for text in (json.dumps(state), json.dumps(state, indent=2), json.dumps(state).replace("0.5,", "NaN,")):
            log = log_of(written(tmp_path, "trainer_state.json", text))
            assert points(log, "loss")[0] == (1, 1.0) and len(points(log, "loss")) == 300, block
            assert (log.plan, log.reached) == (400, 300) and not log.damage


def test_another_list_of_that_name_is_not_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr(_json_blocks, "BLOCK", 50)
    other = {"callbacks": {"log_history": [{"step": 900 + s, "loss": 9.0} for s in range(20)]}}
    state = {**other, "log_history": [{"step": s, "loss": 1.0} for s in range(1, 21)]}
    assert [s for s, _ in points(log_of(written(tmp_path, "trainer_state.json", json.dumps(state))), "loss")] == list(range(1, 21))
