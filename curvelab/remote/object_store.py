"""Logs in an object store (`s3://`, `gs://`, `hf://`): copied to a private folder, then read like any local ones.

What is copied
--------------
Files whose name some importer claims, and settings files beside them or above them: by name, so that no checkpoint's
weights travel. The tree below the bucket is kept, so runs get the names that they would have in place; what is told
of them names the URL, never the copy. The copy goes with the last log that came from it, at the latest when Python ends.

Limits
------
Names, sizes and numbers are the store's, so not trusted: names that would lead out of the folder are refused, sizes are
counted while copying, and folders, files and bytes are limited, each with a message. One object that cannot be had is an
error of its own; the others are copied.

Keys
----
Each store's own library finds them where its users keep them (environment, ~/.aws, gcloud, `hf auth login`).
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from curvelab.catalogue import importers, sidecars
from curvelab.files import MAX_DEPTH, SKIPPED_FOLDERS
from curvelab.model.errors import UnreadableError
from curvelab.remote.fetched import Fetched, Progress
from curvelab.remote.labels import Label

LIBRARIES = ("fsspec", "s3fs", "gcsfs", "huggingface_hub")
EXTRAS = {"s3": "s3", "gs": "gcs", "hf": "hf"}

# Judgement, all of them: what fits a disk and an hour on a common line.
MAX_ENTRIES = 100_000  # objects and folders looked at
MAX_FILES = 20_000
MAX_FILE = 2 * 1024**3  # bytes of a log
MAX_SETTINGS = 16 * 1024**2  # bytes of a settings file
MAX_BYTES = 16 * 1024**3  # of all of them
MAX_MATCHES = 1_000  # of one glob
AT_ONCE = 8  # files on the way
BLOCK = 4 * 1024**2
LONGEST = 200  # characters of a foreign error message

# Importers that read more than the file that they claim: MLflow's runs, and what SQLite has not merged yet.
PARTS = {"meta.yaml": frozenset(("metrics", "params", "tags"))}
JOURNALS = ("-wal",)

_MAGIC = re.compile(r"[*?\[]")
_QUERY = re.compile(r"\?\S*|://[^/\s@]*:[^/\s@]*@")  # signatures of one-time addresses, credentials


class _Folder:
    """A private folder that goes with its last user, at the latest when Python ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="curvelab-")).resolve()
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True)
class _Object:
    """A file in the store: its path there, its size as listed (None: not told), whether it is only a settings file."""

    path: str
    size: int | None
    beside: bool = False

    @property
    def limit(self) -> int:
        return MAX_SETTINGS if self.beside else MAX_FILE


@dataclass
class _Listing:
    """What was found below a URL."""

    is_file: bool = False
    objects: list[_Object] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # paths of files that nobody claims: what the errors count and name
    errors: list[UnreadableError] = field(default_factory=list)


class _Store:
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
        return UnreadableError(self.url(path), f"{what} ({_told(error)})")


def fetch_objects(url: str, progress: Progress | None = None) -> Iterator[Fetched]:
    """Copy what a URL names: a file, a folder, or each match of a glob. Raises UnreadableError when nothing is there."""
    store = _opened(url)
    if _MAGIC.search(url):
        try:
            matches = _topmost(sorted(str(match).rstrip("/") for match in store.fs.glob(url)))
        except Exception as error:  # each file system has its own errors; all mean that nothing can be listed
            raise store.error(store.root, error, "cannot be listed") from None
        if not matches:
            raise UnreadableError(url, "nothing there fits this glob")
        for match in matches[:MAX_MATCHES]:
            yield _fetched(store, match, progress)
        if len(matches) > MAX_MATCHES:
            raise UnreadableError(url, f"fits {len(matches):,} objects; the first {MAX_MATCHES:,} were read")
    else:
        yield _fetched(store, store.root, progress)


def _opened(url: str) -> _Store:
    scheme = url.partition("://")[0].lower()
    extra = EXTRAS.get(scheme, "s3")
    for library in LIBRARIES:
        # with no handler at all, Python prints their tracebacks; what matters of them is in our one line
        logging.getLogger(library).addHandler(logging.NullHandler())
    try:
        import fsspec

        file_system, _ = fsspec.core.url_to_fs(url)
    except ImportError:
        raise UnreadableError(url, f"needs a library: pip install 'curvelab[{extra}]'") from None
    except Exception as error:  # wrong addresses and missing credentials, in each library's own words
        raise UnreadableError(url, f"cannot be opened ({_told(error)})") from None
    file_system.invalidate_cache()  # a listing from earlier in this process may be out of date
    return _Store(scheme + url[len(scheme) :], file_system)


def _topmost(paths: Sequence[str]) -> list[str]:
    """The paths that lie below no other one: `**` matches a folder and all that is in it."""
    kept: list[str] = []
    for path in paths:
        if not any(path.startswith(f"{above}/") for above in kept[-1:]):
            kept.append(path)
    return kept


def _fetched(store: _Store, root: str, progress: Progress | None) -> Fetched:
    folder = _Folder()
    label = Label(f"{folder.path}/", store.prefix, keeps=folder)
    listing = _listed(store, root, progress)
    local = folder.path / root.lstrip("/")
    if not listing.is_file:
        local.mkdir(parents=True, exist_ok=True)
    errors = [*listing.errors, *_copied(store, listing.objects, folder.path, progress)]
    if not listing.objects:
        _stand_in(listing.others, folder.path)
    nothing_came = errors and not any(path.is_file() for path in folder.path.rglob("*"))
    readable = local.exists() and not nothing_came  # else the errors say all there is to say
    return Fetched(label, root=local if readable else None, errors=tuple(errors))


