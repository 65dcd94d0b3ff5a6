"""The parquet importer: nulls and NaN, damage, a missing pyarrow, tables that are no logs."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from _reading import claiming, log_of, points, run_of, written

from curvelab.importers import parquet_table
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

COLUMNS: dict[str, list[Any]] = {
    "_step": [0, 1, 2, 3],
    "_timestamp": [1.7e9, 1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 3],
    "train/loss": [2.0, None, math.nan, 1.0],
    "eval/loss": [None, 1.5, None, None],
    "text": ["a", "b", None, "c"],
}


def table(folder: Path, name: str, columns: dict[str, list[Any]], **more: Any) -> Path:
    path = folder / name
    parquet.write_table(arrow.table(columns), path, **more)
    return path


def test_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "history.parquet", COLUMNS)
    assert claiming(path) == ["parquet-table"]
    log = log_of(path)
    assert [step for step, _ in points(log, "train/loss")] == [0, 2, 3] and math.isnan(points(log, "train/loss")[1][1])
    assert points(log, "eval/loss") == [(1, 1.5)]
    assert log.skipped == {"text": 4}
    assert run_of(path).curve("eval/loss").wall_time.tolist() == [1.7e9 + 1]


def test_nulls_in_the_step(tmp_path: Path) -> None:
    log = log_of(table(tmp_path, "a.parquet", {"step": [1, None, 3], "loss": [1.0, 2.0, 3.0]}))
    assert points(log, "loss") == [(1, 1.0), (1, 2.0), (3, 3.0)] and any("usable" in n.text for n in log.notes)


@pytest.mark.parametrize(
    "columns",
    [
        {"id": [1, 2], "score": [0.1, 0.2]},
        {"step": ["a", "b"], "loss": [0.1, 0.2]},
        {"step": [3, 2, 1], "loss": [0.1, 0.2, 0.3]},
        {"step": [1, 2], "text": ["a", "b"]},
        {"epoch": [1, 2], "city": [1, 2]},
    ],
)
def test_tables_that_are_no_logs(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    assert claiming(table(tmp_path, "train.parquet", columns)) == []


def test_damaged_row_group(tmp_path: Path) -> None:
    steps = list(range(3000))
    path = table(tmp_path, "history.parquet", {"step": steps, "loss": [float(s) for s in steps]}, row_group_size=1000,
                 compression="gzip")  # fmt: skip
    offset = parquet.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 400] = b"\xff" * 400
    path.write_bytes(bytes(data))
    log = log_of(path)
    assert {step for step, _ in points(log, "loss")} == {*range(1000), *range(2000, 3000)}
    assert "1,000 rows" in log.damage[0].text


def test_every_prefix_has_one_message(tmp_path: Path) -> None:
    data = table(tmp_path, "history.parquet", COLUMNS).read_bytes()
    for end in range(0, len(data), 7):
        with pytest.raises(UnreadableError):
            parquet_table.read.read(Source.at(written(tmp_path, "cut.parquet", data[:end])))


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path, "history.parquet", COLUMNS)
    other = table(tmp_path, "data.parquet", COLUMNS)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert claiming(path) == ["parquet-table"] and claiming(other) == []
    with pytest.raises(UnreadableError, match=r"pip install curvelab\[parquet\]"):
        parquet_table.read.read(Source.at(path))


def test_a_name_twice_is_two_curves(tmp_path: Path) -> None:
    arrays = [arrow.array([1, 2, 3]), arrow.array([1.0, 2.0, 3.0]), arrow.array([4.0, 5.0, 6.0])]
    path = tmp_path / "history.parquet"
    parquet.write_table(arrow.Table.from_arrays(arrays, names=["step", "loss", "loss"]), path)
    log = log_of(path)
    assert points(log, "loss")[0] == (1, 1.0) and points(log, "loss (2)")[0] == (1, 4.0)


def test_numbers_as_texts_and_in_dictionaries(tmp_path: Path) -> None:
    columns = {
        "step": ["1", "2", "3"], "loss": ["0.5", "NaN", None], "acc": arrow.array([0.1, 0.2, 0.1]).dictionary_encode(),
        "nested": [{"a": 1}] * 3,
    }  # fmt: skip
    log = log_of(table(tmp_path, "history.parquet", columns))
    assert points(log, "loss")[0] == (1, 0.5) and len(points(log, "loss")) == 2
    assert points(log, "acc") == [(1, 0.1), (2, 0.2), (3, 0.1)]
    assert "(nested)" in log.notes[-1].text


def test_more_values_than_a_log_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "ALWAYS", 400_000)
    columns = {"step": [0] * 300_000, **{f"train/m{i}": [0.0] * 300_000 for i in range(3)}}
    log = log_of(table(tmp_path, "history.parquet", columns, row_group_size=300_000))
    assert len(points(log, "train/m0")) == 65_536
    assert "234,464 rows" in log.damage[0].text and "65,536 of 300,000 kept" in log.damage[0].text


def test_fractional_epochs_keep_their_rows_apart(tmp_path: Path) -> None:
    log = log_of(table(tmp_path, "a.parquet", {"epoch": [0.1, 0.2, 1.0], "loss": [3.0, 2.0, 1.0]}))
    assert points(log, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
