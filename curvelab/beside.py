"""What a side-car is: a settings file that stands beside a log, one reader a kind in curvelab/sidecars/.

A reader's file holds, top to bottom: its docstring card, and one function decorated with `@sidecar`:

    @sidecar(title="PEFT adapter_config.json", globs=("adapter_config.json",))
    def read(source: Source) -> Stated: ...

`read` never executes, imports or unpacks anything to disk, and raises UnreadableError for a file that is of no use: that
becomes a note, since a run is never lost for a file beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.sources import LFS_MARK, Source

HEAD = 64 * 1024  # bytes in which a mark must stand


@dataclass(frozen=True)
class Stated:
    """What one settings file says.

    known      hyperparameters by names that knowledge/setting_names.py lists; others are not looked at
    raw        all plain values, as they were written
    completed  the file is only written when training has run to its end
    epoch      epochs that were done when it was written, None when it does not say
    """

    known: Mapping[str, object] = field(default_factory=dict)
    raw: Mapping[str, object] = field(default_factory=dict)
    completed: bool = False
    epoch: float | None = None


@dataclass(frozen=True)
class SettingsFile:
    """A settings file of a run: `kind` decides how far it is trusted, `origin` is how the run's config names it."""

    kind: str
    origin: str
    path: Path
    stated: Stated


@dataclass(frozen=True)
class Sidecar:
    """A kind of settings file. `alternatives`: its names are free, so several in one folder are rivals, not parts."""

    kind: str
    title: str
    card: str
    globs: tuple[str, ...]
    marks: tuple[bytes, ...]
    alternatives: bool
    read: Callable[[Source], Stated]

    def claims(self, name: str, head: bytes) -> bool:
        """Whether a file of this name and these first bytes is of this kind."""
        fits = any(fnmatchcase(name, glob) for glob in self.globs)
        return fits and (not self.marks or any(mark in head for mark in self.marks))


def sidecar(
    *, title: str, globs: tuple[str, ...], marks: tuple[bytes, ...] = (), alternatives: bool = False
) -> Callable[[Callable[[Source], Stated]], Sidecar]:
    """Make a Sidecar of the decorated `read`; its kind is the module's name, its card the module's docstring."""
    import sys

    def wrap(read: Callable[[Source], Stated]) -> Sidecar:
        return Sidecar(
            kind=read.__module__.rpartition(".")[2].replace("_", "-"),
            title=title,
            card=sys.modules[read.__module__].__doc__ or "",
            globs=globs,
            marks=marks,
            alternatives=alternatives,
            read=read,
        )

    return wrap


def contents(source: Source, limit: int) -> bytes:
    """All bytes of a small file, as they stand (a gzip is not unpacked: no trainer packs these files).

    Raises UnreadableError for a file over `limit` bytes, an empty one, a Git LFS pointer.
    """
    if source.size > limit:
        raise UnreadableError(
            source.path, f"{source.size:,} bytes are over the limit of {limit:,} for settings; not read"
        )
    try:
        with source.path.open("rb") as file:
            raw = file.read(source.size)
    except OSError as error:
        raise UnreadableError(source.path, f"cannot be read ({error.strerror or error})") from None
    if raw.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    if not raw.strip(b"\x00 \t\r\n"):
        raise UnreadableError(source.path, "is empty; no settings in it")
    return raw
