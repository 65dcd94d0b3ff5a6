"""The trackio importer: databases written by hand, and by trackio itself where it is installed."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from _reading import claiming, logs_of, points

from curvelab.importers import trackio
from curvelab.ingest import gather
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

NEW = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
                      run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT, run_name TEXT, config TEXT, created_at TEXT);
CREATE TABLE system_metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, run_name TEXT, metrics TEXT);
"""
OLD = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_name TEXT NOT NULL,
                      step INTEGER NOT NULL, metrics TEXT NOT NULL);
"""
ROWS = [
    {"train/loss": 2.0, "eval": {"loss": 2.5}, "note": "x", "train/epoch": 0.5},
    {"train/loss": "NaN", "image": {"_type": "trackio.image"}},
    {"train/loss": "Infinity"},
]


def database(path: Path, *, rows: int = 1, old: bool = False) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD if old else NEW)
        for run, name in (("a" * 32, "first"), ("b" * 32, "second")):
            for step, row in enumerate(ROWS * rows):
                text = json.dumps(row)
                head = ("2026-01-01T00:00:00+00:00", name, step, text if step % 2 else text.encode())
                if old:
                    connection.execute(
                        "INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?,?,?,?)", head
                    )
                else:
                    connection.execute(
                        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?,?,?,?,?)",
                        (run, *head),
                    )
            if not old:
                config = json.dumps({"learning_rate": 0.1, "_Username": "me"})
                connection.execute("INSERT INTO configs (run_id, run_name, config) VALUES (?,?,?)", (run, name, config))
                system = ("2026-01-01T00:00:01", name, run, '{"gpu": {"util": 50}}')
                connection.execute(
                    "INSERT INTO system_metrics (timestamp, run_name, run_id, metrics) VALUES (?,?,?,?)", system
                )
        connection.commit()
    return path


def test_runs(tmp_path: Path) -> None:
    path = database(tmp_path / "project.db")
    assert claiming(path) == ["trackio"]
    one, two = logs_of(path)
    values = points(one, "train/loss")
    assert (values[0], values[2]) == ((0, 2.0), (2, math.inf)) and math.isnan(values[1][1])
    assert points(two, "eval/loss") == [(0, 2.5)] and one.skipped == {"note": 1, "image": 1}
    assert one.settings == {"config": {"learning_rate": 0.1}}
    assert one.identity == {"id": "a" * 32, "name": "first", "project": "project"}
    assert [(t.name, t.value.tolist()) for t in one.timed] == [("system.gpu/util", [50.0])]
    runs = gather([tmp_path]).runs
    assert [run.name for run in runs] == ["first", "second"]
    assert runs[0].curve("train/loss").epoch.tolist()[0] == 0.5
    assert runs[0].curve("train/loss").wall_time.tolist() == [1767225600.0] * 3
    assert [file.name for file in tmp_path.iterdir()] == ["project.db"]


def test_old_databases(tmp_path: Path) -> None:
    one, two = logs_of(database(tmp_path / "project.db", old=True))
    assert (one.identity["name"], len(points(two, "train/loss"))) == ("first", 3)
    assert one.identity["id"] != two.identity["id"]


def test_global_step(tmp_path: Path) -> None:
    path = database(tmp_path / "project.db")
    with closing(sqlite3.connect(path)) as connection:
        for step, row in (
            (0, {"loss": 1, "train/global_step": 10}),
            (1, {"loss": 2, "train/global_step": 20}),
            (2, {"loss": 3}),
        ):
            connection.execute(
                "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES ('c', '', 'third', ?, ?)",
                (step, json.dumps(row)),
            )
        connection.commit()
    third = logs_of(path)[2]
    assert points(third, "loss") == [(10, 1.0), (20, 2.0), (20, 3.0)]
    series = third.find("loss")
    assert series is not None and series.native_step is not None and series.native_step.tolist() == [0, 1, 2]


def test_damaged_rows_pages_and_prefixes(tmp_path: Path) -> None:
    path = database(tmp_path / "project.db", rows=200)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE metrics SET metrics = '{\"train/loss\": 1' WHERE id = 4")
        connection.execute("UPDATE metrics SET metrics = ? WHERE id = 5", ("[" * 100_000,))
        connection.execute("UPDATE metrics SET metrics = '[1]', step = -1 WHERE id = 6")
        connection.commit()
    one = logs_of(path)[0]
    assert len(points(one, "train/loss")) == 597 and "3 rows" in one.damage[0].text
    data, most = path.read_bytes(), 0
    for end in range(0, len(data) + 1, 512):
        path.write_bytes(data[:end])
        try:
            logs = trackio.read.read(Source.at(path))
        except UnreadableError:
            continue
        assert isinstance(logs, list)
        most = max(most, len(points(logs[0], "train/loss")) if logs[0].find("train/loss") else 0)
    assert most == 597


@pytest.mark.filterwarnings("ignore")
def test_what_trackio_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    real = pytest.importorskip("trackio")
    values = [2.0, math.nan, math.inf, 0.1]
    for name in ("one", "two"):
        real.init(project="proj", name=name, config={"learning_rate": 1e-4})
        for value in values:
            real.log({"train/loss": value, "eval": {"loss": 2.0}, "text": "x"})
        real.finish()
    (path,) = tmp_path.rglob("proj.db")
    runs = gather([path]).runs
    assert [run.name for run in runs] == ["one", "two"]
    for run in runs:
        curve = run.curve("train/loss")
        assert curve.step.tolist() == [0, 1, 2, 3] and repr(curve.value.tolist()) == repr(values)
        assert "eval/loss" in run.metrics and run.setting("learning_rate") == 1e-4
