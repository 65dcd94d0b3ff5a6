"""Hugging Face `trainer_state.json`: the log that every Transformers and TRL run leaves in its checkpoints.

What it reads
-------------
`log_history`, one entry a log: train rows (loss, grad_norm, learning_rate), eval rows (eval_loss, eval_<set>_loss,
eval_<metric>) and the final summary row (train_runtime, train_loss), which is kept apart as `final/...`. Beside it the
plan (max_steps, num_train_epochs) and the logging, eval and save intervals.

Damage
------
A file that was cut or damaged anywhere is salvaged: every complete entry of log_history is kept, those behind the
damaged place too; what was dropped is said with its line and its bytes. Entries without a step take the
step of the entry before. Values that are no numbers are counted, not kept.

Names
-----
`eval_x` becomes `eval/x`, the summary row `final/x`, everything else `train/x`, as the Transformers callbacks do for
TensorBoard and W&B.

Limits
------
No wall times: they are filled from an event file or W&B log of the same run. A killed run's state ends at its last
checkpoint. With logging_nan_inf_filter on (the default), NaN losses were replaced before they were logged.

Sources
-------
transformers.TrainerState and TrainerCallback documentation; 120 public files.
"""

from __future__ import annotations

import math
import re
from typing import Any

from curvelab.importers._json_blocks import DamagedJsonError, ListInBlocks
from curvelab.importers._json_salvage import Gap, entries
from curvelab.importers._json_text import decoded, number, parse
from curvelab.importers._metric_columns import MetricColumns
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.sources import LFS_MARK, Source, importer

_SUMMARY_KEYS = frozenset(
    ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos",
     "train_tokens_per_second")
)  # fmt: skip
_TOKEN_KEYS = ("num_input_tokens_seen", "num_tokens")
_SETTINGS = (
    "max_steps", "num_train_epochs", "logging_steps", "eval_steps", "save_steps", "train_batch_size",
)  # fmt: skip
_LISTED = 20  # damaged places that get a note of their own
_LARGEST_STEP = 2**53  # beyond this a step is no count but damage (streaming runs write 2^63-1 for "no end")


def common_name(raw: str) -> str:
    """`eval_loss` -> `eval/loss`, `loss` -> `train/loss`, `train_runtime` -> `final/train_runtime`."""
    if raw in _SUMMARY_KEYS:
        return "final/" + raw
    for split in ("eval", "test"):
        if raw.startswith(split + "_"):
            return f"{split}/{raw[len(split) + 1 :]}"
    return "train/" + raw


@importer(
    title="Hugging Face trainer_state.json",
    globs=("trainer_state.json", "trainer_state*.json", "trainer_state.json.gz", "*.trainer_state.json"),
    names=common_name,
)
def read(source: Source) -> Log:
    """Read one state file. Raises UnreadableError when no entry of a log_history can be read."""
    if source.head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    raw = source.read_bytes()
    if not raw.strip(b"\x00 \t\r\n"):
        raise UnreadableError(source.path, "is empty; nothing to read")
    state, history, notes = _read(source, raw)
    if history.bad:
        notes.append(_warning(source, f"{history.bad} entries of log_history are no objects; {history.rows} kept"))
    if history.guessed:
        notes.append(_warning(source, f"{history.guessed} entries have no usable step; took the step of the entry before"))
    if history.refused:
        notes.append(_warning(source, f"{history.refused:,} values under too many names; not kept"))
    return Log(
        path=source.path,
        format="trainer-state",
        series=history.series(),
        settings={source.path.name: {k: state[k] for k in _SETTINGS if state.get(k) is not None}},
        plan=_count(state.get("max_steps")),
        reached=_count(state.get("global_step")),
        finished=True if "train_runtime" in history else None,
        checkpoint_steps=_checkpoints(source, state),
        skipped=history.skipped,
        notes=tuple(notes),
        damage=tuple(n for n in notes if n.level == "warning"),
    )


def _read(source: Source, raw: bytes) -> tuple[dict[str, Any], _Entries, list[Note]]:
    """The state without its history, that history, and what had to be repaired."""
    try:
        return *_in_blocks(raw), []
    except DamagedJsonError as error:
        why = str(error)
    except ValueError:
        return _otherwise(source, raw)
    return _salvaged(source, decoded(raw), why)


def _in_blocks(raw: bytes) -> tuple[dict[str, Any], _Entries]:
    """The state and its history of a file as the trainer writes it. Raises ValueError, DamagedJsonError for others."""
    history = ListInBlocks(raw, "log_history")
    found = _Entries()
    for entry in history.entries():
        found.take(entry)
    return history.rest, found


def _otherwise(source: Source, raw: bytes) -> tuple[dict[str, Any], _Entries, list[Note]]:
    """The same of a file of an unusual form or encoding."""
    try:
        state = parse(raw)
    except ValueError as error:
        return _salvaged(source, decoded(raw), str(error))
    if not isinstance(state, dict):
        raise UnreadableError(source.path, "is not a JSON object; nothing to read")
    notes: list[Note] = []
    found = _Entries()
    for entry in _history_of(source, state, notes):
        found.take(entry)
    return state, found, notes


