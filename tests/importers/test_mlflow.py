"""The MLflow importer: folders and databases written by hand, and by mlflow itself where it is installed."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from _reading import claiming, log_of, logs_of, points, run_of, written

from curvelab.importers import mlflow
from curvelab.ingest import gather
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

RUN = "0123456789abcdef0123456789abcdef"
META = """artifact_uri: file:///x/artifacts
experiment_id: '1'
lifecycle_stage: active
run_id: {run}
run_name: from meta
status: {status}
"""


def folder(root: Path, *, run: str = RUN, status: int = 3, **metrics: str) -> Path:
    base = root / "mlruns" / "1"
    written(base, "meta.yaml", "artifact_location: file:///x\nexperiment_id: '1'\nname: my experiment\n")
    for key, text in metrics.items():
        written(base / run / "metrics", key.replace("__", "/"), text)
    written(base / run / "params", "learning_rate", "1e-4")
    written(base / run / "params" / "model", "width", "64")
    written(base / run / "tags", "mlflow.runName", "proud-cat-1")
    return written(base / run, "meta.yaml", META.format(run=run, status=status))


LOSS = "1700000000000 2.0 0\n1700000001000 nan 10\n1700000002000 inf 20\n"


def test_run_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, train__loss=LOSS, val_loss="1700000001500 1.75 10\n", epoch="1700000001000 0.5 10\n")
    assert claiming(path) == ["mlflow"] and claiming(path.parent.parent / "meta.yaml") == []
    log = log_of(path)
    values = points(log, "train/loss")
    assert (values[0], values[2]) == ((0, 2.0), (20, math.inf)) and math.isnan(values[1][1])
    assert log.identity == {"id": RUN, "name": "proud-cat-1", "project": "my experiment"}
    assert log.settings == {"params": {"learning_rate": "1e-4", "model/width": "64"}}
    run = run_of(tmp_path)
    assert (run.name, run.id, run.project, run.path) == ("proud-cat-1", RUN, "my experiment", str(path.parent))
    assert run.metrics == ("eval/loss", "train/loss") and run.setting("learning_rate") == 1e-4 and not run.seams
    assert run.curve("eval/loss").epoch.tolist() == [0.5]
    assert run.curve("eval/loss").wall_time.tolist() == [1700000001.5]


@pytest.mark.parametrize(("status", "finished"), [(1, None), (3, None), (4, False), (5, False)])
def test_status(tmp_path: Path, status: int, finished: bool | None) -> None:
    assert log_of(folder(tmp_path, status=status, loss=LOSS)).finished is finished


def test_values_without_steps_are_counted(tmp_path: Path) -> None:
    log = log_of(folder(tmp_path, loss="".join(f"170000000{i}000 {i} 0\n" for i in range(4))))
    assert [step for step, _ in points(log, "loss")] == [0, 1, 2, 3]
    assert any("without steps" in note.text for note in log.notes)


def test_damaged_lines_links_and_system_metrics(tmp_path: Path) -> None:
    path = folder(
        tmp_path, loss="1 2.0 0\nrubbish\n3 x 1\n4 1.0 -1\n5 1.0 20\n6 0.5 3", system__cpu="1700000000000 5 0\n"
    )
    secret = written(tmp_path, "secret", "1 2 3\n")
    (path.parent / "metrics" / "linked").symlink_to(secret)
    (path.parent / "params" / "linked").symlink_to(secret)
    log = log_of(path)
    assert points(log, "loss") == [(0, 2.0), (-1, 1.0), (20, 1.0)] and [s.name for s in log.timed] == ["system/cpu"]
    told = " ".join(note.text for note in log.damage)
    assert "2 lines of metrics are not time" in told and "no line end" in told and "links" in told
    assert "linked" not in log.settings["params"] and log.find("linked") is None


def test_every_prefix_of_a_metric_and_of_the_meta_file(tmp_path: Path) -> None:
    path = folder(tmp_path, loss=LOSS, val_loss="1 1 1\n")
    metric = path.parent / "metrics" / "loss"
    for end in range(len(LOSS)):
        metric.write_text(LOSS[:end])
        series = log_of(path).find("loss")
        assert (0 if series is None else len(series)) == LOSS[:end].count("\n")
    metric.write_text(LOSS)
    meta = path.read_text()
    for end in range(len(meta)):
        path.write_text(meta[:end])
        assert len(points(log_of(path), "loss")) == 3


def test_deleted_runs_are_left_out(tmp_path: Path) -> None:
    path = folder(tmp_path, loss=LOSS)
    path.write_text(path.read_text().replace("active", "deleted"))
    assert logs_of(path) == ()


SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE runs (run_uuid VARCHAR(32), name TEXT, status TEXT, lifecycle_stage TEXT, experiment_id INTEGER);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT, is_nan BOOLEAN);
CREATE TABLE params (key TEXT, value TEXT, run_uuid VARCHAR(32));
CREATE TABLE tags (key TEXT, value TEXT, run_uuid VARCHAR(32));
INSERT INTO experiments VALUES (1, 'exp');
"""


