"""The TensorBoard importer against tbparse, against damage, and its fast way against its plain one."""

from __future__ import annotations

import gzip
import json
import math
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from events import VERSION, event, framed, masked, part, scalar, text, varint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curvelab.importers import tensorboard
from curvelab.importers._tensorboard import columns, frames
from curvelab.importers._tensorboard.event import MalformedError, read_event
from curvelab.importers._tensorboard.settings import from_text
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log, RawSeries
from curvelab.sources import Source

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
FILES = sorted(CORPUS.rglob("*tfevents*")) if CORPUS.is_dir() else []
LABELS = CORPUS / "wild" / "labels.json"


def log_of(tmp_path: Path, data: bytes, name: str = "events.out.tfevents.1.host") -> Log:
    path = tmp_path / name
    path.write_bytes(data)
    return tensorboard.read.read(Source.at(path))


def series_of(log: Log, name: str) -> RawSeries:
    found = log.find(name)
    assert found is not None, [s.name for s in log.series]
    return found


def said(gathered: columns.Gathered, walk: frames.Walk) -> object:
    """All that was gathered, in a form that compares NaN as equal."""
    numbers = {
        key: (rows.first, [column.tobytes() for column in rows.columns()]) for key, rows in gathered.numbers.items()
    }
    rest = (gathered.plugins, gathered.texts, gathered.hparams, gathered.others, gathered.foreign, gathered.events)
    return numbers, rest, sorted(gathered.starts), sorted(gathered.bad), walk.losses, walk.count


