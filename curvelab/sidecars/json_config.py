"""A run's or a model's JSON config: `config.json` and its kin.

What it reads
-------------
A model's config.json (it has `model_type` or `architectures`): the model's type and sizes only, as its other fields are
for generation. Any other: known hyperparameters at the top and one level below, as in {"training_args": {...}}.

Sources
-------
transformers.PretrainedConfig; configs that people's own scripts write.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._json_file import json_object
from curvelab.sidecars._known import known_settings
from curvelab.sources import Source

_SIZES = {
    "n_embd": "hidden_size", "d_model": "hidden_size", "n_layer": "num_hidden_layers", "n_layers": "num_hidden_layers",
    "n_head": "num_attention_heads", "n_heads": "num_attention_heads",
}  # fmt: skip


@sidecar(
    title="JSON config of a run or a model",
    globs=(
        "config.json", "run_config.json", "train_config.json", "training_config.json", "training_args.json",
        "train_args.json", "args.json", "hparams.json", "hyperparameters.json", "hyperparams.json",
    ),
)  # fmt: skip
def read(source: Source) -> Stated:
    """Read the known names. Raises UnreadableError when the file holds no JSON object."""
    tree = json_object(source)
    return Stated(known=known_settings(tree, _SIZES), raw=tree)
