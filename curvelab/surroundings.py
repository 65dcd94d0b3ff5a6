"""Which settings files stand beside the logs of a run, and what they say.

Where they are looked for: in the folders of the run's logs, in its home, in a checkpoint's parent, in the `files` folder
of a W&B run. Never above the PATH that was given; when that is a file, in its own folder only. A folder that several
runs share gives settings to none of them, because nothing says whose they are.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from curvelab.beside import HEAD, SettingsFile, Sidecar, Stated
from curvelab.catalogue import sidecars
from curvelab.grouping import Group
from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import BUGS, Source

MAX_LISTED = 50_000  # entries of one folder that are looked at
_CHECKPOINT = re.compile(r"^checkpoint-(\d{1,15})$")


@dataclass(frozen=True)
class Surroundings:
    """The settings files beside one run, and notes of those that could not be used."""

    files: tuple[SettingsFile, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Whereabouts:
    """Folders in which a run's settings may stand: its own, and those that it shares with other runs."""

    own: tuple[Path, ...]
    shared: tuple[Path, ...]


def beside_each(groups: Sequence[Group], root: Path) -> list[Surroundings]:
    """What stands beside each run that was found at `root`, in their order."""
    folders = Folders(root)
    return [beside(group, places, folders) for group, places in zip(groups, whereabouts(groups, root), strict=True)]


def whereabouts(groups: Sequence[Group], root: Path) -> list[Whereabouts]:
    """Where the settings of each run are looked for. Nothing is read."""
    near = [_folders(group, root) for group in groups]
    homes = _owners(group.homes for group in groups)
    direct = _owners({log.path.parent for log in group.logs} for group in groups)
    found = []
    for i, places in enumerate(near):
        mine: list[Path] = []
        shared: list[Path] = []
        for place in places:
            owners = direct.get(place) or homes.get(place) or {i}
            if i in owners:
                (mine if owners == {i} else shared).append(place)
        found.append(Whereabouts(tuple(mine), tuple(shared)))
    return found


def _owners(folders: Iterable[Iterable[Path]]) -> dict[Path, set[int]]:
    """Folder -> the places of those that have it."""
    found: dict[Path, set[int]] = defaultdict(set)
    for i, some in enumerate(folders):
        for folder in some:
            found[folder].add(i)
    return found


def _folders(group: Group, root: Path) -> list[Path]:
    """Folders of a run, the most telling first: its home, then its logs' own (the latest checkpoint before others)."""
    if not root.is_dir():
        return [group.logs[0].path.parent]
    homes = sorted(group.homes)
    own = sorted({log.path.parent for log in group.logs}, key=lambda place: (-_checkpoint(place), str(place)))
    above = [place.parent for place in own if _checkpoint(place) >= 0]
    files = [log.path.parent / "files" for log in group.logs if log.format == "wandb-file"]
    places = dict.fromkeys((*homes, *own, *above, *files))
    return [place for place in places if place == root or root in place.parents]


def _checkpoint(folder: Path) -> int:
    found = _CHECKPOINT.match(folder.name)
    return int(found.group(1)) if found else -1


class Folders:
    """Listings of folders, each taken once, and files in them that may be settings."""

    def __init__(self, root: Path) -> None:
        self._inside = (root if root.is_dir() else root.parent).resolve()
        self._listed: dict[Path, tuple[Path, ...]] = {}

    def candidates(self, folder: Path) -> tuple[Path, ...]:
        """Files whose name fits a kind; links only when they lead to somewhere inside the PATH."""
        if folder not in self._listed:
            self._listed[folder] = tuple(self._list(folder))
        return self._listed[folder]

    def _list(self, folder: Path) -> Iterator[Path]:
        fits = _names()
        try:
            with os.scandir(folder) as listing:
                entries = [
                    entry for _, entry in zip(range(MAX_LISTED), listing, strict=False) if fits.match(entry.name)
                ]
        except OSError:
            return  # no folder of this name (`files` of a W&B run), or one that cannot be listed: `find` said so
        for entry in sorted(entries, key=lambda e: e.name):
            path = Path(entry.path)
            try:
                if entry.is_file() and (not entry.is_symlink() or path.resolve().is_relative_to(self._inside)):
                    yield path
            except (OSError, RuntimeError):
                continue  # a link in a circle, or a file that vanished while we looked


@cache
def _names() -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for one in sidecars() for glob in one.globs))


def beside(group: Group, places: Whereabouts, folders: Folders) -> Surroundings:
    """Read what stands in the folders of one run."""
    files: list[SettingsFile] = []
    notes: list[Note] = []
    taken: set[tuple[str, str]] = set()
    logs = {log.path for log in group.logs}
    for place in places.own:
        claimed = _claimed(folders.candidates(place), notes)
        for kind, path in _without_rivals(claimed, notes):
            key = (kind.kind, "" if kind.alternatives else path.name)
            if key in taken or path in logs:  # the copy in an older checkpoint adds nothing
                continue
            try:
                stated = _stated(kind, path)
            except UnreadableError as error:
                notes.append(Note(level="warning", text=error.message, file=str(path)))
                continue
            taken.add(key)
            files.append(SettingsFile(kind.kind, _origin(path, group), path, stated))
    for place in places.shared:
        if names := [path.name for _, path in _claimed(folders.candidates(place), [])]:
            text = f"several runs share this folder; its settings ({', '.join(names[:5])}) were given to none of them"
            notes.append(Note(level="info", text=text, file=str(place)))
    return Surroundings(tuple(files), tuple(dict.fromkeys(notes)))


def _claimed(paths: Sequence[Path], notes: list[Note]) -> list[tuple[Sidecar, Path]]:
    """(kind, file) of every candidate that some kind claims; kinds with names of their own before those without."""
    found = []
    kinds = sorted(sidecars(), key=lambda kind: kind.alternatives)
    for path in paths:
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            notes.append(Note(level="warning", text=f"cannot be read ({error.strerror or error})", file=str(path)))
            continue
        kind = next((kind for kind in kinds if kind.claims(path.name, head)), None)
        if kind is not None:
            found.append((kind, path))
    return found


def _without_rivals(claimed: list[tuple[Sidecar, Path]], notes: list[Note]) -> Iterator[tuple[Sidecar, Path]]:
    """Drop files of a kind with free names when several stand side by side: nothing says which one the run used."""
    for kind, path in claimed:
        rivals = [other for one, other in claimed if one is kind] if kind.alternatives else []
        if len(rivals) < 2:
            yield kind, path
        elif rivals[0] == path:
            text = (
                f"{len(rivals)} files are each a {kind.title} ({', '.join(p.name for p in rivals[:4])}); none was used"
            )
            notes.append(Note(level="info", text=text, file=str(path.parent)))


def _stated(kind: Sidecar, path: Path) -> Stated:
    """Read one file. A reader's own bug costs this file only.

    Raises UnreadableError.
    """
    try:
        return kind.read(Source.at(path))
    except BUGS as error:
        message = f"the {kind.kind} reader failed ({type(error).__name__}: {error}); please report it"
        raise UnreadableError(path, message) from error


def _origin(path: Path, group: Group) -> str:
    """How the run's config names the file: by its place below the run."""
    home = group.path if group.path.is_dir() else group.path.parent
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name
