"""The protobuf meaning of one record: an Event with its scalars and texts. This is the plain reader and the reference.

Every wire field is bounded by the field around it; the four messages that matter (Event, Summary, Value, TensorProto)
are walked by one function each, so nothing recurses and deep nesting is skipped like any other bytes. Beside the values
the reader keeps where they stood: `columns` decodes many records of one layout from these places.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 (groups) are not used by these messages
START = 1  # SessionLog.SessionStatus
STRING, BFLOAT16, HALF = 7, 14, 19  # TensorFlow's DataType
_NUMPY = {1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", 9: "<i8", 10: "|u1", 17: "<u2", 19: "<f2",
          22: "<u4", 23: "<u8"}  # fmt: skip
_FORMAT = {"<f4": "<f", "<f8": "<d", "<i4": "<i", "|u1": "<B", "<i2": "<h", "|i1": "<b", "<i8": "<q",
           "<u2": "<H", "<f2": "<e", "<u4": "<I", "<u8": "<Q"}  # fmt: skip
# TensorProto field -> type of an item: float, double, int, int64, bool, half, uint32 and uint64 `_val`
_LISTS = {5: "<f4", 6: "<f8", 7: "int", 10: "int", 11: "int", 13: "half", 16: "uint", 17: "uint"}


class MalformedError(ValueError):
    """Bytes that are no protobuf message, although their checksum holds."""


@dataclass(slots=True)
class Value:
    """One value of a summary. `number_at` is -1 where the number is not a fixed-width field at one known place."""

    tag: bytes = b""
    tag_at: int = -1
    kind: Literal["none", "number", "text", "other"] = "none"
    number: float = 0.0
    number_at: int = -1
    number_type: str = ""
    tensor: bool = False
    text: bytes = b""
    plugin: bytes | None = None
    content: bytes = b""


@dataclass(slots=True)
class Event:
    """One record. `simple` says that no field came twice, so that the places below are the only ones that matter."""

    wall_time: float = float("nan")
    wall_at: int = -1
    step: int = 0
    step_at: int = -1
    step_size: int = 0
    version: bytes = b""
    starts: bool = False
    values: list[Value] = field(default_factory=list)
    simple: bool = True


def read_event(data: bytes) -> Event:
    """The Event of a record's payload. Raises MalformedError."""
    event = Event()
    for number, wire, at, end, raw in _fields(data, 0, len(data)):
        if number == 1 and wire == FIXED64:
            event.simple &= event.wall_at < 0
            event.wall_at = at
            (event.wall_time,) = struct.unpack_from("<d", data, at)
        elif number == 2 and wire == VARINT:
            event.simple &= event.step_at < 0
            event.step_at, event.step_size = at, end - at
            event.step = _signed(raw)
        elif number == 3 and wire == BYTES:
            event.version = data[at:end]
        elif number == 5 and wire == BYTES:
            for inner, kind, start, stop, _ in _fields(data, at, end):
                if inner == 1 and kind == BYTES:
                    event.values.append(_value(data, start, stop, event))
        elif number == 7 and wire == BYTES:
            event.starts |= any(n == 1 and w == VARINT and v == START for n, w, _, _, v in _fields(data, at, end))
    return event


def _value(data: bytes, at: int, end: int, event: Event) -> Value:
    value = Value()
    for number, wire, start, stop, _ in _fields(data, at, end):
        if number == 1 and wire == BYTES:
            event.simple &= value.tag_at < 0
            value.tag, value.tag_at = data[start:stop], start
        elif number == 2 and wire == FIXED32:
            event.simple &= value.kind == "none"
            value.kind, value.tensor = "number", False
            value.number_at, value.number_type = start, "<f4"
            (value.number,) = struct.unpack_from("<f", data, start)
        elif number in (3, 4, 5, 6) and wire == BYTES:  # old histogram, image, histogram, audio
            event.simple &= value.kind == "none"
            value.kind = "other"
        elif number == 8 and wire == BYTES:
            event.simple &= value.kind == "none"
            _tensor(data, start, stop, value)
        elif number == 9 and wire == BYTES:
            _metadata(data, start, stop, value)
    return value


def _metadata(data: bytes, at: int, end: int, value: Value) -> None:
    """SummaryMetadata.plugin_data: the plugin's name and its own bytes."""
    for number, wire, start, stop, _ in _fields(data, at, end):
        if number == 1 and wire == BYTES:
            value.plugin = value.plugin or b""
            for inner, kind, first, last, _ in _fields(data, start, stop):
                if inner == 1 and kind == BYTES:
                    value.plugin = data[first:last]
                elif inner == 2 and kind == BYTES:
                    value.content = data[first:last]


