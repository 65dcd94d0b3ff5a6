"""Weights & Biases offline runs: the `run-*.wandb` file that the SDK writes beside a training.

What it reads
-------------
One file is one attempt of a run. History rows become series under their raw keys (nested keys joined with dots); the
config becomes settings; system metrics become series by time, `system.<key>`; the exit code is kept. The step is
`train/global_step` where the Hugging Face callback logs it, else the step metric that `define_metric` gave the key
(globs included), else W&B's own `_step`, which stays beside it as the native step. A row without the axis that its key
has elsewhere takes the last known value of the axis; the note says how many did. Texts, histograms, images and tables
are counted, not kept. `wandb` itself is not needed.

Damage
------
A damaged chunk costs the record it belongs to and no other: reading goes on at the next chunk whose checksum holds, and
the place and the loss are noted. A tail that was never written, as a killed run leaves it, is a fact and no warning. A
record that is no protobuf message in spite of its checksum is dropped and counted. An exit code of 0 is no mark of
completion; a logged `train_runtime` is.

Names
-----
The Hugging Face callback logs `train/...` and `eval/...` already; free names such as `val_loss` and Lightning's
`train_loss_step` become such; other keys pass as they are.

Limits
------
20,000 keys, names of 1,000 bytes, nested values to a depth of 8 and 1,000 numbers; values past any of them are counted.
Numbers beyond the range of a float64 become infinite, with a note. Only the `.wandb` file is read, not the files beside
it.

Sources
-------
Framing: https://github.com/google/leveldb/blob/main/doc/log_format.md. Records and field numbers: the protobuf
definitions that the wandb package ships. Steps: https://docs.wandb.ai/guides/track/log/customize-logging-axes
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from curvelab.free_names import common_name, lone_names
from curvelab.importers import _json_values as json_values
from curvelab.importers import _protobuf_wire as wire
from curvelab.importers._leveldb_log import Batch, Gap, Gaps, LogReader
from curvelab.importers._wandb_axes import StepMetrics, history_series, system_series
from curvelab.importers._wandb_records import (
    CONFIG,
    EXIT,
    HISTORY,
    MALFORMED,
    METRIC,
    RUN,
    STATS,
    SUMMARY,
    record_kinds,
)
from curvelab.importers._wandb_table import Table, read_item
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.sources import LFS_MARK, Source, importer

HEADER = b":W&B\xe1\xbe"  # and one byte of version
HEADER_SIZE = 7
VERSION = 0

RUN_WORDS = {1: "id", 8: "name", 3: "project", 2: "entity", 6: "group"}  # fields of RunRecord
RUN_CONFIG, RUN_START = 4, 17
COMPLETION = b"train_runtime"  # the Trainer logs it once, when training has run to its end

MAX_NOTES = 20  # places of damage that are told one by one


@dataclass
class Reading:
    """What the records have said so far."""

    history: Table = field(default_factory=lambda: Table(item_field=1, stamp_unless="_step"))
    stats: Table = field(default_factory=lambda: Table(item_field=3))
    step_metrics: StepMetrics = field(default_factory=StepMetrics)
    config: dict[str, object] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)
    start: float | None = None
    exit_code: int | None = None
    completed: bool = False
    unusable_config: int = 0
    malformed: Gaps = field(default_factory=Gaps)

    def take(self, batch: Batch) -> None:
        """Take in the records of a stretch of the file."""
        kinds, begin, end = record_kinds(batch)
        lost = np.flatnonzero(kinds == MALFORMED).tolist()
        for kind, table in ((HISTORY, self.history), (STATS, self.stats)):
            chosen = np.flatnonzero(kinds == kind)
            lost += chosen[table.add(batch.data, begin[chosen], end[chosen])].tolist()
        summaries = np.flatnonzero(kinds == SUMMARY) if COMPLETION in batch.data else ()
        for i in (*summaries, *np.flatnonzero(np.isin(kinds, (CONFIG, METRIC, RUN, EXIT)))):
            try:
                self._take_one(int(kinds[i]), batch.data[begin[i] : end[i]])
            except wire.WireError:
                lost.append(int(i))
        for i in lost:
            self.malformed.add(Gap(int(batch.offset[i]), "a record that is no protobuf message", 1))

    def _take_one(self, kind: int, message: bytes) -> None:
        if kind == SUMMARY:
            if COMPLETION in message:
                names = (read_item(item)[0] for item in wire.messages(message, 1))
                self.completed |= any(name.endswith(COMPLETION) for name in names)
        elif kind == CONFIG:
            self._take_config(message)
        elif kind == METRIC:
            self.step_metrics.take(message)
        elif kind == RUN:
            self._take_run(message)
        elif kind == EXIT:
            codes = [value for number, _, value in wire.fields(message) if number == 1 and isinstance(value, int)]
            self.exit_code = wire.signed(codes[-1], 32) if codes else 0

    def _take_run(self, message: bytes) -> None:
        for number, _, value in wire.fields(message):
            if not isinstance(value, bytes):
                continue
            if number in RUN_WORDS and value:
                self.identity[RUN_WORDS[number]] = wire.text(value)
            elif number == RUN_CONFIG:
                self._take_config(value)
            elif number == RUN_START:
                self.start = wire.timestamp(value)

    def _take_config(self, message: bytes) -> None:
        for number, _, item in wire.fields(message):
            if number not in (1, 2) or not isinstance(item, bytes):
                continue
            key, text = read_item(item)
            name = wire.text(key)
            if number == 2:
                self.config.pop(name, None)
            elif name != "_wandb":
                try:
                    self.config[name] = json_values.loads(text)
                except ValueError:
                    self.unusable_config += 1


@importer(title="Weights & Biases offline run (.wandb)", globs=("*.wandb",), names=common_name)
def read(source: Source) -> Log:
    """Read one `.wandb` file. Raises UnreadableError for a git-lfs pointer and for what W&B did not write."""
    data = source.read_bytes()
    if source.size and not data:
        raise UnreadableError(source.path, "nothing of it can be unpacked")
    if data.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    file = str(source.path)
    records = LogReader(data, HEADER_SIZE)
    notes = list(_header_notes(source, data, records))
    reading, kept = Reading(), 0
    for batch in records.batches():
        reading.take(batch)
        kept += len(batch.offset)
    kept -= reading.malformed.count
    series, step_notes = history_series(reading.history, reading.step_metrics, reading.start)
    notes += [Note(level=level, text=text, file=file) for level, text in (*step_notes, *_value_notes(reading))]
    if len(data) > HEADER_SIZE and not series:
        notes.append(Note(level="info", text=f"no numbers were logged in its {kept:,} records", file=file))
    return Log(
        path=source.path,
        format="wandb-file",
        series=series,
        timed=system_series(reading.stats),
        settings={source.path.name: reading.config} if reading.config else {},
        plan=_plan(reading.config),
        finished=_finished(reading),
        exit_code=reading.exit_code,
        identity=reading.identity,
        names=lone_names({one.name: common_name(one.name) for one in series}),
        skipped={name: column.skipped for name, column in reading.history.columns.items() if column.skipped},
        notes=tuple(notes),
        damage=tuple(_damage_notes((records.gaps, reading.malformed), kept, file)),
    )


def _header_notes(source: Source, data: bytes, records: LogReader) -> Iterator[Note]:
    file = str(source.path)
    if not data:
        yield Note(level="info", text="the file is empty: the run was killed before it wrote anything", file=file)
    elif len(data) <= HEADER_SIZE and HEADER.startswith(data[: len(HEADER)]):
        yield Note(level="info", text="nothing follows the file's header: the run wrote no record", file=file)
    elif not data.startswith(HEADER):
        if not records.begins_well():
            raise UnreadableError(source.path, "does not begin as a W&B run file does (:W&B); nothing was kept")
        text = "the file's header is damaged; the records behind it are read"
        yield Note(level="warning", text=text, file=file, byte=0)
    elif data[len(HEADER)] != VERSION:
        text = f"version {data[len(HEADER)]} of the file format, {VERSION} is known; read as if it were that"
        yield Note(level="warning", text=text, file=file, byte=len(HEADER))


def _value_notes(reading: Reading) -> Iterator[tuple[Literal["info", "warning"], str]]:
    columns = reading.history.columns.values()
    if skipped := sum(column.skipped for column in columns):
        names = sum(column.skipped > 0 for column in columns)
        yield "info", f"{skipped:,} values of {names:,} keys are no numbers (texts, histograms, media); not kept"
    if overflown := sum(column.overflown for column in columns):
        yield "warning", f"{overflown:,} values lie beyond the range of a float64; kept as infinite"
    if refused := reading.history.refused + reading.stats.refused:
        yield "warning", f"{refused:,} values under too many or too long names; not kept"
    if reading.unusable_config:
        yield "warning", f"{reading.unusable_config:,} config values are no usable JSON; not kept"


def _damage_notes(found: tuple[Gaps, ...], kept: int, file: str) -> Iterator[Note]:
    gaps = sorted(itertools.chain.from_iterable(each.places for each in found), key=lambda gap: gap.byte)
    lost = sum(each.lost for each in found)
    for gap in gaps[:MAX_NOTES]:
        count = f"{'' if gap.exact else 'at least '}{gap.lost:,} {'record' if gap.lost == 1 else 'records'} lost"
        text = f"{gap.reason}; {count} ({kept:,} of {kept + lost:,} kept)" if gap.lost else f"{gap.reason}; all kept"
        yield Note(level="info" if gap.cut else "warning", text=text, file=file, byte=gap.byte)
    if more := sum(each.count for each in found) - len(gaps[:MAX_NOTES]):
        text = (
            f"{more:,} more damaged places; at least {lost - sum(gap.lost for gap in gaps[:MAX_NOTES]):,} records lost"
        )
        yield Note(level="warning", text=text, file=file, byte=gaps[MAX_NOTES].byte)


def _plan(config: dict[str, object]) -> int | None:
    steps = config.get("max_steps")
    return int(steps) if isinstance(steps, (int, float)) and 0 < steps < 2**62 else None


def _finished(reading: Reading) -> bool | None:
    if reading.completed or any(name.endswith(COMPLETION.decode()) for name in reading.history.columns):
        return True
    return False if reading.exit_code else None
