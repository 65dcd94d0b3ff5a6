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
from itertools import islice
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.remote._object_listing import MAX_FILES, Object, Store, listed, told
from curvelab.remote.fetched import Fetched, Progress
from curvelab.remote.labels import Label

LIBRARIES = ("fsspec", "s3fs", "gcsfs", "huggingface_hub")
EXTRAS = {"s3": "s3", "gs": "gcs", "hf": "hf"}

# Judgement, as in _object_listing.py
MAX_BYTES = 16 * 1024**3  # of all files
MAX_MATCHES = 1_000  # of one glob
AT_ONCE = 8  # files on the way
BLOCK = 4 * 1024**2

_MAGIC = re.compile(r"[*?\[]")


class _Folder:
    """A private folder that goes with its last user, at the latest when Python ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="curvelab-")).resolve()
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def fetch_objects(url: str, progress: Progress | None = None) -> Iterator[Fetched]:
    """Copy what a URL names: a file, a folder, or each match of a glob. Raises UnreadableError when nothing is there."""
    store = _opened(url)
    if _MAGIC.search(url) and not _is_there(store):
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


def _is_there(store: Store) -> bool:
    """Whether something bears the very name: brackets in it are no glob then."""
    try:
        return bool(store.fs.exists(store.root))
    except Exception:  # what is wrong comes out when it is listed
        return False


def _opened(url: str) -> Store:
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
        raise UnreadableError(url, f"cannot be opened ({told(error)})") from None
    file_system.invalidate_cache()  # a listing from earlier in this process may be out of date
    return Store(scheme + url[len(scheme) :], file_system)


def _topmost(paths: Sequence[str]) -> list[str]:
    """The paths that lie below no other one: `**` matches a folder and all that is in it."""
    kept: list[str] = []
    for path in paths:
        if not any(path.startswith(f"{above}/") for above in kept[-1:]):
            kept.append(path)
    return kept


def _fetched(store: Store, root: str, progress: Progress | None) -> Fetched:
    folder = _Folder()
    label = Label(f"{folder.path}/", store.prefix, keeps=folder)
    listing = listed(store, root, progress)
    local = folder.path / root.lstrip("/")
    if not listing.is_file:
        local.mkdir(parents=True, exist_ok=True)
    errors = [*listing.errors, *_copied(store, listing.objects, folder.path, progress)]
    if not listing.objects:
        _stand_in(listing.others, folder.path)
    nothing_came = errors and not any(path.is_file() for path in folder.path.rglob("*"))
    readable = local.exists() and not nothing_came  # else the errors say all there is to say
    return Fetched(label, root=local if readable else None, errors=tuple(errors))


def _copied(
    store: Store, objects: Sequence[Object], folder: Path, progress: Progress | None
) -> Iterator[UnreadableError]:
    """Copy the objects, several at once; an error for each that could not be had."""
    allowed: list[Object] = []
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


def _copy(store: Store, one: Object, folder: Path) -> UnreadableError | None:
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
