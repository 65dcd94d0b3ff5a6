"""JSON as training tools write it: bare NaN, huge integers, byte-order marks, UTF-16, cut anywhere.

Own code beside orjson and the standard library because neither keeps the complete entries of a cut file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

_AFTER_ITEM = frozenset(" \t\r\n,]}")
_BARE = (b"NaN", b"Infinity")
_MAX_DIGITS = 400  # a longer integer is beyond float64 anyhow, and int() of it costs quadratic time
_TENSOR = re.compile(r"^\s*(?:tensor|array|np\.\w+)?\(?\s*([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf(?:inity)?))", re.I)


def decoded(raw: bytes) -> str:
    """Text of a JSON file whatever its byte-order mark; bytes that are no UTF-8 become U+FFFD."""
    if raw[:3] == b"\xef\xbb\xbf":
        return raw[3:].decode("utf-8", "replace")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8", "replace")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


_DECODER = json.JSONDecoder(parse_int=_integer)


def parse(raw: bytes) -> Any:
    """The value of a whole JSON file.

    orjson refuses bare NaN, so the bytes are searched for it first and the standard parser takes those files.
    Raises ValueError (with the place in its message) for a file that is cut or no JSON.
    """
    if raw[:1] in (b"{", b"[") and not any(word in raw for word in _BARE):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # the standard parser is more lenient about text encoding and integers
    try:
        return _DECODER.decode(decoded(raw))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def complete_items(text: str, start: int) -> Iterator[tuple[int, Any]]:
    """The complete items of a JSON array whose `[` stands at `start`: (position of the item, item).

    Stops without an error at the closing bracket or at the first item that is cut or damaged.
    """
    at = start + 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] == "]":
            return
        try:
            item, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if not isinstance(item, dict | list | str) and text[end : end + 1] not in _AFTER_ITEM:
            return  # a number that touches the end of the file, or a point behind it, may be cut
        yield at, item
        at = end


def number(value: Any) -> float | None:
    """A logged value as a float: numbers, bools, "NaN", "tensor(1.2)"; None for what is no number."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str) and len(value) < 80:
        try:
            return float(value)
        except ValueError:
            found = _TENSOR.match(value) if value.lstrip()[:6].lower().startswith(("tensor", "array", "np.")) else None
            return float(found.group(1)) if found else None
    return None


def one_value(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a position, and the position behind it. Raises ValueError when there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None
