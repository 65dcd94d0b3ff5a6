"""Rows that are put in, or put in the place of those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from curvelab.history import tables
from curvelab.history.tables import digest

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Put rows in by their primary key; columns that they do not name stay as they are."""
    if not rows:
        return
    statement = _INSERT[connection.dialect.name](table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), list(rows))


def project_id(connection: Connection, project: str) -> int:
    """The id of a project, which is put in when it is not known yet."""
    found = known_project(connection, project)
    if found is None:
        statement = _INSERT[connection.dialect.name](tables.projects).on_conflict_do_nothing(index_elements=["digest"])
        connection.execute(statement, {"digest": digest(project), "name": project})
        found = known_project(connection, project)
    assert found is not None
    return found


def known_project(connection: Connection, project: str) -> int | None:
    """The id of a project; None: it is not known."""
    column = tables.projects.c
    return connection.execute(select(column.id).where(column.digest == digest(project))).scalar()
