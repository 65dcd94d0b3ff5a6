"""A gzip, member by member and block by block: all that can be unpacked is given, and never much of it is held.

Own code around zlib because the gzip module stops at the first fault: one flipped bit would cost all that follows, and
what a call had unpacked before the fault besides.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

GZIP = b"\x1f\x8b"
MAX_UNPACKED = 2 * 1024**3  # bytes that one file may unpack to
MAX_RATIO = 100  # logs pack some 5 to 30 : 1, a bomb up to 1,032 : 1; judgement
ALWAYS = 64 * 1024**2  # bytes that any file may unpack to, whatever its ratio

_BLOCK = 4 * 1024  # packed bytes at a time: they unpack to 4 MB at most
_MEMBER = b"\x1f\x8b\x08"
_SURE = 1024  # unpacked bytes that no random data behind a chance mark yields
_TRIES = 200  # marks behind a fault that are tried as the beginning of a member


@dataclass(frozen=True)
class Fault:
    """What is wrong at a byte of the packed file, and what was kept."""

    byte: int
    text: str


@dataclass
class Unpacking:
    """Iterates over the unpacked blocks of a gzip of `size` bytes; `faults` are complete when the iteration has ended."""

    file: BinaryIO
    size: int
    faults: list[Fault] = field(default_factory=list)
    given: int = 0
    _tries: int = 0

    def __iter__(self) -> Iterator[bytes]:
        limit = min(MAX_UNPACKED, max(ALWAYS, self.size * MAX_RATIO))
        at = 0
        while at < self.size:
            blocks = self._member(at)
            while True:
                try:
                    block = next(blocks)
                except StopIteration as end:
                    end_at, what = end.value
                    break
                if self.given + len(block) > limit:
                    yield block[: limit - self.given]
                    self.given = limit
                    self._fault(at, "more is packed in it than a log's size allows")
                    return
                self.given += len(block)
                yield block
            at = end_at
            if what:
                self._fault(at, what)
            following = self._following(at, searched=bool(what))
            if not what and not self._is_padding(at, following):
                self._fault(at, f"{following - at:,} bytes behind a member are no gzip; dropped")
            at = following

    def _fault(self, byte: int, what: str) -> None:
        self.faults.append(Fault(byte, f"{what}; the {self.given:,} bytes unpacked before it were kept"))

    def _member(self, at: int) -> Generator[bytes, None, tuple[int, str]]:
        """Give the blocks of the member at a place; return where it ends, and what is wrong there, if anything."""
        engine = zlib.decompressobj(31)
        while at < self.size and not engine.eof:
            self.file.seek(at)
            packed = self.file.read(min(_BLOCK, self.size - at))
            if not packed:
                break
            before = engine.copy()
            try:
                block = engine.decompress(packed)
            except zlib.error:
                blocks, fault_at, what = _up_to_fault(before, packed)
                yield from blocks
                return at + fault_at, what
            at += len(packed) - len(engine.unused_data)
            if block:
                yield block
        return (at, "") if engine.eof else (self.size, "the gzip is cut")

    def _following(self, at: int, searched: bool) -> int:
        """Where the next member begins, at or behind a place; the size of the file when there is none.

        searched  the place is no end of a member: a mark there may be chance, so it must lead to something
        """
        while at < self.size and self._tries < _TRIES:
            self.file.seek(at)
            window = self.file.read(min(_BLOCK, self.size - at))
            if not window:
                return self.size
            mark = window.find(_MEMBER)
            if mark < 0:
                at += max(1, len(window) - len(_MEMBER) + 1)
            elif (mark == 0 and not searched) or self._leads_to_data(at + mark):
                return at + mark
            else:
                at, searched = at + mark + 1, True
        return self.size

    def _is_padding(self, at: int, end: int) -> bool:
        """Whether there is nothing but NUL bytes between two places, as tapes and some copying tools leave them."""
        while at < end:
            self.file.seek(at)
            window = self.file.read(min(_BLOCK, end - at))
            if window.strip(b"\0"):
                return False
            at += max(1, len(window))
        return True

    def _leads_to_data(self, at: int) -> bool:
        self._tries += 1
        blocks, unpacked = self._member(at), 0
        while unpacked < _SURE:
            try:
                unpacked += len(next(blocks))
            except StopIteration as end:
                return unpacked > 0 and end.value[1] in ("", "the gzip is cut")
        return True


def _up_to_fault(engine: zlib._Decompress, packed: bytes) -> tuple[list[bytes], int, str]:
    """What the packed bytes yield before the one that does not fit, the place of that one, and what zlib says."""
    blocks = []
    for place in range(len(packed)):
        try:
            blocks.append(engine.decompress(packed[place : place + 1]))
        except zlib.error as error:
            what = str(error).rpartition(": ")[2]
            return [b"".join(blocks)], place + 1, f"the gzip is damaged ({what})"
    return [b"".join(blocks)], len(packed), "the gzip is damaged"
