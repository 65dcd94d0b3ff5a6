"""Prints paragraphs on a terminal: wrapped at an indent, never read as markup, in ASCII where the terminal needs it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from curvelab.report.sentences import unbroken

WIDEST = 100  # of a paragraph; longer lines are hard to read
LABEL = 15  # columns, of the words before a hanging paragraph
Part = str | tuple[str, str]
NARROW, HELD = "\u202f", "\ue000"  # a space that does not break, and what stands for it while lines are broken
_ASCII = str.maketrans(
    {
        "→": ">", "–": "-", "−": "-", "…": ".", "’": "'", "≥": ">=", "■": "#", "▲": "!", "●": "*", "·": "-", "✓": "+",
        "\u202f": " ", "\u00a0": " ",
    }
)  # fmt: skip


class Printer:
    """Prints paragraphs at an indent; never reads markup, and falls back to ASCII where the terminal needs it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ascii = not console.encoding.lower().startswith("utf")
        self.width = max(20, min(console.width, WIDEST))

    def line(self, *parts: Part, indent: int = 0, most: int | None = None) -> None:
        """One paragraph of parts, each a text or (text, style), wrapped at the indent; `most` lines of it."""
        self._print("", parts, indent, most)

    def labelled(self, label: str, *parts: Part, indent: int = 0, most: int | None = None) -> None:
        """A paragraph that hangs beside its label; with an empty label it continues the one before."""
        self._print(f"{label:<{LABEL - indent}}", parts, indent, most)

    def as_written(self, text: str) -> None:
        """One line for copying, however long."""
        self.console.print(Text(self._safe(text)), highlight=False, soft_wrap=True)

    def _print(self, label: str, parts: tuple[Part, ...], indent: int, most: int | None = None) -> None:
        text = Text()
        for part in parts:
            words, style = (part, "") if isinstance(part, str) else part
            text.append(self._safe(unbroken(words)), style)
        text.plain = text.plain.replace(NARROW, HELD)  # rich would break a line there
        lines = text.wrap(self.console, self.width - indent - len(label), overflow="fold")
        for number, line in enumerate(lines[:most]):
            line.plain = line.plain.replace(HELD, NARROW)
            line.rstrip()
            if most is not None and number == most - 1 and len(lines) > most:
                line.truncate(self.width - indent - len(label) - 1)
                line.append(self._safe("…"))
            lead = Text(" " * indent).append(label if not number else " " * len(label), "dim")
            self.console.print(lead.append_text(line), highlight=False, soft_wrap=True)

    def _safe(self, text: str) -> str:
        return text.translate(_ASCII).encode("ascii", "replace").decode() if self.ascii else text
