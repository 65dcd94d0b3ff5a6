"""A small writer of TensorBoard event files. The tests must not share code with the reader."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from google_crc32c import value as crc32c

Row = tuple[int, Mapping[str, float]]


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def scalar(tag: str | bytes, number: float) -> bytes:
    raw = tag.encode() if isinstance(tag, str) else tag
    return part(1, part(1, raw) + b"\x15" + np.float32(number).tobytes())


def event(step: int, *values: bytes, wall: float = 1.7e9) -> bytes:
    at = b"\x10" + varint(step) if step else b""
    return b"\x09" + struct.pack("<d", wall) + at + part(5, b"".join(values))


VERSION = framed(b"\x09" + struct.pack("<d", 1.7e9) + part(3, b"brain.Event:2"))


def text(tag: str, content: str) -> bytes:
    tensor = part(8, b"\x08\x07" + part(2, part(2, b"\x08\x01")) + part(8, content.encode("utf-8", "surrogatepass")))
    return part(1, part(1, tag.encode()) + tensor + part(9, part(1, part(1, b"text"))))


def write_events(
    folder: Path, rows: Iterable[Row], *, start: float = 1.7e9, args: Mapping[str, object] | None = None
) -> Path:
    """An event file of (step, values by tag) rows, one second apart; `args` as Transformers writes its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{int(start)}.host.1.0"
    records = [VERSION]
    if args is not None:
        records.append(framed(event(0, text("args/text_summary", json.dumps(args)), wall=start)))
    for i, (step, values) in enumerate(rows):
        records.append(framed(event(step, *(scalar(tag, value) for tag, value in values.items()), wall=start + i)))
    path.write_bytes(b"".join(records))
    return path
