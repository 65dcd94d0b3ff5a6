"""The entries of a damaged JSON list of objects: behind a damaged place the next entry whose syntax holds is looked for.

Own code because a JSON parser gives up at the first fault, and one flipped bit would cost all that was logged later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from curvelab.importers._json_text import one_value

MAX_TRIES = 2_000  # places behind damage at which an entry is looked for, in one file
MAX_ENTRY = 1 << 20  # characters of an entry behind damage: a try never costs more than this
_BLANK = re.compile(r"[ \t\r\n,]*")
_OPENING = re.compile(r'\{\s*"')
_CLOSED = re.compile(r"\s*(?:,|\]|$|.?\s*\{)", re.S)  # what may follow an entry; one flipped comma does not cost it
_END = re.compile(r"\](?!\s*\{)")
_BEHIND = re.compile(r'\]\s*(?:\}|,\s*"\w+"\s*:)')


@dataclass(frozen=True)
class Gap:
    """Characters `start` to `end` of the text were dropped."""

    start: int
    end: int


@dataclass
class Salvaged:
    """How many entries hold, what lay between that did not; where the first one begins, and the end of the last."""

    count: int = 0
    gaps: list[Gap] = field(default_factory=list)
    begin: int = 0
    end: int = 0


def entries(
    text: str, start: int, take: Callable[[dict[str, Any]], None], plausible: Callable[[dict[str, Any]], bool]
) -> Salvaged:
    """All entries of the list whose first one stands at `start` or behind it.

    take        is given the entries one by one
    plausible   whether an object behind damage is an entry, not a part of one; entries before damage are all taken
    """
    found = Salvaged(begin=start, end=start)
    tries = 0
    while True:
        at = _behind_blanks(text, found.end)
        if at >= len(text) or _END.match(text, at):
            return found
        item, end = _entry(text, at)
        if item is None:
            lost = at
            while item is None:
                opening = _OPENING.search(text, at + 1) if tries < MAX_TRIES else None
                if opening is None:
                    behind = _BEHIND.search(text, lost)
                    found.end = behind.start() if behind else len(text)
                    found.gaps.append(Gap(lost, found.end))
                    return found
                tries += 1
                at = opening.start()
                item, end = _entry(text[at : at + MAX_ENTRY], 0)
                item, end = (item, at + end) if item is not None and plausible(item) else (None, at)
            found.gaps.append(Gap(lost, at))
        found.begin = found.begin if found.count else at
        found.count += 1
        take(item)
        found.end = end


def _behind_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _entry(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins at a position and the position behind it; None when none does or nothing fits behind it."""
    try:
        item, end = one_value(text, at)
    except ValueError:
        return None, at
    return (item, end) if isinstance(item, dict) and _CLOSED.match(text, end) else (None, at)
