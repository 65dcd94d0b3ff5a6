"""A text from a log or a detector as a sentence that people read."""

from __future__ import annotations

import re

from curvelab.report.plain import clean

_UNIT = re.compile(r"(\d) (%|(?:GB|MB|nats|h|min|s|d|GPU-hours)\b)")


def sentence(text: str) -> str:
    """A headline as a sentence: cleaned, with a full stop, and a capital unless it begins with a metric's name."""
    plain = unbroken(clean(text, 600))
    first = plain.partition(" ")[0]
    if first.isalpha() and first.islower():
        plain = plain[0].upper() + plain[1:]
    return plain if plain.endswith((".", "!", "?")) else plain + "."


def unbroken(text: str) -> str:
    """A text in which no line ends between a number and its sign or unit."""
    return _UNIT.sub("\\1\u202f\\2", text)
