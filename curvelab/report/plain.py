"""Cleans what came from a log before a person or a terminal sees it: control codes, bidi overrides, endless names."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 2000  # of any one text on a page
MOST_MARKS = 3  # combining marks in a row; more only serve to paint over other lines

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_DIRECTIONS = (0x061C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_TAGS = tuple(range(0xE0000, 0xE0080))
_BREAKS = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_REMOVED: dict[int, str | None] = {**dict.fromkeys(_CONTROLS + _DIRECTIONS + _TAGS), **dict.fromkeys(_BREAKS, " ")}
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: object, most: int = MOST_CHARACTERS) -> str:
    """One line of printable text: no control codes, no bidi overrides, no lone surrogates, at most `most` long."""
    plain = str(text)
    if len(plain) > 4 * most:
        plain = plain[: 4 * most]
    plain = plain.translate(_REMOVED)
    if not plain.isascii():
        plain = _few_marks(_SURROGATES.sub("\ufffd", plain))
    return shortened(plain, most)


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the middle left out: both ends of a long name tell runs apart."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def _few_marks(text: str) -> str:
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)
