"""History: what earlier nights found, and the one place where it is decided what is new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, Select, bindparam, delete, insert, select

from curvelab.history import tables
from curvelab.history.connecting import connected, in_one_line, reading, writing
from curvelab.history.migrating import migrate
from curvelab.history.place import Place, place
from curvelab.history.rows import audit_of, mute_of, mute_row, record_of, run_row, summary_rows
from curvelab.history.settling import Night, settled
from curvelab.history.writing import known_project, project_id, upsert
from curvelab.model.audit import RunRecord, TrackedFinding
from curvelab.model.errors import UsageError
from curvelab.model.tracking import Mute, PastAudit, Settled, Tonight


class History:
    """The history of projects in one database. Every method is one transaction, and raises UsageError where that fails."""

    def __init__(self, engine: Engine, where: Place) -> None:
        self._engine = engine
        self._place = where

    @classmethod
    def open(cls, where: str | Path) -> History:
        """Open a history, made or brought up to date if need be.

        where   path of a SQLite file, or sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE

        Raises UsageError, in one line without passwords: an unknown kind of URL, a missing driver, a file that is no
        history, a schema newer than this curvelab, a folder that cannot be written, a server that cannot be reached.
        """
        found = place(where)
        engine = connected(found)
        try:
            migrate(engine, found)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, found)

    @property
    def shown(self) -> str:
        """The place, passwords masked."""
        return self._place.shown

    def close(self) -> None:
        """Let go of the database."""
        with in_one_line(self._place):
            self._engine.dispose()

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<History in {self.shown}>"

    def projects(self) -> list[str]:
        """The names of all projects."""
        with self._reading() as connection:
            return list(connection.execute(select(tables.projects.c.name).order_by(tables.projects.c.id)).scalars())

    def names(self, project: str) -> dict[str, str]:
        """Run key -> its name, gone ones included."""
        columns = tables.runs.c
        return {row.key: row.name for row in self._rows(select(columns.key, columns.name), columns.project, project)}

    def patterns(self, project: str) -> list[str]:
        """The patterns that have been found in a project."""
        columns = tables.findings.c
        wanted = select(columns.pattern).distinct().order_by(columns.pattern)
        return [row.pattern for row in self._rows(wanted, columns.project, project)]

    def records(self, project: str) -> dict[str, RunRecord]:
        """The runs by key, gone ones included (`run.seen` is "gone"); those that another version wrote so that this one
        cannot read them are left out: they are looked at again."""
        columns = tables.runs.c
        wanted = select(columns.key, columns.seen, columns.body, columns.diagnosis).order_by(columns.digest)
        rows = self._rows(wanted, columns.project, project)
        return {row.key: record for row in rows if (record := record_of(row)) is not None}

    def tree(self, project: str) -> str | None:
        """The digest that the last settled audit stored; None: there was none."""
        columns = tables.audits.c
        rows = self._rows(select(columns.tree).order_by(columns.number.desc()).limit(1), columns.project, project)
        return rows[0].tree if rows else None

    def audits(self, project: str) -> list[PastAudit]:
        """The settled audits, in their order."""
        columns = tables.audits.c
        rows = self._rows(select(tables.audits).order_by(columns.number), columns.project, project)
        return [audit_of(row) for row in rows]

    def keep(self, project: str, records: Iterable[RunRecord]) -> None:
        """Store records in the place of those of the same runs, committed at once. Findings keep their states."""
        latest = {one.run.key: one for one in records}
        if not latest:
            return
        rows, numbers = [run_row(one) for one in latest.values()], [summary_rows(one) for one in latest.values()]
        columns = tables.summaries.c
        with self._writing(project) as connection:
            this = {"project": project_id(connection, project)}
            upsert(connection, tables.runs, [this | row for row in rows])
            connection.execute(
                delete(tables.summaries).where(columns.project == this["project"], columns.run == bindparam("which")),
                [{"which": row["digest"]} for row in rows],
            )
            upsert(connection, tables.summaries, [this | row for those in numbers for row in those])

    def settle(
        self,
        project: str,
        tonight: Sequence[Tonight],
        *,
        now: float,
        tree: str,
        wanted: Callable[[TrackedFinding], tuple[bool, bool]],
        accept: bool = False,
        gone: Collection[str] = (),
        started: float | None = None,
        rehearsed: bool = False,
        again: Collection[str] = (),
        memo: tuple[str, Callable[[str | None, Settled], str]] | None = None,
    ) -> Settled:
        """End an audit: decide what is new, remember that it was told, and write the audit down, all or nothing.

        Two audits at once settle one after the other: what the first one told, the second one finds known. A run of which
        a record was kept by an audit that never settled counts as looked at again.

        tonight   every run that could be read, looked at again or not; of others the findings stay as they are
        now       Unix seconds: the audit's end; `started` its begin (default: the same)
        tree      a digest for the next audit's `tree`
        wanted    asked of each new or worse finding that is to be told: whether it counts, and whether it fails
        accept    all that was found becomes known and nothing counts
        gone      keys of runs whose files are no longer there
        rehearsed nothing is written: only what would be new is found out
        again     fingerprints of findings that were settled before and told nobody: they are new once more
        memo      its name, and what makes its text of the one before and the result: remembered in the same transaction
        """
        from curvelab import __version__

        night = Night(
            tuple(tonight), wanted, now, now if started is None else started, tree, __version__, accept, frozenset(gone),
            frozenset(again),
        )
        with self._writing(project) as connection:
            number = project_id(connection, project)
            result = settled(connection, number, night, _mutes(connection, number, project))
            if memo is not None:
                name, written = memo
                self._remember(connection, number, name, written(_memo(connection, number, name), result))
            if rehearsed:
                connection.rollback()
            return result

    def memo(self, project: str, name: str) -> str | None:
        """What an audit left under a name; None: nothing."""
        with self._reading() as connection:
            number = known_project(connection, project)
            return None if number is None else _memo(connection, number, name)

    def remember(self, project: str, name: str, written: Callable[[str | None], str]) -> None:
        """Leave a text for the next audit; `written` makes it of the one before."""
        with self._writing(project) as connection:
            number = project_id(connection, project)
            self._remember(connection, number, name, written(_memo(connection, number, name)))

    def _remember(self, connection: Connection, number: int, name: str, text: str) -> None:
        upsert(connection, tables.memos, [{"project": number, "name": name, "text": text}])

    def mute(self, mute: Mute) -> Mute:
        """Store a mute in the place of one for the same runs and patterns; it is returned with its id.

        Raises UsageError where `until` is no date.
        """
        try:
            _ = mute.ends
        except ValueError:
            raise UsageError(f'no date: "{mute.until}"; a mute ends on a day such as 2027-01-31') from None
        with self._writing(mute.project) as connection:
            row = {"project": project_id(connection, mute.project), **mute_row(mute)}
            columns = tables.mutes.c
            same = (columns[name] == row[name] for name in ("project", "run", "pattern"))
            connection.execute(delete(tables.mutes).where(*same))
            result = connection.execute(insert(tables.mutes), row)
            return msgspec.structs.replace(mute, id=int(result.inserted_primary_key[0]))

    def unmute(self, number: int) -> bool:
        """Remove a mute by its id; False: there is none."""
        with self._writing("mutes") as connection:
            removed = connection.execute(delete(tables.mutes).where(tables.mutes.c.id == number))
            return bool(removed.rowcount)

    def mutes(self, project: str) -> list[Mute]:
        """The mutes of a project in the order they were made, ended ones included."""
        with self._reading() as connection:
            number = known_project(connection, project)
            return [] if number is None else _mutes(connection, number, project)

    def _rows(self, wanted: Select[Any], column: Any, project: str) -> Sequence[Row[Any]]:
        with self._reading() as connection:
            number = known_project(connection, project)
            return [] if number is None else connection.execute(wanted.where(column == number)).all()

    def _reading(self) -> Any:
        return reading(self._engine, self._place)

    def _writing(self, project: str) -> Any:
        return writing(self._engine, self._place, project)


def _memo(connection: Connection, number: int, name: str) -> str | None:
    columns = tables.memos.c
    return connection.execute(select(columns.text).where(columns.project == number, columns.name == name)).scalar()


def _mutes(connection: Connection, number: int, project: str) -> list[Mute]:
    rows = connection.execute(select(tables.mutes).where(tables.mutes.c.project == number).order_by(tables.mutes.c.id))
    return [mute for row in rows if (mute := mute_of(row, project)) is not None]
