"""The lines of a text log, one at a time, whatever its encoding; and the tally of what had to be dropped."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import LFS_MARK, Source

MAX_LINE = 4 * 1024**2  # characters; a row of 20,000 columns has 400,000
MAX_NOTES = 20  # reasons that are told one by one


class Tally:
    """What was dropped from one file, by reason: how often, and in which line first."""

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self._dropped: dict[str, tuple[int, int | None]] = {}

    def drop(self, reason: str, line: int | None = None, count: int = 1) -> None:
        """Count a loss. `reason` says what is wrong: "have fewer fields than the header"."""
        before, first = self._dropped.get(reason, (0, line))
        self._dropped[reason] = (before + count, first)

    def __bool__(self) -> bool:
        return bool(self._dropped)

    def notes(self, kept: int, unit: str = "lines") -> list[Note]:
        """One note a reason: what was dropped, where first, and how much was kept."""
        lost = sum(count for count, _ in self._dropped.values())
        notes = [
            Note(
                level="warning",
                text=f"{count:,} {unit} {reason}; dropped ({kept:,} of {kept + lost:,} kept)",
                file=self.file,
                line=line,
            )
            for reason, (count, line) in list(self._dropped.items())[:MAX_NOTES]
        ]
        if more := len(self._dropped) - len(notes):
            notes.append(Note(level="warning", text=f"{more:,} more kinds of damage", file=self.file))
        return notes

    def warn(self, text: str, line: int | None = None) -> Note:
        """A note of level warning on this file."""
        return Note(level="warning", text=text, file=self.file, line=line)

    def say(self, text: str, line: int | None = None) -> Note:
        """A note of level info on this file."""
        return Note(level="info", text=text, file=self.file, line=line)


class Lines:
    """Iterates over (line number from 1, text without its line end).

    A line that is longer than MAX_LINE or has NUL bytes inside is dropped into the tally; NUL bytes around a line, as a
    machine that lost power leaves them, are cut off. `unended` says that the last line has no line end.
    """

    def __init__(self, raw: bytes, tally: Tally) -> None:
        # newline=None: a carriage return alone ends a line too, as progress bars and old Macs write it
        self._stream = TextIOWrapper(BytesIO(raw), encoding=encoding_of(raw), errors="replace", newline=None)
        self._tally = tally
        self.unended = False

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number = 0
        while line := self._stream.readline(MAX_LINE):
            number += 1
            self.unended = line[-1] != "\n"
            if self.unended and len(line) >= MAX_LINE:
                while line and line[-1] != "\n":
                    line = self._stream.readline(MAX_LINE)
                self._tally.drop(f"are longer than {MAX_LINE:,} characters", number)
                continue
            text = line.rstrip("\n")
            if "\0" in text:
                text = text.strip("\0")
                if "\0" in text:
                    self._tally.drop("have NUL bytes inside", number)
                    continue
            yield number, text


def encoding_of(raw: bytes) -> str:
    """The encoding that a byte-order mark announces, else UTF-8."""
    if raw[:3] == b"\xef\xbb\xbf":
        return "utf-8-sig"
    return "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def text_of(source: Source) -> bytes:
    """The bytes of a text log. Raises UnreadableError for a git-lfs pointer and for an empty file."""
    if source.head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    raw = source.read_bytes()
    if not raw.strip(b"\x00 \t\r\n"):
        raise UnreadableError(source.path, "is empty; nothing to read")
    return raw


def head_lines(source: Source, most: int = 200) -> list[str]:
    """The complete lines among the first bytes of a file, for recognition; the last one only if the file ends there."""
    head = source.head
    lines = [text for _, text in Lines(head, Tally(source.path))]
    if len(head) < source.size and lines and not head.endswith(b"\n"):
        lines.pop()
    return lines[:most]
