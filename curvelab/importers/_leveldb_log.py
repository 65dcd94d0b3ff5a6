"""Block framing of a LevelDB log: the records out of the bytes, past whatever is damaged.

A log is a row of blocks of 32 KiB. A block holds chunks, each a header (crc32 u32, length u16, kind u8) and a payload.
A chunk never crosses a block, a record is one chunk (full) or several (first, middle …, last). W&B counts its offsets
from the start of the file, so that its own 7-byte header lies within the first block, and takes the plain IEEE crc32
of kind and payload, unmasked.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

BLOCK = 32 * 1024  # bytes
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

SEARCH = 1024**3  # bytes to checksum in one file in search of chunks behind damage; past it, on to the next block
CANDIDATE = 64  # what looking at one candidate costs in that account, on top of its bytes

_KIND = re.compile(rb"[\x01-\x04]")


@dataclass(frozen=True)
class Gap:
    """A place where records were lost: `lost` of them at least, exactly so many when `exact`.

    `cut` marks the end of a log whose last bytes were never written, as a killed writer leaves it.
    """

    byte: int
    reason: str
    lost: int
    exact: bool = True
    cut: bool = False


@dataclass
class LogReader:
    """Walks the records of a log from `start`; `gaps` fills while it is walked."""

    data: bytes
    start: int = 0
    gaps: list[Gap] = field(default_factory=list)
    _search: int = SEARCH

    def begins_well(self) -> bool:
        """Whether a whole chunk lies at the start."""
        return _chunk_end(self.data, self.start) is not None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (byte offset, payload) of every record whose checksums hold, in the order of the file."""
        data, size, unpack = self.data, len(self.data), HEADER.unpack_from
        parts: list[bytes] = []  # of a record in several chunks, as far as they have come
        began = 0
        mending = False  # behind damage, later pieces of the damaged record are no new loss
        position = self.start
        while position < size:
            room = BLOCK - position % BLOCK
            if room < HEADER.size:  # too short for a header: the writer leaves zeros
                position += room
                continue
            kind = 0
            if position + HEADER.size <= size:
                checksum, length, kind = unpack(data, position)
                end = position + HEADER.size + length
                if length > room - HEADER.size or end > size or crc32(data[position + 6 : end]) != checksum:
                    kind = 0
            if not FULL <= kind <= LAST:
                here = position
                position, gap = self._damage(here, bool(parts))
                if gap is not None:
                    self.gaps.append(gap)
                parts, mending = [], True
                continue
            if kind in (FULL, FIRST):
                if parts:
                    self.gaps.append(Gap(began, "a record breaks off before its last chunk", 1))
                    parts = []
                mending = False
                if kind == FULL:
                    yield position, data[position + 7 : end]
                else:
                    began = position
                    parts = [data[position + 7 : end]]
            elif parts:
                parts.append(data[position + 7 : end])
                if kind == LAST:
                    yield began, b"".join(parts)
                    parts = []
            elif not mending:
                self.gaps.append(Gap(position, "a record without its first chunk", 1))
                mending = True
            position = end
        if parts:
            self.gaps.append(Gap(began, "the file ends within a record", 1, cut=True))

    def _damage(self, position: int, unfinished: bool) -> tuple[int, Gap | None]:
        """Judge what stands at `position` in place of a chunk; return where to go on, and the loss."""
        data, size = self.data, len(self.data)
        if position >= self._written:
            rest = f"the last {size - position:,} bytes are zeros that were reserved and never written"
            return size, Gap(position, rest, int(unfinished), cut=True)
        block_end = min(position - position % BLOCK + BLOCK, size)
        if position + HEADER.size > size:
            return size, Gap(position, "the file ends within a chunk header", 1, cut=True)
        _, length, kind = HEADER.unpack_from(data, position)
        end = position + HEADER.size + length
        if FULL <= kind <= LAST and end <= block_end and _lands(data, end):
            return end, Gap(position, "bad checksum", 1)
        found = self._search_chunk(position + 1, block_end)
        if found is None and block_end == size and FULL <= kind <= LAST and end > size:
            reason = f"the file ends {end - size:,} bytes before the end of its last chunk"
            return size, Gap(position, reason, 1, cut=True)
        if FULL <= kind <= LAST:
            reason = "bad checksum" if end <= block_end else f"a chunk length of {length:,} that reaches past its block"
        else:
            reason = f"no chunk of kind {kind}" if any(data[position:block_end]) else "zeros in place of chunks"
        return block_end if found is None else found, Gap(position, reason, 1, exact=False)

    @cached_property
    def _written(self) -> int:
        """The size of the file without the zeros at its end."""
        size = len(self.data)
        while size and not any(self.data[max(size - BLOCK, 0) : size]):
            size = max(size - BLOCK, 0)
        block = max(size - BLOCK, 0)
        return block + len(self.data[block:size].rstrip(b"\0"))

    def _search_chunk(self, start: int, stop: int) -> int | None:
        """The first whole chunk that begins within [start, stop), or None."""
        for match in _KIND.finditer(self.data, start + 6, stop):
            place = match.start() - 6
            length = self.data[place + 4] | self.data[place + 5] << 8
            if place + HEADER.size + length > stop:
                continue
            if self._search <= 0:
                return None
            self._search -= CANDIDATE + length
            if _chunk_end(self.data, place) is not None:
                return place
        return None


def _chunk_end(data: bytes, position: int) -> int | None:
    """The end of the whole chunk at `position`, None where there is none."""
    if position + HEADER.size > len(data):
        return None
    checksum, length, kind = HEADER.unpack_from(data, position)
    end = position + HEADER.size + length
    fits = end <= len(data) and length + HEADER.size <= BLOCK - position % BLOCK
    sound = fits and FULL <= kind <= LAST and crc32(data[position + 6 : end]) == checksum
    return end if sound else None


def _lands(data: bytes, end: int) -> bool:
    """Whether a chunk that ends at `end` is followed by another, by the end of its block or by that of the file."""
    block_ends = end % BLOCK == 0 or BLOCK - end % BLOCK < HEADER.size
    return block_ends or end == len(data) or _chunk_end(data, end) is not None
