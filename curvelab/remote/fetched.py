"""What fetching a URL gives: something local to read, or logs, and a label that keeps local paths out of sight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.remote.labels import Label

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """One PATH's worth of what was fetched: a folder or file to be read, or logs, and what could not be had."""

    label: Label
    root: Path | None = None
    logs: tuple[Log, ...] = ()
    errors: tuple[UnreadableError, ...] = ()
