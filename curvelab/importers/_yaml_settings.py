"""Hyperparameters in a small YAML file beside a log, read with PyYAML's safe loader where PyYAML is there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from curvelab.model.errors import UnreadableError
from curvelab.model.note import Note
from curvelab.sources import Source

MAX_BYTES = 256 * 1024
MAX_ALIASES = 20  # a "billion laughs" file is built of them
MAX_NESTING = 64  # the loader recurses
MAX_LEAVES = 5_000


def yaml_settings(path: Path, notes: list[Note]) -> dict[str, object]:
    """The plain values of a YAML mapping by dotted name; empty, with a note why, when the file is of no use.

    Tags that would build Python objects are refused by the safe loader: such a file is skipped with a note.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return {}
        source = Source.at(path)
        raw = source.read_bytes() if source.size <= MAX_BYTES else b""
    except (UnreadableError, OSError):
        return {}

    def skipped(why: str) -> dict[str, object]:
        notes.append(Note(level="info", text=f"{why}; its settings are not read", file=str(path)))
        return {}

    if not raw:
        return skipped(f"larger than {MAX_BYTES:,} bytes") if source.size else {}
    text = raw.decode("utf-8", "replace")
    if text.count("*") > MAX_ALIASES and text.count("&") > MAX_ALIASES:
        return skipped("too many YAML aliases")
    deepest = max((len(line) - len(line.lstrip(" -")) for line in text.splitlines()), default=0)
    if deepest > 2 * MAX_NESTING or max(text.count("["), text.count("{")) > MAX_LEAVES:
        return skipped("nested too deeply")
    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        return skipped("PyYAML is not installed (pip install pyyaml)")
    try:
        tree = yaml.load(text, Loader=_safe_loader(yaml))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        return skipped(f"no usable YAML ({type(error).__name__})")
    if not isinstance(tree, Mapping):
        return {}
    found: dict[str, object] = {}
    _flatten(tree, "", found, 8)
    return found


def _safe_loader(yaml: Any) -> Any:
    """The safe loader, the compiled one where it is there; both build plain values only."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _flatten(tree: Mapping[Any, Any], prefix: str, found: dict[str, object], depth: int) -> None:
    for key, value in tree.items():
        if len(found) >= MAX_LEAVES:
            return
        name = f"{prefix}{key}"[:200]
        if isinstance(value, Mapping) and depth:
            _flatten(value, name + ".", found, depth - 1)
        elif _plain(value) or (isinstance(value, list) and len(value) <= 20 and all(map(_plain, value))):
            found[name] = value


def _plain(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))
