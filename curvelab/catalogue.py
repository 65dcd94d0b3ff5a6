"""Finds what stands on the shelves, detectors/, causes/, importers/ and sidecars/, and what plugins add by entry points.

A plugin is a package that declares `curvelab.detectors.v1`, `curvelab.causes.v1`, `curvelab.importers.v1` or
`curvelab.sidecars.v1` entry points, each naming a module of the same form as ours.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from curvelab.beside import Sidecar
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.rules import Detector
from curvelab.sources import Importer
from curvelab.weighing import Weighing

Card = TypeVar("Card", Detector, Importer, Sidecar, Weighing)


@cache
def detectors() -> tuple[Detector, ...]:
    """All detectors: ours in the order of their names, then plugins."""
    return _shelf("curvelab.detectors", "curvelab.detectors.v1", Detector)


@cache
def causes() -> Mapping[str, Weighing]:
    """Pattern -> how its causes are weighed, for those that have several: ours, then plugins, which may replace ours."""
    return {one.pattern: one for one in _shelf("curvelab.causes", "curvelab.causes.v1", Weighing)}


@cache
def importers() -> tuple[Importer, ...]:
    """All importers: ours in the order of their names, then plugins."""
    return _shelf("curvelab.importers", "curvelab.importers.v1", Importer)


@cache
def sidecars() -> tuple[Sidecar, ...]:
    """All kinds of settings files: ours in the order of their names, then plugins."""
    return _shelf("curvelab.sidecars", "curvelab.sidecars.v1", Sidecar)


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
    """The one detector, weighing, importer or side-car that a module defines."""
    found = [value for value in vars(module).values() if isinstance(value, kind)]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one {kind.__name__}, found {len(found)}")
    return found[0]
