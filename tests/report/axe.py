"""Where axe-core lies, the checker of accessibility: it is no part of this repository (npm install axe-core)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

PLACES = ("CURVELAB_AXE", "node_modules/axe-core/axe.min.js", "axe_core_python")


def axe_script() -> str | None:
    """Its script: the file that CURVELAB_AXE names, else node_modules, else the package axe-core-python; None without it."""
    variable, folder, package = PLACES
    if variable in os.environ:
        return Path(os.environ[variable]).read_text(encoding="utf-8")
    candidates = [Path(__file__).parents[2] / folder]
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).with_name("axe.min.js"))
    return next((path.read_text(encoding="utf-8") for path in candidates if path.is_file()), None)
