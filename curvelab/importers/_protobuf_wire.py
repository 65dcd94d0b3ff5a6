"""A bounded walk over protobuf wire format: fields by number, no schema, nothing allocated that is not in the bytes.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10  # bytes


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read an unsigned varint; return it (modulo 2^64) and the position after it."""
    value = shift = 0
    for place in range(position, min(end, position + MAX_VARINT)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise WireError("a varint does not end")


def one_field(data: bytes, position: int, end: int) -> tuple[int, int, int | bytes, int]:
    """Read the field at `position`: its number, wire type, value and the position after it."""
    tag, position = varint(data, position, end)
    number, wire = tag >> 3, tag & 7
    value: int | bytes
    if wire == VARINT:
        value, position = varint(data, position, end)
    elif wire == BYTES:
        size, position = varint(data, position, end)
        if size > end - position:
            raise WireError("a length reaches past its message")
        value, position = data[position : position + size], position + size
    elif wire in (FIXED64, FIXED32):
        size = 8 if wire == FIXED64 else 4
        if size > end - position:
            raise WireError("a number reaches past its message")
        value, position = data[position : position + size], position + size
    else:
        raise WireError(f"wire type {wire} is not in use")
    if not number:
        raise WireError("a field number of 0")
    return number, wire, value, position


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield (number, wire type, value) of every field of a message. Raises WireError."""
    position, end = 0, len(data)
    while position < end:
        number, wire, value, position = one_field(data, position, end)
        yield number, wire, value


def messages(data: bytes, number: int) -> Iterator[bytes]:
    """Yield the bytes of every sub-message (or text) of one field number. Raises WireError."""
    for found, _, value in fields(data):
        if found == number and isinstance(value, bytes):
            yield value


def signed(value: int, bits: int = 64) -> int:
    """A varint as the two's complement number that int32 and int64 fields hold."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def text(data: bytes) -> str:
    """A string field; bytes that are no UTF-8 are replaced."""
    return data.decode("utf-8", "replace")


def timestamp(data: bytes) -> float | None:
    """A google.protobuf.Timestamp in Unix seconds, None for what is none."""
    try:
        parts = {number: value for number, _, value in fields(data) if isinstance(value, int)}
    except WireError:
        return None
    seconds = signed(parts.get(1, 0)) + signed(parts.get(2, 0), 32) / 1e9
    return seconds if parts else None
