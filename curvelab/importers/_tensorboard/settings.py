"""Hyperparameters in event files: JSON in text summaries, and the map of the hparams plugin."""

from __future__ import annotations

import math
from typing import Any

from curvelab.importers._json_text import number, parse
from curvelab.importers._tensorboard.event import MalformedError, read_hparams

MAX_TEXT = 4 << 20  # bytes of one settings text; a model_config with a large label map has some 100 kB
MAX_DEPTH = 32  # levels of nesting; real ones have five
MAX_STEPS = 2**53  # a plan beyond this means "no end" (streaming data sets)


def from_text(text: bytes) -> dict[str, object] | None:
    """The JSON object in a text summary, with or without Markdown around it; None when there is none to be read."""
    start, end = text.find(b"{"), text.rfind(b"}")
    if not 0 <= start < end < MAX_TEXT:
        return None
    try:
        parsed = parse(text[start : end + 1])
        return _clean(parsed) if isinstance(parsed, dict) else None
    except ValueError:
        return None


def from_hparams(content: bytes) -> dict[str, object] | None:
    """The map of an hparams session. Its numbers are all doubles, so whole ones become integers again."""
    if len(content) > MAX_TEXT:
        return None
    try:
        found = read_hparams(content)
    except MalformedError:
        return None
    return {name: _whole(value) for name, value in sorted(found.items())}


def planned_steps(settings: dict[str, object]) -> int | None:
    """max_steps when it is set (Transformers writes -1 or 0 for "as many as the epochs give")."""
    steps = number(settings.get("max_steps"))
    return int(steps) if steps is not None and 0 < steps < MAX_STEPS else None


def run_name(settings: dict[str, object]) -> str | None:
    """run_name when somebody gave one: older versions of Transformers repeat output_dir there."""
    name = settings.get("run_name")
    return name if isinstance(name, str) and name.strip() and name != settings.get("output_dir") else None


def _whole(value: float | str | bool) -> object:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < MAX_STEPS:
        return int(value)
    return value


def _clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The same value without lone surrogates. Raises ValueError when it is nested too deeply."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict | list) and depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {_clean(key): _clean(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    return value
