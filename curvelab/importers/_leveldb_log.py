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

import numpy as np

from curvelab.model.log import Ints

BLOCK = 32 * 1024  # bytes
HEADER = struct.Struct("<IHB")  # crc32 of kind and payload, length of the payload, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

GROUP = 64 * BLOCK  # bytes taken at a time: what a pass touches should stay in the cache (four times more: 1.8x slower)
MIN_LOCKSTEP = 16 * BLOCK  # bytes; below, walking blocks at once costs more than it saves (measured)
PADDING = 256  # bytes
MAX_GAPS = 10_000  # judgement: a file with more is rubble, and each is an object
SEARCH = 1024**3  # bytes to checksum in one file in search of chunks behind damage; past it, on to the next block
CANDIDATE = 64  # what looking at one candidate costs in that account, on top of its bytes

Chunks = tuple[Ints, Ints, Ints]  # position, length and kind of each, int64[n]

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
        return _chunk_end(self.data, self.start) is not None

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


def whole_chunks(data: bytes, start: int, stop: int, continued: bool) -> Chunks | None:
    """All chunks in [start, stop), `stop` at the end of a block; None unless every one is sound and in its place.

    The blocks are walked in step: round k reads the header of the k-th chunk of every block. `continued` says that the
    first chunk goes on with a record.
    """
    words = np.ndarray((len(data) - 3,), "<u4", data, 0, (1,))  # the word that begins at each byte
    position = np.arange(start - start % BLOCK, stop, BLOCK)
    block_end = position + BLOCK
    position[0] = start
    rounds: list[Chunks] = []
    while len(position):
        size_and_kind = words[position + 3].astype(np.int64) >> 8  # the last word of the header, less a byte of crc32
        length, kind = size_and_kind & 0xFFFF, size_and_kind >> 16
        end = position + HEADER.size + length
        if (end > block_end).any() or (kind < FULL).any() or (kind > LAST).any():
            return None
        rounds.append((position, length, kind))
        more = block_end - end >= HEADER.size
        position, block_end = end[more], block_end[more]
    position, length, kind = (np.concatenate(column) for column in zip(*rounds, strict=True))
    order = np.argsort(position)
    position, length, kind = position[order], length[order], kind[order]
    begins = (kind == FULL) | (kind == FIRST)
    closes = (kind == FULL) | (kind == LAST)
    if begins[0] == continued or (begins[1:] != closes[:-1]).any():
        return None
    bounds = zip((position + 6).tolist(), (position + HEADER.size + length).tolist(), strict=True)
    computed = np.array([crc32(data[kind_at:end]) for kind_at, end in bounds], np.uint32)
    return (position, length, kind) if np.array_equal(computed, words[position]) else None
