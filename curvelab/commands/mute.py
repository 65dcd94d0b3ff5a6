"""curvelab mute: findings that the audit tells nobody of, for a while or until the mute is removed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.inputs import Config
from curvelab.commands.terminal import print_result, say
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.strict_json import encodable
from curvelab.report.plain import clean
from curvelab.user_settings import Wishes, settle

if TYPE_CHECKING:
    from curvelab.history import History, Mute

GLOB = frozenset("*?[")
_SPAN = re.compile(r"(\d{1,9})([dw])", re.ASCII)
_DAYS = {"d": 1, "w": 7}
SHOWN = 200  # characters of a name or reason in the list
MOST_FITTING = 3  # runs that a mute fits, by name


def mute(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Key of a run (its place below DIR), its name, or a glob of them.")] = None,
    pattern: Annotated[str | None, typer.Argument(metavar="PATTERN", help="A pattern, or a glob of them.")] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Last day of the mute (UTC), such as 2027-01-31, 14d or 2w; else until it is removed."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the others.")] = "",
    history: Annotated[
        str | None,
        typer.Option(metavar="PATH|URL", help="The audit's database (default: as for the audit)."),
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which project, where the database has several.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the mutes.")] = False,
    remove: Annotated[int | None, typer.Option(metavar="ID", help="Remove the mute of this id.")] = None,
    config: Config = None,
) -> None:
    """Tell nobody of these findings of the nightly audit: they stay on its page, marked as muted."""
    _check_wish(run, pattern, until, reason, list_, remove)
    ends = _until(until, datetime.now(UTC).date()) if until is not None else None
    where, named = _asked(history, project, config)
    with _opened(where) as found:
        name = _project(found, named)
        if list_:
            print_result(_listed(found, name))
        elif remove is not None:
            print_result(_removed(found, name, remove))
        else:
            assert run is not None
            assert pattern is not None
            print_result(_muted(found, name, run, pattern, ends, reason))


def _check_wish(
    run: str | None, pattern: str | None, until: str | None, reason: str, list_: bool, remove: int | None
) -> None:
    """Raise UsageError unless exactly one thing is asked for."""
    rest = run is not None or pattern is not None or until is not None or bool(reason)
    if (list_ and remove is not None) or ((list_ or remove is not None) and rest):
        raise UsageError("mute: either RUN PATTERN, or --list, or --remove ID")
    if not list_ and remove is None and (not run or not pattern):
        raise UsageError("mute: takes RUN PATTERN, such as prod/llama-3 spikes; --list prints the mutes there are")


def _asked(history: str | None, project: str | None, config: Path | None) -> tuple[str | Path, str | None]:
    """(the history, the project or None) by the flags, the environment and the settings file, as for the audit."""
    from curvelab.audit_settings import AuditWishes, pages_folder, settled
    from curvelab.nightly import DATABASE

    settings = settle(Wishes(), config, {k: v for k, v in os.environ.items() if k != "CURVELAB_FAIL_ON"}, Path())
    file = settings.places[-1]
    wishes = AuditWishes(history=history, project=project)
    asked = settled(wishes, os.environ, file.audit, file.origin, settings.options)
    return asked.history or pages_folder(settings) / DATABASE, asked.project or None


def _opened(where: str | Path) -> History:
    """The history. Raises UsageError where there is none: only an audit makes one."""
    from curvelab.history import History
    from curvelab.history.place import place

    found = place(where)
    if found.file is not None and not found.file.exists():
        raise found.error("there is none yet; curvelab audit makes it, --history names another")
    return History.open(where)


def _project(history: History, wished: str | None) -> str:
    """The project that is meant. Raises UsageError where that is not clear."""
    known = history.projects()
    if wished in known:
        return str(wished)
    names = ", ".join(clean(one, SHOWN) for one in known[:8])
    if not known:
        raise UsageError(f"history {history.shown}: no audit has been here yet")
    if wished is not None:
        raise UsageError(f'no project is called "{wished}"{did_you_mean(wished, known) or f"; known: {names}"}')
    if len(known) > 1:
        raise UsageError(f"history {history.shown}: has {len(known)} projects; say which, with --project ({names})")
    return known[0]


def _listed(history: History, project: str) -> str:
    """Each mute in a line, with what it fits."""
    names, now = history.names(project), time.time()
    lines = [f"{_line(one, now)}; {_fits([key for key, name in names.items() if one.fits_run(key, name)])}" for one in history.mutes(project)]
    return "\n".join(lines) or "no mutes"


def _fits(keys: Sequence[str]) -> str:
    """ "fits 7 runs: a, b, c, …"."""
    number = f"fits {len(keys):,} run{'' if len(keys) == 1 else 's'}"
    shown = ", ".join(clean(key, SHOWN // 2) for key in sorted(keys)[:MOST_FITTING])
    return encodable(f"{number}: {shown}{', …' if len(keys) > MOST_FITTING else ''}" if keys else number)


def _muted(history: History, project: str, run: str, pattern: str, until: str | None, reason: str) -> str:
    """Store a mute. Raises UsageError for a run or pattern that is none and no glob."""
    from curvelab.history import Mute

    wish = Mute(project=project, run=run, pattern=pattern, until=until, reason=reason, made=time.time())
    names = history.names(project)
    fitting = [key for key, name in names.items() if wish.fits_run(key, name)]
    _check_known("run", run, bool(fitting), [*names, *names.values()])
    patterns = _patterns(history, project)
    _check_known("pattern", pattern, any(wish.fits_pattern(one) for one in patterns), patterns)
    if not fitting:
        say(f'mute: no run fits "{run}" yet')
    before = [one for one in history.mutes(project) if (one.run, one.pattern) == (run, pattern)]
    stored = history.mute(wish)
    instead = "".join(f", instead of {one.id}" for one in before)
    return f"muted {_line(stored, 0.0)}; {_fits(fitting)}{instead}"


def _check_known(what: str, word: str, fits: bool, known: list[str]) -> None:
    if not fits and not GLOB & set(word):
        near = did_you_mean(word, known[:5000]) or (f"; known: {', '.join(known)}" if what == "pattern" else "")
        raise UsageError(f'no {what} is called "{word}"{near}')


def _patterns(history: History, project: str) -> list[str]:
    """The patterns of the detectors, and those that were found: a plugin need not be installed here."""
    from curvelab.catalogue import detectors

    return sorted({*(one.pattern for one in detectors()), *history.patterns(project)})


def _removed(history: History, project: str, number: int) -> str:
    mutes = {one.id: one for one in history.mutes(project)}
    if number not in mutes or not history.unmute(number):
        known = ", ".join(map(str, mutes)) or "none"
        raise UsageError(f"--remove {number}: no mute of {clean(project, SHOWN)} has this id; known: {known}")
    return f"removed {_line(mutes[number], 0.0)}"


def _line(one: Mute, now: float) -> str:
    """A mute in one line; `now` tells those that have ended."""
    ended = " (ended)" if one.ends <= now else ""
    until = f"until {one.until}{ended}" if one.until else "until it is removed"
    why = f": {clean(one.reason, SHOWN)}" if one.reason else ""
    return encodable(f"{one.id}  {clean(one.pattern, SHOWN)} of {clean(one.run, SHOWN)} {until}{why}")


def _until(word: str, today: date) -> str:
    """The ISO date or time that a word means. Raises UsageError for what is none, or is over."""
    text = word.strip()
    try:
        if span := _SPAN.fullmatch(text):
            return (today + timedelta(days=int(span[1]) * _DAYS[span[2]])).isoformat()
        if len(text) <= len("2027-W01-1"):
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
            shown = day.isoformat()
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            shown = moment.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise UsageError(f'--until takes a date such as 2027-01-31, 14d or 2w, not "{word}"') from None
    if moment < datetime.now(UTC):
        raise UsageError(f"--until {word}: is over")
    return shown
