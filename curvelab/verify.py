"""Is a file read rightly? Every value of a log, held against the reference reader of its format.

    tensorboard     tbparse (extra `tensorboard`)
    wandb-file      what wandb ships (extra `wandb`): its Python reader up to 0.29, `wandb leet inspect` later
    trainer-state   the json module of the standard library

None of our own reading is used here. Where a file is damaged the reference readers give up early; what they do give
must be ours, and what we have beyond it is said.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from curvelab.model.log import Log

MOST_DIFFERENCES = 5  # told; the first ones show what is wrong
CLOSE = 1e-6  # seconds: references that write times as text round them
LONGEST = 1800  # seconds for a reference reader that is a program of its own

Row = tuple[int | None, float, float | None]  # native step, value, wall time; None: not said


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one file: `values` were compared with `reader`; `reason` says why not all, or none.

    `extra` names what to install where the reference reader is missing.
    """

    status: Literal["equal", "different", "not-verified"]
    reader: str = ""
    values: int = 0
    differences: tuple[str, ...] = ()
    reason: str = ""
    extra: str = ""


@dataclass(frozen=True)
class Reference:
    """What a reference reader says: rows by tag in the order of the file. `partial` says why it may have less."""

    reader: str
    rows: Mapping[str, Sequence[Row]]
    partial: str = ""
    ignored: frozenset[str] = field(default_factory=frozenset)


class NotVerifiable(Exception):  # noqa: N818 - it is an outcome, not an error
    """Raised by a reference reader that cannot look at this file; the message is the reason."""

    extra = ""


