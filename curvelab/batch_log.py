"""Batch logs: what people write in a collator or a callback about the samples of each step, one line or row a step.

    step 120: indices [5, 9, 12]          step=120 idx=5,9,12          {"step": 120, "ids": ["a.txt", "b.txt"]}
    step,index                            120;5 9 12
    120,5

Any text that names a step is taken; the rest of its line is what it says of it. Nothing is parsed but the step, so that
file names, ids and whatever else people write come as they are. Files are read line by line: memory does not grow with
them, and only what is asked for is kept.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import TextIOWrapper
from pathlib import Path

from curvelab.model.errors import UnreadableError

GLOBS = tuple(f"{stem}.{end}" for stem in ("batch_log*", "batches*", "*batch_log*") for end in ("txt", "csv", "jsonl"))
MAX_FILE = 256 * 1024**2  # bytes; a step a line, 64 indices each, is half a million steps
MAX_LINE = 64 * 1024  # characters; 10,000 indices
LONGEST = 160  # characters of a line that are kept

_STEP_NAMES = frozenset(("step", "global_step", "globalstep", "iteration", "iter", "train/global_step", "optimizer_step"))
_STEP = re.compile(
    r"(?<![A-Za-z_])[\"']?(?:(?:global|optimizer|train|training|current)[_ /]?)?(?:step|iteration|iter)[\"']?"
    r"[ \t]{0,4}[:=#]?[ \t]{0,4}(\d{1,15})(?!\d|\.\d)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(\d{1,15})[ \t]*(?:[:;|,=][ \t]+|\t)")  # `120: 5, 9`, but not the time 12:30:11
_METRIC = re.compile(rb"(?<![a-z])(?:loss|acc|accuracy|grad_norm|learning_rate|lr|reward)(?![a-z])")
_BEFORE, _AFTER = " \t:;,|{}-–", " \t,;{}"  # what stands around the text of a line and says nothing


@dataclass
class Said:
    """What a file says of the steps asked for: (step, text) in the file's order, how many more, how many lines were cut."""

    kept: list[tuple[int, str]] = field(default_factory=list)
    more: int = 0
    cut: int = 0


def is_batch_log(name: str, head: bytes) -> bool:
    """Whether a file is a batch log by its name and its first bytes; one that holds a metric is a training log as well."""
    return _named(name) and not _METRIC.search(head.lower()) and has_steps(name, head)


def has_steps(name: str, head: bytes) -> bool:
    """Whether the first bytes of a file of this name hold a line with a step."""
    return next(_steps_of(_lines_of(head), name), None) is not None


def lines_about(path: Path, windows: Sequence[tuple[int, int]], most: int) -> Said:
    """The lines of a batch log about steps within the windows (first and last step, both included), at most `most`.

    Raises UnreadableError for a file that cannot be read, is too large, or names no step at all.
    """
    said = Said()
    seen = False
    try:
        if path.stat().st_size > MAX_FILE:
            raise UnreadableError(path, f"is over the limit of {MAX_FILE:,} bytes for a batch log; not read")
        with path.open("rb") as file:
            encoding = _encoding(file.read(4))
            file.seek(0)
            with TextIOWrapper(file, encoding=encoding, errors="replace", newline=None) as stream:
                for step, text in _steps_of(_bounded(stream, said), path.name):
                    seen = True
                    if any(start <= step <= end for start, end in windows):
                        _keep(said, step, text, most)
    except (OSError, ValueError) as error:
        raise UnreadableError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not seen:
        raise UnreadableError(path, "names no step in any line")
    return said


def _keep(said: Said, step: int, text: str, most: int) -> None:
    """Keep a text; rows of one step that follow each other (a row a sample) become one line."""
    if said.kept and said.kept[-1][0] == step and len(said.kept[-1][1]) + len(text) + 2 <= LONGEST:
        said.kept[-1] = (step, f"{said.kept[-1][1]}, {text}")
    elif len(said.kept) < most:
        said.kept.append((step, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"))
    else:
        said.more += 1


def _named(name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in GLOBS)


def _encoding(head: bytes) -> str:
    if head[:3] == b"\xef\xbb\xbf":
        return "utf-8-sig"
    return "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _lines_of(head: bytes) -> Iterator[str]:
    return iter(head.decode(_encoding(head), "replace").replace("\r", "\n").split("\n"))


def _bounded(stream: TextIOWrapper, said: Said) -> Iterator[str]:
    """Lines of at most MAX_LINE characters; the rest of a longer one is passed over and counted."""
    while line := stream.readline(MAX_LINE):
        yield line
        if line[-1] != "\n" and len(line) >= MAX_LINE:
            said.cut += 1
            while (rest := stream.readline(MAX_LINE)) and rest[-1] != "\n":
                pass


def _steps_of(lines: Iterator[str], name: str) -> Iterator[tuple[int, str]]:
    """(step, what is said of it) of every line that names a step: by a word, or in a table by its column."""
    table = _Table() if name.lower().endswith(".csv") else None
    for raw in lines:
        line = raw.replace("\0", "").strip()
        if not line:
            continue
        found = table.row(line) if table is not None else None
        found = found or _worded(line)
        if found is not None:
            yield found


def _worded(line: str) -> tuple[int, str] | None:
    match = _STEP.search(line) or _NUMBERED.match(line)
    if match is None:
        return None
    before, rest = (part.lstrip(_BEFORE).rstrip(_AFTER) for part in (line[: match.start()], line[match.end() :]))
    # a JSON object may name its step last; before a step in a text stands a time or a level, which says nothing
    text = ", ".join(part for part in (before, rest) if part) if line.startswith("{") else rest or before
    return int(match[1]), text.replace('"', "")


class _Table:
    """Rows of a CSV file: the step's column by the header, or the first one where the first row begins with a number."""

    def __init__(self) -> None:
        self._delimiter = ","
        self._column: int | None = None
        self._begun = False

    def row(self, line: str) -> tuple[int, str] | None:
        """(step, the other cells) of a row, None for the header and for what is no row."""
        if not self._begun:
            self._begun = True
            self._delimiter = max(",;\t|", key=line.count)
            names = [cell.strip().lower() for cell in self._cells(line)]
            self._column = next((i for i, name in enumerate(names) if name in _STEP_NAMES), None)
            if self._column is not None:
                return None
            self._column = 0 if len(names) > 1 and names[0].isdecimal() else None
        if self._column is None:
            return None
        cells = [cell.strip() for cell in self._cells(line)]
        if len(cells) <= self._column or not re.fullmatch(r"[0-9]{1,15}(\.0+)?", cells[self._column]):
            return None
        step = int(cells[self._column].partition(".")[0])
        return step, ", ".join(cell for i, cell in enumerate(cells) if i != self._column and cell)

    def _cells(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self._delimiter))
        except (csv.Error, StopIteration):
            return line.split(self._delimiter)