def _tensor(data: bytes, at: int, end: int, value: Value) -> None:
    """A TensorProto of one element becomes a number or a text; anything else is "other"."""
    value.kind, value.tensor, value.number_at = "other", True, -1
    dtype, elements, content, listed, text = 0, 1, (-1, -1), (0, -1, -1), None
    for number, wire, start, stop, raw in _fields(data, at, end):
        if number == 1 and wire == VARINT:
            dtype = raw
        elif number == 2 and wire == BYTES:
            elements = _elements(data, start, stop)
        elif number == 4 and wire == BYTES:
            content = (start, stop)
        elif number == 8 and wire == BYTES and text is None:
            text = data[start:stop]
        elif number in _LISTS and listed[0] == 0 and stop > start:
            listed = (number, start, stop)
    if dtype == STRING:
        if text is not None and elements == 1:
            value.kind, value.text = "text", text
    elif elements == 1 and (dtype in _NUMPY or dtype == BFLOAT16):
        if content[1] > content[0]:
            _from_content(data, content, dtype, value)
        elif listed[0]:
            _from_list(data, listed, dtype, value)
        else:  # TensorFlow leaves a zero out
            value.kind, value.number = "number", 0.0


def _elements(data: bytes, at: int, end: int) -> int:
    """The number of elements of a TensorShapeProto; -1 when it is not known."""
    elements = 1
    for number, wire, start, stop, raw in _fields(data, at, end):
        if number == 2 and wire == BYTES:
            sizes = [_signed(v) for n, w, _, _, v in _fields(data, start, stop) if n == 1 and w == VARINT]
            elements = 1 if elements == 1 and sizes[-1:] == [1] else -1
        elif number == 3 and wire == VARINT and raw:
            elements = -1
    return elements


def _from_content(data: bytes, content: tuple[int, int], dtype: int, value: Value) -> None:
    start, stop = content
    if dtype == BFLOAT16:
        if stop - start == 2:
            value.kind, value.number = "number", _bfloat16(int.from_bytes(data[start:stop], "little"))
        return
    kind = _NUMPY[dtype]
    if stop - start == struct.calcsize(_FORMAT[kind]):
        value.kind, value.number_at, value.number_type = "number", start, kind
        value.number = float(struct.unpack_from(_FORMAT[kind], data, start)[0])


def _from_list(data: bytes, listed: tuple[int, int, int], dtype: int, value: Value) -> None:
    """The first item of a `*_val` list, packed or not."""
    number, start, stop = listed
    kind = _LISTS[number]
    if kind in _FORMAT:
        if stop - start >= struct.calcsize(_FORMAT[kind]):
            value.kind, value.number_at, value.number_type = "number", start, kind
            value.number = float(struct.unpack_from(_FORMAT[kind], data, start)[0])
        return
    raw, _ = _varint(data, start, stop)
    value.kind = "number"
    if kind != "half":
        value.number = float(_signed(raw) if kind == "int" else raw)
    elif dtype == BFLOAT16:
        value.number = _bfloat16(raw & 0xFFFF)
    else:
        value.number = float(struct.unpack("<e", struct.pack("<H", raw & 0xFFFF))[0])


def _bfloat16(bits: int) -> float:
    """bfloat16 is the upper half of a float32."""
    return float(struct.unpack("<f", struct.pack("<I", bits << 16))[0])


def read_hparams(content: bytes) -> dict[str, float | str | bool]:
    """The hyperparameters of an HParamsPluginData message that starts a session. Raises MalformedError."""
    found: dict[str, float | str | bool] = {}
    for number, wire, at, end, _ in _fields(content, 0, len(content)):
        if number != 3 or wire != BYTES:  # session_start_info
            continue
        for inner, kind, start, stop, _ in _fields(content, at, end):
            if inner == 1 and kind == BYTES:
                name, value = _hparam(content, start, stop)
                if value is not None:
                    found[name] = value
    return found


def _hparam(content: bytes, at: int, end: int) -> tuple[str, float | str | bool | None]:
    """One entry of the map: its key and a google.protobuf.Value of a number, text or bool."""
    name = ""
    value: float | str | bool | None = None
    for number, wire, start, stop, _ in _fields(content, at, end):
        if number == 1 and wire == BYTES:
            name = content[start:stop].decode("utf-8", "replace")
        elif number == 2 and wire == BYTES:
            for inner, kind, first, last, raw in _fields(content, start, stop):
                if inner == 2 and kind == FIXED64:
                    (value,) = struct.unpack_from("<d", content, first)
                elif inner == 3 and kind == BYTES:
                    value = content[first:last].decode("utf-8", "replace")
                elif inner == 4 and kind == VARINT:
                    value = bool(raw)
    return name, value


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(field number, wire type, first byte, byte after the last, value of a varint) of a message in data[at:end]."""
    while at < end:
        key = data[at]
        at += 1
        if key > 127:
            key, at = _varint(data, at - 1, end)
        wire = key & 7
        raw = 0
        start = at
        if wire == BYTES:
            size, start = _varint(data, at, end)
            at = start + size
        elif wire == VARINT:
            raw, at = _varint(data, at, end)
        elif wire == FIXED32:
            at += 4
        elif wire == FIXED64:
            at += 8
        else:
            raise MalformedError(f"wire type {wire} at byte {at}")
        if at > end or key < 8:
            raise MalformedError(f"a field leaves its message at byte {start}")
        yield key >> 3, wire, start, at, raw


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(unsigned 64-bit value, byte after it)."""
    value = shift = 0
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + 1
        shift += 7
    raise MalformedError(f"a varint does not end at byte {at}")


def _signed(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw
