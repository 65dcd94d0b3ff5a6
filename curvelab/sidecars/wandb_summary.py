"""A W&B run's `files/wandb-summary.json`: whether training ran to its end, for a `.wandb` that was cut. No settings.

The Trainer logs train_runtime once, after its last step.

Sources
-------
transformers.integrations.WandbCallback; nine public run folders.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._json_file import json_object
from curvelab.sources import Source


@sidecar(title="Weights & Biases summary", globs=("wandb-summary.json",))
def read(source: Source) -> Stated:
    """Read the mark of completion. Raises UnreadableError when the file holds no JSON object."""
    tree = json_object(source)
    epochs = [tree[name] for name in ("train/epoch", "epoch") if isinstance(tree.get(name), int | float)]
    completed = any(name.rpartition("/")[2] == "train_runtime" for name in tree)
    return Stated(completed=completed, epoch=float(epochs[0]) if epochs else None)
