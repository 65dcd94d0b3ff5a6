"""Where a history may be, and what is said where it cannot be: one line, and no password in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from nights import NOW, everything, found, record, tonight

from curvelab.history import History
from curvelab.history.place import place
from curvelab.model.errors import UsageError

NOBODY = 65534


def refused(where, told):
    with pytest.raises(UsageError) as caught:
        History.open(where).close()
    text = str(caught.value)
    assert told in text, text
    assert "\n" not in text
    assert "secret" not in text
    return text


@pytest.mark.parametrize("name", ["curvelab.db", "a b%20c?mode=ro#x", "caf\udce9", "file:x", ":memory:", "läuf ✓.db", "%(here)s"])
def test_any_file_name(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for where in (name, tmp_path / "deep" / "er" / name):
        with History.open(where) as history:
            history.keep("p", [record()])
            assert history.shown == str(where)
        assert Path(where).is_file()
        assert Path(where).read_bytes().startswith(b"SQLite format 3")
    assert {one.name for one in tmp_path.iterdir()} == {name, "deep"}  # no log is left beside it


def test_sqlite_by_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for where in (f"sqlite:///{tmp_path}/a.db", "sqlite:///b.db"):
        with History.open(where) as history:
            assert history.shown == where
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.db", "b.db"]


def test_a_file_is_written_ahead_and_keeps_its_references(tmp_path):
    with History.open(tmp_path / "h.db") as history, history._engine.connect() as connection:
        for name, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 60_000)):
            assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("mysql://me:secret@host/db", 'history mysql://me:***@host/db: no database is of the kind "mysql"'),
        ("postgresq://me:secret@host/db", 'did you mean "postgresql"?'),
        ("postgresql+asyncpg://me:secret@host/db", "no database is of the kind"),
        ("postgresql://me:secret@host:port/db", "history postgresql://…: cannot be read as a URL"),
        ("postgresql://me:sec@ret/secret@host:x/db", "cannot be read as a URL"),
        ("://", "cannot be read as a URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///x.db?password=secret", "names no file"),
        ("s3://bucket/curvelab.db", 'no database is of the kind "s3"'),
        ("", "takes the path of a file"),
        ("a\0b", "takes the path of a file"),
    ],
)
def test_what_is_no_place(where, told):
    refused(where, told)


@pytest.mark.parametrize(
    ("where", "shown", "error"),
    [
        ("postgresql://me:secret@h/d", "postgresql://me:***@h/d", "*** refused"),
        ("postgres://me:s%65cret@h:1/d", "postgres://me:***@h:1/d", "*** refused"),
        ("postgresql://me@h/d?password=secret&sslmode=require", "postgresql://me@h/d?password=***&sslmode=require", "*** refused"),
        ("postgresql:///d?sslpassword=secret", "postgresql:///d?sslpassword=***", "*** refused"),
    ],
)  # fmt: skip
def test_passwords_are_masked(where, shown, error):
    found_ = place(where)
    assert found_.shown == shown
    assert found_.url.drivername == "postgresql+psycopg"
    assert str(found_.error("secret  refused\n")) == f"history {shown}: {error}"
    assert "secret" not in repr(found_)


def test_a_server_that_cannot_be_reached():
    refused("postgresql://me:secret@127.0.0.1:1/db", "history postgresql://me:***@127.0.0.1:1/db: cannot be used (connection failed")


def test_a_wrong_password_and_a_missing_database(server):
    refused(server.replace("se%3A", "secret%3A"), "password authentication failed")
    refused(f"{server}_absent", "does not exist")


def test_a_password_of_special_characters_is_masked(postgresql):
    with History.open(postgresql) as history:
        assert "se%3A" not in history.shown
        assert history.shown.startswith("postgresql://lab:***@127.0.0.1:")
        assert "cr" not in repr(history).partition("@")[0]


def test_a_missing_driver(tmp_path):
    code = (
        "import sys; sys.modules['psycopg'] = None\nfrom curvelab.history import History\n"
        "try: History.open('postgresql://me:secret@h/d')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert done.stdout == 'UsageError history postgresql://me:***@h/d: needs psycopg; pip install "curvelab[postgresql]"\n'


def test_files_that_are_no_history(tmp_path):
    (tmp_path / "text.db").write_text("a log of a training run, and no database at all" * 99)
    (tmp_path / "cut.db").write_bytes(b"SQLite")
    for name in ("text.db", "cut.db"):
        before = (tmp_path / name).read_bytes()
        refused(tmp_path / name, "is no database of curvelab; name another file")
        assert (tmp_path / name).read_bytes() == before
    refused(tmp_path, "is a folder; name a file in it")
    os.mkfifo(tmp_path / "fifo")
    refused(tmp_path / "fifo", "is no regular file")
    refused("/dev/null", "is no regular file")
    refused(tmp_path / "text.db" / "below.db", "cannot be used (")
    refused(tmp_path / ("x" * 300), "cannot be used (File name too long)")
    refused("a\udcff" * 3000, "cannot be used (")


def test_a_database_of_something_else_is_left_alone(tmp_path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("CREATE TABLE alembic_version (version_num)")
    connection.close()
    refused(file, "is a database of something else; name another file")
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)
    connection.close()


def test_a_server_may_hold_the_tables_of_others(postgresql):
    import psycopg

    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE TABLE runs (id int)")
        connection.execute("CREATE TABLE alembic_version (version_num text)")
    with History.open(postgresql) as history:
        history.keep("p", [record()])
        assert list(history.records("p")) == ["runs/a"]


def test_an_empty_file_becomes_a_history(tmp_path):
    (tmp_path / "h.db").touch()
    with History.open(tmp_path / "h.db") as history:
        assert history.projects() == []


def test_a_damaged_file_says_so(tmp_path):
    file = tmp_path / "h.db"
    with History.open(file) as history:
        history.keep("p", [record(str(i), diagnosis=os.urandom(5000)) for i in range(50)])
        history.settle("p", [tonight(found())], now=NOW, tree="", wanted=everything)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(UsageError, match=r"h\.db: is damaged; restore it from a copy") as caught, History.open(file) as history:
        history.records("p")
    assert "\n" not in str(caught.value)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError), History.open(file) as history:
        history.records("p")


@pytest.fixture
def as_nobody():
    """A folder that everyone may enter, and no rights of root: those of the super-user are never refused."""
    folder = Path(tempfile.mkdtemp(prefix="curvelab-"))
    folder.chmod(0o777)
    root = os.geteuid() == 0
    if root:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
        os.setegid(0)
    shutil.rmtree(folder)


def test_read_only_places(as_nobody):
    inner = as_nobody / "audit"
    file = inner / "h.db"
    with History.open(file) as history:
        history.keep("p", [record()])
    file.chmod(stat.S_IRUSR)
    refused(file, "h.db: it cannot be written; check the permissions")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    inner.chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused(file, "h.db: its folder cannot be written; check the permissions")
    refused(inner / "other.db", "its folder cannot be written")
    refused(inner / "deeper" / "other.db", "cannot be used (Permission denied)")
    inner.chmod(0)
    refused(file, "cannot be used (Permission denied)")
    inner.chmod(0o700)
    file.chmod(0)
    refused(file, "cannot be used (Permission denied)")


def test_a_database_that_becomes_read_only_says_so(tmp_path):
    with History.open(tmp_path / "h.db") as history:
        with history._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(UsageError, match="cannot be written; check its permissions"):
            history.keep("p", [record()])


def test_a_server_that_goes_away_says_so(postgresql):
    import psycopg

    with History.open(postgresql) as history:
        history.keep("p", [record()])
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'curvelab'")
        assert list(history.records("p")) == ["runs/a"]  # it is there again, and so are we


def test_another_program_that_holds_the_lock_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("curvelab.history.connecting.PATIENCE", 0)
    with History.open(tmp_path / "h.db") as history:
        other = sqlite3.connect(tmp_path / "h.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UsageError, match="is locked by another program"):
            history.keep("p", [record()])
        assert history.records("p") == {}  # reading waits for nobody
        other.execute("ROLLBACK")
        other.close()
        history.keep("p", [record()])


def test_the_lock_of_a_server_is_waited_for_only_so_long(postgresql, monkeypatch):
    with History.open(postgresql) as history, History.open(postgresql) as other:
        monkeypatch.setattr("curvelab.history.connecting.PATIENCE", 1)
        with (
            other._writing("p"),
            pytest.raises(UsageError, match="is locked by another audit"),
        ):
            history.keep("p", [record()])
        with other._writing("p"):
            history.keep("q", [record()])
