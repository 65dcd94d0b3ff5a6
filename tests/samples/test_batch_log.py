"""Batch logs: the forms people write, where they are found, that they are no training logs, that none does harm."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import SAMPLES

from curvelab import batch_log
from curvelab.batch_log import GLOBS, has_steps, is_batch_log, lines_about
from curvelab.diagnosis import diagnose
from curvelab.ingest import gather, load
from curvelab.model.errors import UnreadableError

STATE = SAMPLES / "spikes" / "trainer_state.json"

FORMS = {
    "words": ("batch_log.txt", "step 120: indices [5, 9, 12]\nstep 121: indices [1]\n", "indices [5, 9, 12]"),
    "equals": ("batches.txt", "step=120 idx=5,9,12\nstep=121 idx=1\n", "idx=5,9,12"),
    "a sentence": ("batch_log.txt", "Batches of step 120.\nBatches of step 121.\n", "."),
    "with a time": ("batch_log.txt", "2026-01-02 12:30:11 INFO global_step 120 a.txt b.txt\n", "a.txt b.txt"),
    "bare numbers": ("my_batch_log.txt", "120: 5, 9, 12\n121: 1\n", "5, 9, 12"),
    "json": ("batches.jsonl", '{"step": 120, "ids": [5, 9, 12]}\n{"step": 121, "ids": [1]}\n', "ids: [5, 9, 12]"),
    "json, step last": ("batch_log.jsonl", '{"files": ["a.txt", "b.txt"], "step": 120}\n', "files: [a.txt, b.txt]"),
    "csv": ("batch_log.csv", 'step,indices\n120,"5, 9, 12"\n121,1\n', "5, 9, 12"),
    "csv, a row a sample": ("batches_0.csv", "global_step,index\n120,5\n120,9\n120,12\n121,1\n", "5, 9, 12"),
    "csv without a header": ("batch_log.csv", "119;7\n120;5 9 12\n121;1\n", "5 9 12"),
    "csv, step in the middle": ("batch_log.csv", "rank,step,index\n0,120,5\n0,121,1\n", "0, 5"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_forms_that_people_write(form, encoding, ending, tmp_path):
    name, text, wanted = FORMS[form]
    path = tmp_path / name
    path.write_bytes(text.replace("\n", ending).encode(encoding))
    said = lines_about(path, [(120, 120)], 10)
    assert said.kept == [(120, wanted)] or (form == "a sentence" and said.kept[0][0] == 120)
    assert (said.more, said.cut) == (0, 0)


@pytest.mark.parametrize("form", FORMS)
def test_none_of_them_is_taken_for_a_training_log(form, tmp_path):
    name, text, _ = FORMS[form]
    lines = text.splitlines(keepends=True)
    more = "".join(line.replace("120", str(step)) for step in range(122, 160) for line in lines[-1:])
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_text(text + more)
    assert is_batch_log(name, path.read_bytes())
    gathered = gather([tmp_path])
    assert gathered.runs == [] and gathered.errors
    shutil.copy(STATE, path.parent)
    run = load(tmp_path)
    assert run.format == "trainer-state" and run.batch_logs == (path,)
    assert run.points == 160


def test_a_training_log_of_this_name_is_read_as_one(tmp_path):
    path = tmp_path / "batches.csv"
    path.write_text("step,loss,index\n" + "".join(f"{i},{3 / i},{i}\n" for i in range(1, 40)))
    assert load(path).points == 39


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(STATE, folder)
    return folder


def samples_of(folder: Path):
    return next(f for f in diagnose(load(folder)).findings if f.pattern == "spikes").samples


def test_lines_of_the_suspect_steps_and_the_one_before_are_told(run):
    (run / "batch_log.txt").write_text("".join(f"step {i}: file_{i}.txt\n" for i in range(1, 321)))
    samples = samples_of(run)
    steps = [130, 131, 132, 196, 197, 198, 262, 263, 264]
    assert samples.logged == tuple(f"step {i}: file_{i}.txt" for i in steps)
    assert any("one step behind" in doubt for doubt in samples.doubts)


def test_parts_of_several_processes_are_all_read(run):
    for rank in (0, 1):
        (run / f"batch_log_rank{rank}.jsonl").write_text("".join(f'{{"step": {i}, "ids": [{rank}]}}\n' for i in range(1, 321)))
    assert samples_of(run).logged.count("step 131: ids: [0]") == samples_of(run).logged.count("step 131: ids: [1]") == 1


def test_a_file_of_no_use_is_a_note(run):
    (run / "batch_log.txt").write_text("nothing of interest\n")
    (run / "batches.csv").write_bytes(b"")
    (run / "batch_log.csv").write_text("version https://git-lfs.github.com/spec/v1\n")
    notes = [note for note in load(run).notes if "batch" in str(note.file)]
    assert len(notes) == 3 and all(note.level == "warning" for note in notes)
    assert samples_of(run).logged == ()


def test_a_file_that_says_nothing_of_these_steps_or_is_gone(run):
    path = run / "batch_log.txt"
    path.write_text("step 1: a\n")
    assert any("says nothing of these steps" in doubt for doubt in samples_of(run).doubts)
    loaded = load(run)
    path.unlink()
    samples = next(f for f in diagnose(loaded).findings if f.pattern == "spikes").samples
    assert any("cannot be read" in doubt for doubt in samples.doubts) and samples.ranges


def test_a_shared_folder_gives_its_batch_log_to_none(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(STATE, tmp_path / name)
    (tmp_path / "batch_log.txt").write_text("step 131: above\n")
    runs = gather([tmp_path]).runs
    assert len(runs) == 2 and all(run.batch_logs == () for run in runs)


def test_nothing_above_the_path_is_looked_at(tmp_path, run):
    (tmp_path / "batch_log.txt").write_text("step 131: above\n")
    assert load(run).batch_logs == ()


def test_a_secret_in_a_line_is_not_shown(run):
    (run / "batch_log.txt").write_text(f"step 131: https://user:{'x' * 20}@host/a.txt\n")
    assert samples_of(run).logged == ("step 131: [redacted]",)


def test_long_lines_are_cut_and_counted(tmp_path):
    path = tmp_path / "batch_log.txt"
    path.write_text(f"step 1: {'7, ' * 100_000}\nstep 2: short\n")
    said = lines_about(path, [(1, 2)], 10)
    assert said.cut == 1 and said.kept[1] == (2, "short") and len(said.kept[0][1]) <= batch_log.LONGEST


def test_more_lines_than_are_shown_are_counted(tmp_path):
    path = tmp_path / "batch_log.txt"
    path.write_text("".join(f"step {i}: {'x' * 100}\n" for i in range(1, 101)))
    said = lines_about(path, [(1, 100)], 10)
    assert (len(said.kept), said.more) == (10, 90)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "batch_log.txt"
    path.write_text("".join(f"step {i}: {list(range(20))}\n" for i in range(50_000)) + "y" * 3_000_000)
    tracemalloc.start()
    lines_about(path, [(5, 5)], 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000 < path.stat().st_size


def test_a_file_over_the_limit_is_refused(tmp_path, run, monkeypatch):
    path = run / "batch_log.txt"
    path.write_text("step 131: a\n")
    monkeypatch.setattr(batch_log, "MAX_FILE", 4)
    with pytest.raises(UnreadableError, match="over the limit"):
        lines_about(path, [(1, 1)], 1)
    assert any("over the limit" in doubt for doubt in samples_of(run).doubts)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_opened(kind, run):
    import os

    path = run / "batch_log.txt"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert load(run).batch_logs == ()


@pytest.mark.parametrize("filling", [" ", "step ", "{", ",", '"', "1", "step:", "global_", "-–"])
def test_no_line_takes_long(filling, tmp_path):
    path = tmp_path / "batch_log.csv"
    path.write_text("".join(f"step 1 {filling * (batch_log.MAX_LINE // len(filling) - 10)} x\n" for _ in range(20)))
    began = time.perf_counter()
    lines_about(path, [(1, 1)], 10)
    assert time.perf_counter() - began < 5


@given(st.sampled_from(["batch_log.txt", "batch_log.csv", "batches.jsonl"]), st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_no_bytes_do_harm(tmp_path_factory, name, raw):
    path = tmp_path_factory.mktemp("any") / name
    for content in (raw, b"step 1: " + raw, b"step,x\n1," + raw, b"\xff\xfe" + raw):
        path.write_bytes(content)
        is_batch_log(name, content)
        try:
            said = lines_about(path, [(0, 10**15)], 3)
        except UnreadableError as error:
            assert "\n" not in error.message
        else:
            assert len(said.kept) <= 3 and all("\n" not in text and len(text) <= batch_log.LONGEST for _, text in said.kept)


@pytest.mark.parametrize(
    "line", ["steps_per_epoch: 120", "micro_step 120", "stepwise 120", "epoch 1.5", "footstep 12", "step: 1.5", "12:30:11 hello"]
)
def test_words_that_only_sound_like_a_step(line):
    assert not has_steps("batch_log.txt", line.encode())


def test_the_names_of_the_files():
    import fnmatch

    for name in ("batch_log.txt", "batch_log_rank0.csv", "batches.jsonl", "run7_batch_log.txt", "batches-2.txt"):
        assert any(fnmatch.fnmatchcase(name, glob) for glob in GLOBS)
    for name in ("trainer_log.jsonl", "minibatch.csv", "batch_log.log", "batches.json"):
        assert not any(fnmatch.fnmatchcase(name, glob) for glob in GLOBS)
