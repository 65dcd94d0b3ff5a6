"""TFRecord framing: where the records of a file are, and whether their checksums hold; nothing of what is in them.

A record is a little-endian u64 length, the masked CRC32C of these 8 bytes, the payload, the payload's masked CRC32C.
There are two ways to walk a file. `Walk.one_by_one` is the plain loop and the reference; `Walk.in_batches` finds the
headers of a whole window with numpy and checks records of one length together. Both share what happens at damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]
Bools = NDArray[np.bool_]
Kind = Literal["payload", "header", "tail", "zeros", "given-up"]

HEADER = 12  # bytes: length and its checksum
FOOTER = 4  # bytes: the payload's checksum
MASK_DELTA = 0xA282EAD8  # the TFRecord format's constant

WINDOW = 1 << 20  # bytes searched for headers at once: fastest of 64 KiB to 16 MiB (measured, fresh processes)
FEW_ROWS = 8  # below this many records of one length a loop is as fast as numpy (measured)
MANY_COLUMNS = 96  # from so many differing bytes on, a checksum per record is faster than per column (measured)
MAX_RESYNCS = 1000  # broken places in one file, after which the rest of the file is given up
RESYNC_EFFORT = 8  # bytes checked in search of whole records, as a multiple of the file
LEAST_EFFORT = 16 << 20  # bytes; the same for small files, where it costs nothing
EFFORT_PER_HEADER = 256  # bytes that could be checked in the time that one more header takes


@dataclass(frozen=True, eq=False)
class Batch:
    """n records of one length whose checksums hold.

    order    int64[n]            index of the record in the file
    offset   int64[n]            byte at which the record begins
    payload  uint8[n, length]
    """

    order: Ints
    offset: Ints
    payload: Bytes


@dataclass(frozen=True)
class Loss:
    """`size` bytes from `offset` that were not kept.

    payload    `records` neighbouring records whose payload checksums fail
    header     no record could be found here
    tail       the file ends inside a record
    zeros      from here on the file is filled with zero bytes
    given-up   more broken places than are worth a search
    """

    kind: Kind
    offset: int
    size: int
    records: int = 0


@lru_cache(maxsize=4096)
def change_of_crc(distance: int) -> Words:
    """uint32[256]: what XOR-ing a byte that has `distance` bytes after it does to the CRC32C of the whole.

    A CRC is linear over XOR, so the effects of changed bytes add up by XOR, whatever the other bytes are.
    """
    from google_crc32c import value

    after = bytes(distance)
    nothing = value(b"\0" + after)
    table = np.zeros(256, dtype=np.uint32)
    for bit in range(8):
        table[1 << bit : 2 << bit] = table[: 1 << bit] ^ np.uint32(value(bytes([1 << bit]) + after) ^ nothing)
    return table


def mask(crc: int) -> int:
    """A CRC32C as TFRecord stores it."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def masks(crc: Words) -> Words:
    """`mask` for uint32[n]."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(MASK_DELTA)


@dataclass
class Walk:
    """One way through a file. Once the iteration is over, `losses` is complete and `count` is all that was framed."""

    data: bytes
    losses: list[Loss] = field(default_factory=list)
    count: int = 0
    _resyncs: int = 0
    _effort: int = 0

    def one_by_one(self) -> Iterator[tuple[int, int, bytes]]:
        """The plain loop: (order, offset, payload) of every record whose checksums hold."""
        at, suspect = 0, -1
        while at < len(self.data):
            at, suspect, payload = self._step(at, suspect)
            if payload is not None:
                yield self.count - 1, at - len(payload) - HEADER - FOOTER, payload

    def in_batches(self) -> Iterator[Batch]:
        """The same records, those of one length in one window together."""
        view = np.frombuffer(self.data, dtype=np.uint8)
        at, suspect = 0, -1
        while at < len(self.data):
            offset, length = _chain(view, at)
            if not len(offset):  # damage, the end, or a very long record
                at, suspect, payload = self._step(at, suspect)
                if payload is not None:
                    single = np.frombuffer(payload, dtype=np.uint8).reshape(1, -1)
                    begin = at - len(payload) - HEADER - FOOTER
                    yield Batch(np.array([self.count - 1]), np.array([begin]), single)
                continue
            first, self.count = self.count, self.count + len(offset)
            bad: list[int] = []
            for rows in by_length(length):
                table = _records(view, offset[rows], int(length[rows[0]]))
                good = _verify(table)
                if good.all():
                    yield Batch(first + rows, offset[rows], table[:, :-FOOTER])
                else:
                    bad.extend(rows[~good].tolist())
                    if good.any():
                        yield Batch(first + rows[good], offset[rows[good]], table[good, :-FOOTER])
            for row in sorted(bad):
                self._lose("payload", int(offset[row]), int(length[row]) + HEADER + FOOTER)
            last = len(offset) - 1
            at = int(offset[last] + length[last]) + HEADER + FOOTER
            suspect = int(offset[last]) if last in bad else -1

    def _step(self, at: int, suspect: int) -> tuple[int, int, bytes | None]:
        """One record from `at`: (where to go on, this record's offset if it is suspect else -1, payload or None)."""
        from google_crc32c import value

        length = self._length(at)
        end = at + HEADER + FOOTER + (length or 0)
        if length is None or end > len(self.data):
            return self._resync(at, suspect, whole_header=length is not None), -1, None
        self.count += 1
        payload = self.data[at + HEADER : end - FOOTER]
        if mask(value(payload)) != int.from_bytes(self.data[end - FOOTER : end], "little"):
            self._lose("payload", at, end - at)
            return end, at, None
        return end, -1, payload

    def _length(self, at: int) -> int | None:
        """The payload length that stands at `at`, None when its checksum fails."""
        from google_crc32c import value

        head = self.data[at : at + HEADER]
        if len(head) < HEADER or mask(value(head[:8])) != int.from_bytes(head[8:], "little"):
            return None
        return int.from_bytes(head[:8], "little")

    def _resync(self, at: int, suspect: int, *, whole_header: bool) -> int:
        """No record at `at`: find the next one of which both checksums hold, and note what was lost.

        When the payload of the record before was bad as well, bytes may be missing from its middle, so the search
        begins inside that record.
        """
        self._resyncs += 1
        size = len(self.data)
        start = suspect if suspect >= 0 else at
        found = self._next_whole_record(start + 1) if self._resyncs <= MAX_RESYNCS else None
        if found is not None:
            self._lose("header", start, found - start)
            return found
        if self._resyncs > MAX_RESYNCS or self._tired():
            self._lose("given-up", at, size - at)
        elif whole_header or size - at < HEADER:
            self._lose("tail", at, size - at)
        elif self.data.count(0, at) == size - at:
            self._lose("zeros", at, size - at)
        else:
            self._lose("header", at, size - at)
        return size

    def _next_whole_record(self, start: int) -> int | None:
        from google_crc32c import value

        view = np.frombuffer(self.data, dtype=np.uint8)
        window = 4096  # the next record is usually near
        while start < len(self.data) and not self._tired():
            offset, length = _headers(view, start, start + window)
            for at, size in zip(offset.tolist(), length.tolist(), strict=True):
                end = at + HEADER + size
                self._effort += EFFORT_PER_HEADER + size
                if mask(value(self.data[at + HEADER : end])) == int.from_bytes(self.data[end : end + FOOTER], "little"):
                    return int(at)
                if self._tired():
                    return None
            self._effort += window
            start += window
            window = min(window * 4, WINDOW)
        return None

    def _tired(self) -> bool:
        return self._effort > LEAST_EFFORT + RESYNC_EFFORT * len(self.data)

    def _lose(self, kind: Kind, offset: int, size: int) -> None:
        records = int(kind == "payload")
        if records and self.losses:
            last = self.losses[-1]
            if last.kind == kind and last.offset + last.size == offset:
                self.losses[-1] = Loss(kind, last.offset, last.size + size, last.records + 1)
                return
        self.losses.append(Loss(kind, offset, size, records))


def _headers(view: Bytes, start: int, stop: int) -> tuple[Ints, Ints]:
    """Offsets in [start, stop) where a length's checksum holds and the record fits into the file, and these lengths."""
    from google_crc32c import value

    stop = min(stop, len(view) - HEADER - FOOTER + 1)
    if stop <= start:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    # Bytes 3 to 7 of a length below 16 MiB are zero: five zeros in a row are rare elsewhere.
    zero = view[start + 3 : stop + 7] == 0
    two = zero[:-1] & zero[1:]
    offset = np.flatnonzero(two[:-3] & two[2:-1] & zero[4:]) + start
    head = _rows(view, offset, HEADER)
    crc = np.uint32(value(bytes(8))) ^ change_of_crc(7)[head[:, 0]]
    crc ^= change_of_crc(6)[head[:, 1]] ^ change_of_crc(5)[head[:, 2]]
    held = masks(crc) == head[:, 8:].view("<u4")[:, 0]
    offset = offset[held]
    length = head[:, :8].view("<i8")[:, 0][held]
    fits = offset + length + (HEADER + FOOTER) <= len(view)
    return offset[fits], length[fits]


def _chain(view: Bytes, at: int) -> tuple[Ints, Ints]:
    """Offsets and lengths of the records that follow one another from `at`, as far as one window goes."""
    offset, length = _headers(view, at, at + WINDOW)
    if not len(offset) or offset[0] != at:
        return offset[:0], length[:0]
    following = offset + length + (HEADER + FOOTER)
    if np.array_equal(following[:-1], offset[1:]):
        return offset, length
    # Some header stands inside a payload, or the chain is broken: follow it link by link.
    link = np.searchsorted(offset, following)
    joined = link < len(offset)
    joined[joined] = offset[link[joined]] == following[joined]
    links, joins = link.tolist(), joined.tolist()
    chain = [0]
    while joins[chain[-1]]:
        chain.append(links[chain[-1]])
    return offset[chain], length[chain]


def by_length(length: Ints) -> Iterator[Ints]:
    """Row numbers of equal length, ascending; records too long for the sort key come one at a time."""
    long = 0xFFFF
    key = np.minimum(length, long).astype(np.uint16)  # 16 bits sort in linear time
    rows = np.argsort(key, kind="stable")
    sorted_key = key[rows]
    for group in np.split(rows, np.flatnonzero(sorted_key[1:] != sorted_key[:-1]) + 1):
        if key[group[0]] == long:
            yield from group.reshape(-1, 1)
        else:
            yield group


def _rows(view: Bytes, offset: Ints, width: int) -> Bytes:
    """uint8[n, width]: the bytes from each offset, each row copied as one opaque item."""
    item = sliding_window_view(view, width).view(f"V{width}")[:, 0]
    return item[offset].view(np.uint8).reshape(-1, width)


def _records(view: Bytes, offset: Ints, length: int) -> Bytes:
    """uint8[n, length + 4]: payload and stored checksum."""
    return _rows(view, offset + HEADER, length + FOOTER)


def _verify(table: Bytes) -> Bools:
    """bool[n]: whether the checksum at the end of each row is the row's."""
    from google_crc32c import value

    length = table.shape[1] - FOOTER
    stored: Words = table[:, length:].view("<u4")[:, 0]
    first = table[0, :length]
    change = table[:, :length] ^ first
    columns = np.flatnonzero(np.bitwise_or.reduce(change, axis=0)).tolist()
    if len(table) < FEW_ROWS or len(columns) > MANY_COLUMNS:
        each = np.array([mask(value(row.tobytes())) for row in table[:, :length]], dtype=np.uint32)
        return np.equal(each, stored)
    crc = np.full(len(table), value(first.tobytes()), dtype=np.uint32)
    for column in columns:
        crc ^= change_of_crc(length - 1 - column)[change[:, column]]
    return np.equal(masks(crc), stored)
