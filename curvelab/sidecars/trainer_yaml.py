"""A trainer's YAML beside the run: LLaMA-Factory, axolotl, TRL's and alignment-handbook's recipes, people's own.

What it reads
-------------
Known hyperparameters at the top and one level below, and the names that axolotl and LLaMA-Factory have for them.

Limits
------
Their names are free, so a folder may hold several: then none is taken, as nothing says which one the run used. A value
on the command line overrides the file without a trace; every other source is trusted more.

Sources
-------
axolotl config reference; LLaMA-Factory examples/train_lora.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._known import known_settings
from curvelab.sidecars._yaml_file import yaml_mapping
from curvelab.sources import Source

_NAMES = {
    "num_epochs": "num_train_epochs",
    "micro_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size",
    "lr_scheduler": "lr_scheduler_type",
    "optimizer": "optim",
    "sequence_len": "max_seq_length",
    "cutoff_len": "max_seq_length",
    "sample_packing": "packing",
    "lora_target_modules": "target_modules",
    "lora_target": "target_modules",
    "pref_beta": "beta",
    "num_processes": "world_size",
}


@sidecar(
    title="YAML config of a trainer",
    globs=("*.yaml", "*.yml"),
    marks=(b"learning_rate", b"num_train_epochs", b"num_epochs", b"micro_batch_size", b"max_grad_norm"),
    alternatives=True,
)
def read(source: Source) -> Stated:
    """Read the known names. Raises UnreadableError when the file holds no YAML mapping."""
    tree = yaml_mapping(source)
    named = {name: value for name, value in tree.items() if name != "model_type"}  # axolotl: a class's name
    found = known_settings(named, _NAMES)
    for name, value in found.items():
        if name.endswith("_strategy") and value is False:
            found[name] = "no"  # YAML 1.1 reads a bare `no` as false
    return Stated(known=found, raw=tree)