def database(path: Path, *, values: int = 3, extra: str = "") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
        for run, name in (("a" * 32, "first"), ("b" * 32, "second")):
            connection.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active', 1)", (run, name))
            connection.execute("INSERT INTO params VALUES ('lr', '0.1', ?)", (run,))
            connection.executemany(
                "INSERT INTO metrics VALUES ('train_loss', ?, ?, ?, ?, 0)",
                [(1 / (i + 1), 1_700_000_000_000 + i, run, 10 * i) for i in range(values)],
            )
            connection.execute("INSERT INTO metrics VALUES ('val_loss', 0, 1, ?, 10, 1)", (run,))
            connection.execute("INSERT INTO metrics VALUES ('val_loss', -1.7976931348623157e308, 1, ?, 20, 0)", (run,))
        connection.executescript(extra)
        connection.commit()
    return path


def test_database(tmp_path: Path) -> None:
    path = database(tmp_path / "mlflow.db")
    assert claiming(path) == ["mlflow"]
    one, two = logs_of(path)
    assert points(one, "train_loss") == [(0, 1.0), (10, 0.5), (20, 1 / 3)] and one.identity["id"] == "a" * 32
    assert math.isnan(points(two, "val_loss")[0][1]) and points(two, "val_loss")[1] == (20, -math.inf)
    runs = gather([tmp_path]).runs
    assert [(run.name, run.path, run.points) for run in runs] == [("first", str(path), 3), ("second", str(path), 3)]
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]  # nothing was written beside it


def test_values_not_yet_merged(tmp_path: Path) -> None:
    path = database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO metrics VALUES ('train_loss', 9.0, 5, ?, 30, 0)", ("a" * 32,))
        writer.commit()
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert points(logs_of(path)[0], "train_loss")[-1] == (30, 9.0)
        assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}


def test_cut_and_damaged_databases(tmp_path: Path) -> None:
    data = database(tmp_path / "whole.db", values=3000).read_bytes()
    expected = set(points(logs_of(tmp_path / "whole.db")[0], "train_loss"))
    path, kept = tmp_path / "cut.db", []
    for end in range(0, len(data), 4096):
        path.write_bytes(data[:end])
        kept.append(_kept(path, expected))
    assert kept[-1] > 2500 and kept[0] == 0
    for at in range(4096 * 8, len(data), 4096 * 5):
        path.write_bytes(data[:at] + b"\xff" * 4096 + data[at + 4096 :])
        assert _kept(path, expected) > 2000 or at > 4096 * 20
    for at in range(512):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        _kept(path, expected)


def _kept(path: Path, expected: set[tuple[int, float]]) -> int:
    try:
        logs = mlflow.read.read(Source.at(path))
    except UnreadableError:
        return 0
    assert isinstance(logs, list)
    found = [
        set(points(log, "train_loss")) for log in logs if log.find("train_loss") and log.identity["id"] == "a" * 32
    ]
    return len(found[0] & expected) if found else 0


