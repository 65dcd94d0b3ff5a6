"""Size and hash of logs: exact, bounded, absent where there is no file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from curvelab import fingerprint as module
from curvelab.diagnosis import diagnose
from curvelab.fingerprint import fingerprint
from curvelab.ingest import load


def test_a_file_is_hashed_as_a_whole(write_state) -> None:
    path = write_state()
    entry = diagnose(load(path)).provenance["files"][0]
    content = path.read_bytes()
    assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert "hashed" not in entry


def test_of_a_huge_file_both_ends_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 100)
    monkeypatch.setattr(module, "END", 10)
    path = tmp_path / "huge"
    path.write_bytes(b"a" * 60 + b"b" * 60)
    expected = hashlib.sha256(b"a" * 10 + b"b" * 10).hexdigest()
    assert fingerprint(path) == {"size": 120, "sha256": expected, "hashed": "first and last 1 MiB"}


def test_a_changed_file_has_another_hash(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one")
    before = fingerprint(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert fingerprint(path)["sha256"] != before["sha256"]


def test_what_is_no_file_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", Path("a\0b"), Path("s3://bucket/a")):
        assert fingerprint(path) == {}
