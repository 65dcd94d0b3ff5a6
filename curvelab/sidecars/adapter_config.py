"""PEFT's `adapter_config.json`: rank, alpha, dropout and target modules of a LoRA and its kin.

Sources
-------
peft.LoraConfig.
"""

from __future__ import annotations

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._json_file import json_object
from curvelab.sources import Source

_TAKEN = ("peft_type", "r", "lora_alpha", "lora_dropout", "target_modules")


@sidecar(title="PEFT adapter_config.json", globs=("adapter_config.json",))
def read(source: Source) -> Stated:
    """Read the adapter's settings. Raises UnreadableError when the file holds no JSON object."""
    tree = json_object(source)
    return Stated(known={name: tree[name] for name in _TAKEN if tree.get(name) is not None}, raw=tree)
