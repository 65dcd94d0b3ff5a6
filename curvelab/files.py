"""Which log files lie below a path: a bounded walk over an untrusted tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curvelab.batch_log import is_batch_log
from curvelab.catalogue import importers
from curvelab.misses import MOST_TOLD, NO_MARK, Misses, looked_for, why_not
from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import Importer, Source

MAX_DEPTH = 16  # folders below the path
MAX_ENTRIES = 500_000  # files and folders looked at
SKIPPED_FOLDERS = frozenset((".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages"))


@dataclass
class Found:
    """The log files below one path, with the importer of each, and what could not be looked at.

    named        metrics that the user has named, see Source
    passed_over  folders that are not looked into
    outside      links that lead out of the path
    """

    root: Path
    named: frozenset[str] = frozenset()
    passed_over: frozenset[Path] = frozenset()
    files: list[tuple[Source, Importer]] = field(default_factory=list)
    errors: list[UnreadableError] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    irregular: list[Path] = field(default_factory=list)
    looked_at: int = 0
    misses: Misses = field(default_factory=Misses)

    @property
    def remarks(self) -> list[Note]:
        """What was passed over on purpose, and what to do about it."""
        found = []
        if self.outside:
            text = f"not followed, since they lead out of this PATH: {self._named(self.outside)}; give them as PATHs of their own"
            found.append(Note(level="info", text=text, file=str(self.root)))
        if self.irregular:
            text = f"not read, since they are no regular files: {self._named(self.irregular)}"
            found.append(Note(level="info", text=text, file=str(self.root)))
        return found

    def _named(self, paths: Sequence[Path]) -> str:
        names = [path.relative_to(self.root).as_posix() for path in paths[:MOST_TOLD]]
        return ", ".join(names) + (f" and {len(paths) - MOST_TOLD} more" if len(paths) > MOST_TOLD else "")


def find(path: Path, named: Iterable[str] = (), passed_over: Iterable[Path] = ()) -> Found:
    """All log files at or below a path. Raises UnreadableError when the path does not exist.

    named        metrics that the user has named
    passed_over  folders below the path that are not looked into
    """
    found = Found(path, frozenset(named), frozenset(passed_over))
    if path.is_dir():
        _search(path, found)
        return found
    source = Source.at(path, found.named)
    claiming = _claiming(source)
    if not claiming:
        why = why_not(source)
        raise UnreadableError(path, f"is no log that curvelab knows: {why}{f'; {looked_for()}' if why == NO_MARK else ''}")
    found.files.append((source.unopened(), claiming[0]))
    return found


def _search(root: Path, found: Found) -> None:
    """Claim every log below a folder once: the files themselves first, then links to files of another name.

    A link to a folder inside the root leads to what is found anyway; one that leads outside is not followed.
    """
    inside = root.resolve()
    claimed: set[tuple[int, int]] = set()
    links: list[Path] = []
    for file, is_link in walk(root, found):
        named_like_log = any(one.claims_name(file.name) for one in importers())
        if is_link and (named_like_log or file.is_dir()):
            links.append(file)
        elif not named_like_log:
            found.misses.unknown(file.name)
        else:
            _claim(file, found, claimed)
    for link in links:
        if not _leads_into(inside, link):
            found.outside.append(link)
            found.misses.refused(link.name, "a link that leads out of PATH; give it as a PATH of its own")
        elif not link.is_dir():
            _claim(link, found, claimed)


def _leads_into(folder: Path, link: Path) -> bool:
    """Whether a link leads into a folder, or nowhere."""
    try:
        place = link.resolve()
        return place.is_relative_to(folder) or not place.exists()
    except (OSError, RuntimeError):
        return True  # a link in a circle


def _claim(file: Path, found: Found, claimed: set[tuple[int, int]]) -> None:
    try:
        status = file.stat()
        if (status.st_dev, status.st_ino) in claimed:
            return
        if not stat.S_ISREG(status.st_mode):
            found.irregular.append(file)
            found.misses.refused(file.name, "no regular file")
            return
        source = Source.at(file, found.named)
        claiming = _claiming(source)
        if claiming:
            claimed.add((status.st_dev, status.st_ino))
            found.files.append((source.unopened(), claiming[0]))
        else:
            found.misses.unclaimed(source)
    except UnreadableError as error:
        found.errors.append(error)
    except (OSError, RuntimeError):
        return  # a link in a circle, or a file that vanished while we looked


def _claiming(source: Source) -> list[Importer]:
    """The importers that read a file; none for a log of the batches, whose sample numbers would pass for a metric."""
    claiming = [one for one in importers() if one.claims(source)]
    return [] if claiming and is_batch_log(source.path.name, source.head) else claiming


def walk(root: Path, found: Found) -> Iterator[tuple[Path, bool]]:
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
                if entry.name in SKIPPED_FOLDERS or Path(entry.path) in found.passed_over:
                    continue
                if depth >= MAX_DEPTH:
                    found.errors.append(UnreadableError(entry.path, f"deeper than {MAX_DEPTH} folders; not looked at"))
                    continue
                below.append((Path(entry.path), depth + 1))
            else:
                yield Path(entry.path), entry.is_symlink()
        stack.extend(reversed(below))

