"""The tables of a history. What curvelab reads is `body`; the columns beside it are there for queries.

A body is JSON that Python's json writes and reads: ASCII, with NaN, Infinity and lone surrogates, so that every record
comes back as it was from every database. Keys and names are found by digests: an index takes no 10,000 characters.
"""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

NEWEST = "0002"  # the migration that leads to these tables
VERSION_TABLE = "curvelab_schema"  # not Alembic's usual one: a server's database may hold the tables of others
MOST = 2**63 - 1
_ESCAPED = "\ue000"  # of the private use area; before a text that no database takes as it is


class AnyText(TypeDecorator[str]):
    """Text of any characters: a file name's stray bytes (lone surrogates) and NUL are escaped, all else is itself."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\0" not in value):
            return value
        if "\0" in value or value.startswith(_ESCAPED) or not _encodable(value):
            return _ESCAPED + json.dumps(value)
        return value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith(_ESCAPED):
            return value
        text: str = json.loads(value[1:])
        return text


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def digest(name: str) -> str:
    """What a name of any length is found by: 32 hex digits."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def number(value: float | None) -> float | None:
    """A number for a query's column, where NaN is none (SQLite has no other way)."""
    return None if value is None or math.isnan(value) else value


def whole(value: int | None) -> int | None:
    """A whole number that fits 64 bits."""
    return None if value is None else max(-MOST, min(MOST, value))


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _project(**options: Any) -> Column[int]:
    return Column("project", Integer, ForeignKey("curvelab_projects.id", ondelete="CASCADE"), nullable=False, **options)


projects = Table(
    "curvelab_projects", metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(32), nullable=False, unique=True),
    Column("name", AnyText, nullable=False),
)  # fmt: skip

# `signature` and `causes` are those of the record; `settled` and `settled_causes` those of the last audit that settled it:
# an audit that was killed between the two has looked at the run, and nobody was told.
runs = Table(
    "curvelab_runs", metadata,
    _project(primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("key", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("format", AnyText, nullable=False),
    Column("state", AnyText, nullable=False),
    Column("verdict", AnyText, nullable=False),
    Column("seen", String(16), nullable=False),
    Column("live", Boolean, nullable=False),
    Column("last_step", BigInteger),
    Column("began", Double),
    Column("ended", Double),
    Column("metric", AnyText, nullable=False),
    Column("best", Double),
    Column("final", Double),
    Column("gpu_hours", Double),
    Column("signature", AnyText, nullable=False),
    Column("causes", Text, nullable=False),
    Column("settled", AnyText),
    Column("settled_causes", Text),
    Column("body", Text, nullable=False),
    Column("diagnosis", LargeBinary, nullable=False),
)  # fmt: skip

summaries = Table(
    "curvelab_summaries", metadata,
    Column("project", Integer, primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", AnyText, nullable=False),
    Column("value", Double),
    ForeignKeyConstraint(
        ["project", "run"], ["curvelab_runs.project", "curvelab_runs.digest"], ondelete="CASCADE", onupdate="CASCADE"
    ),
)  # fmt: skip

findings = Table(
    "curvelab_findings", metadata,
    _project(primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("run", AnyText, nullable=False),
    Column("run_name", AnyText, nullable=False),
    Column("pattern", AnyText, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("metric", AnyText, nullable=False),
    Column("headline", AnyText, nullable=False),
    Column("start_step", BigInteger, nullable=False),
    Column("end_step", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("was", AnyText, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("told", Double),
    Column("told_severity", String(16)),
    Column("told_excess", Double),
    Column("fixed", Double),
    Column("body", Text, nullable=False),
)  # fmt: skip

mutes = Table(
    "curvelab_mutes", metadata,
    Column("id", Integer, primary_key=True),
    _project(),
    Column("run", AnyText, nullable=False),
    Column("pattern", AnyText, nullable=False),
    Column("until", String(40)),
    Column("reason", AnyText, nullable=False),
    Column("made", Double, nullable=False),
    sqlite_autoincrement=True,  # the id of a mute that was removed is not given again
)  # fmt: skip

memos = Table(
    "curvelab_memos", metadata,
    _project(primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("text", AnyText, nullable=False),
)  # fmt: skip

audits = Table(
    "curvelab_audits", metadata,
    _project(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started", Double, nullable=False),
    Column("finished", Double, nullable=False),
    Column("version", AnyText, nullable=False),
    Column("tree", AnyText, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("worse", Integer, nullable=False),
    Column("known", Integer, nullable=False),
    Column("fixed", Integer, nullable=False),
    Column("muted", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Column("failing", Integer, nullable=False),
)  # fmt: skip
