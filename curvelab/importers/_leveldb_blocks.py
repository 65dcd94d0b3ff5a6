"""Blocks and chunks of a LevelDB log.

A log is a row of blocks of 32 KiB. A block holds chunks, each a header (crc32 u32, length u16, kind u8) and a payload.
A chunk never crosses a block, a record is one chunk (full) or several (first, middle …, last). W&B counts its offsets
from the start of the file, so that its own 7-byte header lies within the first block, and takes the plain IEEE crc32
of kind and payload, unmasked.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import struct
from zlib import crc32

import numpy as np

from curvelab.model.log import Ints

BLOCK = 32 * 1024  # bytes
HEADER = struct.Struct("<IHB")  # crc32 of kind and payload, length of the payload, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

Chunks = tuple[Ints, Ints, Ints]  # position, length and kind of each, int64[n]


def chunk_end(data: bytes, position: int) -> int | None:
    """The end of the whole chunk at `position`, None where there is none."""
    if position + HEADER.size > len(data):
        return None
    checksum, length, kind = HEADER.unpack_from(data, position)
    end = position + HEADER.size + length
    fits = end <= len(data) and length + HEADER.size <= BLOCK - position % BLOCK
    sound = fits and FULL <= kind <= LAST and crc32(data[position + 6 : end]) == checksum
    return end if sound else None


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
