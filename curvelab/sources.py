"""What an importer is: a card, a recognition and a `read`, one file per format in curvelab/importers/.

An importer file holds, top to bottom: its docstring card, and one function decorated with `@importer`:

    @importer(title="Hugging Face trainer_state.json", globs=("trainer_state.json",), marks=(b'"log_history"',))
    def read(source: Source) -> Log: ...

Recognition is data: a file is claimed when its name fits one of `globs` and, where `marks` are given, its first bytes
hold one of them. Formats that no mark tells apart (two kinds of CSV, two kinds of SQLite) also give `looks`, which is
asked last; `nearly` says in words what a file lacks that just fails. `read` keeps every readable record, says in
`Log.damage` what it dropped (file, line or byte, reason, count), and raises UnreadableError only when nothing at all can
be read. A file that holds several runs (a database, a chart export) gives several Logs, each with its own
`identity["id"]`.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import wraps
from pathlib import Path
from typing import BinaryIO

from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.unpacking import GZIP, Fault, Unpacking

HEAD = 64 * 1024  # bytes of a file that recognition may look at
MAX_FILE = 8 * 1024**3  # bytes; larger logs are refused with a message rather than filling the memory
BLOCK = 1024**2  # bytes read at a time
MAX_FAULTS = 20  # damaged places of a gzip that get a note of their own
BUGS = (MemoryError, RecursionError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, OSError)
LFS_MARK = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Source:
    """A regular file at the size it had when it was first looked at; a growing file is read up to that size.

    named   metrics that the user has named: a table that has one is a log, whatever it else looks like
    damage  what was wrong with its packing (gzip), known when the last block was read; `@importer` adds it to the logs
    """

    path: Path
    size: int
    named: frozenset[str] = frozenset()
    damage: list[Note] = field(default_factory=list, compare=False, repr=False)
    _begin: list[bytes] = field(default_factory=list, compare=False, repr=False)  # the longest beginning looked at

    @classmethod
    def at(cls, path: Path, named: Iterable[str] = ()) -> Source:
        """Look at a path. Raises UnreadableError for what is no regular file, or is too large."""
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise UnreadableError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(path, "is not a regular file; skipped")
        if status.st_size > MAX_FILE:
            raise UnreadableError(path, f"{status.st_size:,} bytes are over the limit of {MAX_FILE:,}; skipped")
        return cls(path, status.st_size, frozenset(named))

    @property
    def head(self) -> bytes:
        """The first bytes, unpacked when the file is a gzip."""
        return self.first(HEAD)

    def first(self, limit: int) -> bytes:
        """At most `limit` bytes from the beginning, unpacked when the file is a gzip; a damaged one as far as it goes."""
        if not self._begin or len(self._begin[0]) < limit:
            found = b""
            for block in self._blocks([]):
                found += block
                if len(found) >= limit:
                    break
            self._begin[:] = [found[:limit]]
        return self._begin[0][:limit]

    def last(self, limit: int) -> bytes:
        """At most `limit` bytes from the end; nothing of a gzip, which can only be read from its beginning."""
        if self.packed:
            return b""
        with _opened(self.path) as file:
            file.seek(max(0, self.size - limit))
            return file.read(min(limit, self.size))

    @property
    def packed(self) -> bool:
        """Whether the file is a gzip."""
        with _opened(self.path) as file:
            return self.size >= len(GZIP) and file.read(len(GZIP)) == GZIP

    def blocks(self) -> Iterator[bytes]:
        """The whole file up to the size at opening, block by block; a gzip comes unpacked, `damage` says how far."""
        faults: list[Fault] = []
        yield from self._blocks(faults)
        self.damage[:] = [
            Note(level="warning", text=fault.text, file=str(self.path), byte=fault.byte) for fault in faults[:MAX_FAULTS]
        ]

    def read_bytes(self) -> bytes:
        """The whole file up to the size at opening, as `blocks` gives it."""
        if not self.packed:
            with _opened(self.path) as file:
                return file.read(self.size)
        return b"".join(self.blocks())

    def unopened(self) -> Source:
        """The same file without what was read of it: thousands of files wait to be read at once."""
        return Source(self.path, self.size, self.named)

    def _blocks(self, faults: list[Fault]) -> Iterator[bytes]:
        packed = self.packed
        with _opened(self.path) as file:
            if packed:
                yield from Unpacking(file, self.size, faults)
                return
            left = self.size
            while left and (block := file.read(min(left, BLOCK))):
                left -= len(block)
                yield block


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file for reading; whatever goes wrong meanwhile is an UnreadableError."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnreadableError(path, f"cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True)
class Importer:
    """A format that curvelab reads. `format` is the name of its file; `names` brings raw names to `train/…`, `eval/…`."""

    format: str
    title: str
    card: str
    globs: tuple[str, ...]
    marks: tuple[bytes, ...]
    read: Callable[[Source], Log | Sequence[Log]]
    names: Callable[[str], str] = field(default=lambda raw: raw)
    looks: Callable[[Source], bool] | None = None
    nearly: Callable[[Source], str] | None = None

    def claims_name(self, name: str) -> bool:
        """Whether a file of this name may be of this format."""
        return any(fnmatchcase(name, glob) for glob in self.globs)

    def claims(self, source: Source) -> bool:
        """Whether this importer reads the file: its name fits, its first bytes bear a mark, and it looks like one.

        Raises UnreadableError, also for a bug of the importer itself: looking at one file must not cost the others.
        """
        try:
            return self._claims(source)
        except UnreadableError:
            raise
        except BUGS as error:
            message = f"the {self.format} importer failed to look at it ({type(error).__name__}: {error}); please report it"
            raise UnreadableError(source.path, message) from error

    def _claims(self, source: Source) -> bool:
        if not self.claims_name(source.path.name):
            return False
        if self.marks and not any(mark in source.head for mark in self.marks):
            return False
        return self.looks is None or self.looks(source)


def importer(
    *,
    title: str,
    globs: tuple[str, ...],
    marks: tuple[bytes, ...] = (),
    names: Callable[[str], str] | Mapping[str, str] | None = None,
    looks: Callable[[Source], bool] | None = None,
    nearly: Callable[[Source], str] | None = None,
) -> Callable[[Callable[[Source], Log | Sequence[Log]]], Importer]:
    """Make an Importer of the decorated `read`; its format is the module's name, its card the module's docstring."""
    import sys

    if isinstance(names, Mapping):
        table = dict(names)
        rename: Callable[[str], str] = lambda raw: table.get(raw, raw)  # noqa: E731
    else:
        rename = names or (lambda raw: raw)

    def wrap(read: Callable[[Source], Log | Sequence[Log]]) -> Importer:
        module = sys.modules[read.__module__]
        return Importer(
            format=read.__module__.rpartition(".")[2].replace("_", "-"),
            title=title,
            card=module.__doc__ or "",
            globs=globs,
            marks=marks,
            read=_with_damage(read),
            names=rename,
            looks=looks,
            nearly=nearly,
        )

    return wrap


def _with_damage(read: Callable[[Source], Log | Sequence[Log]]) -> Callable[[Source], Log | Sequence[Log]]:
    """The same reading, with what was wrong with the file's packing told by each of its logs, or by the error."""

    @wraps(read)
    def reading(source: Source) -> Log | Sequence[Log]:
        try:
            logs = read(source)
        except UnreadableError as error:
            if not source.damage:
                raise
            raise UnreadableError(error.path, f"{source.damage[0].text}; {error.message}") from None
        if not source.damage:
            return logs
        told = tuple(source.damage)
        some = [
            replace(log, notes=(*told, *log.notes), damage=(*told, *log.damage))
            for log in ((logs,) if isinstance(logs, Log) else logs)
        ]
        return some[0] if isinstance(logs, Log) else some

    return reading
