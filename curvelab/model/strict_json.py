"""JSON that every parser accepts: no NaN, no halves of surrogate pairs (bytes of file names that are no UTF-8)."""

from __future__ import annotations

import math
import re
from typing import Any

# What no one sees in a terminal but the terminal: C1 controls, marks of direction, separators. Escaped they are the same text.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def strict(value: Any) -> Any:
    """Replace non-finite floats by their names, deeply: strict JSON has no NaN."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


def encodable(text: str) -> str:
    """The text with lone surrogates as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encoded(value: Any) -> bytes:
    """A value as strict JSON in one line."""
    import msgspec  # here, for a command that needs only `encodable` starts without it

    plain = strict(value)
    try:
        text = msgspec.json.encode(plain)
    except UnicodeEncodeError:
        text = msgspec.json.encode(_encodable_deep(plain))
    return text if text.isascii() and b"\x7f" not in text else _UNSEEN.sub(_escaped, text.decode()).encode()


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _encodable_deep(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(key): _encodable_deep(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable_deep(item) for item in value]
    return value
