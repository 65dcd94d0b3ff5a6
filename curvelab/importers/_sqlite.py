"""SQLite files of others, read only: never a lock, a journal or a byte written beside them, nothing of theirs executed.

The file is opened as immutable. What a writer has not yet merged stands in a `-wal` file beside it; then a private copy
of both is read instead. Only real tables are read, row by row in the order of their rowid; views, triggers, functions
and virtual tables of the file are refused by an authorizer. A damaged page costs its rows: reading goes on behind it.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from curvelab.importers._lines import Tally
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

MAGIC = b"SQLite format 3\0"
GLOBS = ("*.db", "*.sqlite", "*.sqlite3")
MAX_ROWS = 50_000_000
_MAX_VALUE = 16 * 1024**2  # bytes of one text
_MAX_COPIED = 4 * 1024**3  # bytes copied for a -wal file
_SMALLEST_ROW = 4  # bytes; more rows than fit the file are no rows
_TRIES = 5_000  # times that reading goes on behind damage
_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ))


class Database:
    """A SQLite file opened for reading. Use as a context manager. Raises UnreadableError for what is no database."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.unmerged = False
        path = source.path
        try:
            wal = path.with_name(path.name + "-wal")
            waiting = wal.stat().st_size if wal.is_file() and not wal.is_symlink() else 0
            if waiting and waiting + source.size <= _MAX_COPIED:
                path = self._copied(path, wal)
            self.unmerged = bool(waiting) and self._folder is None
            mode = "mode=ro&immutable=1" if self._folder is None else "mode=rw"
            address = f"file:{quote(str(path.absolute()))}?{mode}"
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None)
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
            for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            try:
                self.tables = self._tables()
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                # SQLite refuses a file that was cut as a whole, except with this setting; nothing can be written anyhow
                self._connection.execute("PRAGMA writable_schema=ON")
                self.tables = self._tables()
            self._connection.set_authorizer(_authorizer)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # SQLite's message may quote damaged bytes
            self.close()
            raise UnreadableError(source.path, f"no readable SQLite database ({error}); nothing was kept") from None

    def _copied(self, path: Path, wal: Path) -> Path:
        self._folder = tempfile.TemporaryDirectory(prefix="curvelab-")
        copy = Path(self._folder.name) / "copy.db"
        shutil.copyfile(path, copy)
        shutil.copyfile(wal, copy.with_name("copy.db-wal"))
        return copy

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and remove the private copy, if there is one."""
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _tables(self) -> dict[str, frozenset[str]]:
        """Column names of every real table."""
        found = {}
        for name, sql in self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            if isinstance(name, str) and isinstance(sql, str) and sql.lstrip().upper().startswith("CREATE TABLE"):
                quoted = name.replace('"', '""')
                about = self._connection.execute(f'PRAGMA table_info("{quoted}")').fetchall()
                found[name] = frozenset(str(column[1]) for column in about)
        return found

    def rows(self, table: str, columns: Sequence[str], tally: Tally) -> Iterator[tuple[object, ...]]:
        """The rows of a table in the order they were written; what damage costs is dropped into the tally.

        A column that the table does not have is None in every row. Table and column names are ours, never the file's.
        """
        if table not in self.tables:
            return
        asked = ", ".join(f'"{name}"' if name in self.tables[table] else "NULL" for name in columns)
        query = f'SELECT rowid, {asked} FROM "{table}" WHERE rowid > ? ORDER BY rowid'
        last, skip, tries, count = -(2**63), 1, 0, 0
        most = min(MAX_ROWS, self._source.size // _SMALLEST_ROW + 2**20)
        while tries < _TRIES:
            try:
                for row in self._connection.execute(query, (last,)):
                    if not isinstance(row[0], int) or row[0] <= last or count >= most:
                        tally.drop(f'of the table "{table}" cannot all be read (rows out of order or too many)')
                        return
                    last, skip, count = row[0], 1, count + 1
                    yield row[1:]
                return
            except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
                if not tries:
                    tally.drop(f'of the table "{table}" at least are on damaged pages ({error})')
                if last + skip >= 2**63 - 1:
                    return
                last, skip, tries = max(last, 0) + skip, min(2 * skip, 2**40), tries + 1


def _authorizer(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    """Reading tables is allowed; all else is denied: functions, PRAGMAs, writes, and views and triggers (`source`)."""
    return sqlite3.SQLITE_OK if action in _ALLOWED and source is None else sqlite3.SQLITE_DENY


def has_tables(source: Source, tables: dict[str, frozenset[str]]) -> bool:
    """Whether a file is a SQLite database with these tables, each with at least these columns."""
    if not source.head.startswith(MAGIC):
        return False
    try:
        with Database(source) as database:
            return all(columns <= database.tables.get(name, frozenset()) for name, columns in tables.items())
    except UnreadableError:
        return False
