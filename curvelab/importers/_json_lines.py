"""JSON lines as loggers write them: one object a line, two glued together by two processes, the last one cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from curvelab.importers._json_text import one_value
from curvelab.importers._lines import Lines, Tally, head_lines
from curvelab.sources import Source

MAX_NESTING = 8  # levels of nested values that become names of their own
MAX_LEAVES = 20_000  # values of one row
_BROKEN = 20  # places in one line at which no object holds, before the rest of it is given up
_LINES = 20  # lines in which LLaMA-Factory's mark is looked for

Row = dict[str, Any]


def json_rows(lines: Lines, tally: Tally) -> Iterator[tuple[int, Row]]:
    """(line, object) of every complete object; what is none is dropped into the tally."""
    for number, line in lines:
        text = line.strip()
        if not text:
            continue
        row = _parsed(text)
        if isinstance(row, dict):
            yield number, row
            continue
        found, whole = _objects_in(text)
        yield from ((number, row) for row in found)
        if not whole:
            tally.drop(
                "hold no complete JSON object" if not found else "hold a broken piece beside whole objects", number
            )


def head_rows(source: Source, most: int = 100) -> list[Row]:
    """The objects among the first bytes of a file, for recognition; an empty list when its first lines hold none."""
    rows: list[Row] = []
    for tried, line in enumerate(head_lines(source, most)):
        text = line.strip()
        if text.startswith("{"):
            row = _parsed(text)
            rows += [row] if isinstance(row, dict) else _objects_in(text)[0]
        if tried > 5 and not rows:
            return []
    return rows[:most]


def is_trainer_log(source: Source) -> bool:
    """Whether a file is LLaMA-Factory's log: its name, and a line that counts current_steps."""
    name = source.path.name.startswith("trainer_log")
    return name and any('"current_steps"' in line for line in head_lines(source, _LINES))


def flat(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, value) of every leaf; nested names are joined with slashes, null is no value."""
    left = MAX_LEAVES
    stack = [(str(name), value, MAX_NESTING) for name, value in reversed(list(row.items()))]
    while stack and left:
        name, value, depth = stack.pop()
        if isinstance(value, dict) and depth and "_type" not in value:
            stack += [(f"{name}/{key}", item, depth - 1) for key, item in reversed(list(value.items()))]
        elif value is not None:
            left -= 1
            yield name, value


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value, end = one_value(text, 0)  # bare NaN and huge integers, which orjson refuses
        except ValueError:
            return None
        return value if not text[end:].strip() else None


def _objects_in(text: str) -> tuple[list[Row], bool]:
    """The complete objects in a line that is not one object as a whole, and whether there is nothing beside them."""
    found: list[Row] = []
    whole, broken, end = True, 0, 0
    while (at := text.find("{" if whole else '{"', end)) >= 0 and broken < _BROKEN:
        try:
            value, behind = one_value(text, at)
        except ValueError:
            whole, broken, end = False, broken + 1, at + 1
            continue
        whole = whole and not text[end:at].strip()
        found.append(value)
        end = behind
    return found, whole and not text[end:].strip()
