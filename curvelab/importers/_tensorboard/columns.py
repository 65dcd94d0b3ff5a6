"""Many records at once: those that differ only in time, step, tag bytes and numbers are decoded as columns.

One record of a batch is read by the plain reader (event.py), which also says where its parts stand: that is a layout.
All records of the batch whose other bytes are the same as that record's have the same layout, whatever they mean, so
their parts are sliced out with numpy. What fits no layout is read record by record.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curvelab.importers._tensorboard.event import Event, MalformedError, Value, read_event
from curvelab.importers._tensorboard.frames import FEW_ROWS, Batch, Bytes, Floats, Ints

MAX_LAYOUTS = 16  # layouts tried on one batch before the rest is read record by record
MAX_TAGS = 20_000  # tags of one file; values of further tags are counted, not kept
FOREIGN = "values of tags beyond the limit"


@dataclass
class Rows:
    """Growing columns of one tag: chunks from batches, and arrays for records that were read one by one."""

    first: tuple[int, int]  # (order, place in the record) of the first appearance
    chunks: list[tuple[Ints, Ints, Floats, Floats]] = field(default_factory=list)
    order: array[int] = field(default_factory=lambda: array("q"))
    step: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    wall_time: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.order) + sum(len(chunk[0]) for chunk in self.chunks)

    def columns(self) -> tuple[Ints, Ints, Floats, Floats]:
        """order, step, value, wall_time of all rows, in the order of the file."""
        parts = self.chunks
        if len(self.order):
            single = (
                np.frombuffer(self.order, dtype=np.int64),
                np.frombuffer(self.step, dtype=np.int64),
                np.frombuffer(self.value, dtype=np.float64),
                np.frombuffer(self.wall_time, dtype=np.float64),
            )
            parts = [*parts, single]
        if len(parts) == 1:
            order, step, value, wall_time = parts[0]
        else:
            order, step, value, wall_time = (np.concatenate([part[i] for part in parts]) for i in range(4))
        if (order[1:] < order[:-1]).any():
            rows = np.argsort(order, kind="stable")
            return order[rows], step[rows], value[rows], wall_time[rows]
        return order, step, value, wall_time


@dataclass
class Gathered:
    """What the records of one file say, in whatever order they were added.

    numbers   (tag, whether as a tensor) -> rows
    plugins   tag -> (order, plugin) of the first record that names the tag's plugin
    texts     tag -> (order, text) of the last text of a tag that holds settings
    hparams   (order, message) of the last hparams session start
    others    tag -> values that are no numbers
    starts    orders of the records that say that a process began
    bad       (order, offset) of records that are no Events
    """

    numbers: dict[tuple[bytes, bool], Rows] = field(default_factory=dict)
    plugins: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    texts: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    hparams: tuple[int, bytes] = (-1, b"")
    others: dict[bytes, int] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    bad: list[tuple[int, int]] = field(default_factory=list)
    foreign: int = 0
    events: int = 0

    def add_record(self, order: int, offset: int, payload: bytes) -> None:
        """Read one record plainly."""
        try:
            event = read_event(payload)
        except MalformedError:
            self.bad.append((order, offset))
            return
        self.add_event(order, event)

    def add_event(self, order: int, event: Event) -> None:
        self.events += 1
        if event.starts or (event.version and order):
            self.starts.append(order)
        for place, value in enumerate(event.values):
            self._add_value(order, place, event, value)

    def _add_value(self, order: int, place: int, event: Event, value: Value) -> None:
        if value.plugin:
            self.name_plugin(value.tag, order, value.plugin)
        if value.kind == "number":
            rows = self.rows_of(value.tag, value.tensor, (order, place))
            if rows is None:
                self.foreign += 1
                return
            rows.order.append(order)
            rows.step.append(event.step)
            rows.value.append(value.number)
            rows.wall_time.append(event.wall_time)
        elif value.kind == "text" and value.tag in SETTINGS_TEXTS:
            if order >= self.texts.get(value.tag, (-1, b""))[0]:
                self.texts[value.tag] = (order, value.text)
        elif value.tag == HPARAMS and value.kind == "none":
            self.hparams = max(self.hparams, (order, value.content), key=lambda pair: pair[0])
        elif value.tag in self.others or len(self.others) < MAX_TAGS:
            self.others[value.tag] = self.others.get(value.tag, 0) + 1
        else:
            self.foreign += 1

    def name_plugin(self, tag: bytes, order: int, plugin: bytes) -> None:
        """The metadata that names a tag's plugin stands on its first record only."""
        known = self.plugins.get(tag)
        if (known is None and len(self.plugins) < MAX_TAGS) or (known is not None and order < known[0]):
            self.plugins[tag] = (order, plugin)

    def rows_of(self, tag: bytes, tensor: bool, first: tuple[int, int]) -> Rows | None:
        """The rows of a tag; None when the file has too many tags."""
        rows = self.numbers.get((tag, tensor))
        if rows is None:
            if len(self.numbers) >= MAX_TAGS:
                return None
            rows = self.numbers[tag, tensor] = Rows(first)
        elif first < rows.first:
            rows.first = first
        return rows

    def add_batch(self, batch: Batch) -> None:
        """Read records of one length: layout by layout, what is left over one by one."""
        rest = np.arange(len(batch.order))
        layouts = 0
        while len(rest) >= FEW_ROWS and layouts < MAX_LAYOUTS:
            row = int(rest[0])
            payload = batch.payload[row].tobytes()
            try:
                event = read_event(payload)
            except MalformedError:
                self.bad.append((int(batch.order[row]), int(batch.offset[row])))
                rest = rest[1:]
                continue
            layout = Layout.of(event, len(payload))
            if layout is None:
                self.add_event(int(batch.order[row]), event)
                rest = rest[1:]
                continue
            layouts += 1
            same = layout.fits(batch.payload, rest)
            rows = rest if same is None else rest[same]
            everything = len(rows) == len(batch.order)
            payloads = batch.payload if everything else batch.payload[rows]
            self._add_columns(layout, batch.order if everything else batch.order[rows], payloads)
            rest = rest[:0] if same is None else rest[~same]
        for row in rest.tolist():
            self.add_record(int(batch.order[row]), int(batch.offset[row]), batch.payload[row].tobytes())

    def _add_columns(self, layout: Layout, order: Ints, payload: Bytes) -> None:
        self.events += len(order)
        wall_time, step = layout.wall_times(payload), layout.steps(payload)
        for place, slot in enumerate(layout.slots):
            columns = order, step, slot.numbers(payload), wall_time
            together, parts = slot.by_tag(payload)
            if together is not None:
                columns = order[together], step[together], columns[2][together], wall_time[together]
            for tag, start, stop in parts:
                first = int(columns[0][start])
                if slot.plugin:
                    self.name_plugin(tag, first, slot.plugin)
                kept = self.rows_of(tag, slot.tensor, (first, place))
                if kept is None:
                    self.foreign += stop - start
                else:
                    part = slice(start, stop)
                    kept.chunks.append((columns[0][part], columns[1][part], columns[2][part], columns[3][part]))


SETTINGS_TEXTS = (b"args/text_summary", b"model_config/text_summary")
HPARAMS = b"_hparams_/session_start_info"


@dataclass(frozen=True)
class Slot:
    """Where one number of a layout stands, and its tag."""

    tag_at: int
    tag_size: int
    number_at: int
    number_type: str
    tensor: bool
    plugin: bytes | None

    def numbers(self, payload: Bytes) -> Floats:
        """float64[n]"""
        with np.errstate(invalid="ignore"):  # widening a signalling NaN is no error here
            return _column(payload, self.number_at, self.number_type).astype(np.float64)

    def by_tag(self, payload: Bytes) -> tuple[Ints | None, list[tuple[bytes, int, int]]]:
        """The rows in an order that brings tags together (None: as they are), and each tag's (start, stop) in it."""
        tags = payload[:, self.tag_at : self.tag_at + self.tag_size]
        differing = np.flatnonzero(np.bitwise_or.reduce(tags ^ tags[0], axis=0))
        if not len(differing):
            return None, [(tags[0].tobytes(), 0, len(tags))]
        # Tags are told apart by the bytes in which they differ: up to eight of them fit into one integer.
        if len(differing) <= 8:
            key = np.zeros((len(tags), 8), dtype=np.uint8)
            key[:, : len(differing)] = tags[:, differing]
            kinds, kind = np.unique(key.view(np.uint64)[:, 0], return_inverse=True)
        else:
            # numpy strips zero bytes from the end of a text; as all have one length this merges no two of them
            texts = np.ascontiguousarray(tags[:, differing]).view(f"S{len(differing)}")[:, 0]
            kinds, kind = np.unique(texts, return_inverse=True)
        if len(kinds) < 1 << 16:
            kind = kind.astype(np.uint16)  # 16 bits sort in linear time
        rows = np.argsort(kind, kind="stable")
        ends = np.cumsum(np.bincount(kind, minlength=len(kinds))).tolist()
        return rows, [
            (tags[rows[start]].tobytes(), start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of time, step, tags and numbers in a record, and the bytes that must be the same around them.

    mask  uint8[length]  255 where the byte must be the same, 128 within the step (a varint is as long as its high bits
                         say), 0 in times, tags and numbers
    """

    wall_at: int
    step_at: int
    step_size: int
    slots: tuple[Slot, ...]
    mask: Bytes

    @classmethod
    def of(cls, event: Event, length: int) -> Layout | None:
        """The layout of a record, None for one that is not made of plain scalars."""
        if not event.simple or not event.values or event.wall_at < 0 or event.starts or event.version:
            return None
        if any(value.number_at < 0 or value.kind != "number" or value.tag_at < 0 for value in event.values):
            return None
        slots = tuple(Slot(v.tag_at, len(v.tag), v.number_at, v.number_type, v.tensor, v.plugin) for v in event.values)
        mask = np.full(length, 255, dtype=np.uint8)
        mask[event.wall_at : event.wall_at + 8] = 0
        mask[event.step_at : event.step_at + event.step_size] = 128
        for slot in slots:
            mask[slot.tag_at : slot.tag_at + slot.tag_size] = 0
            mask[slot.number_at : slot.number_at + np.dtype(slot.number_type).itemsize] = 0
        return cls(event.wall_at, event.step_at, event.step_size, slots, mask)

    def fits(self, payload: Bytes, rows: Ints) -> NDArray[np.bool_] | None:
        """bool[len(rows)]: which rows have this layout (that of the first row); None: all."""
        part = payload if len(rows) == len(payload) else payload[rows]
        change = part ^ part[0]
        differing = np.flatnonzero(np.bitwise_or.reduce(change, axis=0) & self.mask)
        if not len(differing):
            return None
        same = np.ones(len(part), dtype=np.bool_)
        for column in differing.tolist():
            same &= (change[:, column] & self.mask[column]) == 0
        return same

    def wall_times(self, payload: Bytes) -> Floats:
        """float64[n]"""
        return _column(payload, self.wall_at, "<f8").astype(np.float64)

    def steps(self, payload: Bytes) -> Ints:
        """int64[n] from varints of one width."""
        step = np.zeros(len(payload), dtype=np.uint64)
        for place in range(self.step_size):
            step |= (payload[:, self.step_at + place] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
        return step.view(np.int64)


def _column(payload: Bytes, at: int, kind: str) -> NDArray[np.generic]:
    """One fixed-width column of uint8[n, length], still unaligned."""
    return payload[:, at : at + np.dtype(kind).itemsize].view(kind)[:, 0]
