"""Writing results to files."""

from __future__ import annotations

from pathlib import Path

from curvelab.model.errors import UsageError


def is_page(path: Path) -> bool:
    """Whether a path names one HTML file."""
    return path.suffix.lower() in (".html", ".htm")


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError where it cannot be written."""
    from curvelab.report.write import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from None
