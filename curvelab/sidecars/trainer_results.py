"""Transformers' `all_results.json` and `train_results.json`: the mark that training ran to its end. No settings.

The scripts write them after `trainer.train()` has returned. They stay when the same folder is trained in again, so the
epoch in them is kept: results of fewer epochs than the logs hold are an older run's.

Sources
-------
transformers.Trainer.save_metrics.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._json_file import json_object
from curvelab.sources import Source


@sidecar(title="Transformers train results", globs=("all_results.json", "train_results.json"))
def read(source: Source) -> Stated:
    """Read the mark of completion. Raises UnreadableError when the file holds no JSON object."""
    tree = json_object(source)
    epoch = tree.get("epoch")
    known = isinstance(epoch, int | float) and not isinstance(epoch, bool)
    return Stated(completed="train_runtime" in tree, epoch=float(epoch) if known else None)  # type: ignore[arg-type]
