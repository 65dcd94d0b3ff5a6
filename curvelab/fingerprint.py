"""Which bytes a diagnosis was made from: size and SHA-256 of a log, so that anyone can tell whether it is still the same."""

from __future__ import annotations

import hashlib
import stat
from functools import lru_cache
from pathlib import Path

LARGEST = 256 * 1024**2  # bytes of a file that is hashed as a whole: about half a second
END = 1024**2  # bytes at either end of a larger one
PARTLY = "first and last 1 MiB"


def fingerprint(path: Path) -> dict[str, int | str]:
    """`size` and `sha256` of a file, and `hashed` where only parts of it are; nothing for what is no readable file.

    Logs that were fetched or are folders have none: there is no one file to compare with later.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return {}
        return {"size": status.st_size, **_hash(path, status.st_size, status.st_mtime_ns)}
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=256)
def _hash(path: Path, size: int, changed: int) -> dict[str, str]:
    """The hash of a file of that size and time of change: a file of many runs is hashed once."""
    with path.open("rb") as file:
        if size <= LARGEST:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        digest = hashlib.sha256(file.read(END))
        file.seek(-END, 2)
        digest.update(file.read(END))
    return {"sha256": digest.hexdigest(), "hashed": PARTLY}
