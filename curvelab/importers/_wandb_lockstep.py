"""All items of many history or stats records at once: round k takes the k-th item of every record.

Only the form that nearly every item has is known here: (item tag, size, key tag, key size, key, value tag, value size,
value) with sizes under 128. A record with anything else in it is odd and goes field by field (`Table.add`), which is
the reference that this is tested against.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.model.log import Ints

Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]

KEY_TAG, NESTED_KEY_TAG, STAMP_TAG = 0x0A, 0x12, 0x12
VALUE_TAG = 0x0182  # field 16 as a little-endian word
MIN_A_KEY = 32  # items; with fewer, a column costs more than its items one by one
FEW = 16  # records left; fewer are cheaper one by one
SPACES = np.uint64(0x2020_2020_2020_2020)
MIX = np.uint64(0x9E37_79B9_7F4A_7C15)  # an odd number without pattern, 2^64 / golden ratio

# the bytes of a word that lie before its n-th byte, n = 0 … 8
BEFORE = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)


@dataclass(frozen=True, eq=False)
class Items:
    """Items by record and place: int64[n] each; places are of the buffer."""

    row: Ints
    key: Ints
    key_size: Ints
    value: Ints
    value_size: Ints

    def at(self, chosen: NDArray[np.bool_] | Ints) -> Items:
        """The chosen items."""
        columns = (self.row, self.key, self.key_size, self.value, self.value_size)
        return Items(*(column[chosen] for column in columns))


@dataclass(frozen=True, eq=False)
class Walk:
    """What the records hold: items, place and size of field 2 (-1: none), and which records are odd."""

    items: Items
    stamp: Ints
    stamp_size: Ints
    odd: Bools


def words_of(data: bytes) -> Words:
    """The eight-byte word that begins at each byte of the buffer, without a copy."""
    return np.ndarray((max(len(data) - 7, 0),), "<u8", data, 0, (1,))


def walk(words: Words, start: Ints, end: Ints, item_tag: int) -> Walk:
    """Walk the records [start, end) of the buffer; at least 256 bytes lie behind each."""
    stamp, stamp_size = np.full(len(start), -1), np.zeros(len(start), np.int64)
    odd = np.zeros(len(start), np.bool_)
    rounds: list[tuple[Ints, ...]] = []
    row = np.flatnonzero(start < end)
    position, end = start[row], end[row]
    while len(row):
        if len(row) < FEW:
            odd[row] = True
            break
        head = words[position].astype(np.int64)
        tag, size = head & 0xFF, head >> 8 & 0xFF
        stop = position + 2 + size
        sound = (stop <= end) & (size < 128)
        key_tag, key_size = head >> 16 & 0xFF, head >> 24 & 0xFF
        value = position + 7 + key_size
        value_size = stop - value
        is_item = sound & (tag == item_tag) & (value_size >= 0) & ((key_tag == KEY_TAG) | (key_tag == NESTED_KEY_TAG))
        value_head = words[np.where(is_item, value - 3, position)].astype(np.int64) & 0xFF_FFFF
        is_item &= value_head == (VALUE_TAG | value_size << 16)
        is_stamp = sound & ~is_item & (tag == STAMP_TAG)
        if is_item.all():
            rounds.append((row, position + 4, key_size, value, value_size))
        else:
            places = (row, position + 4, key_size, value, value_size)
            rounds.append(tuple(column[is_item] for column in places))
            stamp[row[is_stamp]] = position[is_stamp] + 2
            stamp_size[row[is_stamp]] = size[is_stamp]
            odd[row[~(is_item | is_stamp)]] = True
        more = (is_item | is_stamp) & (stop < end)
        row, position, end = row[more], stop[more], end[more]
    columns = [np.concatenate(column) for column in zip(*rounds, strict=True)] or [np.empty(0, np.int64)] * 5
    items = Items(*columns)
    return Walk(items.at(~odd[items.row]) if odd.any() else items, stamp, stamp_size, odd)


def by_key(words: Words, items: Items) -> tuple[list[Items], Ints]:
    """The items of each key, in the order in which the keys appear; and the rows of items that a hash misplaced.

    The items of one key may come in several parts. With too few items a key, all rows are given back.
    """
    if not len(items.row):
        return [], np.empty(0, np.int64)
    code = _hash(words, items)
    order = np.argsort((code >> np.uint64(48)).astype(np.uint16), kind="stable")  # 16 bits: sorted in linear time
    code = code[order]
    bounds = [0, *(np.flatnonzero(code[1:] != code[:-1]) + 1).tolist(), len(order)]
    if len(bounds) * MIN_A_KEY > len(order):
        return [], np.unique(items.row)
    parts, misplaced = [], []
    for first, last in itertools.pairwise(bounds):
        part = items.at(order[first:last])
        same = _same_key(words, part)
        if not same.all():
            misplaced.append(part.row[~same])
            part = part.at(same)
        parts.append(part)
    parts.sort(key=lambda part: int(part.key.min()))
    return parts, np.concatenate(misplaced) if misplaced else np.empty(0, np.int64)


def _hash(words: Words, items: Items) -> Words:
    """A hash of each key and its size, uint64[n]."""
    code = items.key_size.astype(np.uint64) * MIX
    for offset in range(0, int(items.key_size.max()), 8):
        word = words[items.key + offset] & BEFORE[np.clip(items.key_size - offset, 0, 8)]
        code = (code ^ word) * MIX  # a word past the key is 0
        code ^= code >> np.uint64(32)
    return code


def _same_key(words: Words, items: Items) -> Bools:
    """Whether each item's key equals that of the first, byte by byte."""
    size = int(items.key_size[0])
    same: Bools = items.key_size == size
    for offset in range(0, size, 8):
        word = words[items.key + offset] & BEFORE[min(size - offset, 8)]
        same &= word == word[0]
    return same


def in_row_order(items: Items, rows: int) -> Items:
    """The items of one key by row, of each row the last; rows are numbered from 0 to `rows`."""
    place = np.full(rows, -1)
    place[items.row] = np.arange(len(items.row))  # a later assignment to a row overwrites the earlier
    return items.at(place[place >= 0])


def joined_values(words: Words, items: Items) -> bytes:
    """The values joined by commas; each is filled up with spaces to the length of the longest."""
    rounds = int(items.value_size.max()) // 8 + 1  # with room for the comma
    table = np.empty((len(items.row), rounds), "<u8")
    for i in range(rounds):
        mask = BEFORE[np.clip(items.value_size - 8 * i, 0, 8)]
        table[:, i] = words[items.value + 8 * i] & mask | SPACES & ~mask
    table.view(np.uint8)[:, -1] = ord(",")
    return table.tobytes()[:-1]
