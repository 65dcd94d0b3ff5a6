"""Where a run lies, as a page may say it: a page is sent on, so it names no folders above the run's own.

The JSON keeps the paths as they are: it is read on the machine that wrote it.
"""

from __future__ import annotations

import re

import msgspec

from curvelab.model.note import Note
from curvelab.model.result import Diagnosis

_ABSOLUTE = re.compile(r"^([/\\~]|[A-Za-z]:[/\\])")
_ENDS_IN_NAME = re.compile(r"[^/\\]*$")


def run(diagnosis: Diagnosis) -> str:
    """The run's path as it was given, or its last part where it was absolute. A URL is no folder of a machine."""
    path = diagnosis.path
    return _name(path) if _ABSOLUTE.match(path) else path


def file(diagnosis: Diagnosis, path: str) -> str:
    """A file below the run's path, from there on; only the name of any other absolute path."""
    above = diagnosis.path.rstrip("/\\")
    if above and path.startswith((above + "/", above + "\\")):
        return path[len(above) + 1 :]
    return _name(path) if _ABSOLUTE.match(path) else path


def note(diagnosis: Diagnosis, one: Note) -> str:
    """A note as one line, with its file, and the paths in its text, as above."""
    above = diagnosis.path.rstrip("/\\")
    text = one.text
    if _ABSOLUTE.match(above):
        parent = above[: len(above) - len(_name(above))]
        text = text.replace(above + "/", "").replace(parent, "") if len(parent) > 1 else text.replace(above + "/", "")
    where = None if one.file is None else file(diagnosis, one.file)
    return str(msgspec.structs.replace(one, text=text, file=where))


def _name(path: str) -> str:
    """The last part of a path; the path itself where it has none."""
    found = _ENDS_IN_NAME.search(path.rstrip("/\\"))
    return (found[0] if found else "") or path
