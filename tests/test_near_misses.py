"""An empty search says what it looked for and what nearly was it."""

from __future__ import annotations

import time

import pytest

from curvelab import discover
from curvelab.ingest import gather
from curvelab.sources import LFS_MARK


def told(folder) -> str:
    (error,) = gather([folder]).errors
    assert "looked for trainer_state.json" in error.message or "trainer_state.json" in error.message
    return error.message.partition("; nearest: ")[2].partition("; looked for ")[0]


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("trainer_state.jsn", "trainer_state.json"),
        ("Trainer-State.json", "trainer_state.json"),
        ("events.out.tfevent.1700000000.host", "*tfevents*"),
        ("run-abc.wanbd", "*.wandb"),
        ("trainer_log.json", "trainer_log.jsonl"),
    ],
)
def test_a_misspelt_name_is_named(tmp_path, name, like):
    (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_text("x")
    assert told(tmp_path) == f"{name} (like {like})"


def test_empty_files_and_pointers_come_first(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(b"")
    (tmp_path / "trainer_log.jsonl").write_bytes(LFS_MARK + b"v1\noid sha256:00\nsize 9\n")
    (tmp_path / "trainer_state.jsn").write_text("{}")
    (tmp_path / "notes.txt").write_text("nothing to see")
    found = told(tmp_path)
    assert "metrics.csv (empty)" in found
    assert "trainer_log.jsonl (a Git LFS pointer; fetch it with `git lfs pull`)" in found
    assert found.endswith("trainer_state.jsn (like trainer_state.json), notes.txt (nothing in it marks a training log)")


def test_at_most_five_are_named(tmp_path):
    for i in range(20):
        (tmp_path / f"trainer_state{i}.jsn").write_text("{}")
    assert told(tmp_path).count("(like ") == 5


def test_what_is_like_nothing_is_not_named(tmp_path):
    for name in ("model.safetensors", "tokenizer.json", "README.md", "main.py", "a.cfv"):
        (tmp_path / name).write_text("x")
    assert told(tmp_path) == ""


def test_discover_warns_with_the_same_words(tmp_path):
    (tmp_path / "trainer_state.jsn").write_text("{}")
    with pytest.warns(UserWarning, match=r"nearest: trainer_state.jsn"):
        assert discover(tmp_path) == []


def test_many_names_cost_little(tmp_path):
    for i in range(3_000):
        (tmp_path / f"trainer_{i}_weights_of_the_model.bin").touch()
    start = time.perf_counter()
    told(tmp_path)
    assert time.perf_counter() - start < 5
