"""JSON values as training logs write them: bare NaN, numbers past every range, nesting without end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import orjson

from curvelab.model.log import Floats

MAX_DEPTH = 64  # judgement: nobody nests hyperparameters deeper, and the readers after us may recurse
SAFE_DIGITS = 18  # more digits than this may not fit 64 bits

NUMBER = b"0123456789+-.eE"  # the bytes of a number that is neither NaN nor infinite
NAMED = {
    b"NaN": float("nan"),
    b"Infinity": float("inf"),
    b"-Infinity": float("-inf"),
    b"true": 1.0,
    b"false": 0.0,
}
NAMED |= {b'"%b"' % name: NAMED[name] for name in (b"NaN", b"Infinity", b"-Infinity")}


def loads(text: bytes) -> object:
    """Parse one JSON value; integers past 64 bits come as floats. Raises ValueError for what is no usable JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(text.decode("utf-8", "replace"), parse_int=_integer)
        except RecursionError:
            raise ValueError("nested too deeply") from None
    return _cleaned(value, MAX_DEPTH)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= SAFE_DIGITS else float(digits)


def _cleaned(value: object, depth: int) -> object:
    """The value with texts that can be encoded again (lone surrogates replaced). Raises ValueError when too deep."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if not isinstance(value, (dict, list)):
        return value
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_cleaned(entry, depth - 1) for entry in value]
    return {str(_cleaned(key, 0)): _cleaned(entry, depth - 1) for key, entry in value.items()}


def number(text: bytes) -> float | None:
    """The value of a JSON number, bool, or text that names NaN or an infinity; None for everything else."""
    text = text.strip()
    if text in NAMED:
        return NAMED[text]
    if text.translate(None, NUMBER):
        return None
    try:
        return float(text)  # past the range of a float64 this is an infinity, whatever the number of digits
    except ValueError:
        return None


def numbers(joined: bytes, count: int) -> Floats | None:
    """`count` texts, joined by commas, in one parse: float64[count]; None when one of them is no plain, finite number.

    Only digits, signs, spaces and commas are let through: then each comma stands between two numbers, and an equal
    count proves that every text was exactly one of them.
    """
    if joined.translate(None, NUMBER + b" ,"):
        return None
    try:
        found = orjson.loads(b"[%b]" % joined)
    except orjson.JSONDecodeError:
        return None
    if len(found) != count:
        return None
    values = np.array(found, np.float64)
    return values if np.isfinite(values).all() else None  # past the range of a float64: to be told one by one


def leaves(value: object, name: str, depth: int) -> Iterator[tuple[str, float | None]]:
    """Yield (dotted name, number) of every leaf of a plain dict; None for leaves that are no numbers."""
    if isinstance(value, dict) and "_type" not in value and depth:
        for key, entry in value.items():
            yield from leaves(entry, f"{name}.{key}", depth - 1)
    elif isinstance(value, (int, float)):
        yield name, float(value)
    elif isinstance(value, str):
        yield name, NAMED.get(b'"%b"' % value.encode())
    else:
        yield name, None
