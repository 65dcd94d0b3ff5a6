"""Which curvelab and which plugins made a diagnosis: with another one, every run is looked at again."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from curvelab.auditing.marks import digest

GROUPS = ("curvelab.detectors.v1", "curvelab.causes.v1", "curvelab.importers.v1", "curvelab.sidecars.v1")
_SUFFIXES = (".py", ".html", ".css", ".js")


def edition() -> str:
    """One text for the code of curvelab and the versions of its plugins.

    The version number is not enough: it stays the same in a checkout that moves on.
    """
    import hashlib

    package = Path(__file__).parents[1]
    told = []
    for path in sorted(package.rglob("*")):
        if path.suffix in _SUFFIXES:
            told.append(f"{path.relative_to(package).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}")
    for group in GROUPS:
        for plugin in sorted(entry_points(group=group), key=lambda one: one.value):
            told.append(f"{group}\0{plugin.value}\0{plugin.dist.version if plugin.dist else ''}")
    return digest(told)
