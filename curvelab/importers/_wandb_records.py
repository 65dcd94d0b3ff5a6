"""What kind of record each protobuf `Record` of a .wandb file is, and where its message lies."""

from __future__ import annotations

import numpy as np

from curvelab.importers import _protobuf_wire as wire
from curvelab.importers._leveldb_log import Batch
from curvelab.importers._wandb_lockstep import words_of
from curvelab.model.log import Ints

NUM, HISTORY, SUMMARY, CONFIG, STATS, METRIC, RUN, EXIT = 1, 2, 3, 5, 7, 12, 17, 18  # fields of Record
KINDS = frozenset((HISTORY, SUMMARY, CONFIG, STATS, METRIC, RUN, EXIT))
MALFORMED = -1
EMPTY_CONTROL = 0x00_0182  # field 16 of size 0, which some writers put behind every record


def record_kind(data: bytes, start: int, end: int) -> tuple[int, int, int]:
    """The kind of the record data[start:end] and the bounds of its message; kind 0: nothing that is read."""
    kind, begin, stop = 0, start, start
    try:
        while start < end:
            number, form, value, start = wire.one_field(data, start, end)
            if form == wire.BYTES and isinstance(value, bytes) and number in KINDS:
                kind, begin, stop = number, start - len(value), start
    except wire.WireError:
        return MALFORMED, begin, stop
    return kind, begin, stop


def record_kinds(batch: Batch) -> tuple[Ints, Ints, Ints]:
    """The same for every record of a batch: kind int64[n], start and end of its message int64[n]."""
    words = words_of(batch.data)
    position, end = batch.start.copy(), batch.end
    numbered = words[position].astype(np.int64) & 0xFF == NUM << 3 | wire.VARINT
    varint = numbered.copy()
    position[numbered] += 1
    for _ in range(wire.MAX_VARINT):
        if not varint.any():
            break
        varint &= words[position].astype(np.int64) & 0x80 != 0
        position[varint] += 1
    position[numbered] += 1
    head = words[position].astype(np.int64)
    tag, low, middle, high = head & 0xFF, head >> 8 & 0xFF, head >> 16 & 0xFF, head >> 24 & 0xFF
    size = low & 0x7F | np.where(low >= 128, (middle & 0x7F) << 7, 0)
    size |= np.where((low >= 128) & (middle >= 128), (high & 0x7F) << 14, 0)
    begin = position + 2 + (low >= 128) + ((low >= 128) & (middle >= 128))
    stop = begin + size
    tail = words[np.minimum(stop, end)].astype(np.int64) & 0xFF_FFFF
    usual = (stop == end) | ((stop + 3 == end) & (tail == EMPTY_CONTROL))
    usual &= (tag & 7 == wire.BYTES) & (tag < 0x80) & ~((low >= 128) & (middle >= 128) & (high >= 128))
    kind = tag >> 3
    for i in np.flatnonzero(~usual).tolist():
        kind[i], begin[i], stop[i] = record_kind(batch.data, int(batch.start[i]), int(end[i]))
    return kind, begin, stop
