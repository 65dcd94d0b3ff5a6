"""Columns out of W&B's history and stats records: one JSON parse per column and chunk, no object per record."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import orjson
from numpy.typing import NDArray

from curvelab.importers import _json_values as json_values
from curvelab.importers import _protobuf_wire as wire
from curvelab.importers import _wandb_lockstep as lockstep
from curvelab.model.log import Floats, Ints

LARGEST_STEP = 2.0**53  # past it a float64 no longer holds every integer, and no run has so many steps
MIN_LOCKSTEP = 256  # records; judgement: few records leave little to do at once
MAX_COLUMNS = 20_000  # judgement: thousands of per-layer histograms are real, more names than this are an attack
MAX_NAME = 1_000  # bytes
MAX_LEAVES = 1_000  # numbers taken from one nested value
LEAF_DEPTH = 8

STAMP = 0x12  # field 2: the step of a history record, the time of a stats record
VALUE = b"\x82\x01"  # field 16, value_json, in every kind of item


@dataclass
class Column:
    """One key: its values that wait for the next parse, and the parts that are parsed."""

    name: str
    rows: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    parsed: list[tuple[Ints, Floats]] = field(default_factory=list)
    skipped: int = 0
    overflown: int = 0

    def values(self) -> tuple[Ints, Floats]:
        """The row numbers int64[n], rising, and the values float64[n]."""
        if not self.parsed:
            return np.empty(0, np.int64), np.empty(0)
        rows = np.concatenate([rows for rows, _ in self.parsed])
        values = np.concatenate([values for _, values in self.parsed])
        if len(rows) > 1 and (np.diff(rows) <= 0).any():  # only where nested and dotted keys meet in one name
            order = np.argsort(rows, kind="stable")
            rows, values = rows[order], values[order]
            last = _last_of_row(rows)
            rows, values = rows[last], values[last]
        return rows, values


class Table:
    """The rows of one kind of record whose items lie in field `item_field`.

    `stamps` holds the bytes of field 2 by row; not of rows whose key `stamp_unless` has a usable number.
    """

    def __init__(self, item_field: int, stamp_unless: str = "", lockstep: bool = True) -> None:
        self.columns: dict[str, Column] = {}
        self.stamps: dict[int, bytes] = {}
        self.rows = 0
        self.refused = 0  # values under names past MAX_COLUMNS or MAX_NAME
        self._item_field = item_field
        self._item_tag = item_field << 3 | wire.BYTES
        self._stamp_unless = stamp_unless
        self._lockstep = lockstep
        self._known: dict[bytes, Column] = {}

    def add(self, data: bytes, start: Ints, end: Ints) -> list[int]:
        """Add the messages data[start:end] as rows, and parse their numbers; return which of them are no messages.

        A record that is no message becomes a row without values. At least 256 bytes must follow each message.
        """
        first, count = self.rows, len(start)
        self.rows += count
        remaining: Sequence[int] = range(count)
        if self._lockstep and count >= MIN_LOCKSTEP:
            remaining = self._add_in_step(data, start, end, first)
        malformed = []
        for i in remaining:
            record = data[int(start[i]) : int(end[i])]
            try:
                stamp = self._add_row(record, first + i)
            except (wire.WireError, IndexError):
                self._take_back(record, first + i)
                malformed.append(i)
            else:
                if stamp is not None:
                    self.stamps[first + i] = stamp
        self._parse()
        return malformed

    def add_texts(self, rows: Sequence[Mapping[str, bytes]]) -> None:
        """Add rows that are at hand as JSON texts by key, and parse their numbers."""
        for row in rows:
            for name, text in row.items():
                column = self._column(name) if len(name) <= MAX_NAME else None
                if column is None:
                    self.refused += 1
                    continue
                column.rows.append(self.rows)
                column.texts.append(text)
            self.rows += 1
        self._parse()

    def _add_in_step(self, data: bytes, start: Ints, end: Ints, first: int) -> list[int]:
        """Add all records of the usual form; return the others."""
        words = lockstep.words_of(data)
        walk = lockstep.walk(words, start, end, self._item_tag)
        parts, misplaced = lockstep.by_key(words, walk.items)
        needs_stamp = walk.stamp >= 0
        for found in parts:
            key = wire.text(data[int(found.key[0]) : int(found.key[0] + found.key_size[0])])
            column = self._column(key)
            if column is None:
                self.refused += len(found.row)
                continue
            part = lockstep.in_row_order(found, len(start))
            values = json_values.numbers(lockstep.joined_values(words, part), len(part.row))
            if values is not None:
                if key == self._stamp_unless:
                    needs_stamp[part.row[np.abs(values) < LARGEST_STEP]] = False
                column.parsed.append((part.row + first, values))
                continue
            column.rows.extend((part.row + first).tolist())
            bounds = zip(part.value.tolist(), (part.value + part.value_size).tolist(), strict=True)
            column.texts.extend(data[begin:stop] for begin, stop in bounds)
        for i in np.flatnonzero(needs_stamp).tolist():
            self.stamps[first + i] = data[walk.stamp[i] : walk.stamp[i] + walk.stamp_size[i]]
        odd = walk.odd
        odd[misplaced] = True
        return np.flatnonzero(odd).tolist()

    def _take_back(self, data: bytes, row: int) -> None:
        """Forget the values of the last row, which is no message from some place on."""
        with suppress(wire.WireError):
            for item in wire.messages(data, self._item_field):
                column = self.columns.get(wire.text(read_item(item)[0]))
                if column is not None and column.rows and column.rows[-1] == row:
                    column.rows.pop()
                    column.texts.pop()

    def _add_row(self, data: bytes, row: int) -> bytes | None:
        """Put the items into their columns; return field 2.

        Nearly every item is (item tag, size, key tag, key size, key, value tag, value size, value) with sizes under
        128. The bytes from key tag to value tag are looked up as one: that they are known proves that the item has
        this form. Everything else goes field by field.
        """
        known, item_tag, end = self._known, self._item_tag, len(data)
        stamp = None
        position = 0
        while position < end:
            size = data[position + 1]
            stop = position + 2 + size
            if data[position] == item_tag and size < 128:
                value = position + 7 + data[position + 3]
                column = known.get(data[position + 2 : value - 1])
                if column is not None and data[value - 1] == stop - value:
                    column.rows.append(row)
                    column.texts.append(data[value:stop])
                    position = stop
                    continue
            elif data[position] == STAMP and size < 128:
                stamp = data[position + 2 : stop]
                position = stop
                continue
            number, _, found, position = wire.one_field(data, position, end)
            if number == self._item_field and isinstance(found, bytes):
                self._add_item(found, row)
            elif number == 2 and isinstance(found, bytes):
                stamp = found
        if position != end:
            raise wire.WireError("a field reaches past its message")
        return stamp

    def _add_item(self, item: bytes, row: int) -> None:
        key, value = read_item(item)
        column = self._column(wire.text(key)) if len(key) <= MAX_NAME else None
        if column is None:
            self.refused += 1
            return
        column.rows.append(row)
        column.texts.append(value)
        if len(key) < 128:
            for tag in (0x0A, 0x12):  # key, nested_key
                stem = bytes((tag, len(key))) + key + VALUE
                if item.startswith(stem):
                    self._known[stem] = column

    def _column(self, name: str) -> Column | None:
        column = self.columns.get(name)
        if column is None and len(self.columns) < MAX_COLUMNS:
            column = self.columns[name] = Column(name)
        return column

    def _parse(self) -> None:
        """Turn the waiting texts into numbers."""
        for _ in range(2):  # the second time for the numbers that lay nested in the first
            for column in list(self.columns.values()):
                if column.texts:
                    self._parse_column(column)

    def _parse_column(self, column: Column) -> None:
        rows, texts = np.array(column.rows, np.int64), column.texts
        column.rows, column.texts = [], []
        if (np.diff(rows) < 0).any():
            order = np.argsort(rows, kind="stable")
            rows, texts = rows[order], [texts[i] for i in order]
        last = _last_of_row(rows)
        if not last.all():
            texts = [texts[i] for i in np.flatnonzero(last)]
            rows = rows[last]
        values = json_values.numbers(b",".join(texts), len(texts))
        if values is None:
            values, odd = self._one_by_one(column, rows, texts)
            rows, values = np.delete(rows, odd), np.delete(values, odd)
        if len(rows):
            column.parsed.append((rows, values))

    def _one_by_one(self, column: Column, rows: Ints, texts: list[bytes]) -> tuple[Floats, list[int]]:
        """The values, and the positions of those that are no numbers; nested numbers go to columns of their own."""
        values = np.empty(len(texts))
        odd = []
        for position, text in enumerate(texts):
            value = json_values.number(text)
            if value is None:
                odd.append(position)
                self._nested(column, int(rows[position]), text)
            else:
                values[position] = value
                if math.isinf(value) and text not in json_values.NAMED:
                    column.overflown += 1
        return values, odd

    def _nested(self, column: Column, row: int, text: bytes) -> None:
        if not text.startswith(b"{") or text.startswith(b'{"_type"'):
            column.skipped += 1
            return
        try:
            value = json_values.loads(text)
        except ValueError:
            column.skipped += 1
            return
        for found, (name, number) in enumerate(json_values.leaves(value, column.name, LEAF_DEPTH)):
            leaf = self._column(name) if found < MAX_LEAVES and len(name) <= MAX_NAME else None
            if leaf is None:
                self.refused += 1
            elif number is None:
                leaf.skipped += 1
            else:
                leaf.rows.append(row)
                leaf.texts.append(number_text(number))


def read_item(item: bytes) -> tuple[bytes, bytes]:
    """The dotted key and the JSON text of an item of a history, summary, config or stats record. Raises WireError."""
    path: list[bytes] = []
    key = b""
    text = b"null"
    for number, kind, found in wire.fields(item):
        if isinstance(found, bytes):
            if number == 1 and kind == wire.BYTES:
                key = found
            elif number == 2 and kind == wire.BYTES:
                path.append(found)
            elif number in (8, 16) and kind == wire.BYTES:
                text = found
            elif number == 6 and kind == wire.FIXED64:
                text = number_text(struct.unpack("<d", found)[0])
            elif number == 7 and kind == wire.BYTES:
                text = orjson.dumps(wire.text(found))
        elif number == 4:
            text = b"true" if found else b"false"
        elif number == 5:
            text = b"%d" % (found >> 1 ^ -(found & 1))
    return b".".join(path) or key, text


def number_text(value: float) -> bytes:
    """The JSON text of a number, as W&B would write it."""
    return repr(value).replace("inf", "Infinity").replace("nan", "NaN").encode()


def _last_of_row(rows: Ints) -> NDArray[np.bool_]:
    """Whether each entry is the last of its row, bool[n]; `rows` does not fall."""
    last = np.ones(len(rows), np.bool_)
    last[:-1] = rows[1:] != rows[:-1]
    return last
