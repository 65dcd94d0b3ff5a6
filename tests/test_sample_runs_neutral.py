"""The sample runs must not tell where, or by whom, they were made."""

from __future__ import annotations

import getpass
import re
import socket
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "sample_runs"
CACHES = {"__pycache__", ".ruff_cache", ".mypy_cache"}
FILES = sorted(path for path in ROOT.rglob("*") if path.is_file() and not CACHES & set(path.parts))

START = rb"(?<![A-Za-z0-9_.~-])"  # a path begins here: what stands before belongs to no name
TRACES = {
    "a path of one machine": re.compile(
        START + rb"/(?:root|work|tmp|opt|Users|mnt|workspace|var/folders)(?![A-Za-z0-9_-])"
    ),
    "a home": re.compile(START + rb"/home/(?!user(?![A-Za-z0-9_-]))[A-Za-z0-9_-]+"),
    "an e-mail address": re.compile(rb"[A-Za-z0-9_+-][A-Za-z0-9._+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
    "an API key": re.compile(
        rb"\b(?:hf_[A-Za-z0-9]{30,}|wandb_v1_\w{30,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})"
        rb"|(?i:api_?key|secret|password)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9_-]{16,}"
        rb"|(?<![A-Za-z0-9+])[0-9a-f]{40}(?![A-Za-z0-9])"  # a W&B key; behind a plus it is the commit of a version
    ),
}
BLOCK, HEADER = 32_768, 7  # of a .wandb file: a LevelDB log


def this_machine() -> dict[str, re.Pattern[bytes]]:
    """The names of this host and user, where they are too particular to be ordinary words."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    names = {"this host's name": socket.gethostname(), "this user's name": user}
    ordinary = {"root", "user", "trainer", "runner", "localhost", "ubuntu", "admin"}
    return {
        what: re.compile(rb"(?<![A-Za-z0-9])" + re.escape(name.encode()) + rb"(?![A-Za-z0-9])")
        for what, name in names.items()
        if len(name) >= 4 and name not in ordinary
    }


def unblocked(data: bytes) -> bytes:
    """The payload of a .wandb file without the headers that cut it in pieces."""
    pieces, at = [], HEADER
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        length = struct.unpack_from("<IHB", data, at)[1]
        pieces.append(data[at + HEADER : at + HEADER + length])
        at += HEADER + length
    return b"".join(pieces)


def traces(data: bytes) -> list[str]:
    """What in the bytes would tell where they come from."""
    patterns = TRACES | this_machine()
    return [f"{what}: {hit.group()!r}" for what, pattern in patterns.items() for hit in pattern.finditer(data)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_trace_of_a_machine(path: Path) -> None:
    data = path.relative_to(ROOT).as_posix().encode() + b"\n" + path.read_bytes()
    if path.suffix == ".wandb":
        data += b"\n" + unblocked(path.read_bytes())
    assert traces(data) == []


def test_there_is_something_to_scan() -> None:
    suffixes = {path.suffix for path in FILES}
    assert {".wandb", ".json", ".toml", ".md"} <= suffixes
    assert any(path.name.startswith("events.out.tfevents.") for path in FILES)


@pytest.mark.parametrize(
    "tainted",
    [
        b'"output_dir": "/root/out"',
        b"\x12\x09/work/run",
        b"cwd /tmp/abc",
        b'"/home/alice/models"',
        b"/Users/alice",
        b"file:///opt/venv/bin/python",
        b"by alice.smith@example.org today",
        b'"api_key": "0123456789abcdef0123"',
        b"hf_" + b"aB3" * 12,
        b"0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_a_tainted_file_is_caught(tainted: bytes) -> None:
    assert traces(b"{}\x00 " + tainted + b" \x00{}")


def test_the_names_of_this_machine_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-node-17")
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    assert len(traces(b"events.out.tfevents.1.gpu-node-17.5.0 by alice")) == 2
    assert traces(b"malice, palice, gpu-node-170") == []


def test_a_path_cut_by_a_block_border_is_caught() -> None:
    first = b"x" * (BLOCK - 2 * HEADER - 5) + b" /hom"
    second = b"e/alice "
    data = b":W&B\xe1\xbe\x00" + b"".join(
        struct.pack("<IHB", 0, len(piece), kind) + piece for piece, kind in ((first, 2), (second, 4))
    )
    assert not traces(data)
    assert traces(unblocked(data))


@pytest.mark.parametrize("innocent", [b"/home/user/out", b"./runs/x", b"and/or/root-cause", b"train/opt", b"lr/tmp"])
def test_ordinary_text_passes(innocent: bytes) -> None:
    assert traces(innocent) == []
