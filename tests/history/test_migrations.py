"""Databases of other versions: older ones are brought up to date with all that is in them, newer ones are refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from nights import DAY, NOW, everything, found, record, tonight
from sqlalchemy import create_engine, text

from curvelab.history import History, Mute, migrating
from curvelab.history.connecting import connected
from curvelab.history.migrating import MIGRATIONS, migrate
from curvelab.history.place import place
from curvelab.history.tables import NEWEST, VERSION_TABLE, metadata
from curvelab.model.errors import UsageError

SAVED = Path(__file__).parent / "saved"  # a history of each version, as SQL

# Adds a column with a value from the data, rebuilds a table that others refer to, and fails where it is told to.
LATER = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0003", "0002"

def upgrade():
    anew = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("curvelab_runs", recreate=anew) as runs:
        runs.add_column(sa.Column("length", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE curvelab_runs SET length = last_step")
    if op.get_bind().execute(sa.text("SELECT count(*) FROM curvelab_mutes WHERE reason = 'fail'")).scalar():
        raise RuntimeError("killed")
'''


def fill(history):
    history.keep("p", [record("a", [found()]), record("caf\udce9", summary={"x": 1.0, "y": 2.0})])
    history.settle("p", [tonight(found(), key="a")], now=NOW, tree="first", wanted=everything)
    history.mute(Mute(project="p", run="a", pattern="plateau", until="2099-01-01", reason="why"))


def check(history):
    assert sorted(history.records("p")) == ["a", "caf\udce9"]
    assert (history.tree("p"), [one.number for one in history.audits("p")]) == ("first", [1])
    assert [one.reason for one in history.mutes("p")] == ["why"]
    after = history.settle("p", [tonight(found(), key="a")], now=NOW + DAY, tree="second", wanted=everything)
    assert [(one.state, one.first_seen) for one in after.findings] == [("known", NOW)]


@pytest.fixture
def later(tmp_path):
    """The migrations of a later version."""
    folder = tmp_path / "100%(later)s"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v0003_later.py").write_text(LATER)
    return folder


def rows(where, query):
    engine = create_engine(place(where).url)
    with engine.connect() as connection:
        found_ = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found_


def test_the_newest_version_is_the_last_migration():
    names = sorted(one.name for one in (MIGRATIONS / "versions").glob("v*.py"))
    assert names[-1].startswith(f"v{NEWEST}_")
    assert [name[1:5] for name in names] == [f"{i:04}" for i in range(1, len(names) + 1)]


def test_migrations_lead_to_the_tables(where):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with History.open(where) as history, history._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("file", sorted(SAVED.glob("*.sql")), ids=lambda file: file.stem)
def test_every_version_is_brought_up_to_date(tmp_path, file):
    connection = sqlite3.connect(tmp_path / "h.db")
    connection.executescript(file.read_text())
    connection.close()
    with History.open(tmp_path / "h.db") as history:
        check(history)
    assert rows(str(tmp_path / "h.db"), f"SELECT version_num FROM {VERSION_TABLE}") == [(NEWEST,)]


def test_a_history_of_every_version_is_saved():
    """A new migration comes with a history of its version: `sqlite3 h.db .dump` of what `fill` makes."""
    assert [file.stem for file in sorted(SAVED.glob("*.sql"))] == [f"{i:04}" for i in range(1, int(NEWEST) + 1)]


def test_a_later_version_keeps_everything_and_is_refused_by_this_one(where, later):
    with History.open(where) as history:
        fill(history)
    found_ = place(where)
    engine = connected(found_)
    migrate(engine, found_, later, "0003")
    migrate(engine, found_, later, "0003")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT length FROM curvelab_runs")).scalars().all() == [1000, 1000]
        assert connection.execute(text("SELECT count(*) FROM curvelab_summaries")).scalar() == 3
        if engine.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    check(History(engine, found_))
    engine.dispose()
    with pytest.raises(UsageError, match=rf"was written by a newer curvelab \(schema 0003, this one knows {NEWEST}\); update"):
        History.open(where)


def test_a_migration_that_fails_leaves_the_old_tables(where, later):
    with History.open(where) as history:
        fill(history)
        stop = history.mute(Mute(project="p", run="b", pattern="b", reason="fail"))
    found_ = place(where)
    engine = connected(found_)
    with pytest.raises(RuntimeError, match="killed"):
        migrate(engine, found_, later, "0003")
    engine.dispose()
    with History.open(where) as history:
        history.unmute(stop.id)
        check(history)


def test_what_has_no_version_of_ours_is_refused(tmp_path):
    for number, change in enumerate(("DELETE FROM {0}", "UPDATE {0} SET version_num = 'ae1027a6acf'", "INSERT INTO {0} VALUES ('0009')")):
        file = tmp_path / f"{number}.db"
        History.open(file).close()
        connection = sqlite3.connect(file)
        connection.execute(change.format(VERSION_TABLE))
        connection.commit()
        connection.close()
        with pytest.raises(UsageError, match="is a database of something else"):
            History.open(file)


def test_tables_that_are_up_to_date_need_no_alembic(tmp_path, monkeypatch):
    History.open(tmp_path / "h.db").close()
    monkeypatch.setattr(migrating, "_upgrade", None)
    History.open(tmp_path / "h.db").close()
