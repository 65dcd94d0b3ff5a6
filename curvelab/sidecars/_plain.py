"""Values of untrusted files as plain ones: bounded in depth, number and size, so that everything after may walk them."""

from __future__ import annotations

import math
from collections.abc import Mapping

MAX_DEPTH = 12  # levels of nesting; real settings have five
MAX_VALUES = 200_000  # values of one file; a model with 21,843 labels has some 44,000
MAX_TEXT = 20_000  # characters of one text
_INT64 = 2**63


class Opaque:
    """Something that is no plain value: an object whose class is not looked up, a tensor, a cut or too deep part."""

    __slots__ = ("name", "state")

    def __init__(self, name: str = "", state: object = None) -> None:
        self.name = name
        self.state = state


def plain(tree: Mapping[object, object]) -> dict[str, object]:
    """A copy of a mapping that holds texts, numbers, bools, None, lists and dicts only; what is opaque is left out.

    Shared parts are copied each time they occur and counted, so a small file cannot stand for a huge tree.
    Raises ValueError when there are more than MAX_VALUES values.
    """
    copied = _Copy().of(tree, MAX_DEPTH)
    return copied if isinstance(copied, dict) else {}


class _Copy:
    def __init__(self) -> None:
        self.left = MAX_VALUES

    def of(self, value: object, depth: int) -> object:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            text = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
            return text.encode("utf-8", "replace").decode()  # without lone surrogates
        if isinstance(value, int):
            return value if -_INT64 <= value < _INT64 else math.copysign(math.inf, -1 if value < 0 else 1)
        if isinstance(value, float):
            return value
        if not isinstance(value, Mapping | list | tuple | set | frozenset) or not depth:
            return Opaque()
        if isinstance(value, Mapping):
            pairs = ((key, self.of(item, depth - 1)) for key, item in value.items() if isinstance(key, str | int))
            return {str(self.of(key, 0)): item for key, item in pairs if not isinstance(item, Opaque)}
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [item for item in (self.of(item, depth - 1) for item in items) if not isinstance(item, Opaque)]
