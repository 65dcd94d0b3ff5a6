"""Brings a database to the tables of this version, by Alembic's migrations, in one transaction and by one process only."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from curvelab.history.connecting import reading, writing
from curvelab.history.place import Place
from curvelab.history.tables import NEWEST, VERSION_TABLE

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(engine: Engine, place: Place, scripts: Path = MIGRATIONS, newest: str = NEWEST) -> None:
    """Make the tables, or bring them up to date. Raises UsageError for a database that is not ours, or of a newer curvelab."""
    with reading(engine, place) as connection:
        if _version(connection, place, newest) == newest:
            return
    try:
        with writing(engine, place, "schema", rebuilds=True) as connection:
            if _version(connection, place, newest) != newest:
                _upgrade(connection, scripts, newest)
    finally:
        engine.dispose()


def _version(connection: Connection, place: Place, newest: str) -> str | None:
    """The version of the tables; None: there are none yet."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if tables and place.file is not None:
            raise place.error("is a database of something else; name another file")
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    if len(found) != 1 or not str(found[0]).isdecimal():
        raise place.error("is a database of something else; name another one")
    if str(found[0]) > newest:
        raise place.error(f"was written by a newer curvelab (schema {found[0]}, this one knows {newest}); update curvelab")
    return str(found[0])


def _upgrade(connection: Connection, scripts: Path, newest: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, newest)
