"""The lines of a text log, one at a time, whatever its encoding; and the tally of what had to be dropped."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from io import IncrementalNewlineDecoder
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import HEAD, LFS_MARK, Source

MAX_LINE = 4 * 1024**2  # characters; a row of 20,000 columns has 400,000
LONGEST_HEAD = 16 * 1024**2  # bytes that recognition may look at for a few long lines
_FEW = 4  # lines that recognition wants to see
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
    """Iterates over (line number from 1, text without its line end) of a text that comes block by block.

    Empty lines are passed over. A line that is longer than MAX_LINE or has NUL bytes inside is dropped into the tally;
    NUL bytes around a line, as a machine that lost power leaves them, are cut off. `unended` says that the last line
    has no line end.
    """

    def __init__(self, blocks: Iterable[bytes], tally: Tally) -> None:
        self._blocks = blocks
        self._tally = tally
        self.unended = False

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number = 0
        rest = ""
        too_long = False  # the line that `rest` ends has been given up
        for text in self._texts():
            *whole, rest = (rest + text).split("\n")
            for line in whole:
                number += 1
                if line and not too_long and (plain := self._plain(number, line)):
                    yield number, plain
                too_long = False
            if too_long or len(rest) > MAX_LINE:
                if not too_long:
                    self._plain(number + 1, rest)
                rest, too_long = "", True
        if rest and (plain := self._plain(number + 1, rest)):
            self.unended = True
            yield number + 1, plain

    def _plain(self, number: int, line: str) -> str:
        """The line without NUL bytes around it; empty when it is dropped."""
        if len(line) > MAX_LINE:
            self._tally.drop(f"are longer than {MAX_LINE:,} characters", number)
            return ""
        if "\0" in line and "\0" in (line := line.strip("\0")):
            self._tally.drop("have NUL bytes inside", number)
            return ""
        return line

    def _texts(self) -> Iterator[str]:
        """The blocks as text, with every kind of line end (\\r\\n, \\r, \\n) as \\n."""
        decode = None
        for block in self._blocks:
            if decode is None:
                codec = codecs.getincrementaldecoder(encoding_of(block))(errors="replace")
                # a carriage return alone ends a line too, as progress bars and old Macs write it
                decode = IncrementalNewlineDecoder(codec, translate=True).decode
            yield decode(block)
        if decode is not None:
            yield decode(b"", final=True)


def encoding_of(raw: bytes) -> str:
    """The encoding that a byte-order mark announces, else UTF-8."""
    if raw[:3] == b"\xef\xbb\xbf":
        return "utf-8-sig"
    return "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def lines_of(source: Source, tally: Tally) -> Lines:
    """The lines of a text log. Raises UnreadableError for a git-lfs pointer and for an empty file."""
    refuse_empty(source)
    return Lines(source.blocks(), tally)


def refuse_empty(source: Source) -> None:
    """Raises UnreadableError for a git-lfs pointer and for an empty file, also one of blanks and NUL bytes only."""
    head = source.head
    if head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    if len(head) < HEAD and not head.strip(b"\x00 \t\r\n"):
        raise UnreadableError(source.path, "is empty; nothing to read")


def head_lines(source: Source, most: int = 200) -> list[str]:
    """The complete lines among the first bytes of a file, for recognition; the last one only if the file ends there.

    When lines are so long that few are complete, more of the file is looked at.
    """
    limit = HEAD
    while True:
        head = source.first(limit)
        lines = [text for _, text in Lines([head], Tally(source.path))]
        if len(head) < limit or len(head) >= source.size:
            return lines[:most]
        if len(lines) > _FEW or limit >= LONGEST_HEAD:
            return (lines if head.endswith(b"\n") else lines[:-1])[:most]
        limit *= 8
