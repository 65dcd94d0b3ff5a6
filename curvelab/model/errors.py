"""The errors curvelab raises on purpose.

    CurvelabError
    ├── UsageError          the caller asked for something that does not exist (exit code 2)
    └── UnreadableError     an input that could not be read as a training log (exit code 3 or 4)

Every message is one line that says where, what was found and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class CurvelabError(Exception):
    """Base of all errors that curvelab raises on purpose."""


class UsageError(CurvelabError):
    """A wrong argument, setting, pattern or metric name."""


class UnreadableError(CurvelabError):
    """An input that holds no readable training log."""

    def __init__(self, path: str | Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = str(path)
        self.message = message


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest known name, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""
