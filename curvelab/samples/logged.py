"""What batch logs beside a run say of suspect steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curvelab.batch_log import Said, lines_about
from curvelab.model.errors import UnreadableError
from curvelab.redaction import REDACTED, is_secret

MOST_FILES = 8  # one for each process, and no more
MOST_LINES = 24  # of all files together


@dataclass(frozen=True)
class Lines:
    """Short lines, `step 131: 5, 9, 12`, and what was not shown of them."""

    lines: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def logged_lines(files: Sequence[Path], windows: Sequence[tuple[int, int]]) -> Lines:
    """The lines about the windows and the step before each: a collator that logs `global_step` is one step behind."""
    wider = [(start - 1, end) for start, end in windows]
    doubts: list[str] = []
    lines: list[str] = []
    for file in files[:MOST_FILES]:
        try:
            said = lines_about(file, wider, MOST_LINES)
        except UnreadableError as error:
            doubts.append(f"{file.name} {error.message}")
            continue
        lines += [_shown(one) for one in said.kept]
        doubts += _doubts(file.name, said)
    if len(files) > MOST_FILES:
        doubts.append(f"{len(files) - MOST_FILES} more batch logs were not read")
    if len(lines) > MOST_LINES:
        doubts.append(f"{len(lines) - MOST_LINES} more lines of the batch logs are about these steps")
    if lines:
        doubts.append("batch logs are shown from one step before: those that count from 0 are one step behind")
    return Lines(tuple(lines[:MOST_LINES]), tuple(doubts))


def _shown(one: tuple[int, str]) -> str:
    step, text = one
    return f"step {step}: {REDACTED if is_secret('', text) else text}"


def _doubts(name: str, said: Said) -> list[str]:
    doubts = []
    if not said.kept:
        doubts.append(f"{name} says nothing of these steps")
    if said.more:
        doubts.append(f"{name} has {said.more:,} more lines about these steps")
    if said.cut:
        doubts.append(f"{name}: {said.cut:,} lines were longer than a line may be and were cut")
    return doubts
