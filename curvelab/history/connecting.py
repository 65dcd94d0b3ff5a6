"""An engine for a history's place, transactions that wait for each other, and the errors of databases in one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchModuleError, SQLAlchemyError

from curvelab.history.place import Place

PATIENCE = 60  # seconds that a transaction waits for another one; settling takes less than one
CONNECTING = 10  # seconds until a server that does not answer is given up
_MAGIC = b"SQLite format 3\0"
_BEGINS = "curvelab_begins"  # execution option: how a transaction of SQLite begins
_READS, _WRITES = ("BEGIN",), ("BEGIN IMMEDIATE",)
# A migration may make a table anew, and for that drops the old one: what refers to it must not go with it. SQLite heeds
# this only outside of a transaction.
_REBUILDS = ("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE")


def connected(place: Place) -> Engine:
    """An engine for the place; the folder of a file is made. Raises UsageError where it cannot be used."""
    if place.file is not None:
        _prepare(place)
        engine = create_engine(place.url, connect_args={"timeout": PATIENCE})
        event.listen(engine, "connect", _set_up_file)
        event.listen(engine, "begin", _begin)
        return engine
    options: dict[str, Any] = {"client_encoding": "utf8", "connect_timeout": CONNECTING, "application_name": "curvelab"}
    options = {name: value for name, value in options.items() if name not in place.url.query}
    try:
        # Each statement must see what others have committed since: the lock is taken first, then is read.
        return create_engine(place.url, connect_args=options, isolation_level="READ COMMITTED", pool_pre_ping=True)
    except (ImportError, NoSuchModuleError):
        raise place.error('needs psycopg; pip install "curvelab[postgresql]"') from None


@contextmanager
def reading(engine: Engine, place: Place) -> Iterator[Connection]:
    """A transaction that only reads."""
    with in_one_line(place), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine, place: Place, lock: str, rebuilds: bool = False) -> Iterator[Connection]:
    """A transaction that writes: one at a time in a file, one at a time of the same `lock` in a server.

    rebuilds   tables may be made anew; afterwards the engine is to be disposed of
    """
    begins = {_BEGINS: _REBUILDS if rebuilds else _WRITES}
    with in_one_line(place), engine.connect().execution_options(**begins) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            number = int.from_bytes(sha256(f"curvelab {lock}".encode("utf-8", "surrogatepass")).digest()[:8], signed=True)
            connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
        yield connection


@contextmanager
def in_one_line(place: Place) -> Iterator[None]:
    """Turn what the database says into a UsageError of one line."""
    try:
        yield
    except (DBAPIError, InterfaceError) as error:
        raise place.error(_plain(str(error.orig), place)) from None
    except SQLAlchemyError as error:
        raise place.error(error) from None


def _plain(told: str, place: Place) -> str:
    """What SQLite says in few words, said in ours; a server's own words otherwise."""
    for part, meaning in (
        ("is locked", f"is locked by another program for {PATIENCE} seconds; try again when that has ended"),
        ("lock timeout", f"is locked by another audit for {PATIENCE} seconds; try again when that has ended"),
        ("not a database", "is no database of curvelab; name another file"),
        ("malformed", "is damaged; restore it from a copy, or move it away to begin anew"),
        ("readonly", "cannot be written; check its permissions"),
        ("unable to open", "cannot be opened; check the permissions of file and folder"),
        ("is full", "cannot be written: the disk is full"),
    ):
        if part in told and (place.file is not None or part == "lock timeout"):
            return meaning
    return f"cannot be used ({told.strip() or 'no reason given'})"


def _prepare(place: Place) -> None:
    """Make the folder; refuse what is no database before it is opened, for a FIFO would never answer."""
    file = place.file
    assert file is not None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        status = file.stat() if file.exists() else None
        if status and not stat.S_ISREG(status.st_mode):
            raise place.error("is a folder; name a file in it" if file.is_dir() else "is no regular file")
        if status and status.st_size:
            with file.open("rb") as opened:
                if opened.read(len(_MAGIC)) != _MAGIC:
                    raise place.error("is no database of curvelab; name another file")
    except (OSError, ValueError) as error:
        raise place.error(f"cannot be used ({getattr(error, 'strerror', None) or error})") from None
    # SQLite writes a log beside the file, so that both must be writable
    for path in (file, file.parent):
        if path.exists() and not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise place.error(f"{'its folder' if path != file else 'it'} cannot be written; check the permissions")


def _set_up_file(connection: Any, _record: object) -> None:
    """SQLAlchemy and not the driver begins transactions, so that a writing one takes its lock at once."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        _write_ahead(connection)


def _write_ahead(connection: Any) -> None:
    """Readers and a writer side by side. It is asked for once more where another process is at the same moment doing so:
    for this change SQLite does not wait. Where the file system knows no shared memory all stays as it is, only slower."""
    import sqlite3
    import time

    for _ in range(200):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.05)


def _begin(connection: Connection) -> None:
    for statement in connection.get_execution_options().get(_BEGINS, _READS):
        connection.exec_driver_sql(statement)
