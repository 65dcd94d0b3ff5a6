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
_TRIES = 20  # objects that are looked for in one damaged line

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
        found = list(_objects_in(text))
        yield from ((number, row) for row in found)
        if not found or not _whole(text, found):
            tally.drop(
                "hold no complete JSON object" if not found else "hold a broken piece beside whole objects", number
            )


def head_rows(source: Source, most: int = 100) -> list[Row]:
    """The objects among the first bytes of a file, for recognition; an empty list when its first lines hold none."""
    rows: list[Row] = []
    for tried, line in enumerate(head_lines(source, most)):
        row = _parsed(line.strip()) if line.strip().startswith("{") else None
        if isinstance(row, dict):
            rows.append(row)
        elif tried > 5 and not rows:
            return []
    return rows


def is_trainer_log(source: Source) -> bool:
    """Whether a file is LLaMA-Factory's log: its name, and a line that counts current_steps."""
    name = source.path.name.startswith("trainer_log")
    return name and any('"current_steps"' in line for line in head_lines(source, _TRIES))


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


def _objects_in(text: str) -> Iterator[Row]:
    """The complete objects in a line that is not one object as a whole."""
    at = text.find("{")
    for _ in range(_TRIES):
        if at < 0:
            return
        try:
            value, end = one_value(text, at)
        except ValueError:
            at = text.find('{"', at + 1)
            continue
        if isinstance(value, dict):
            yield value
        at = text.find("{", end)


def _whole(text: str, found: list[Row]) -> bool:
    """Whether a line holds nothing beside the objects found in it."""
    at = 0
    for _ in found:
        try:
            _, end = one_value(text, at)
        except ValueError:
            return False
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return at >= len(text)
