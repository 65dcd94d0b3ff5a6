"""Puts a report on disk: whole or not at all, under a name that is safe everywhere."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from pathlib import Path

LONGEST_NAME = 80
# Names that Windows keeps for devices, whatever the suffix.
_DEVICES = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that a reader sees the old one or the new one, never half of it. Folders are made.

    Raises OSError when the folder cannot be written to; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(path))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, else those that a plain open() would give."""
    if path.is_file():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def slug(name: str) -> str:
    """A file name of [a-z0-9._-]: never empty, never hidden, no device name, at most 80 characters."""
    ascii_only = unicodedata.normalize("NFKD", name[: 20 * LONGEST_NAME]).encode("ascii", "ignore").decode().lower()
    safe = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9._-]+", "-", ascii_only))
    safe = re.sub(r"\.{2,}", ".", safe).strip(".-_")[:LONGEST_NAME].rstrip(".-_")
    if not safe:
        return "run"
    return f"run-{safe}"[:LONGEST_NAME] if _DEVICES.match(safe) else safe
