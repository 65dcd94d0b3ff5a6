"""Columns of an Arrow table as numbers: which ones hold any, and their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from curvelab.importers._metric_columns import MAX_METRICS, cell_number, numbered
from curvelab.model.log import Floats

_ROWS = 200  # rows by which a column of texts is judged
_MOSTLY = 0.8  # share of its texts that are numbers; judgement


def numeric_columns(file: Any) -> dict[str, str]:
    """Name -> name in the file, of the columns with numbers, bools, times, or texts that hold numbers.

    Of several columns with one name the second is called `loss (2)`.
    """
    fields = list(zip(numbered(file.schema_arrow.names), file.schema_arrow, strict=True))
    texts = _texts_with_numbers(file, [field.name for _, field in fields if _is_text(field.type)])
    found = {name: field.name for name, field in fields if _is_number(field.type) or field.name in texts}
    return dict(list(found.items())[:MAX_METRICS])


def floats(column: Any) -> Floats:
    """A column as float64[n]; null and texts that are none become NaN, a time its count of the unit it has."""
    import pyarrow as arrow
    import pyarrow.types as kinds

    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type):
        numbers = (None if text is None else cell_number(text) for text in column.to_pylist())
        return np.array([math.nan if number is None else number for number in numbers])
    if kinds.is_timestamp(column.type):
        column = column.cast(arrow.int64())
    values: Floats = np.asarray(
        column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    return values


def present(column: Any) -> Any:
    """Which cells hold a value, bool[n]; a text must be a number to be one."""
    if _is_text(column.type):
        return np.array([text is not None and cell_number(text) is not None for text in column.to_pylist()])
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def _texts_with_numbers(file: Any, names: list[str]) -> set[str]:
    try:
        first = next(file.iter_batches(_ROWS, columns=names)) if names else None
    except (OSError, ValueError, StopIteration, NotImplementedError):
        return set()
    found = set()
    for name, column in zip(first.schema.names, first.columns, strict=True) if first is not None else ():
        texts = [text for text in column.to_pylist() if isinstance(text, str)]
        numbers = sum(cell_number(text) is not None for text in texts)
        if numbers and numbers >= _MOSTLY * len(texts):
            found.add(name)
    return found


def _is_text(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        kinds.is_integer(kind)
        or kinds.is_floating(kind)
        or kinds.is_boolean(kind)
        or kinds.is_decimal(kind)
        or kinds.is_timestamp(kind)
    )
