"""Finds what stands on the two shelves, detectors/ and importers/, and what plugins add by entry points.

A plugin is a package that declares `curvelab.detectors.v1` or `curvelab.importers.v1` entry points, each naming a module
of the same form as ours.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from curvelab.model.errors import UsageError, did_you_mean
from curvelab.rules import Detector
from curvelab.sources import Importer

Card = TypeVar("Card", Detector, Importer)


@cache
def detectors() -> tuple[Detector, ...]:
    """All detectors: ours in the order of their names, then plugins."""
    return _shelf("curvelab.detectors", "curvelab.detectors.v1", Detector)


@cache
def importers() -> tuple[Importer, ...]:
    """All importers: ours in the order of their names, then plugins."""
    return _shelf("curvelab.importers", "curvelab.importers.v1", Importer)


def detector(pattern: str) -> Detector:
    """The detector of a pattern. Raises UsageError with the nearest name."""
    for one in detectors():
        if one.pattern == pattern:
            return one
    names = [d.pattern for d in detectors()]
    raise UsageError(f'no pattern is called "{pattern}"{did_you_mean(pattern, names) or "; known: " + ", ".join(names)}')


def _shelf(package: str, group: str, kind: type[Card]) -> tuple[Card, ...]:
    shelf = importlib.import_module(package)
    names = sorted(m.name for m in pkgutil.iter_modules(shelf.__path__) if not m.name.startswith("_"))
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    modules += [plugin.load() for plugin in entry_points(group=group)]
    return tuple(_only(module, kind) for module in modules)


def _only(module: ModuleType, kind: type[Card]) -> Card:
    """The one detector or importer that a module defines."""
    found = [value for value in vars(module).values() if isinstance(value, kind)]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one {kind.__name__}, found {len(found)}")
    return found[0]
