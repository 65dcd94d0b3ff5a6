"""Writes the README's generated tables from the cards of the detectors and importers: python tests/update_readme.py"""

from __future__ import annotations

import re
from pathlib import Path

from curvelab.cards import format_table_markdown, pattern_table_markdown

README = Path(__file__).resolve().parents[1] / "README.md"


def updated(text: str) -> str:
    """The README with its generated tables as the cards have them now."""
    for name, table in (("patterns", pattern_table_markdown()), ("formats", format_table_markdown())):
        text, count = re.subn(
            rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", lambda m: m[1] + table + m[2], text, flags=re.S  # noqa: B023
        )
        if count != 1:
            raise ValueError(f"README.md has no block for {name}")
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
