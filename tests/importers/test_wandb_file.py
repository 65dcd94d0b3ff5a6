"""The .wandb importer: against wandb's own protobuf classes, over every kind of damage, and on real files."""

from __future__ import annotations

import itertools
import json
import math
import random
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curvelab.importers import _leveldb_log as leveldb
from curvelab.importers import _wandb_lockstep as lockstep
from curvelab.importers import _wandb_records as records
from curvelab.importers import _wandb_table as wandb_table
from curvelab.importers import wandb_file
from curvelab.importers._leveldb_blocks import BLOCK
from curvelab.importers._leveldb_log import LogReader
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.sources import Source

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", module=r"(wandb|google|pydantic)(\.|$)")
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
FILES = sorted(CORPUS.glob("**/*.wandb")) if CORPUS.is_dir() else []
LABELS = CORPUS / "wild" / "labels.json"
HEADER = b":W&B\xe1\xbe\x00"


# ---- a tiny writer, and an independent reader of the framing


def framed(records: Iterable[bytes]) -> bytes:
    """A file of these records, as LevelDB logs are written."""
    out = bytearray(HEADER)
    for record in records:
        rest, first = record, True
        while first or rest:
            room = BLOCK - len(out) % BLOCK
            if room < 7:
                out += bytes(room)
                continue
            piece, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(out)


def unframed(data: bytes) -> list[bytes]:
    """The records of an undamaged file, block by block; stops at the first chunk that is not whole."""
    records, parts = [], b""
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        at = len(HEADER) if start == 0 else 0
        while at + 7 <= len(block):
            crc, size, kind = struct.unpack_from("<IHB", block, at)
            payload = block[at + 7 : at + 7 + size]
            if len(payload) < size or zlib.crc32(payload, zlib.crc32(bytes([kind]))) != crc:
                return records
            parts = payload if kind in (1, 2) else parts + payload
            if kind in (1, 4):
                records.append(parts)
            at += 7 + size
    return records


def history(values: dict[str, object], *, old: bool = False, step: int | None = None) -> bytes:
    """A history record; values that are bytes are JSON already."""
    record = pb.Record(num=1)
    if step is not None:
        record.history.step.num = step
    for key, value in values.items():
        text = value.decode() if isinstance(value, bytes) else json.dumps(value)
        if old:
            record.history.item.add(key=key, value_json=text)
        else:
            record.history.item.add(nested_key=[key], value_json=text)
    record.history.SetInParent()
    return record.SerializeToString()


def hf_row(step: int, **more: object) -> bytes:
    return history(
        {"train/loss": 2 / (step + 1), "train/global_step": 10 * (step + 1), "_step": step, "_timestamp": 1.7e9 + step}
        | {key.replace("__", "/"): value for key, value in more.items()}
    )


def metric(name: str = "", glob: str = "", step: str = "") -> bytes:
    return pb.Record(metric=pb.MetricRecord(name=name, glob_name=glob, step_metric=step)).SerializeToString()


def run_record(**config: object) -> bytes:
    record = pb.Record(run=pb.RunRecord(run_id="abc", display_name="a run", project="p", entity="e", run_group="g"))
    record.run.start_time.seconds = 1_700_000_000
    for key, value in config.items():
        record.run.config.update.add(key=key, value_json=json.dumps(value))
    return record.SerializeToString()


@pytest.fixture
def read(tmp_path: Path):
    """Read bytes as a .wandb file."""

    def read_bytes(data: bytes) -> Log:
        path = tmp_path / "run-x.wandb"
        path.write_bytes(data)
        return wandb_file.read.read(Source.at(path))

    return read_bytes


def values(log: Log, name: str) -> list[float]:
    series = log.find(name)
    return [] if series is None else series.value.tolist()


def steps(log: Log, name: str) -> list[int]:
    series = log.find(name)
    assert series is not None
    return series.step.tolist()


# ---- real files