def _listed(store: _Store, root: str, progress: Progress | None) -> _Listing:
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
    listing = _Listing(is_file=there["type"] == "file")
    name = root.rpartition("/")[2]
    if not listing.is_file:
        _walk(store, root, listing)
    elif not _is_log(name):
        listing.others.append(root)
    else:
        listing.objects.append(_Object(root, there.get("size")))
        for one in beside:
            other = str(one["name"]).rpartition("/")[2]
            if other in {name + end for end in JOURNALS}:
                listing.objects.append(_Object(str(one["name"]), one.get("size")))
            elif other != name and _is_settings(other):
                listing.objects.append(_Object(str(one["name"]), one.get("size"), beside=True))
    return listing


def _walk(store: _Store, root: str, listing: _Listing) -> None:
    """Sort all files below `root`: logs, settings that stand beside or above logs, and others."""
    seen = 0
    settings: list[_Object] = []
    homes: set[str] = set()
    for folder, names, files in _folders(store, root, listing):
        seen += len(names) + len(files)
        if seen > MAX_ENTRIES:
            text = f"more than {MAX_ENTRIES:,} objects; the rest was not looked at"
            listing.errors.append(UnreadableError(store.url(root), text))
            break
        above, _, own = folder.rpartition("/")
        whole = own in PARTS["meta.yaml"] and above in homes
        claimed = {name for name in files if whole or _is_log(name)}
        claimed |= {name + end for name in claimed for end in JOURNALS} & {*files}
        if claimed:
            homes.add(folder)
        for name in sorted(files):
            found = _Object(f"{folder}/{name}", files[name].get("size"))
            if name in claimed:
                listing.objects.append(found)
            elif _is_settings(name):
                settings.append(_Object(found.path, found.size, beside=True))
            else:
                listing.others.append(found.path)
    around = {str(place) for home in homes for place in (home, f"{home}/files", *PurePosixPath(home).parents)}
    listing.objects += [one for one in settings if one.path.rpartition("/")[0] in around]
    listing.others += [] if homes else [one.path for one in settings]
    if len(listing.objects) > MAX_FILES:
        text = f"{len(listing.objects):,} logs and settings; the first {MAX_FILES:,} were copied"
        listing.errors.append(UnreadableError(store.url(root), text))
        del listing.objects[MAX_FILES:]


def _folders(store: _Store, root: str, listing: _Listing) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
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


def _is_log(name: str) -> bool:
    return any(one.claims_name(name) for one in importers())


def _is_settings(name: str) -> bool:
    return any(fnmatchcase(name, glob) for one in sidecars() for glob in one.globs)


def _copied(
    store: _Store, objects: Sequence[_Object], folder: Path, progress: Progress | None
) -> Iterator[UnreadableError]:
    """Copy the objects, several at once; an error for each that could not be had."""
    allowed: list[_Object] = []
    total = 0
    for one in objects:
        total += one.size or 0
        if (one.size or 0) > one.limit:
            text = f"{one.size:,} bytes are over the limit of {one.limit:,}; not copied"
            yield UnreadableError(store.url(one.path), text)
        elif total > MAX_BYTES:
            yield UnreadableError(store.url(one.path), f"all logs together are over {MAX_BYTES:,} bytes; not copied")
        else:
            allowed.append(one)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = pool.map(lambda one: _copy(store, one, folder), allowed)
        for number, (one, error) in enumerate(zip(allowed, ends, strict=True), 1):
            if progress:
                progress(f"{store.url(one.path)}: {number:,} of {len(allowed):,} copied")
            if error is not None:
                yield error


def _copy(store: _Store, one: _Object, folder: Path) -> UnreadableError | None:
    """Copy one object; a cut one is removed, since a log that was cut on the way is not the run's fault."""
    local = _place(one.path, folder)
    if local is None:
        return UnreadableError(store.url(one.path), "its name fits no file here; not copied")
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        with store.fs.open(one.path, "rb") as source, local.open("wb") as target:
            copied = 0
            while block := source.read(BLOCK):
                copied += len(block)
                if copied > one.limit:
                    raise ValueError(f"over the limit of {one.limit:,} bytes")
                target.write(block)
    except Exception as error:  # each library's own words; the other objects go on
        with suppress(OSError):
            local.unlink(missing_ok=True)
        return store.error(one.path, error)
    return None


def _place(path: str, folder: Path) -> Path | None:
    """Where an object goes below the folder, under its own name; None for names that mean something else here."""
    parts = path.lstrip("/").split("/")
    if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts):
        return None
    return folder.joinpath(*parts)


def _stand_in(others: Sequence[str], folder: Path) -> None:
    """Empty files under the names of those that nobody claims: so they are counted, and the nearest misses named."""
    for path in islice(others, MAX_FILES):
        local = _place(path, folder)
        if local is not None:
            with suppress(OSError):
                local.parent.mkdir(parents=True, exist_ok=True)
                local.touch()


def _told(error: BaseException) -> str:
    """An error of a foreign library in a few words: one line, without signatures and credentials."""
    text = _QUERY.sub("", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
