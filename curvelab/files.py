"""Which log files lie below a path: a bounded walk over an untrusted tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from curvelab.catalogue import importers
from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import Importer, Source

MAX_DEPTH = 16  # folders below the path
MAX_ENTRIES = 500_000  # files and folders looked at
SKIPPED_FOLDERS = frozenset((".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages"))


@dataclass
class Found:
    """The log files below one path, with the importer of each, and what could not be looked at."""

    root: Path
    files: list[tuple[Source, Importer]] = field(default_factory=list)
    errors: list[UnreadableError] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    looked_at: int = 0


def find(path: Path) -> Found:
    """All log files at or below a path. Raises UnreadableError when the path does not exist."""
    found = Found(path)
    if path.is_dir():
        for file in _walk(path, found):
            if any(one.claims_name(file.name) for one in importers()):
                _claim(file, found)
    else:
        source = Source.at(path)
        claiming = [one for one in importers() if one.claims(source)]
        if not claiming:
            known = ", ".join(glob for one in importers() for glob in one.globs)
            raise UnreadableError(path, f"is no log that curvelab knows (looked for {known})")
        found.files.append((source, claiming[0]))
    return found


def _claim(file: Path, found: Found) -> None:
    try:
        source = Source.at(file)
        claiming = [one for one in importers() if one.claims(source)]
    except UnreadableError as error:
        found.errors.append(error)
        return
    if claiming:
        found.files.append((source, claiming[0]))


def _walk(root: Path, found: Found) -> Iterator[Path]:
    """Regular files below `root`, each once. Links are followed only when they stay inside the root."""
    inside = root.resolve()
    seen: set[tuple[int, int]] = set()
    stack = [(root, 0)]
    while stack:
        folder, depth = stack.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError as error:
            found.errors.append(UnreadableError(folder, f"cannot be listed ({error.strerror})"))
            continue
        below: list[tuple[Path, int]] = []
        for entry in entries:
            found.looked_at += 1
            if found.looked_at > MAX_ENTRIES:
                found.notes.append(_limit(root, f"more than {MAX_ENTRIES:,} files; the rest was not looked at"))
                return
            path = Path(entry.path)
            try:
                if entry.is_symlink() and not path.resolve().is_relative_to(inside):
                    continue
                status = entry.stat()
                key = (status.st_dev, status.st_ino)
                if entry.is_dir():
                    if entry.name in SKIPPED_FOLDERS or key in seen:
                        continue
                    seen.add(key)
                    if depth >= MAX_DEPTH:
                        found.notes.append(_limit(path, f"deeper than {MAX_DEPTH} folders; not looked at"))
                        continue
                    below.append((path, depth + 1))
                elif entry.is_file():
                    real = path.resolve() if entry.is_symlink() else path
                    if key not in seen:
                        seen.add(key)
                        yield real if real.is_relative_to(root) else path
            except (OSError, RuntimeError):
                continue  # a link in a circle, or an entry that vanished while we looked
        stack.extend(reversed(below))


def _limit(path: Path, text: str) -> Note:
    return Note(level="warning", text=text, file=str(path))