def _salvaged(source: Source, text: str, why: str) -> tuple[dict[str, Any], _Entries, list[Note]]:
    """The complete entries of a cut or damaged state file and the scalar fields around them."""
    opening = re.search(r'"log_history"\s*:\s*\[', text) or re.search(r'"log_history"|\{', text)
    first = opening.end() if opening else len(text)
    history = _Entries()
    found = entries(text, first, history.take, plausible=lambda entry: "step" in entry)
    if not found.count and '"log_history"' not in text:
        raise UnreadableError(source.path, f"no JSON ({why}) and no log_history in it; nothing to read")
    state: dict[str, Any] = {}
    around = text[: found.begin] + text[found.end :]
    for key in (*_SETTINGS, "global_step"):
        scalar = re.search(rf'"{key}"\s*:\s*(-?\d{{1,18}}(?:\.\d+)?)\s*[,}}\r\n]', around)
        if scalar:
            state[key] = float(scalar.group(1)) if "." in scalar.group(1) else int(scalar.group(1))
    gaps = [gap for gap in found.gaps if gap.end > found.begin]
    mean = (found.end - found.begin - sum(gap.end - gap.start for gap in gaps)) / max(1, found.count)
    gaps = gaps or [Gap(found.begin, found.begin)]  # the list is whole: the damage lies elsewhere in the file
    notes = [
        Note(
            level="warning",
            text=f"cut or damaged{f' ({why})' if gap is gaps[0] else ''}; {_dropped(text, gap, mean)}"
            f"{found.count} complete entries kept",
            file=str(source.path),
            line=text.count("\n", 0, gap.start) + 1,
        )
        for gap in gaps[:_LISTED]
    ]
    if len(gaps) > _LISTED:
        notes.append(_warning(source, f"{len(gaps) - _LISTED} more damaged places; {found.count} entries kept"))
    return state, history, notes


def _dropped(text: str, gap: Gap, mean: float) -> str:
    """What lay in a gap, in bytes and in entries: those whose step can still be read, or as many as `mean` characters give."""
    size = len(text[gap.start : gap.end].encode("utf-8", "surrogatepass"))
    count = max(1, text.count('"step"', gap.start, gap.end), int((gap.end - gap.start) / max(1.0, mean)))
    return f"{size:,} bytes (about {count} {'entry' if count == 1 else 'entries'}) dropped, " if size else ""


def _history_of(source: Source, state: dict[str, Any], notes: list[Note]) -> list[Any]:
    """The list of entries, also when its name is damaged.

    Raises UnreadableError when there is none.
    """
    history = state.get("log_history")
    if isinstance(history, list):
        return history
    others = [
        (key, value)
        for key, value in state.items()
        if isinstance(value, list) and any(isinstance(entry, dict) and "step" in entry for entry in value)
    ]
    if len(others) != 1:
        raise UnreadableError(source.path, "holds no log_history list; nothing to read")
    key, entries_there = others[0]
    notes.append(_warning(source, f"holds no log_history; took the {len(entries_there)} entries of {key[:40]!r} for it"))
    return entries_there


class _Entries(MetricColumns):
    """The entries of a history as columns."""

    longest_name = 2**20  # a state is the only full record of its run: what names it is shortened, not refused

    def __init__(self) -> None:
        super().__init__()
        self.bad = 0
        self.guessed = 0
        self._last = 0

    def take(self, entry: Any) -> None:
        """Add an entry; one without a usable step takes that of the entry before."""
        if not isinstance(entry, dict):
            self.bad += 1
            return
        step = _count(entry.get("step"))
        if step is None:
            self.guessed += 1
        else:
            self._last = step
        epoch = number(entry.get("epoch"))
        tokens = next((number(entry[key]) for key in _TOKEN_KEYS if key in entry), None)
        self.add(
            self._last,
            [(key, value) for key, value in entry.items() if key not in ("step", "epoch")],
            epoch=math.nan if epoch is None else epoch,
            tokens=math.nan if tokens is None else tokens,
        )


def _count(value: Any) -> int | None:
    """A step or a number of steps; None for what cannot be one."""
    as_number = number(value)
    if as_number is None or not math.isfinite(as_number) or not 0 <= as_number < _LARGEST_STEP:
        return None
    return int(as_number)


def _checkpoints(source: Source, state: dict[str, Any]) -> tuple[int, ...]:
    """Steps of the checkpoints named by the state and by the folder it lies in."""
    words = (str(state.get("best_model_checkpoint") or ""), source.path.parent.name)
    found = (re.search(r"checkpoint-(\d{1,15})$", word) for word in words)
    return tuple(sorted({int(m.group(1)) for m in found if m}))


def _warning(source: Source, text: str) -> Note:
    return Note(level="warning", text=text, file=str(source.path))