def reference_rows(data: bytes) -> tuple[list[dict[str, object]], Counter[str], object]:
    """History rows, kinds of record and system metrics of a file by wandb's own protobuf classes."""
    rows, kinds, system = [], Counter(), {}
    for record in unframed(data):
        parsed = pb.Record.FromString(record)
        kind = parsed.WhichOneof("record_type")
        kinds[kind] += 1
        if kind == "history":
            items = parsed.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
        elif kind == "stats":
            when = parsed.stats.timestamp.seconds + parsed.stats.timestamp.nanos / 1e9
            for item in parsed.stats.item:
                system.setdefault(item.key, []).append((when, json.loads(item.value_json)))
    return rows, kinds, system


def is_number(value: object) -> bool:
    return isinstance(value, (int, float))


@pytest.mark.skipif(not FILES, reason="the corpus is not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}"[-40:])
def test_equals_wandbs_own_classes(path: Path) -> None:
    data = path.read_bytes()
    rows, kinds, system = reference_rows(data)
    log = wandb_file.read.read(Source.at(path))
    expected = {}
    for order, row in enumerate(rows):
        for name, value in row.items():
            if name not in ("_step", "_runtime", "_timestamp") and is_number(value):
                expected.setdefault(name, []).append((order, row["_step"], row["_timestamp"], value))
    assert {s.name for s in log.series} == set(expected)
    for series in log.series:
        order, native, wall, value = (
            np.array(column, np.float64) for column in zip(*expected[series.name], strict=True)
        )
        np.testing.assert_array_equal(series.order, order)
        np.testing.assert_array_equal(series.value, value)
        np.testing.assert_array_equal(series.wall_time, wall)
        np.testing.assert_array_equal(series.step if series.native_step is None else series.native_step, native)
        with_step = np.array([rows[i].get("train/global_step", -1) for i in series.order])
        np.testing.assert_array_equal(series.step[with_step >= 0], with_step[with_step >= 0])
    assert {s.name for s in log.timed} == {f"system.{name}" for name in system}
    for timed in log.timed:
        wall, value = (np.array(column, np.float64) for column in zip(*system[timed.name[7:]], strict=True))
        np.testing.assert_allclose(timed.wall_time, wall, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(timed.value, value)
    assert len(list(LogReader(data, len(HEADER)))) == kinds.total()


@pytest.mark.skipif(not LABELS.exists(), reason="the corpus is not here")
def test_labelled_files_hold_what_is_expected_of_them() -> None:
    cases = [case for case in json.loads(LABELS.read_text())["cases"] if case["kind"] == "wandb"]
    assert cases
    for case in cases:
        path, expect = LABELS.parent / case["path"], case["expect"]
        log = wandb_file.read.read(Source.at(path))
        kinds = Counter(
            records.record_kind(record, 0, len(record))[0] for _, record in LogReader(path.read_bytes(), len(HEADER))
        )
        named = {
            name: getattr(records, name.upper()) for name in expect["record_kinds"] if name.upper() in dir(records)
        }
        assert kinds.total() == expect["n_records"]
        for name, number in named.items():
            if number in records.KINDS:
                assert kinds[number] == expect["record_kinds"][name], (path, name)
        assert {s.name: len(s) for s in log.series} == expect["history_keys"], path
        assert log.exit_code == expect["exit_code"]
        native = [s.step if s.native_step is None else s.native_step for s in log.series]
        assert min((n[0] for n in native), default=None) == expect["first_step"]
        assert max((n[-1] for n in native), default=None) == expect["last_step"]
        if expect["truncated_or_corrupt"]:
            assert [note.level for note in log.damage] == ["info"]


@pytest.mark.skipif(not FILES, reason="the corpus is not here")
def test_in_step_and_one_by_one_are_the_same_on_real_files(monkeypatch) -> None:
    monkeypatch.setattr(leveldb, "MIN_LOCKSTEP", BLOCK)
    monkeypatch.setattr(wandb_table, "MIN_LOCKSTEP", 1)
    for path in FILES:
        assert list(LogReader(path.read_bytes(), 7)) == list(LogReader(path.read_bytes(), 7, lockstep=False)), path
        source = Source.at(path)
        fast = wandb_file.read.read(source)
        with monkeypatch.context() as patch:
            patch.setattr(leveldb, "MIN_LOCKSTEP", 2**62)
            patch.setattr(wandb_table, "MIN_LOCKSTEP", 2**62)
            assert_same(fast, wandb_file.read.read(source))


def assert_same(one: Log, other: Log) -> None:
    assert [s.name for s in one.series] == [s.name for s in other.series]
    for a, b in zip((*one.series, *one.timed), (*other.series, *other.timed), strict=True):
        for column, expected in zip(vars(a).values(), vars(b).values(), strict=True):
            np.testing.assert_array_equal(column, expected)
    for name in ("settings", "plan", "finished", "exit_code", "identity", "skipped", "notes", "damage"):
        assert getattr(one, name) == getattr(other, name)


# ---- what a row says


def test_old_and_new_writers_give_the_same(read) -> None:
    rows = [{"train/loss": 1.5, "_step": 0}, {"train/loss": 1.25, "a b": 2, "_step": 3}]
    old = read(framed(history(row, old=True) for row in rows))
    new = read(framed(history(row) for row in rows))
    for log in (old, new):
        assert values(log, "train/loss") == [1.5, 1.25]
        assert steps(log, "train/loss") == [0, 3]
        assert values(log, "a b") == [2]


def test_typed_values_of_later_writers(read) -> None:
    record = pb.Record()
    if "number" not in pb.HistoryItem.DESCRIPTOR.fields_by_name:
        pytest.skip("this wandb has no typed values")
    for key, kind, value in (("f", "number", 0.1), ("i", "integer", -7), ("b", "boolean", True), ("t", "text", "x")):
        record.history.item.add(nested_key=[key], **{kind: value})
    record.history.item.add(nested_key=["n"], number=math.inf)
    record.history.item.add(nested_key=["j"], json='{"k": 4}')
    log = read(framed([record.SerializeToString()]))
    assert {s.name: s.value.tolist() for s in log.series} == {
        "f": [0.1],
        "i": [-7],
        "b": [1],
        "n": [math.inf],
        "j.k": [4],
    }
    assert log.skipped == {"t": 1}


def test_values_that_are_not_plain_numbers(read) -> None:
    log = read(
        framed(
            [
                history(
                    {
                        "nan": b"NaN", "inf": b"Infinity", "minus": b"-Infinity",
                        "named": "NaN", "named inf": "-Infinity",
                        "yes": True, "text": "0.5", "none": None, "list": [1, 2],
                        "media": {"_type": "histogram", "values": [1]}, "late": {"values": [1], "_type": "image"},
                        "nested": {"a": {"b": 1, "c": b"x".decode()}, "d": 2.5}, "huge": b"1" + b"0" * 400,
                        "digits": b"-" + b"7" * 6000, "cut": b'{"a": ', "deep": b"[" * 5000 + b"]" * 5000,
                        "deep dict": b'{"a":' * 5000 + b"1" + b"}" * 5000, "bare in dict": b'{"x": NaN}',
                        "forged": b"1,2", "empty": b"",
                    }
                ),
                history({"forged": b"3", "empty": b"4"}),
            ]
        )
    )  # fmt: skip
    assert math.isnan(values(log, "nan")[0]) and math.isnan(values(log, "named")[0])
    assert values(log, "inf") == [math.inf] and values(log, "minus") == values(log, "named inf") == [-math.inf]
    assert values(log, "yes") == [1]
    assert values(log, "nested.a.b") == [1] and values(log, "nested.d") == [2.5]
    assert values(log, "huge") == [math.inf] and values(log, "digits") == [-math.inf]
    assert math.isnan(values(log, "bare in dict.x")[0])
    assert values(log, "forged") == [3] and values(log, "empty") == [4]
    skipped = {"text", "none", "list", "media", "late", "cut", "deep", "deep dict", "nested.a.c", "forged", "empty"}
    assert log.skipped == dict.fromkeys(skipped, 1)
    assert any("infinite" in note.text for note in log.notes)


def test_nested_keys_are_joined(read) -> None:
    record = pb.Record()
    record.history.item.add(nested_key=["gen", "reward"], value_json="1.0")
    record.history.item.add(nested_key=["_step"], value_json="4")
    log = read(framed([record.SerializeToString(), history({"gen": {"reward": 2.0}, "_step": 5})]))
    assert values(log, "gen.reward") == [1, 2]
    assert steps(log, "gen.reward") == [4, 5]


def test_the_last_of_a_repeated_key_wins(read) -> None:
    record = pb.Record()
    for text in ("1", "2", '"x"', "3"):
        record.history.item.add(nested_key=["a"], value_json=text)
    log = read(framed([record.SerializeToString(), record.SerializeToString()]))
    assert values(log, "a") == [3, 3]


def test_columns_in_order_of_appearance_and_long_items(read) -> None:
    log = read(framed([history({"b": 1.0}), history({"k" * 200: 2.0, "a": b"0." + b"3" * 300})]))
    assert [s.name for s in log.series] == ["b", "a", "k" * 200]
    assert values(log, "a") == [0.3333333333333333]


# ---- axes


def test_global_step_is_the_step_and_missing_ones_take_the_last(read) -> None:
    log = read(
        framed(
            [
                history({"before": 1, "_step": 0}),
                history({"train/loss": 1, "train/global_step": 10, "train/epoch": 0.5, "_step": 1, "_timestamp": 5.0}),
                history({"profiling/t": 7, "_step": 2}),
                history({"train/loss": 2, "train/global_step": 20, "train/num_tokens": 99, "_step": 3}),
            ]
        )
    )
    assert steps(log, "train/loss") == [10, 20]
    assert steps(log, "profiling/t") == [10]
    assert steps(log, "before") == [0]
    loss = log.find("train/loss")
    assert loss is not None and loss.native_step is not None
    assert loss.native_step.tolist() == [1, 3]
    assert loss.order.tolist() == [1, 3]
    np.testing.assert_array_equal(loss.epoch, [0.5, np.nan])
    np.testing.assert_array_equal(loss.tokens, [np.nan, 99])
    np.testing.assert_array_equal(loss.wall_time, [5, np.nan])
    assert next(note.text for note in log.notes if "last known" in note.text).startswith("2 of 4 rows")
    assert {"train/global_step", "train/epoch"} <= {s.name for s in log.series}
    assert not {"_step", "_timestamp"} & {s.name for s in log.series}


def test_defined_step_metrics_with_globs(read) -> None:
    defined = [metric(name="my/step"), metric(glob="*", step="my/step"), metric(glob="val/*", step="val/step")]
    defined.append(metric(name="val/own", step="_step"))
    rows = [
        history({"loss": 1, "my/step": 100, "_step": 0}),
        history({"val/acc": 0.5, "val/own": 1, "val/step": 7, "_step": 1}),
        history({"loss": 2, "my/step": 200, "_step": 2}),
        history({"loss": 3, "_step": 3}),
    ]
    log = read(framed(defined + rows))
    assert steps(log, "loss") == [100, 200, 200]
    assert steps(log, "val/acc") == [7]
    assert steps(log, "val/own") == [1]


def test_a_step_metric_of_fractions_is_not_used(read) -> None:
    rows = [history({"loss": 1, "epoch": 0.5 * i, "_step": i}) for i in range(3)]
    log = read(framed([metric(glob="*", step="epoch"), *rows]))
    assert steps(log, "loss") == [0, 1, 2]
    assert any("no whole numbers" in note.text for note in log.notes)


def test_step_of_the_record_where_the_row_has_none(read) -> None:
    log = read(framed([history({"a": 1}, step=40), history({"a": 2}, step=50), history({"a": 3, "_step": 60}, step=1)]))
    assert steps(log, "a") == [40, 50, 60]


def test_wall_time_from_the_start_of_the_run(read) -> None:
    log = read(framed([run_record(), history({"a": 1, "_runtime": 2.5})]))
    series = log.find("a")
    assert series is not None and series.wall_time is not None
    assert series.wall_time.tolist() == [1_700_000_002.5]


# ---- everything beside the history


def test_run_config_summary_exit_and_stats(read) -> None:
    update = pb.Record()
    update.config.update.add(key="lr", value_json="0.5")
    update.config.update.add(key="model", value_json='{"layers": 4, "x": NaN}')
    update.config.update.add(key="big", value_json="1" * 6000)
    update.config.update.add(key="lone", value_json='"\\ud800"')
    update.config.update.add(key="bad", value_json="{")
    stats = pb.Record()
    stats.stats.timestamp.seconds, stats.stats.timestamp.nanos = 1_700_000_100, 500_000_000
    stats.stats.item.add(key="gpu.0.gpu", value_json="97")
    exit_record = pb.Record(exit=pb.RunExitRecord(exit_code=-1))
    log = read(
        framed(
            [run_record(lr=1, max_steps=700, _wandb={"t": 1})]
            + [record.SerializeToString() for record in (update, stats, exit_record)]
            + [hf_row(0)]
        )
    )
    config = log.settings["run-x.wandb"]
    assert config["lr"] == 0.5 and config["model"]["layers"] == 4 and math.isnan(config["model"]["x"])
    assert config["big"] == math.inf and "_wandb" not in config and "bad" not in config
    str(config["lone"]).encode()
    assert log.plan == 700
    assert log.identity == {"id": "abc", "name": "a run", "project": "p", "entity": "e", "group": "g"}
    assert log.exit_code == -1 and log.finished is False
    assert [(t.name, t.wall_time.tolist(), t.value.tolist()) for t in log.timed] == [
        ("system.gpu.0.gpu", [1_700_000_100.5], [97])
    ]


def test_only_a_train_runtime_marks_completion(read) -> None:
    good = pb.Record(exit=pb.RunExitRecord(exit_code=0)).SerializeToString()
    summary = pb.Record()
    summary.summary.update.add(nested_key=["train/train_runtime"], value_json="3")
    assert read(framed([hf_row(0), good])).finished is None
    assert read(framed([hf_row(0, train__train_runtime=3), good])).finished is True
    assert read(framed([hf_row(0), summary.SerializeToString()])).finished is True
    assert read(framed([hf_row(0), good])).exit_code == 0


def test_recognised_by_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert wandb_file.read.claims(Source.at(path))
    with pytest.raises(UnreadableError, match="Git LFS"):
        wandb_file.read.read(Source.at(path))
    assert wandb_file.read.format == "wandb-file"


@pytest.mark.parametrize("data", [b"", HEADER[:3], HEADER])
def test_a_file_without_records_is_an_empty_log(read, data: bytes) -> None:
    log = read(data)
    assert not log.series and log.notes


@pytest.mark.parametrize("data", [b"x", b"not a log at all", bytes(100), b"\x1f\x8b\x08\xff\xff\xff"])
def test_other_files_are_refused(read, data: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(data)


# ---- damage


def test_records_over_several_blocks(read) -> None:
    long = pb.Record()
    long.output_raw.line = "x" * (3 * BLOCK)
    rows = [hf_row(i, note="y" * 500) for i in range(200)]
    data = framed([*rows, long.SerializeToString(), hf_row(200)])
    assert [record for _, record in LogReader(data, 7)] == unframed(data)
    log = read(data)
    assert len(values(log, "train/loss")) == 201 and not log.damage


@pytest.mark.parametrize("size", range(BLOCK - 40, BLOCK + 20))
def test_every_way_to_end_at_a_block(read, size: int) -> None:
    filler = pb.Record()
    filler.output_raw.line = "x" * (size - 60)
    data = framed([filler.SerializeToString(), hf_row(0), hf_row(1)])
    log = read(data)
    assert len(values(log, "train/loss")) == 2 and not log.damage


def survivors(log: Log) -> set[float]:
    return set(values(log, "train/global_step"))


def test_every_prefix(read) -> None:
    rows = [hf_row(i) for i in range(6)]
    whole = framed(rows)
    ends = [len(framed(rows[: i + 1])) for i in range(len(rows))]
    for size in range(len(whole)):
        log = read(whole[:size])
        kept = sum(end <= size for end in ends)
        assert survivors(log) == {10.0 * (i + 1) for i in range(kept)}
        assert all(note.level == "info" for note in log.damage)
        assert bool(log.damage) == (size > 7 and size not in ends)


def test_every_byte_flip(read) -> None:
    rows = [run_record(max_steps=60), *(hf_row(i) for i in range(6))]
    whole = framed(rows)
    starts = [7] + [len(framed(rows[: i + 1])) for i in range(len(rows))]
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            log = read(bytes(data))
            hit = next((i for i in range(len(rows)) if starts[i] <= place < starts[i + 1]), None)
            assert survivors(log) == {10.0 * i for i in range(1, 7) if i != hit}, (place, flip)
            assert place < 7 or len(log.damage) == 1


def test_flips_in_long_files_cost_one_record(read) -> None:
    rows = [hf_row(i, note="z" * (i * 37 % 900)) for i in range(400)]
    whole = framed(rows)
    chance = random.Random(3)
    for _ in range(150):
        data = bytearray(whole)
        data[chance.randrange(7, len(data))] ^= chance.randrange(1, 256)
        assert len(survivors(read(bytes(data)))) >= 399


def test_a_lost_block_costs_its_records_and_no_others(read) -> None:
    rows = [hf_row(i) for i in range(2000)]
    data = bytearray(framed(rows))
    assert len(data) > 4 * BLOCK
    data[BLOCK : 2 * BLOCK] = bytes(BLOCK)
    log = read(bytes(data))
    places = [offset for offset, _ in LogReader(framed(rows), 7)] + [len(data)]
    hit = sum(start < 2 * BLOCK and end > BLOCK for start, end in itertools.pairwise(places))
    assert len(survivors(log)) == 2000 - hit
    assert any("zeros" in note.text for note in log.damage)


def test_reserved_zeros_at_the_end_are_no_damage(read) -> None:
    log = read(framed([hf_row(0)]) + bytes(100_000))
    assert survivors(log) == {10}
    assert [(note.level, note.byte) for note in log.damage] == [("info", len(framed([hf_row(0)])))]
    assert "all kept" in log.damage[0].text


def test_forged_lengths_allocate_nothing(read) -> None:
    forged = [
        b"\x12\xff\xff\xff\xff\x7f" + b"x" * 10,  # a record of 34 GB
        b"\x12\x05\x0a\xff\xff\xff\x7f",  # an item of 268 MB
        b"\x12\x06\x0a\x04\x12\x7fab",  # a key past its item
        b"\x12" + b"\xff" * 11,  # a varint without end
        b"\x13\x00", b"\x00\x00", b"\xff", b"\x12\x02\x0a",
        b"\x12\x0a\x0a\x03\x12\x01a\x82\x01\x7f1",
    ]  # fmt: skip
    log = read(framed([hf_row(0), *forged, hf_row(1)]))
    assert survivors(log) == {10, 20}
    assert sum("no protobuf" in note.text for note in log.damage) == len(forged)
    data = framed([hf_row(0)]) + struct.pack("<IHB", 0, 0xFFFF, 1) + b"x" * 40
    assert survivors(read(data)) == {10}


def test_a_malformed_row_adds_nothing(read) -> None:
    good = hf_row(1)
    log = read(framed([hf_row(0), good[:2] + bytes([good[2], good[3] + 2]) + good[4:] + b"\x0a\x7f", hf_row(2)]))
    assert survivors(log) == {10, 30}
    assert all(len(series) == 2 for series in log.series)


def test_many_damaged_places_are_told_shortly(read) -> None:
    rows = framed(hf_row(i) for i in range(300))
    data = bytearray(rows)
    for place in range(100, len(data), 300):
        data[place] ^= 0xFF
    log = read(bytes(data))
    assert len(log.damage) == wandb_file.MAX_NOTES + 1
    assert "more damaged places" in log.damage[-1].text


def test_the_search_for_chunks_is_bounded() -> None:
    reader = LogReader(HEADER + b"\x01" * (40 * BLOCK), 7, _search=10_000)
    assert list(reader) == []
    assert [gap.byte for gap in reader.gaps.places[1:40]] == [BLOCK * i for i in range(1, 40)]


def test_names_without_end_are_bounded(read, monkeypatch) -> None:
    monkeypatch.setattr(wandb_table, "MAX_COLUMNS", 10)
    log = read(framed([history({f"k{i}": i for i in range(50)}), history({"n" * 5000: 1})]))
    assert len(log.series) == 10
    assert any("41 values" in note.text for note in log.notes)


@pytest.mark.parametrize("seed", range(12))
def test_in_step_and_one_by_one_are_the_same_on_damaged_files(read, monkeypatch, seed: int) -> None:
    chance = random.Random(seed)
    keys = [f"model/layers.{i}.attention.{part}.weight" for i in range(12) for part in "qk"] + ["a", "_step", "x" * 127]
    odd = [b"NaN", '"text"', b"1e999", True, {"a": 1}, b"12345678901234567890.5", None, -0.0]
    log = []
    for step in range(2500):
        row = {key: chance.random() for key in chance.sample(keys, 8)}
        row |= {chance.choice(keys): chance.choice(odd)} if chance.random() < 0.05 else {}
        row |= {"k" * 130: 1} if chance.random() < 0.01 else {}
        record = history(row, step=step if chance.random() < 0.5 else None, old=chance.random() < 0.1)
        log.append(record[: chance.randrange(3, len(record))] if seed % 3 == 2 and chance.random() < 0.01 else record)
        if chance.random() < 0.3:
            stats = pb.Record(num=step, stats=pb.StatsRecord())
            stats.stats.timestamp.seconds = 1_700_000_000 + step
            stats.stats.item.add(key="gpu.0.temp", value_json=str(chance.randrange(90)))
            stats.control.SetInParent()
            log.append(stats.SerializeToString())
    data = bytearray(framed(log))
    for _ in range((0, 5, 0)[seed % 3]):
        data[chance.randrange(7, len(data))] ^= chance.randrange(1, 256)
    monkeypatch.setattr(leveldb, "MIN_LOCKSTEP", 4 * BLOCK)
    monkeypatch.setattr(leveldb, "GROUP", 6 * BLOCK)
    monkeypatch.setattr(wandb_table, "MIN_LOCKSTEP", 16)
    fast = read(bytes(data))
    assert len(fast.series) > len(keys)
    monkeypatch.setattr(leveldb, "MIN_LOCKSTEP", 2**62)
    monkeypatch.setattr(wandb_table, "MIN_LOCKSTEP", 2**62)
    assert_same(fast, read(bytes(data)))


# ---- properties

NUMBERS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans())
ROWS = st.lists(st.dictionaries(st.text(min_size=1, max_size=140), NUMBERS, max_size=6), max_size=30)
WIDE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@WIDE
@given(rows=ROWS, old=st.booleans(), together=st.integers(1, 40))
def test_what_is_written_is_read(read, rows: list[dict[str, float]], old: bool, together: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wandb_table, "MIN_LOCKSTEP", together)
        patch.setattr(lockstep, "FEW", 1)
        log = read(framed(history(row, old=old) for row in rows))
    expected: dict[str, list[tuple[int, float]]] = {}
    for order, row in enumerate(rows):
        for name, value in row.items():
            expected.setdefault(name, []).append((order, float(value)))
    assert {s.name for s in log.series} == set(expected) - {"_step", "_runtime", "_timestamp"}
    for series in log.series:
        order, value = zip(*expected[series.name], strict=True)
        assert series.order.tolist() == list(order)
        np.testing.assert_array_equal(series.value, value)


@WIDE
@given(records=st.lists(st.binary(max_size=60)), tail=st.binary(max_size=60))
def test_no_bytes_raise_anything_else(read, records: list[bytes], tail: bytes) -> None:
    read(framed([hf_row(0), *(b"\x12" + bytes([len(r)]) + r for r in records)]) + tail)


@WIDE
@given(sizes=st.lists(st.integers(0, 3 * BLOCK), max_size=8))
def test_framing_round_trip(sizes: list[int]) -> None:
    records = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
    reader = LogReader(framed(records), 7)
    assert [record for _, record in reader] == records
    assert not reader.gaps.count
