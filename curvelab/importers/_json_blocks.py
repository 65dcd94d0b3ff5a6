"""A long list inside a JSON object, a block of entries at a time: one dict an entry costs several times the file.

The list is cut where an entry ends. That a place is such an end is proved by parsing: what stands between two ends must
be whole entries, so a cut inside a text or a nested value does not go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from curvelab.importers._json_text import parse

BLOCK = 1024**2  # bytes of entries that are parsed together
_TRIES = 50  # places at which a block may turn out not to end
_BETWEEN = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")
_MARK, _MARK_JSON = "\0entries", b'"\\u0000entries"'  # stands in the list for the entries that were taken out


class DamagedJsonError(ValueError):
    """What was to be read in blocks is no whole JSON."""


class ListInBlocks:
    """The list under a key at the top of a JSON object: first `entries()`, then `rest` is the object around it."""

    def __init__(self, raw: bytes, key: str) -> None:
        self.rest: dict[str, Any] = {}
        self._raw = raw
        self._key = key

    def entries(self) -> Iterator[Any]:
        """The entries in their order.

        Raises, be it after the last entry, DamagedJsonError when the file is no whole JSON, ValueError when it has no such
        list at its top.
        """
        opening = re.search(rb'"%b"[ \t\r\n]*:[ \t\r\n]*\[' % self._key.encode(), self._raw)
        if opening is None:
            raise ValueError(f"no list {self._key}")
        at = opening.end()
        while (block := self._block(at)) is not None:
            some, at = block
            yield from some
        behind = self._raw[at:]
        comma = b"" if behind.lstrip().startswith(b"]") else b","
        try:
            whole = parse(self._raw[: opening.end()] + _MARK_JSON + comma + behind)
        except ValueError as error:  # its place is not that in the file
            raise DamagedJsonError(getattr(error, "msg", None) or str(error)) from None
        left = whole.pop(self._key, None) if isinstance(whole, dict) else None
        if not isinstance(left, list) or left[:1] != [_MARK]:
            raise ValueError(f"{self._key} is no list at the top")
        yield from left[1:]
        self.rest = whole

    def _block(self, at: int) -> tuple[list[Any], int] | None:
        """The next entries and the place of the one behind them; None when the rest is to be parsed as a whole."""
        near = at + BLOCK
        for _ in range(_TRIES):
            cut = _BETWEEN.search(self._raw, near)
            if cut is None:
                return None
            try:
                return parse(b"[" + self._raw[at : cut.start() + 1] + b"]"), cut.end() - 1
            except ValueError:
                near = cut.start() + 1
        return None
