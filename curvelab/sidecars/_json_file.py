"""JSON objects as people and trainers write them: byte-order marks, bare NaN, integers without end."""

from __future__ import annotations

import json
from typing import Any

from curvelab.beside import contents
from curvelab.model.errors import UnreadableError
from curvelab.sidecars._plain import plain
from curvelab.sources import Source

MAX_BYTES = 4 * 1024**2  # a model's config with a large label map has some 100 kB
_MAX_DIGITS = 18  # more may not fit 64 bits


def json_object(source: Source) -> dict[str, Any]:
    """The object of a JSON file, plain values only. Raises UnreadableError when there is none."""
    raw = contents(source, MAX_BYTES)
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        tree = json.loads(raw.decode(encoding, "replace"), parse_int=_integer)
        if isinstance(tree, dict):
            return plain(tree)
        why = "no JSON object"
    except RecursionError:
        why = "nested too deeply"
    except ValueError as error:
        why = f"no usable JSON ({error})"
    raise UnreadableError(source.path, f"{why}; its settings are not used")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
