"""What an importer is: a card, a recognition and a `read`, one file per format in curvelab/importers/.

An importer file holds, top to bottom: its docstring card, and one function decorated with `@importer`:

    @importer(title="Hugging Face trainer_state.json", globs=("trainer_state.json",), marks=(b'"log_history"',))
    def read(source: Source) -> Log: ...

Recognition is data: a file is claimed when its name fits one of `globs` and, where `marks` are given, its first bytes
hold one of them. Formats that no mark tells apart (two kinds of CSV, two kinds of SQLite) also give `looks`, which is
asked last. `read` keeps every readable record, says in `Log.damage` what it dropped (file, line or byte, reason, count),
and raises UnreadableError only when nothing at all can be read. A file that holds several runs (a database, a chart
export) gives several Logs, each with its own `identity["id"]`.
"""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log

HEAD = 64 * 1024  # bytes of a file that recognition may look at
MAX_FILE = 8 * 1024**3  # bytes; larger logs are refused with a message rather than filling the memory
MAX_UNPACKED = 2 * 1024**3  # bytes that a .gz may unpack to
MAX_GZ_RATIO = 1200  # deflate cannot pack better than about 1,032 : 1, so more than this is no honest archive
LFS_MARK = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Source:
    """A regular file at the size it had when it was first looked at; a growing file is read up to that size."""

    path: Path
    size: int

    @classmethod
    def at(cls, path: Path) -> Source:
        """Look at a path. Raises UnreadableError for what is no regular file, or is too large."""
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise UnreadableError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(path, "is not a regular file; skipped")
        if status.st_size > MAX_FILE:
            raise UnreadableError(path, f"{status.st_size:,} bytes are over the limit of {MAX_FILE:,}; skipped")
        return cls(path, status.st_size)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked when the file is a gzip."""
        return self.first(HEAD)

    def first(self, limit: int) -> bytes:
        """At most `limit` bytes from the beginning, unpacked when the file is a gzip; nothing of a damaged one."""
        raw = self._read(limit)
        if raw[:2] != b"\x1f\x8b":
            return raw
        try:
            return zlib.decompressobj(31).decompress(raw, limit)
        except zlib.error:
            return b""

    def read_bytes(self) -> bytes:
        """The whole file up to the size at opening; a gzip comes unpacked (a cut one as far as it goes)."""
        raw = self._read(self.size)
        return self._unpacked(raw) if raw[:2] == b"\x1f\x8b" else raw

    def _read(self, limit: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(min(limit, self.size))
        except OSError as error:
            raise UnreadableError(self.path, f"cannot be read ({error.strerror or error})") from None

    def _unpacked(self, raw: bytes) -> bytes:
        unpacker = zlib.decompressobj(31)
        limit = min(MAX_UNPACKED, max(len(raw) * MAX_GZ_RATIO, HEAD))
        try:
            data = unpacker.decompress(raw, limit)
        except zlib.error as error:
            raise UnreadableError(self.path, f"damaged gzip ({error}); nothing was kept") from None
        if unpacker.unconsumed_tail:
            raise UnreadableError(self.path, f"unpacks to more than {limit:,} bytes; skipped")
        if unpacker.unused_data[:2] == b"\x1f\x8b":  # several members in one file: the standard library joins them
            try:
                return gzip.decompress(raw)
            except (OSError, EOFError, zlib.error):
                return data
        return data


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

    def claims_name(self, name: str) -> bool:
        """Whether a file of this name may be of this format."""
        return any(fnmatchcase(name, glob) for glob in self.globs)

    def claims(self, source: Source) -> bool:
        """Whether this importer reads the file: its name fits, its first bytes bear a mark, and it looks like one."""
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
            read=read,
            names=rename,
            looks=looks,
        )

    return wrap
