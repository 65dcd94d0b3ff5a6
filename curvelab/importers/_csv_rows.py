"""CSV as training tools write it: delimiter guessed, quotes that never close, header repeated, last line cut.

The csv module parses each record; finding the records is own code, because the module takes everything after one open
quote for a single cell, which costs the rest of the file.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO

from curvelab.importers._lines import Lines, Tally
from curvelab.importers._metric_columns import cell_number

DELIMITERS = (",", ";", "\t", "|")
MAX_COLUMNS = 20_000
_LONGEST_RECORD = 200  # lines that one quoted cell may span: prompts in a W&B export, not a whole file
_DECIMAL_COMMA = re.compile(r"^\s*[-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*$")


@dataclass
class CsvTable:
    """A CSV file: its header, and `rows()` that yields (line, cells) of each complete record.

    new_headers lines at which a header stands again (another process appended to the file)
    unended     the last line has no line end, so its last cell may be cut; known when the last row is yielded
    too_wide    columns beyond MAX_COLUMNS, which are not read
    """

    lines: Lines
    tally: Tally
    header: list[str] = field(default_factory=list)
    delimiter: str = ","
    new_headers: list[int] = field(default_factory=list)
    unended: bool = False
    too_wide: int = 0

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every record with as many cells as the header; fewer or more are dropped into the tally.

        The header is the first line that is neither empty nor a comment; rows change to another that follows.
        """
        pending: tuple[int, list[str]] | None = None
        for number, cells in self._records():
            if not self.header:
                self._take_header(cells)
                continue
            if pending is not None:
                yield pending
                pending = None
            if len(cells) != len(self.header) + self.too_wide:
                if len(cells) == 1 and not cells[0].strip():
                    continue
                if is_header(cells, self.header):
                    self._new_header(number, cells)
                else:
                    fewer = len(cells) < len(self.header)
                    self.tally.drop(f"have {'fewer' if fewer else 'more'} fields than the header", number)
                continue
            if is_header(cells, self.header):
                self._new_header(number, cells)
                continue
            pending = number, cells[: len(self.header)]
        self.unended = self.lines.unended
        if pending is not None:
            yield pending

    def _take_header(self, cells: list[str]) -> None:
        names = [cell.strip().strip("\ufeff") for cell in cells]
        self.too_wide = max(0, len(names) - MAX_COLUMNS)
        self.header = names[:MAX_COLUMNS]

    def _new_header(self, number: int, cells: list[str]) -> None:
        self.new_headers.append(number)
        self._take_header(cells)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(first line, cells) of each record; a quote that stays open costs only the line that it stands in."""
        source = iter(self.lines)
        ahead: deque[tuple[int, str]] = deque()
        while True:
            if not ahead and (following := next(source, None)) is not None:
                ahead.append(following)
            if not ahead:
                return
            number, line = ahead.popleft()
            if not self.header:
                if not line.strip() or line.startswith("#"):
                    continue
                self.delimiter = delimiter_of(line)
            if line.count('"') % 2 == 0:
                cells = cells_of(line, self.delimiter)
                if not line.startswith("#") or len(cells) == len(self.header):  # else a comment amid the rows
                    yield number, cells
                continue
            over_several = self._over_several_lines(line, ahead, source)
            if over_several is None:
                self.tally.drop("have a quote that never closes", number)
            else:
                yield number, over_several

    def _over_several_lines(
        self, line: str, ahead: deque[tuple[int, str]], source: Iterator[tuple[int, str]]
    ) -> list[str] | None:
        """The record that begins in a line with an open quote and ends in one of the next; None when it does not fit.

        Lines looked at stay in `ahead` unless they belong to the record.
        """
        parts = [line]
        for more in range(_LONGEST_RECORD):
            if more == len(ahead):
                following = next(source, None)
                if following is None:
                    return None
                ahead.append(following)
            parts.append(ahead[more][1])
            if ahead[more][1].count('"') % 2:
                cells = cells_of("\n".join(parts), self.delimiter)
                if self.header and len(cells) != len(self.header) + self.too_wide:
                    return None
                for _ in range(more + 1):
                    ahead.popleft()
                return cells
        return None


def delimiter_of(header: str) -> str:
    """The delimiter of a header line: the one that splits it most, a comma when none does."""
    return max(DELIMITERS, key=header.count) if any(d in header for d in DELIMITERS) else ","


def is_header(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a record is the header again, or another one with other columns: names only, some of them known."""
    words = {cell.strip() for cell in cells if cell.strip()}
    if not words or any(cell_number(word) is not None for word in words):
        return False
    known = {name for name in header if name}
    return len(words & known) >= 2 or words == known


def cells_of(text: str, delimiter: str) -> list[str]:
    """The cells of one record; an empty list when it is no CSV."""
    # without quotes the csv module would give the same, several times slower
    cells = _quoted_cells(text, delimiter) if '"' in text else text.split(delimiter)
    if delimiter == ";" and "," in text:  # spreadsheets of half the world write 0,5
        return [cell.replace(",", ".") if _DECIMAL_COMMA.match(cell) else cell for cell in cells]
    return cells


def _quoted_cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []
