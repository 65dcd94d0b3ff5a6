"""Names from logs, made safe in one place, before they become curves: what comes after never meets the others.

A name is not trusted: it may hold half a character, control codes that move the cursor, or a megabyte of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from curvelab.model.log import Log
from curvelab.model.note import Note

LONGEST = 400  # characters; judgement: longer than any name a person gave, short enough for every table
_KEPT = 300  # characters of a longer name that are kept
_HALVES = re.compile("[\ud800-\udfff]")
# C0, DEL, C1, zero-width and text-direction marks, line and paragraph separators
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def clean_name(name: str) -> str:
    """The name without control characters, lone surrogates as U+FFFD, cut to a length that can be shown."""
    if name.isascii() and name.isprintable() and len(name) <= LONGEST:
        return name
    whole = _CONTROLS.sub("", _HALVES.sub("\ufffd", name))
    if len(whole) > LONGEST:
        return f"{whole[:_KEPT]}… ({len(whole):,} characters)"
    return whole or (name and "\ufffd")


def with_clean_names(log: Log) -> Log:
    """The same log with clean names of its series and of the run; different names stay different."""
    raws = dict.fromkeys((*(s.name for s in log.series), *(s.name for s in log.timed), *log.skipped, *log.names))
    names = _distinct(raws)
    identity = {word: clean_name(value) for word, value in log.identity.items()}
    changed = {raw: name for raw, name in names.items() if raw != name}
    if not changed and identity == dict(log.identity):
        return log
    shortened = sum(len(raw) > LONGEST for raw in changed)
    notes = list(log.notes)
    if shortened:
        text = f"{shortened} metric names of more than {LONGEST} characters were shortened"
        notes.append(Note(level="info", text=text, file=str(log.path)))
    if len(changed) > shortened:
        text = f"characters that cannot be shown were taken out of {len(changed) - shortened} metric names"
        notes.append(Note(level="info", text=text, file=str(log.path)))
    return replace(
        log,
        series=tuple(replace(series, name=names[series.name]) for series in log.series),
        timed=tuple(replace(series, name=names[series.name]) for series in log.timed),
        skipped={names[raw]: count for raw, count in log.skipped.items()},
        names={names[raw]: clean_name(common) for raw, common in log.names.items()},
        identity=identity,
        notes=tuple(notes),
    )


def _distinct(raws: Iterable[str]) -> dict[str, str]:
    """Raw name -> clean name; the second of two that come out alike gets a number."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for raw in sorted(raws, key=lambda raw: clean_name(raw) != raw):  # those that stay as they are come first
        plain = name = clean_name(raw)
        number = 2
        while name in taken:
            name, number = f"{plain} ({number})", number + 1
        taken.add(name)
        names[raw] = name
    return names
