"""Note: what an importer repaired, dropped or guessed."""

from __future__ import annotations

from typing import Literal

import msgspec


class Note(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line about an input: where, what, and what was kept.

    `line` counts from 1, `byte` from 0. Level `info` is a fact, `warning` means that something was dropped or guessed.
    """

    level: Literal["info", "warning"]
    text: str
    file: str | None = None
    line: int | None = None
    byte: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}"
        if self.byte is not None:
            place += f" @byte {self.byte}"
        return f"{place}: {self.text}" if place else self.text
