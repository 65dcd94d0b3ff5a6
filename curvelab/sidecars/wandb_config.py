"""A W&B run's `files/config.yaml`: the config record, as the SDK writes it beside a `.wandb` file when a run is synced.

Every key holds {desc, value}; `_wandb` is the SDK's own and is left out.

Sources
-------
wandb 0.12 to 0.31; nine public run folders.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._known import known_settings
from curvelab.sidecars._yaml_file import yaml_mapping
from curvelab.sources import Source


@sidecar(title="Weights & Biases config.yaml", globs=("config.yaml",), marks=(b"wandb_version:", b"_wandb:"))
def read(source: Source) -> Stated:
    """Read the config record. Raises UnreadableError when the file holds no YAML mapping."""
    tree = yaml_mapping(source)
    values = {
        name: entry["value"]
        for name, entry in tree.items()
        if name not in ("_wandb", "wandb_version") and isinstance(entry, dict) and "value" in entry
    }
    return Stated(known=known_settings(values), raw=values)
