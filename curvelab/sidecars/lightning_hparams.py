"""Lightning's `hparams.yaml`: what a module saved by `save_hyperparameters()`, beside metrics.csv and event files.

Known names at the top and one level below; objects (`!!python/object`) are left out, never built.

Sources
-------
lightning.pytorch.loggers, CSVLogger and TensorBoardLogger.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._known import known_settings
from curvelab.sidecars._yaml_file import yaml_mapping
from curvelab.sources import Source


@sidecar(title="Lightning hparams.yaml", globs=("hparams.yaml",))
def read(source: Source) -> Stated:
    """Read the known names. Raises UnreadableError when the file holds no YAML mapping."""
    tree = yaml_mapping(source)
    return Stated(known=known_settings(tree), raw=tree)
