"""Which log files lie below a path: a bounded walk over an untrusted tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from curvelab.batch_log import is_batch_log
from curvelab.catalogue import importers
from curvelab.misses import Misses
from curvelab.model.errors import UnreadableError
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
    looked_at: int = 0
    misses: Misses = field(default_factory=Misses)


def find(path: Path) -> Found:
    """All log files at or below a path. Raises UnreadableError when the path does not exist."""
    found = Found(path)
    if path.is_dir():
        _search(path, found)
        return found
    source = Source.at(path)
    claiming = _claiming(source)
    if not claiming:
        known = ", ".join(glob for one in importers() for glob in one.globs)
        raise UnreadableError(path, f"is no log that curvelab knows (looked for {known})")
    found.files.append((source, claiming[0]))
    return found


def _search(root: Path, found: Found) -> None:
    """Claim every log below a folder once: the files themselves first, then links to files of another name.

    A link to a folder inside the root leads to what is found anyway; one that leads outside is not followed.
    """
    inside = root.resolve()
    claimed: set[tuple[int, int]] = set()
    links: list[Path] = []
    for file, is_link in _walk(root, found):
        if not any(one.claims_name(file.name) for one in importers()):
            found.misses.unknown(file.name)
        elif is_link:
            links.append(file)
        else:
            _claim(file, found, claimed)
    for link in links:
        if _leads_into(inside, link):
            _claim(link, found, claimed)


def _leads_into(folder: Path, link: Path) -> bool:
    try:
        return link.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):
        return False  # a link in a circle


def _claim(file: Path, found: Found, claimed: set[tuple[int, int]]) -> None:
    try:
        status = file.stat()
        if (status.st_dev, status.st_ino) in claimed or not stat.S_ISREG(status.st_mode):
            return
        source = Source.at(file)
        claiming = _claiming(source)
    except UnreadableError as error:
        found.errors.append(error)
        return
    except (OSError, RuntimeError):
        return  # a link in a circle, or a file that vanished while we looked
    if claiming:
        claimed.add((status.st_dev, status.st_ino))
        found.files.append((source, claiming[0]))
    else:
        found.misses.unclaimed(source)


def _claiming(source: Source) -> list[Importer]:
    """The importers that read a file; none for a log of the batches, whose sample numbers would pass for a metric."""
    claiming = [one for one in importers() if one.claims(source)]
    return [] if claiming and is_batch_log(source.path.name, source.head) else claiming


def _walk(root: Path, found: Found) -> Iterator[tuple[Path, bool]]:
    """(file, whether it is a link) below `root`, folder by folder in the order of their names."""
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
                found.errors.append(UnreadableError(root, f"more than {MAX_ENTRIES:,} files; the rest was not looked at"))
                return
            if entry.is_dir(follow_symlinks=False):
                if entry.name in SKIPPED_FOLDERS:
                    continue
                if depth >= MAX_DEPTH:
                    found.errors.append(UnreadableError(entry.path, f"deeper than {MAX_DEPTH} folders; not looked at"))
                    continue
                below.append((Path(entry.path), depth + 1))
            else:
                yield Path(entry.path), entry.is_symlink()
        stack.extend(reversed(below))

