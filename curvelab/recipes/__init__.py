"""Recipes that run the audit every night: cron, systemd, GitHub Actions. Each is a file beside this one, with its README.

What is filled in is quoted for where it stands: a folder may hold spaces, quotes, per cent and dollar signs.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

from curvelab.model.errors import UsageError

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


class _Recipe(Template):
    """`@@{name}`: neither shell, nor systemd, nor GitHub means anything by it."""

    delimiter = "@@"


def cron(folder: str, reports: str, time: str, program: str, user: str | None = None, settings: Sequence[str] = ()) -> str:
    """A crontab: of the user's own (crontab -e), or with a user a file of /etc/cron.d. Raises UsageError.

    folder, reports, program   absolute paths; time is HH:MM, local
    settings   more words of the command: it is started in another folder, where no settings file is found
    """
    hour, minute = _clock(time)
    if "\\" in "".join((folder, reports, program, *settings)):
        raise UsageError("cron: a path with a backslash does not survive every cron; use systemd")
    values = {
        "minute": str(minute), "hour": str(hour), "user": f"{_user(user)} " if user else "",
        "where": "/etc/cron.d/curvelab-audit" if user else "crontab -e",
        "path": program.rpartition("/")[0] or "/usr/local/bin", "program": _in_cron(program.rpartition("/")[2]),
        "folder": _in_cron(folder), "reports": _in_cron(reports), "lock": _in_cron(f"{reports}/.lock"),
        "log": _in_cron(f"{reports}/audit.log"), "settings": "".join(f" {_in_cron(word)}" for word in settings),
    }  # fmt: skip
    return _filled("cron.txt", values)


def systemd(folder: str, reports: str, time: str, program: str, user: str, settings: Sequence[str] = ()) -> dict[str, str]:
    """File name -> text of the service and of its timer. Raises UsageError.

    folder, reports, program   absolute paths; time is HH:MM, local
    settings   more words of the command, as for cron
    """
    hour, minute = _clock(time)
    values = {
        "time": f"{hour:02d}:{minute:02d}", "user": _user(user), "plain": folder.replace("%", "%%").replace("\\", "\\\\"),
        "program": _in_command(program), "folder": _in_command(folder), "reports": _in_command(reports),
        "writable": _in_unit(reports), "settings": "".join(f" {_in_command(word)}" for word in settings),
    }  # fmt: skip
    names = ("curvelab-audit.service", "curvelab-audit.timer")
    return {name: _filled(name, values) for name in names}


def github(folder: str, time: str) -> str:
    """The workflow for .github/workflows/; the folder is relative to the repository, the time UTC. Raises UsageError."""
    hour, minute = _clock(time)
    place = f"./{folder}" if folder.startswith("-") else folder
    quoted = json.dumps(place, ensure_ascii=False).replace("${{", "${{ '${{' }}")
    return _filled("github.yml", {"cron": f"{minute} {hour} * * *", "folder": quoted}, {"folder": folder})


def _filled(name: str, values: Mapping[str, str], checked: Mapping[str, str] | None = None) -> str:
    for value in (checked or values).values():
        if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]", value):
            raise UsageError(f"{value!r} has a character that no schedule can hold")
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return _Recipe(text).substitute(values)


def _clock(time: str) -> tuple[int, int]:
    found = _TIME.fullmatch(time)
    if found is None:
        raise UsageError(f'--time "{time}" is no time of day; write it as 02:30')
    return int(found[1]), int(found[2])


def _user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise UsageError(f'--user "{name}" is no name of a user')
    return name


def _in_cron(text: str) -> str:
    """A word for the shell, in a line of cron: cron reads a bare % as the end of the line."""
    return shlex.quote(text).replace("%", r"\%")


def _in_unit(text: str) -> str:
    """A quoted word of a unit file: % begins a specifier."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _in_command(text: str) -> str:
    """A quoted word of ExecStart=, where $ begins a variable too."""
    return _in_unit(text).replace("$", "$$")
