"""Where a history is: the path of a SQLite file, or a URL. Nothing is opened here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from curvelab.model.errors import UsageError, did_you_mean

DEFAULT = Path("reports/audit/curvelab.db")
SERVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}
MASK = "***"
_TAKES = "takes the path of a file, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
_MISTYPED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:?/{1,3}[^/]*@|[A-Za-z][A-Za-z0-9+.-]+:/|.*\bpassword=")
_SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """A history's place.

    shown   for people: as it was given, passwords masked
    file    of SQLite, absolute; None for a server
    """

    url: URL = field(repr=False)
    shown: str
    file: Path | None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def error(self, text: object) -> UsageError:
        """A UsageError in one line that names the place and no password."""
        line = " ".join(str(text).split())
        for secret in self.secrets:
            line = line.replace(secret, MASK)
        return UsageError(f"history {self.shown}: {line}")


def place(where: str | Path) -> Place:
    """The place that a path or a URL means. Raises UsageError for a URL of another kind, or one that cannot be read."""
    if isinstance(where, Path) or "://" not in where:
        if not str(where).strip() or "\0" in str(where):
            raise UsageError(f"history: {_TAKES}")
        if _MISTYPED.match(str(where)):  # not the text itself: it may hold a password
            raise UsageError(f"history: this is neither a file nor a URL; {_TAKES}")
        return _file(Path(where), str(where))
    scheme = where.partition("://")[0]
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):  # not its message: it may quote the password
        raise UsageError(f"history {scheme}://…: cannot be read as a URL; {_TAKES}") from None
    if scheme != "sqlite" and where.partition("?")[0].count("@") > 1:  # what is behind the first may be of the password
        raise UsageError(f"history {scheme}://…: cannot be read as a URL; write @ in a password as %40")
    shown = _masked(url)
    if scheme == "sqlite":
        if not url.database or url.host or url.query:
            raise UsageError(f"history {shown}: names no file; {_TAKES}")
        return _file(Path(url.database), shown)
    if scheme not in SERVERS:
        near = did_you_mean(scheme, ("sqlite", "postgresql"))
        raise UsageError(f'history {shown}: no database is of the kind "{scheme}"{near}; {_TAKES}')
    secrets = {url.password or "", *_secrets(url)}
    raw = re.findall(r"://[^:@/]*:(.*)@", where)  # as it was written: percent signs and all
    found = sorted({str(one) for one in (*secrets, *raw) if one}, key=len, reverse=True)
    return Place(url.set(drivername=SERVERS[scheme]), shown, None, tuple(found))


def _file(path: Path, shown: str) -> Place:
    path = path.expanduser().absolute()
    return Place(URL.create("sqlite", database=str(path)), shown, path)


def _secrets(url: URL) -> list[str]:
    return [
        word
        for name, value in url.query.items()
        if _SECRET.search(name)
        for word in ((value,) if isinstance(value, str) else value)
    ]


def _masked(url: URL) -> str:
    query = {name: MASK if _SECRET.search(name) else value for name, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", MASK)