@pytest.mark.parametrize(
    "extra",
    [
        "DROP TABLE metrics; CREATE VIEW metrics AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) "
        "SELECT 'a' AS key, x AS value, x AS timestamp, 'r' AS run_uuid, x AS step, 0 AS is_nan FROM c;",
        "DROP TABLE metrics; CREATE VIRTUAL TABLE metrics USING fts5(key, value, run_uuid);",
        "DROP TABLE runs;",
    ],
)
def test_hostile_schemas_are_not_claimed(tmp_path: Path, extra: str) -> None:
    try:
        path = database(tmp_path / "mlflow.db", extra=extra)
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no such module")
    assert claiming(path) == []


def test_hostile_values(tmp_path: Path) -> None:
    run = "'" + "a" * 32 + "'"
    extra = f"""
    INSERT INTO metrics VALUES ('train_loss', 'text', 1, {run}, 1, 0);
    INSERT INTO metrics VALUES ('train_loss', 1, 'when', {run}, 40, 0);
    INSERT INTO metrics VALUES ('train_loss', 1, 1, {run}, -5, 0);
    INSERT INTO metrics VALUES ('train_loss', 1, 1, {run}, 9223372036854775807, 0);
    INSERT INTO metrics VALUES (x'fffe00', 1, 1, {run}, 1, 0);
    INSERT INTO params VALUES ('long', zeroblob(1000000), {run});
    """
    log = logs_of(database(tmp_path / "mlflow.db", extra=extra))[0]
    assert points(log, "train_loss")[-2:] == [(40, 1.0), (-5, 1.0)] and "2 rows" in log.damage[0].text


def test_other_databases_are_not_claimed(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE metrics (id INTEGER, name TEXT); CREATE TABLE runs (id INTEGER);")
    assert claiming(path) == []
    assert claiming(written(tmp_path, "b.db", b"SQLite format 3\x00" + b"\xff" * 5000)) == []
    assert claiming(written(tmp_path, "meta.yaml", "name: x\n")) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("store", ["sqlite", "file"])
def test_what_mlflow_writes(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "1")
    monkeypatch.chdir(tmp_path)
    place = {"sqlite": f"sqlite:///{tmp_path}/mlflow.db", "file": (tmp_path / "mlruns").as_uri()}[store]
    real.set_tracking_uri(place)
    real.set_experiment("exp one")
    values = [2.0, math.nan, math.inf, 0.1, -math.inf]
    for name in ("one", "two"):
        with real.start_run(run_name=name):
            real.log_params({"learning_rate": 1e-4, "epochs": 3})
            for i, value in enumerate(values):
                real.log_metric("train/loss", value, step=10 * i)
                real.log_metric("val loss", value, step=10 * i)
    runs = gather([tmp_path]).runs
    assert sorted(run.name for run in runs) == ["one", "two"]
    for run in runs:
        assert run.project == "exp one" and run.metrics == ("eval/loss", "train/loss")
        curve = run.curve("train/loss")
        assert curve.step.tolist() == [0, 10, 20, 30, 40] and repr(curve.value.tolist()) == repr(values)
        assert run.setting("learning_rate") == 1e-4 and not run.seams


def test_names_in_quotes_and_over_several_lines(tmp_path: Path) -> None:
    meta = "artifact_uri: x\nrun_id: {run}\nlifecycle_stage: active\nrun_name: {name}\n"
    for number, (name, plain) in enumerate(
        [("'it''s: \"x\"'", "it's: \"x\""), ('"tab\\there"', "tabhere"), ("long name\n  goes on", "long name goes on")]
    ):
        run = f"{number:032x}"
        written(tmp_path / run / "metrics", "loss", "1 0.5 0\n")
        path = written(tmp_path / run, "meta.yaml", meta.format(run=run, name=name))
        assert log_of(path).identity["name"] == plain
    assert log_of(written(path.parent, "meta.yaml", meta.format(run=run, name="x: [&a"))).identity["id"] == run
