"""By what an audit sees that a file has changed: its place, size, time, and a hash of its beginning and its end.

A log grows at its end and a damaged copy differs at its beginning; reading a whole file to hash it would cost as much as
reading the log. A change in the middle that keeps size and time is not seen.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from curvelab import batch_log
from curvelab.catalogue import importers, sidecars
from curvelab.files import Found, walk

END = 4096  # bytes at either end that are hashed
WHOLE = "meta.yaml"  # a folder with it is one log: MLflow keeps each metric in a file of any name
_CHECKPOINT = re.compile(r"^checkpoint-\d{1,15}$")


class Mark(NamedTuple):
    """What one file looked like: its size and ends as one text, and its time of change in nanoseconds."""

    content: str
    changed: int = 0


ABSENT = Mark("absent")


@dataclass(frozen=True)
class Marks:
    """What lies below a folder, as far as a diagnosis may depend on it.

    files         path -> what it looked like
    beside        folder -> its files that may be logs or settings
    whole         folder that is a log as a whole (one of MLflow's runs) -> all files below it
    checkpoints   folder -> names of the checkpoint folders in it
    """

    files: dict[Path, Mark] = field(default_factory=dict)
    beside: dict[Path, list[Path]] = field(default_factory=lambda: defaultdict(list))
    whole: dict[Path, list[Path]] = field(default_factory=dict)
    checkpoints: dict[Path, list[str]] = field(default_factory=lambda: defaultdict(list))

    def digest(self, root: Path) -> str:
        """One text for everything below the folder."""
        told = [f"{os.path.relpath(path, root)}\0{mark.content}\0{mark.changed}" for path, mark in self.files.items()]
        told += [f"{os.path.relpath(path, root)}\0{','.join(sorted(some))}" for path, some in self.checkpoints.items()]
        return digest(sorted(told))

    def around(self, logs: Iterable[Path], folders: Iterable[Path], root: Path) -> tuple[str, str]:
        """(one text for some logs, and for what may be settings and checkpoints in some folders; the same without times)."""
        named = fits_settings()
        files = {path for folder in folders for path in self.beside.get(folder, ()) if named.match(path.name)}
        for log in logs:
            files |= {log, *self.whole.get(log, ()), *self.whole.get(log.parent, ())}
        places = {path: os.path.relpath(path, root) for path in files}
        contents = [f"{place}\0{self.files.get(path, ABSENT).content}" for path, place in places.items()]
        contents += [f"{os.path.relpath(folder, root)}\0{sorted(self.checkpoints.get(folder, ()))}" for folder in set(folders)]
        times = [f"{place}\0{self.files.get(path, ABSENT).changed}" for path, place in places.items()]
        return digest(sorted((*contents, *times))), digest(sorted(contents))


def marks_below(root: Path, passed_over: Iterable[Path] = ()) -> Marks:
    """Look at every file below a folder that may be a log or a settings file, without reading it."""
    marks = Marks()
    fits = _fits()
    of: dict[Path, Path | None] = {root: None}  # folder -> the folder that it is a part of as a whole
    for path, _ in walk(root, Found(root, passed_over=frozenset(passed_over))):
        folder = path.parent
        if folder not in of:
            _enter(folder, root, of, marks)
        if path.name == WHOLE and of[folder] is None:
            of[folder] = folder
            marks.whole[folder] = []
        part = of[folder]
        if part is not None:
            marks.whole[part].append(path)
        if part is not None or fits.match(path.name):
            marks.files[path] = _mark(path)
            marks.beside[folder].append(path)
    return marks


def _enter(folder: Path, root: Path, of: dict[Path, Path | None], marks: Marks) -> None:
    """Note a folder, and those above it that held no file."""
    above = folder.parent
    if above not in of and root in above.parents:
        _enter(above, root, of, marks)
    of[folder] = of.get(above)
    if _CHECKPOINT.match(folder.name):
        marks.checkpoints[above].append(folder.name)


def digest(texts: Iterable[str]) -> str:
    """Sixteen bytes of SHA-256 over some texts, as hex digits."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(text.encode("utf-8", "surrogateescape"))
        whole.update(b"\n")
    return whole.hexdigest()[:32]


def _mark(path: Path) -> Mark:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Mark("no regular file")
        with path.open("rb") as file:
            ends = hashlib.sha256(file.read(END))
            if status.st_size > END:
                file.seek(max(END, status.st_size - END))
                ends.update(file.read(END))
        return Mark(f"{status.st_size} {ends.hexdigest()[:24]}", status.st_mtime_ns)
    except (OSError, ValueError, RuntimeError) as error:
        return Mark(f"cannot be read ({type(error).__name__})")


@cache
def fits_settings() -> re.Pattern[str]:
    """Names of files that may hold settings or tell which samples were read."""
    globs = {glob for one in sidecars() for glob in one.globs} | set(batch_log.GLOBS)
    return re.compile("|".join(fnmatch.translate(glob) for glob in sorted(globs)))


@cache
def _fits() -> re.Pattern[str]:
    globs = {glob for one in importers() for glob in one.globs}
    return re.compile("|".join((*(fnmatch.translate(glob) for glob in sorted(globs)), fits_settings().pattern)))