def both_ways(data: bytes) -> object:
    """What the plain way says; fails when the fast way says anything else."""
    plain, fast = frames.Walk(data), frames.Walk(data)
    one, many = tensorboard.gather_plainly(plain), tensorboard.gather(fast)
    assert said(one, plain) == said(many, fast)
    return said(one, plain)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files go through every turn of the fast way: batches of two rows, windows of a few records."""
    monkeypatch.setattr(columns, "FEW_ROWS", 2)
    monkeypatch.setattr(frames, "FEW_ROWS", 2)
    monkeypatch.setattr(frames, "WINDOW", 300)


# --- The oracle: tbparse on every file there is ---


@pytest.mark.skipif(not FILES, reason="no corpus beside the project")
@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-4:])[-60:])
def test_equals_tbparse(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from tbparse import SummaryReader

        reader = SummaryReader(str(path), extra_columns={"wall_time"})
        expected = reader.scalars
        tensors = reader.tensors
    log = tensorboard.read.read(Source.at(path))
    assert not log.damage
    assert not len(tensors)
    tags = set(expected["tag"]) if len(expected) else set()
    assert {one.name for one in log.series} == tags
    for one in log.series:
        theirs = expected[expected["tag"] == one.name]
        assert one.step.tolist() == theirs["step"].tolist()
        np.testing.assert_array_equal(one.value, theirs["value"].to_numpy(dtype=np.float64))
        np.testing.assert_array_equal(one.wall_time, theirs["wall_time"].to_numpy(dtype=np.float64))
        assert (np.diff(one.order) > 0).all()
    both_ways(path.read_bytes())


def labelled() -> list[tuple[str, dict[str, object]]]:
    if not LABELS.exists():
        return []
    cases = json.loads(LABELS.read_text())["cases"]
    return [(case["path"], case["expect"]) for case in cases if case["kind"] == "tensorboard" and case.get("expect")]


@pytest.mark.skipif(not LABELS.exists(), reason="no corpus beside the project")
@pytest.mark.parametrize(("path", "expect"), labelled())
def test_labelled_counts(path: str, expect: dict[str, dict[str, dict[str, float]]]) -> None:
    log = tensorboard.read.read(Source.at(LABELS.parent / path))
    assert sum(map(len, log.series)) == expect["n_scalar_points"]
    assert {one.name for one in log.series} == set(expect["scalar_tags"])
    for tag, facts in expect["scalar_tags"].items():
        one = series_of(log, tag)
        found = (len(one), one.step[0], one.step[-1], one.value[0], one.value[-1])
        assert found == tuple(facts[k] for k in ("count", "first_step", "last_step", "first_value", "last_value"))


@pytest.mark.skipif(not FILES, reason="no corpus beside the project")
def test_settings_of_transformers() -> None:
    path = next(path for path in FILES if "clean-3ep" in str(path))
    log = tensorboard.read.read(Source.at(path))
    args = log.settings[f"{path.name}: args"]
    assert args["per_device_train_batch_size"] and args["num_train_epochs"] == 3
    assert log.settings[f"{path.name}: model_config"]["model_type"]
    assert log.finished is True
    loss = series_of(log, "train/loss")
    assert loss.epoch is not None and np.isfinite(loss.epoch).all() and loss.epoch[-1] <= 3


@pytest.mark.skipif(not FILES, reason="no corpus beside the project")
def test_hparams_in_the_wild() -> None:
    path = next(path for path in FILES if "0150" in str(path))
    log = tensorboard.read.read(Source.at(path))
    assert not log.series
    hparams = log.settings[f"{path.name}: hparams"]
    assert isinstance(hparams["per_device_train_batch_size"], int)
    assert isinstance(hparams["learning_rate"], float)


# --- Damage ---


def small() -> tuple[bytes, list[int]]:
    """A file of ten records, and the offsets at which they begin (and the end)."""
    records = [VERSION]
    for step in range(1, 4):
        records += [framed(event(step * 100, scalar("train/loss", 1 / step))), framed(event(step, scalar("b", step)))]
    records.append(framed(event(5, scalar("train/loss", 0.125), scalar("b", 5.0))))
    records += [framed(event(6, scalar("b", 6.0))), framed(event(7, scalar("b", 7.0)))]
    return b"".join(records), [0, *np.cumsum([len(r) for r in records]).tolist()]


def rows(log: Log) -> set[tuple[str, int, float]]:
    return {(s.name, step, v) for s in log.series for step, v in zip(s.step.tolist(), s.value.tolist(), strict=True)}


def rows_of_records(data: bytes, offsets: list[int], keep: list[int]) -> set[tuple[str, int, float]]:
    found = set()
    for i in keep:
        for value in read_event(data[offsets[i] + 12 : offsets[i + 1] - 4]).values:
            step = read_event(data[offsets[i] + 12 : offsets[i + 1] - 4]).step
            found.add((value.tag.decode(), step, value.number))
    return found


@pytest.mark.parametrize("small_limit", [0, 1 << 20])
def test_every_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_limit: int) -> None:
    monkeypatch.setattr(tensorboard, "SMALL", small_limit)
    data, offsets = small()
    for size in range(len(data) + 1):
        whole = sum(end <= size for end in offsets[1:])
        log = log_of(tmp_path, data[:size])
        assert rows(log) == rows_of_records(data, offsets, list(range(whole)))
        cut = size not in offsets
        assert [note.level for note in log.notes] == (["info"] if cut or size == 0 else [])
        if cut:
            assert log.notes[0].byte == offsets[whole]
            assert "ends inside a record" in log.notes[0].text


@pytest.mark.parametrize("small_limit", [0, 1 << 20])
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_limit: int, flip: int) -> None:
    monkeypatch.setattr(tensorboard, "SMALL", small_limit)
    data, offsets = small()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= flip
        hit = sum(end <= at for end in offsets[1:])
        others = [i for i in range(len(offsets) - 1) if i != hit]
        log = log_of(tmp_path, bytes(damaged))
        assert rows(log) == rows_of_records(data, offsets, others)
        assert [note.byte for note in log.damage] == [offsets[hit]]


@pytest.mark.usefixtures("narrow")
def test_both_ways_agree_on_flips_and_prefixes() -> None:
    data, _ = small()
    for at in range(len(data)):
        both_ways(data[:at])
        both_ways(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        both_ways(data[:at] + data[at + 1 :])
        both_ways(data[:at] + b"\0" + data[at:])


def test_a_hole_inside_a_record_costs_that_record_only(tmp_path: Path) -> None:
    data, offsets = small()
    log = log_of(tmp_path, data[: offsets[3] + 20] + data[offsets[3] + 30 :])
    assert rows(log) == rows_of_records(data, offsets, [0, 1, 2, 4, 5, 6, 7, 8, 9])


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_forged_length_with_a_good_checksum(tmp_path: Path, length: int) -> None:
    data, offsets = small()
    head = struct.pack("<Q", length)
    log = log_of(tmp_path, data[: offsets[4]] + head + masked(head) + data[offsets[4] :])
    assert rows(log) == rows_of_records(data, offsets, list(range(10)))
    assert log.damage[0].byte == offsets[4] and log.damage[0].level == "warning"
    both_ways(data[: offsets[4]] + head + masked(head) + data[offsets[4] :])


def test_zeros_at_the_end_are_named(tmp_path: Path) -> None:
    data, offsets = small()
    log = log_of(tmp_path, data + bytes(5000))
    assert rows(log) == rows_of_records(data, offsets, list(range(10)))
    assert "only zero bytes" in log.damage[0].text and log.damage[0].byte == len(data)


def test_damage_without_end_is_summed_up_and_ends(tmp_path: Path) -> None:
    record = framed(event(1, scalar("b", 1.0)))
    log = log_of(tmp_path, (record + b"?") * 1500)
    assert len(series_of(log, "b")) == 1001  # one for the start, one for each search
    assert len(log.damage) == tensorboard.LISTED + 1
    assert "too many damaged places" in log.damage[-1].text
    bad = record[:-1] + bytes([record[-1] ^ 1])
    log = log_of(tmp_path, VERSION + bad * 3000 + record)
    assert len(log.damage) == 1 and "3,000 records in a row" in log.damage[0].text


def test_headers_inside_payloads_do_not_lead_astray(narrow: None) -> None:
    inner = framed(event(9, scalar("inner", 9.0)))
    data = VERSION + b"".join(framed(event(step, part(1, part(1, inner)), scalar("b", step))) for step in range(40))
    numbers = both_ways(data)[0]  # type: ignore[index]
    assert set(numbers) == {(b"b", False)}


def test_no_event_file_at_all(tmp_path: Path) -> None:
    for content in (b"hello", b"hello world\n" * 40, bytes(100), b"\xff" * 100):
        with pytest.raises(UnreadableError, match="no TensorBoard record"):
            log_of(tmp_path, content)
    with pytest.raises(UnreadableError, match="Git LFS pointer"):
        log_of(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    log = log_of(tmp_path, b"")
    assert not log.series and log.notes[0].text.startswith("empty file")


def test_records_that_are_no_events(tmp_path: Path) -> None:
    log = log_of(tmp_path, VERSION + framed(b"\xff\xff") + framed(event(1, scalar("b", 1.0))))
    assert len(series_of(log, "b")) == 1
    assert "no TensorBoard event" in log.damage[0].text and log.damage[0].byte == len(VERSION)
    with pytest.raises(UnreadableError):
        log_of(tmp_path, framed(b"\xff\xff") * 3)


def test_gzip_and_recognition(tmp_path: Path) -> None:
    data, offsets = small()
    log = log_of(tmp_path, gzip.compress(data), "events.out.tfevents.1.host.gz")
    assert rows(log) == rows_of_records(data, offsets, list(range(10)))
    assert tensorboard.read.format == "tensorboard"
    assert tensorboard.read.claims_name("events.out.tfevents.1755193653.host.local")
    assert not tensorboard.read.claims_name("trainer_state.json")


# --- Values, steps, tags ---

finite32 = st.floats(width=32, allow_nan=True)
tags = st.sampled_from(["train/loss", "train/lozz", "eval/loss", "b", "", "ü", "layer/1/norm", "layer/2/norm"])
steps = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))
walls = st.floats(allow_nan=False, allow_infinity=False)
logged = st.lists(st.tuples(tags, steps, finite32, walls), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logged=logged)
def test_round_trip(tmp_path: Path, narrow: None, logged: list[tuple[str, int, float, float]]) -> None:
    data = VERSION + b"".join(framed(event(step, scalar(tag, v), wall=wall)) for tag, step, v, wall in logged)
    both_ways(data)
    log = log_of(tmp_path, data)
    assert [one.name for one in log.series] == list(dict.fromkeys(tag for tag, *_ in logged))
    for one in log.series:
        mine = [(i, row) for i, row in enumerate(logged, 1) if row[0] == one.name]
        assert one.order.tolist() == [i for i, _ in mine]
        assert one.step.tolist() == [row[1] for _, row in mine]
        np.testing.assert_array_equal(one.value, [row[2] for _, row in mine])
        np.testing.assert_array_equal(one.wall_time, [row[3] for _, row in mine])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_fast_way_equals_plain_way(narrow: None, seed: int) -> None:
    """Events of every form, some damaged, in any order."""
    random = np.random.default_rng(seed)
    names = [b"loss", b"lozz", b"args/text_summary", b"x" * 30, b"y" * 30, bytes(range(200, 230))]

    def number() -> bytes:
        return random.bytes(4)

    def value() -> bytes:
        tag = part(1, names[random.integers(len(names))])
        forms = (
            tag + b"\x15" + number(),
            b"\x15" + number() + tag,
            tag + part(8, b"\x08\x01\x12\x00" + part(5, number())),
            tag + part(8, b"\x08\x01" + part(4, number())) + part(9, part(1, part(1, b"scalars"))),
            tag + part(8, b"\x08\x01" + part(4, number())) + part(9, part(1, part(1, b"images"))),
            tag + part(8, b"\x08\x02" + part(6, random.bytes(8))),
            tag + part(8, b"\x08\x03" + part(7, varint(int(random.integers(-5, 5))))),
            tag + part(8, b"\x08\x07" + part(8, b"text")),
            tag + part(5, number()),
            tag + b"\x15" + number() + b"\x15" + number(),
            tag + tag + b"\x15" + number(),
            tag,
        )
        return part(1, forms[random.integers(len(forms))])

    kinds = [[value() for _ in range(random.integers(0, 3))] for _ in range(4)]
    records = [VERSION]
    for _ in range(int(random.integers(0, 80))):
        values = kinds[random.integers(4)] if random.random() < 0.7 else [value()]
        record = framed(event(int(random.integers(0, 40000)), *values, wall=1e9 + random.random()))
        if random.random() < 0.05:
            cut = int(random.integers(len(record)))
            record = (record[:cut] + bytes([record[cut] ^ 4]) + record[cut + 1 :], record[:cut], b"?" + record)[
                random.integers(3)
            ]
        elif random.random() < 0.05:
            record = framed(random.bytes(int(random.integers(0, 60))))
        elif random.random() < 0.02:
            record = framed(part(7, b"\x08\x01"))
        records.append(record)
    both_ways(b"".join(records))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_an_event_or_malformed(payload: bytes) -> None:
    try:
        read_event(payload)
    except MalformedError:
        return


def test_special_values_and_steps(tmp_path: Path) -> None:
    numbers = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 3.4e38]
    data = VERSION + b"".join(framed(event(-i, scalar("loss", v))) for i, v in enumerate(numbers))
    signalling = part(1, part(1, b"loss") + b"\x15\x01\x00\xa0\x7f")
    one = series_of(log_of(tmp_path, data + framed(event(2**62, signalling)) * 40), "loss")
    np.testing.assert_array_equal(one.value[:7], np.array(numbers, dtype=np.float32).astype(np.float64))
    assert np.isnan(one.value[7:]).all()
    assert one.step[:7].tolist() == [0, -1, -2, -3, -4, -5, -6] and one.step[7] == 2**62


def test_event_without_a_time_has_none(tmp_path: Path) -> None:
    one = series_of(log_of(tmp_path, VERSION + framed(part(5, scalar("b", 1.0)))), "b")
    assert one.wall_time is not None and np.isnan(one.wall_time).all()


def test_hostile_tags(tmp_path: Path) -> None:
    long = b"a" * (1 << 20)
    hostile = [b"", b"\xff\xfe", b"\xff\xfd", long, long[:-1] + b"b", b"$x^$", b"\x1b[31m", b"tail\0", b"tail\0\0"]
    data = VERSION + b"".join(framed(event(i, scalar(tag, i))) for tag in hostile for i in range(30))
    log = log_of(tmp_path, data)
    names = [one.name for one in log.series]
    assert len(set(names)) == len(hostile) and max(map(len, names)) < 300
    assert all(len(one) == 30 and one.value.tolist() == list(range(30)) for one in log.series)
    assert names[1] == "\\xff\\xfe"
    "".join(names).encode("utf-8")
    both_ways(data)


def test_too_many_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_TAGS", 10)
    log = log_of(tmp_path, VERSION + b"".join(framed(event(1, scalar(f"t{i}", 1.0))) for i in range(25)))
    assert len(log.series) == 10
    assert "15 values" in log.notes[0].text


def test_deep_nesting(tmp_path: Path) -> None:
    deep = b""
    for _ in range(5000):
        deep = part(1, deep)
    value = part(1, part(1, b"b") + part(8, deep) + part(9, deep))
    log = log_of(tmp_path, VERSION + framed(event(1, value)) + framed(event(2, scalar("c", 1.0))))
    assert len(series_of(log, "c")) == 1
    assert from_text(b"[" * 100_000 + b"]" * 100_000) is None
    assert from_text(b'{"a":' * 50_000 + b"1" + b"}" * 50_000) is None
    assert from_text(b'{"a":' * 40 + b"1" + b"}" * 40) is None


def test_several_values_in_one_record(tmp_path: Path) -> None:
    data = VERSION + b"".join(
        framed(event(i, scalar("z", i), scalar("a", -i), scalar("z", i + 0.5))) for i in range(50)
    )
    both_ways(data)
    log = log_of(tmp_path, data)
    assert [one.name for one in log.series] == ["z", "a"]
    assert series_of(log, "z").value.tolist() == [v for i in range(50) for v in (i, i + 0.5)]
    assert series_of(log, "z").order.tolist() == [i for i in range(1, 51) for _ in "zz"]


def test_hundreds_of_tags_of_one_length() -> None:
    rng = np.random.default_rng(0)
    names = [f"layer_{i:03d}/" + "".join(chr(c) for c in rng.integers(97, 123, 12)) for i in range(200)]
    numbers = both_ways(VERSION + b"".join(framed(event(s, scalar(n, s))) for s in range(20) for n in names))[0]  # type: ignore[index]
    assert len(numbers) == 200


# --- Tensors ---


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("float32", 0.1), ("float64", 0.1), ("float16", 0.5), ("int32", -7), ("int64", 1 << 40), ("bool", True),
     ("uint8", 200), ("int8", -3), ("uint16", 60000), ("uint32", 4_000_000_000), ("uint64", 1 << 50)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_tensor_scalars(tmp_path: Path, dtype: str, number: float, shape: tuple[int, ...]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_tensor_proto

    written = np.full(shape, number, dtype=dtype)
    message = Event(wall_time=1.0, step=3)
    value = message.summary.value.add(tag="t")
    value.tensor.CopyFrom(make_tensor_proto(written))
    content = Event(wall_time=1.0, step=4)
    other = content.summary.value.add(tag="t")
    other.tensor.CopyFrom(value.tensor)
    other.tensor.tensor_content = written.tobytes()
    data = VERSION + framed(message.SerializeToString()) * 30 + framed(content.SerializeToString()) * 30
    both_ways(data)
    one = series_of(log_of(tmp_path, data), "t")
    assert len(one) == 60 and set(one.value.tolist()) == {float(written.reshape(-1)[0])}


def test_bfloat16_and_zero_left_out(tmp_path: Path) -> None:
    half = part(8, b"\x08\x0e" + part(13, varint(0x3FC0)))
    content = part(8, b"\x08\x0e" + part(4, b"\xc0\x3f"))
    nothing = part(8, b"\x08\x01\x12\x00")
    data = b"".join(framed(event(1, part(1, part(1, b"t") + tensor))) for tensor in (half, content, nothing))
    assert series_of(log_of(tmp_path, VERSION + data), "t").value.tolist() == [1.5, 1.5, 0.0]


def test_tensors_of_tensorflow_2_equal_tbparse(tmp_path: Path) -> None:
    records = [VERSION]
    for step in range(200):
        meta = part(9, part(1, part(1, b"scalars"))) if step == 0 else b""
        tensor = part(8, b"\x08\x01\x12\x00" + part(5, np.float32(1 / (step + 1)).tobytes()))
        records.append(framed(event(step, part(1, part(1, b"epoch_loss") + tensor + meta))))
    log = log_of(tmp_path, b"".join(records))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from tbparse import SummaryReader

        expected = SummaryReader(str(log.path)).tensors
    one = series_of(log, "epoch_loss")
    assert one.step.tolist() == expected["step"].tolist()
    np.testing.assert_array_equal(one.value, [float(v) for v in expected["value"]])


def test_a_foreign_plugin_stays_foreign(tmp_path: Path) -> None:
    tensor = part(8, b"\x08\x01\x12\x00" + part(5, b"\0\0\x80\x3f"))
    first = framed(event(0, part(1, part(1, b"t") + tensor + part(9, part(1, part(1, b"gauges"))))))
    later = b"".join(framed(event(i, part(1, part(1, b"t") + tensor))) for i in range(1, 100))
    wide = part(8, b"\x08\x01" + part(2, part(2, b"\x08\x02")) + part(4, bytes(8)))
    histogram = framed(event(1, part(1, part(1, b"h") + part(5, b""))))
    log = log_of(tmp_path, VERSION + first + later + framed(event(1, part(1, part(1, b"wide") + wide))) + histogram)
    assert not log.series
    assert log.skipped == {"t": 100, "wide": 1, "h": 1}


# --- What Transformers writes beside scalars ---


@pytest.mark.parametrize("around", ["%s", "```json\n%s\n```", "    %s"])
def test_settings(tmp_path: Path, around: str) -> None:
    args = {"max_steps": 400, "run_name": "baseline", "output_dir": "out", "learning_rate": 1e-4, "loss": math.nan}
    data = VERSION + framed(event(0, text("args/text_summary", around % json.dumps(args, indent=2))))
    data += framed(event(0, text("model_config/text_summary", '{"model_type": "gpt2", "bad": "\\ud800", "n": 1e999}')))
    data += framed(event(0, text("notes", "free text")))
    log = log_of(tmp_path, data, "events.out.tfevents.2.h")
    read = log.settings["events.out.tfevents.2.h: args"]
    assert read["max_steps"] == 400 and math.isnan(read["loss"])  # type: ignore[arg-type]
    assert log.settings["events.out.tfevents.2.h: model_config"] == {"model_type": "gpt2", "bad": "?", "n": math.inf}
    assert log.plan == 400 and log.identity == {"name": "baseline"} and log.skipped == {"notes": 1}
    assert log.finished is None


def test_settings_that_are_none(tmp_path: Path) -> None:
    args = {"max_steps": -1, "run_name": "out", "output_dir": "out"}
    log = log_of(tmp_path, VERSION + framed(event(0, text("args/text_summary", json.dumps(args)))))
    assert log.plan is None and log.identity == {}
    log = log_of(tmp_path, VERSION + framed(event(0, text("args/text_summary", "no json {here}"))))
    assert log.settings == {}
    huge = f'{{"max_steps": {"9" * 6000}, "digits": 1{"0" * 400}}}'
    assert log_of(tmp_path, VERSION + framed(event(0, text("args/text_summary", huge)))).plan is None


def test_hparams(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    plugin = HParamsPluginData()
    start = plugin.session_start_info
    start.hparams["max_steps"].number_value = 50
    start.hparams["learning_rate"].number_value = 3e-4
    start.hparams["bf16"].bool_value = True
    start.hparams["optim"].string_value = "adamw"
    start.hparams["nothing"].null_value = 0
    message = Event(wall_time=1.0)
    value = message.summary.value.add(tag="_hparams_/session_start_info")
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = plugin.SerializeToString()
    log = log_of(tmp_path, VERSION + framed(message.SerializeToString()), "x.tfevents.1")
    expected = {"bf16": True, "learning_rate": 3e-4, "max_steps": 50, "optim": "adamw"}
    assert log.settings == {"x.tfevents.1: hparams": expected}
    assert log.plan == 50


def test_epochs_are_joined_by_step(tmp_path: Path) -> None:
    records = [VERSION]
    for step in range(10, 60, 10):
        records.append(framed(event(step, scalar("train/loss", 1.0))))
        if step != 30:
            records.append(framed(event(step, scalar("train/epoch", step / 10))))
    log = log_of(tmp_path, b"".join([*records, framed(event(50, scalar("train/train_runtime", 9.0)))]))
    np.testing.assert_array_equal(series_of(log, "train/loss").epoch, [1, 2, np.nan, 4, 5])
    assert series_of(log, "train/epoch").value.tolist() == [1, 2, 4, 5]
    assert log.finished is True


def test_session_starts_are_restarts(tmp_path: Path) -> None:
    start = framed(b"\x09" + struct.pack("<d", 1.0) + part(7, b"\x08\x01"))
    stop = framed(b"\x09" + struct.pack("<d", 1.0) + part(7, b"\x08\x02"))
    record = framed(event(1, scalar("b", 1.0)))
    log = log_of(tmp_path, VERSION + record * 40 + start + record * 40 + stop + VERSION + record)
    assert log.restarts == (41, 83)
