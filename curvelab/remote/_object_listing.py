"""What lies below a URL in an object store: the logs, the settings around them, and all else by name only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from curvelab.catalogue import importers, sidecars
from curvelab.files import MAX_DEPTH, SKIPPED_FOLDERS
from curvelab.model.errors import UnreadableError
from curvelab.remote.fetched import Progress

# Judgement, all of them: what fits a disk and an hour on a common line.
MAX_ENTRIES = 100_000  # objects and folders looked at
MAX_FILES = 20_000
MAX_FILE = 2 * 1024**3  # bytes of a log
MAX_SETTINGS = 16 * 1024**2  # bytes of a settings file
LONGEST = 200  # characters of a foreign error message

# Importers that read more than the file that they claim: MLflow's runs, and what SQLite has not merged yet.
PARTS = {"meta.yaml": frozenset(("metrics", "params", "tags"))}
JOURNALS = ("-wal",)

_QUERY = re.compile(r"\?\S*|://[^/\s@]*:[^/\s@]*@")  # signatures of one-time addresses, credentials


@dataclass(frozen=True)
class Object:
    """A file in the store: its path there, its size as listed (None: not told), whether it is only a settings file."""

    path: str
    size: int | None
    beside: bool = False

    @property
    def limit(self) -> int:
        return MAX_SETTINGS if self.beside else MAX_FILE


@dataclass
class Listing:
    """What was found below a URL."""

    is_file: bool = False
    objects: list[Object] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # paths of files that nobody claims: what the errors count and name
    errors: list[UnreadableError] = field(default_factory=list)


class Store:
    """One URL in one file system: listing, copying, and the names by which both are told."""

    def __init__(self, url: str, file_system: Any) -> None:
        self.fs = file_system
        self.scheme, _, rest = url.partition("://")
        self.root = str(file_system._strip_protocol(url)).rstrip("/")
        # fsspec gives some paths with a slash before them; the URL is told as it was written
        absolute = rest.startswith("/") or self.scheme == "file"
        self.prefix = f"{self.scheme}://" + ("/" if absolute else "")

    def url(self, path: str) -> str:
        """The URL of a path in the store."""
        return self.prefix + path.lstrip("/")

    def error(self, path: str, error: BaseException, what: str = "cannot be fetched") -> UnreadableError:
        return UnreadableError(self.url(path), f"{what} ({told(error)})")


def listed(store: Store, root: str, progress: Progress | None) -> Listing:
    """The files to copy. Raises UnreadableError when nothing is at `root`."""
    if progress:
        progress(f"{store.url(root)}: listing")
    try:
        there = store.fs.info(root)
        above = [] if there["type"] != "file" else store.fs.ls(str(PurePosixPath(root).parent), detail=True)
        beside = [one for one in above if one["type"] == "file"]
    except FileNotFoundError:
        raise UnreadableError(store.url(root), "is not there; check the address") from None
    except Exception as error:  # no access, no network, no such bucket: each library's own words
        raise store.error(root, error, "cannot be looked at") from None
    listing = Listing(is_file=there["type"] == "file")
    name = root.rpartition("/")[2]
    if not listing.is_file:
        _walk(store, root, listing)
    elif not _is_log(name):
        listing.others.append(root)
    else:
        listing.objects.append(Object(root, there.get("size")))
        _add_parts(store, root, above, listing)
        for one in beside:
            other = str(one["name"]).rpartition("/")[2]
            if other in {name + end for end in JOURNALS}:
                listing.objects.append(Object(str(one["name"]), one.get("size")))
            elif other != name and _is_settings(other):
                listing.objects.append(Object(str(one["name"]), one.get("size"), beside=True))
    return listing


def _add_parts(store: Store, root: str, beside: Sequence[dict[str, Any]], listing: Listing) -> None:
    """The folders that a file stands for: a meta.yaml is an MLflow run; the one above it names the experiment."""
    folder, _, name = root.rpartition("/")
    folders = {str(one["name"]).rstrip("/") for one in beside if one["type"] == "directory"}
    for part in sorted(PARTS.get(name, ())):
        if f"{folder}/{part}" in folders:
            for below, _, files in _folders(store, f"{folder}/{part}", listing):
                listing.objects += [Object(f"{below}/{file}", files[file].get("size")) for file in sorted(files)]
    above = f"{folder.rpartition('/')[0]}/{name}"
    if name in PARTS and above != root:
        with suppress(Exception):  # it need not be there
            listing.objects.append(Object(above, store.fs.info(above).get("size"), beside=True))


def _walk(store: Store, root: str, listing: Listing) -> None:
    """Sort all files below `root`: logs, settings that stand beside or above logs, and others."""
    seen = 0
    settings: list[Object] = []
    homes: set[str] = set()
    for folder, names, files in _folders(store, root, listing):
        seen += len(names) + len(files)
        if seen > MAX_ENTRIES:
            text = f"more than {MAX_ENTRIES:,} objects; the rest was not looked at"
            listing.errors.append(UnreadableError(store.url(root), text))
            break
        whole = _part_of(folder, homes)
        claimed = {name for name in files if whole or _is_log(name)}
        claimed |= {name + end for name in claimed for end in JOURNALS} & {*files}
        if claimed and not whole:
            homes.add(folder)
        for name in sorted(files):
            found = Object(f"{folder}/{name}", files[name].get("size"))
            if name in claimed:
                listing.objects.append(found)
            elif _is_settings(name):
                settings.append(Object(found.path, found.size, beside=True))
            else:
                listing.others.append(found.path)
    around = {str(place) for home in homes for place in (home, f"{home}/files", *PurePosixPath(home).parents)}
    listing.objects += [one for one in settings if one.path.rpartition("/")[0] in around]
    listing.others += [] if homes else [one.path for one in settings]
    if len(listing.objects) > MAX_FILES:
        text = f"{len(listing.objects):,} logs and settings; the first {MAX_FILES:,} were copied"
        listing.errors.append(UnreadableError(store.url(root), text))
        del listing.objects[MAX_FILES:]


def _folders(store: Store, root: str, listing: Listing) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(folder, its folders, its files) from the top, each listed once; names are the last parts of paths."""
    stack = [(root, 0)]
    while stack:
        folder, depth = stack.pop()
        try:
            entries = store.fs.ls(folder, detail=True)
        except Exception as error:  # one folder that cannot be listed does not hide the others
            listing.errors.append(store.error(folder, error, "cannot be listed"))
            continue
        names: dict[str, Any] = {}
        files: dict[str, Any] = {}
        for entry in entries:
            path = str(entry["name"]).rstrip("/")
            if path != folder:  # S3 lists the marker object of a folder as its own member
                kind = {"file": files, "directory": names}.get(str(entry["type"]))
                if kind is not None:  # devices and the like, in local folders
                    kind[path.rpartition("/")[2]] = entry
        yield folder, names, files
        if depth >= MAX_DEPTH and names:
            text = f"deeper than {MAX_DEPTH} folders; not looked at"
            listing.errors.append(UnreadableError(store.url(folder), text))
            continue
        stack += [(f"{folder}/{name}", depth + 1) for name in sorted(names, reverse=True) if name not in SKIPPED_FOLDERS]


def _part_of(folder: str, homes: Collection[str]) -> bool:
    """Whether a folder is a part of a run above it: an MLflow key with slashes is a file in folders below metrics/."""
    parts = folder.split("/")
    return any(
        part in PARTS["meta.yaml"] and "/".join(parts[:i]) in homes
        for i, part in list(enumerate(parts))[-MAX_DEPTH:]
    )


def _is_log(name: str) -> bool:
    return any(one.claims_name(name) for one in importers())


def _is_settings(name: str) -> bool:
    return any(fnmatchcase(name, glob) for one in sidecars() for glob in one.globs)


def told(error: BaseException) -> str:
    """An error of a foreign library in a few words: one line, without signatures and credentials."""
    text = _QUERY.sub("", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
