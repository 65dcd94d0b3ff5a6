"""A trainer's YAML beside the run: LLaMA-Factory, axolotl, torchtune, TRL's and alignment-handbook's recipes, people's own.

What it reads
-------------
Known hyperparameters at the top and one level below, and the names that axolotl and LLaMA-Factory have for them. A
recipe of torchtune (it has a `_component_`) by torchtune's own names.

Limits
------
Their names are free, so a folder may hold several: then none is taken, as nothing says which one the run used. A value
on the command line overrides the file without a trace; every other source is trusted more.

Sources
-------
axolotl config reference; LLaMA-Factory examples/train_lora; torchtune recipes/configs.
"""

from __future__ import annotations

from typing import Any

from curvelab.beside import Stated, sidecar
from curvelab.dialects import value_at
from curvelab.knowledge.trainers import TORCHTUNE
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
    marks=(b"learning_rate", b"num_train_epochs", b"num_epochs", b"micro_batch_size", b"max_grad_norm", b"_component_:"),
    alternatives=True,
)
def read(source: Source) -> Stated:
    """Read the known names. Raises UnreadableError when the file holds no YAML mapping."""
    tree = yaml_mapping(source)
    if any(isinstance(part, dict) and "_component_" in part for part in tree.values()):
        return Stated(known=_of_torchtune(tree), raw=tree)
    named = {name: value for name, value in tree.items() if name != "model_type"}  # axolotl: a class's name
    found = known_settings(named, _NAMES)
    for name, value in found.items():
        if name.endswith("_strategy") and value is False:
            found[name] = "no"  # YAML 1.1 reads a bare `no` as false
    return Stated(known=found, raw=tree)


def _of_torchtune(tree: dict[str, Any]) -> dict[str, object]:
    """Canonical name -> value, by the places that torchtune's recipes have for them; dtype stands for bf16."""
    words = {name: word for name, word in TORCHTUNE.words.items() if word.flag and word.form in ("", "whole")}
    found = {name: value_at(tree, word.flag) for name, word in words.items()}
    if isinstance(tree.get("dtype"), str):
        found["bf16"] = tree["dtype"] == "bf16"
    return {name: value for name, value in found.items() if value is not None}
