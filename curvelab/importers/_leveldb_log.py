"""The records of a LevelDB log out of its bytes, past whatever is damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

import numpy as np

from curvelab.importers._leveldb_blocks import BLOCK, FIRST, FULL, HEADER, LAST, Chunks, chunk_end, whole_chunks
from curvelab.model.log import Ints

GROUP = 64 * BLOCK  # bytes taken at a time: what a pass touches should stay in the cache (256: 1.5x slower)
MIN_LOCKSTEP = 4 * BLOCK  # bytes; judgement: few blocks leave little to do at once (4 and 16 differ by noise)
PADDING = 256  # bytes
MAX_GAPS = 10_000  # judgement: a file with more is rubble, and each is an object
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
class Gaps:
    """The first MAX_GAPS places of loss, and how many there are and were lost in all."""

    places: list[Gap] = field(default_factory=list)
    count: int = 0
    lost: int = 0

    def add(self, gap: Gap) -> None:
        """Count a gap, and keep it while there is room."""
        self.count += 1
        self.lost += gap.lost
        if len(self.places) < MAX_GAPS:
            self.places.append(gap)


@dataclass(frozen=True, eq=False)
class Batch:
    """Records in the order of the file: record i is data[start[i]:end[i]] and began at byte offset[i] of the file.

    `data` ends in PADDING zeros, so that a word may be read at any byte of a record. Ints: int64[n].
    """

    data: bytes
    offset: Ints
    start: Ints
    end: Ints

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for offset, start, end in zip(self.offset.tolist(), self.start.tolist(), self.end.tolist(), strict=True):
            yield offset, self.data[start:end]


@dataclass
class LogReader:
    """Walks the records of a log from `start`; `gaps` fills while it is walked.

    `batches` takes GROUP bytes at a time. Where every chunk of a group is whole, all of its blocks are walked at once
    (`whole_chunks`); a group with any damage, and the last block, goes chunk by chunk.
    """

    data: bytes
    start: int = 0
    gaps: Gaps = field(default_factory=Gaps)
    lockstep: bool = True
    _search: int = SEARCH
    _parts: list[bytes] = field(default_factory=list)  # of a record in several chunks, as far as they have come
    _began: int = 0
    _mending: bool = False  # behind damage, later pieces of the damaged record are no new loss

    def begins_well(self) -> bool:
        """Whether a whole chunk lies at the start."""
        return chunk_end(self.data, self.start) is not None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (byte offset, payload) of every record whose checksums hold, in the order of the file."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[Batch]:
        """The same records, a batch for each stretch of the file."""
        size = len(self.data)
        position = self.start
        last_block = size - size % BLOCK
        while position < size:
            stop = min(position - position % BLOCK + GROUP, last_block)
            chunks = None
            if self.lockstep and stop - position >= MIN_LOCKSTEP:
                chunks = whole_chunks(self.data, position, stop, continued=bool(self._parts))
            if chunks is None or self._mending:
                stop = stop if stop - position >= MIN_LOCKSTEP else size
                yield self._plain_batch(position, stop)
            else:
                yield self._whole_batch(position, stop, chunks)
            position = stop
        if self._parts:
            self.gaps.add(Gap(self._began, "the file ends within a record", 1, cut=True))

    def _plain_batch(self, start: int, stop: int) -> Batch:
        """The records that end in [start, stop), chunk by chunk."""
        offsets, starts, sizes = [], [], []
        pieces = [self.data[start:stop]]
        free = stop - start
        for offset, size, payload in self._plain_records(start, stop):
            offsets.append(offset)
            sizes.append(size)
            if payload is None:
                starts.append(offset + HEADER.size - start)
            else:
                starts.append(free)
                pieces.append(payload)
                free += size
        begin = np.array(starts, np.int64)
        data = b"".join((*pieces, bytes(PADDING)))
        return Batch(data, np.array(offsets, np.int64), begin, begin + np.array(sizes, np.int64))

    def _whole_batch(self, start: int, stop: int, chunks: Chunks) -> Batch:
        """The records that end in [start, stop), all of its chunks being sound."""
        position, length, kind = chunks
        closing = (kind == FULL) | (kind == LAST)
        offset, begin = position[closing], position[closing] + (HEADER.size - start)
        end = begin + length[closing]
        slot = np.cumsum(closing) - 1
        pieces = [self.data[start:stop]]
        free = stop - start
        for i in np.flatnonzero(kind != FULL).tolist():
            place = int(position[i])
            if kind[i] == FIRST:
                self._began = place
            self._parts.append(self.data[place + HEADER.size : place + HEADER.size + int(length[i])])
            if kind[i] == LAST:
                pieces.append(b"".join(self._parts))
                self._parts = []
                offset[slot[i]], begin[slot[i]] = self._began, free
                free += len(pieces[-1])
                end[slot[i]] = free
        return Batch(b"".join((*pieces, bytes(PADDING))), offset, begin, end)

    def _plain_records(self, position: int, stop: int) -> Iterator[tuple[int, int, bytes | None]]:
        """The records that end in [position, stop), chunk by chunk; says in `gaps` what is damaged."""
        data, size, unpack = self.data, len(self.data), HEADER.unpack_from
        while position < stop:
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
                position, gap = self._damage(position, bool(self._parts))
                self.gaps.add(gap)
                self._parts, self._mending = [], True
                continue
            if kind in (FULL, FIRST):
                if self._parts:
                    self.gaps.add(Gap(self._began, "a record breaks off before its last chunk", 1))
                    self._parts = []
                self._mending = False
                if kind == FULL:
                    yield position, length, None
                else:
                    self._began = position
                    self._parts = [data[position + HEADER.size : end]]
            elif self._parts:
                self._parts.append(data[position + HEADER.size : end])
                if kind == LAST:
                    payload = b"".join(self._parts)
                    self._parts = []
                    yield self._began, len(payload), payload
            elif not self._mending:
                self.gaps.add(Gap(position, "a record without its first chunk", 1))
                self._mending = True
            position = end

    def _damage(self, position: int, unfinished: bool) -> tuple[int, Gap]:
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
            if chunk_end(self.data, place) is not None:
                return place
        return None


def _lands(data: bytes, end: int) -> bool:
    """Whether a chunk that ends at `end` is followed by another, by the end of its block or by that of the file."""
    block_ends = end % BLOCK == 0 or BLOCK - end % BLOCK < HEADER.size
    return block_ends or end == len(data) or chunk_end(data, end) is not None