class ReaderMissing(NotVerifiable):
    """Raised where the reference reader is not installed; `extra` is curvelab's extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"needs {package}: pip install 'curvelab[{extra}]'")
        self.extra = extra


def verify(log: Log) -> Verified:
    """Compare one log with its reference. A reference that fails makes the file `not-verified`, never `different`."""
    reader = _REFERENCES.get(log.format)
    if reader is None:
        return Verified(status="not-verified", reason=f"there is no reference reader for {log.format}")
    try:
        reference = reader(log)
    except NotVerifiable as why:
        return Verified(status="not-verified", reason=str(why), extra=why.extra)
    except Exception as error:  # foreign code on a file that may be damaged
        return Verified(status="not-verified", reason=f"the reference reader failed ({type(error).__name__}: {error})")
    return _compared(_rows(log), reference)


def _rows(log: Log) -> dict[str, list[Row]]:
    """Our rows by tag."""
    found: dict[str, list[Row]] = {}
    for series in log.series:
        steps = series.step if series.native_step is None else series.native_step
        times = [None] * len(series) if series.wall_time is None else series.wall_time.tolist()
        found[series.name] = list(zip(steps.tolist(), series.value.tolist(), times, strict=True))
    for timed in log.timed:
        found[timed.name] = [(None, v, t) for v, t in zip(timed.value.tolist(), timed.wall_time.tolist(), strict=True)]
    return found


def _compared(ours: Mapping[str, list[Row]], reference: Reference) -> Verified:
    differences: list[str] = []
    equal = beyond = 0
    for tag in dict.fromkeys((*reference.rows, *ours)):
        if tag in reference.ignored and tag not in ours:
            continue
        mine, theirs = ours.get(tag, []), reference.rows.get(tag, [])
        matched, difference = _matched(mine, theirs)
        equal += matched
        more = len(mine) - matched
        if difference:
            differences.append(f"{tag}: {difference}")
        elif more and not reference.partial:
            differences.append(f"{tag}: {len(mine):,} values, the reference reader has {len(theirs):,}")
        else:
            beyond += more
    shown = tuple(differences[:MOST_DIFFERENCES])
    if len(differences) > MOST_DIFFERENCES:
        shown += (f"and {len(differences) - MOST_DIFFERENCES:,} more",)
    return Verified(
        status="different" if differences else "equal",
        reader=reference.reader,
        values=equal,
        differences=shown,
        reason=f"{beyond:,} more values are ours alone ({reference.partial})" if beyond else "",
    )


def _matched(mine: Sequence[Row], theirs: Sequence[Row]) -> tuple[int, str]:
    """How many of their rows are ours, in their order; and the first that is not, if any."""
    place = 0
    for count, row in enumerate(theirs):
        while place < len(mine) and not _same(mine[place], row):
            place += 1
            if len(mine) - place < len(theirs) - count:
                here = mine[count] if count < len(mine) else None
                return count, f"row {count + 1:,} is {_told(row)}, ours {_told(here)}"
        if place >= len(mine):
            return count, f"row {count + 1:,} is {_told(row)}, ours is missing"
        place += 1
    return len(theirs), ""


def _same(mine: Row, theirs: Row) -> bool:
    (step, value, time), (their_step, their_value, their_time) = mine, theirs
    if step is not None and their_step is not None and step != their_step:
        return False
    if not (value == their_value or (math.isnan(value) and math.isnan(their_value))):
        return False
    return time is None or their_time is None or math.isnan(time) or abs(time - their_time) <= CLOSE


def _told(row: Row | None) -> str:
    if row is None:
        return "missing"
    step, value, time = row
    return f"{value!r}" + (f" at step {step:,}" if step is not None else "") + (f", time {time!r}" if time else "")


def _tensorboard(log: Log) -> Reference:
    try:
        from tbparse import SummaryReader
    except ImportError:
        raise ReaderMissing("tbparse", "tensorboard") from None
    import numpy as np

    reader = SummaryReader(str(log.path), pivot=False, extra_columns={"wall_time"})
    rows: dict[str, list[Row]] = {}
    for table in (reader.scalars, reader.tensors):
        if not len(table):
            continue
        for tag, step, value, time in zip(table["tag"], table["step"], table["value"], table["wall_time"], strict=True):
            one = np.asarray(value)
            if one.size == 1 and one.dtype.kind in "fiub":
                rows.setdefault(str(tag), []).append((int(step), float(one.reshape(-1)[0]), float(time)))
    partial = "the file is damaged" if log.damage else "tbparse drops what a restart overruled" if log.restarts else ""
    return Reference("tbparse", rows, partial, frozenset(log.skipped))


def _trainer_state(log: Log) -> Reference:
    raw = log.path.read_bytes()
    try:
        state = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        history = state["log_history"]
    except (ValueError, LookupError, TypeError, OSError, EOFError, RecursionError) as error:
        raise NotVerifiable(f"the json module cannot read it ({' '.join(str(error).split())})") from None
    rows: dict[str, list[Row]] = {}
    texts = 0
    for entry in history:
        if not isinstance(entry, dict):
            continue
        logged_at = entry.get("step")
        step = int(logged_at) if isinstance(logged_at, int | float) and math.isfinite(logged_at) else None
        for key, value in entry.items():
            if key in ("step", "epoch"):
                continue
            if isinstance(value, int | float):
                rows.setdefault(key, []).append((step, _as_float(value), None))
            texts += isinstance(value, str)
    return Reference("json", rows, "numbers that were logged as text" if texts else "")


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


_WANDB_AXES = frozenset(("_step", "_runtime", "_timestamp"))


def _wandb_file(log: Log) -> Reference:
    from importlib.util import find_spec

    if find_spec("wandb") is None:
        raise ReaderMissing("wandb", "wandb")
    old = find_spec("wandb.sdk.internal.datastore") is not None
    records = _records_of_datastore(log.path) if old else _records_of_leet(log.path)
    rows: dict[str, list[Row]] = {}
    for kind, step, time, items in records:
        own = items.get("_step", step)
        stamp = items.get("_timestamp", time) if kind == "history" else time
        for key, value in items.items():
            if kind == "history" and key in _WANDB_AXES:
                continue
            name = key if kind == "history" else f"system.{key}"
            at = int(own) if kind == "history" and own is not None else None
            rows.setdefault(name, []).append((at, value, stamp))
    partial = "the file is damaged" if log.damage else ""
    return Reference("wandb", rows, partial, frozenset(log.skipped))


# kind ("history" or "stats"), step, time, flat name -> number
Record = tuple[str, int | None, float | None, dict[str, float]]


def _records_of_datastore(path: Path) -> Iterator[Record]:
    """wandb up to 0.29: its Python reader, and its protobuf classes."""
    from wandb.proto.wandb_internal_pb2 import Record as Message  # type: ignore[attr-defined]
    from wandb.sdk.internal.datastore import DataStore

    with tempfile.TemporaryDirectory() as folder:  # the reader opens the file for writing, too: give it a copy
        copy = Path(folder) / "run.wandb"
        copy.write_bytes(path.read_bytes())
        store = DataStore()
        store.open_for_scan(str(copy))
        while (data := store.scan_data()) is not None:
            record = Message.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind not in ("history", "stats"):
                continue
            message = getattr(record, kind)
            items: dict[str, float] = {}
            for item in message.item:
                key = item.key or ".".join(getattr(item, "nested_key", ()))
                _flatten(key, json.loads(item.value_json), items)
            time = message.timestamp.seconds + message.timestamp.nanos / 1e9 if kind == "stats" else None
            yield kind, int(message.step.num) if kind == "history" else None, time, items
        store.close()


def _records_of_leet(path: Path) -> Iterator[Record]:
    """wandb from 0.31 on: its own program prints the records as JSON lines."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path.absolute())]
    quiet = {**os.environ, "WANDB_ERROR_REPORTING": "false", "WANDB_MODE": "offline"}  # no word to any server
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=quiet, timeout=LONGEST, check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise NotVerifiable(f"this wandb ships no reader that works ({said[-1] if said else 'no message'})")
        out.seek(0)
        for line in out:
            record = json.loads(line)
            kind = record.get("type")
            if kind not in ("history", "stats"):
                continue
            message = record[kind]
            items: dict[str, float] = {}
            for key, value in (message.get("item") or {}).items():
                _flatten(key, value, items)
            step = (message.get("step") or {}).get("num") if kind == "history" else None
            yield kind, None if step is None else int(step), _seconds(message.get("timestamp")), items


def _flatten(key: str, value: Any, into: dict[str, float]) -> None:
    """Numbers by dotted name; texts, lists and histograms are no numbers."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, into)
    elif isinstance(value, int | float):
        into[key] = _as_float(value)
    elif value in ("NaN", "Infinity", "-Infinity"):
        into[key] = float(value)


def _seconds(text: str | None) -> float | None:
    """Unix seconds of an RFC 3339 time with up to nine decimals."""
    if not text:
        return None
    from datetime import UTC, datetime

    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")


_REFERENCES: dict[str, Callable[[Log], Reference]] = {
    "tensorboard": _tensorboard,
    "wandb-file": _wandb_file,
    "trainer-state": _trainer_state,
}
