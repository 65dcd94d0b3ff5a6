"""Which curvelab and which plugins made a diagnosis: with another one, every run is looked at again."""

from __future__ import annotations

import hashlib
from importlib.metadata import entry_points
from pathlib import Path

from curvelab.auditing.marks import digest

GROUPS = ("curvelab.detectors.v1", "curvelab.causes.v1", "curvelab.importers.v1", "curvelab.sidecars.v1")
_SUFFIXES = (".py", ".html", ".css", ".js")


def edition() -> str:
    """One text for the code of curvelab and the versions of its plugins.

    The version number is not enough: it stays the same in a checkout that moves on.
    """
    package = Path(__file__).parents[1]
    sources = [path for path in sorted(package.rglob("*")) if path.suffix in _SUFFIXES]
    told = [f"{path.relative_to(package).as_posix()}\0{_hash(path)}" for path in sources]
    plugins = sorted((group, one.value, one.dist.version if one.dist else "") for group in GROUPS for one in entry_points(group=group))
    return digest([*told, *map("\0".join, plugins)])


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
