"""A card: the docstring at the top of a detector's or an importer's file."""

from __future__ import annotations

import re


def sections(card: str) -> dict[str, str]:
    """The headings of a card and their paragraphs, in order; "" is the title sentence.

    A heading is a line that is underlined by three hyphens or more.
    """
    parts = re.split(r"^([^\n]+)\n-{3,}\n", card.strip() + "\n", flags=re.M)
    return {"": parts[0].strip(), **{parts[i].strip(): parts[i + 1].strip() for i in range(1, len(parts) - 1, 2)}}
