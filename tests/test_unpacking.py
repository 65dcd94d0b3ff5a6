"""A damaged gzip gives all that can be unpacked, tells the byte, and a bomb costs a bounded part."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from curvelab import unpacking
from curvelab.ingest import load
from curvelab.model.run import Run

RANDOM = random.Random(1)
ROWS = [f'{{"step": {step}, "loss": {RANDOM.random()}}}\n'.encode() for step in range(4_000)]
WHOLE = b"".join(ROWS)


def run_of(folder: Path, data: bytes) -> Run:
    path = folder / "log.jsonl.gz"
    path.write_bytes(data)
    return load(path)


def steps(run: Run) -> list[int]:
    return run.curve("train/loss").step.tolist()


def test_a_wrong_checksum_costs_nothing(tmp_path):
    packed = bytearray(gzip.compress(WHOLE))
    packed[-8] ^= 1
    run = run_of(tmp_path, bytes(packed))
    assert len(steps(run)) == 4_000
    (note,) = run.logs[0].damage
    assert note.byte is not None and note.byte > len(packed) - 9 and "incorrect data check" in note.text


def test_a_flipped_bit_costs_what_lies_behind_it(tmp_path):
    packed = bytearray(gzip.compress(WHOLE))
    for at in range(len(packed) * 3 // 4, len(packed), 997):
        damaged = bytearray(packed)
        damaged[at] ^= 16
        run = run_of(tmp_path, bytes(damaged))
        (series,) = (one for one in run.logs[0].series if one.name == "loss")
        assert series.step[:2_800].tolist() == list(range(2_800)), at
        assert any("the gzip is damaged" in note.text and note.byte for note in run.logs[0].damage), at


@pytest.mark.parametrize("share", [0.2, 0.5, 0.76])
def test_a_cut_one_is_read_to_the_cut(tmp_path, share):
    packed = gzip.compress(WHOLE)
    cut = packed[: int(len(packed) * share)]
    run = run_of(tmp_path, cut)
    complete = zlib.decompressobj(31).decompress(cut).count(b"\n")
    assert len(steps(run)) == complete
    assert any("the gzip is cut" in note.text and note.byte == len(cut) for note in run.notes)


def test_members_one_after_the_other(tmp_path):
    first, second = gzip.compress(b"".join(ROWS[:2_000])), gzip.compress(b"".join(ROWS[2_000:]))
    assert steps(run_of(tmp_path, first + second)) == list(range(4_000))
    assert not run_of(tmp_path, first + second + bytes(700)).notes  # padding
    cut = run_of(tmp_path, first + second[:-100])
    assert len(steps(cut)) > 3_900 and "the gzip is cut" in cut.notes[0].text
    damaged = bytearray(first)
    damaged[900:910] = bytes(10)
    behind = run_of(tmp_path, bytes(damaged) + second)
    assert set(range(2_000, 4_000)) <= set(steps(behind))
    junk = run_of(tmp_path, first + b"junk, no member" + second)
    assert steps(junk) == list(range(4_000)) and "are no gzip" in junk.notes[0].text


def test_the_csv_reader_tells_it_too(tmp_path):
    packed = gzip.compress(b"step,loss\n" + b"".join(b"%d,0.5\n" % step for step in range(100)))
    (tmp_path / "log.csv.gz").write_bytes(packed[:-3])
    assert [note.byte for note in load(tmp_path / "log.csv.gz").logs[0].damage if note.byte] == [len(packed) - 3]


@pytest.mark.parametrize("filling", [b"\n", b"\0"])
def test_a_bomb_costs_a_bounded_part(tmp_path, filling, monkeypatch):
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = gzip.compress(WHOLE[:20_000]) + b"".join(engine.compress(filling * 2**22) for _ in range(256))
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(packed + engine.flush())  # a gibibyte
    script = (
        "import resource, sys; from curvelab import load; r = load(sys.argv[1]); print(len(r.curve('train/loss')));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); print(*r.notes)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout.split()[0]) >= WHOLE[:20_000].count(b"\n")
    assert "more is packed in it" in done.stdout
    assert int(done.stdout.split()[1]) < 800_000  # kB; all that is packed in it would be 1 GiB more than the bare process


def test_chance_marks_are_no_members(tmp_path):
    packed = bytearray(gzip.compress(WHOLE))
    packed[1_000] ^= 255
    noise = b"".join(b"\x1f\x8b\x08" + RANDOM.randbytes(40) for _ in range(2 * unpacking._TRIES))
    run = run_of(tmp_path, bytes(packed) + noise)
    assert run.points <= 4_000 and run.curve("train/loss").step.max() < 4_000
