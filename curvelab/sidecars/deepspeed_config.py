"""DeepSpeed's JSON config: gradient clipping, batch size of a GPU, accumulation, precision, optimizer and schedule.

"auto" means that the trainer fills the value in: it is not given here. `train_batch_size` is the batch of all GPUs
together, another thing than the field of that name in trainer_state.json, and is left in the raw config.

Sources
-------
DeepSpeed Configuration JSON, deepspeed.ai/docs/config-json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curvelab.beside import Stated, sidecar
from curvelab.sidecars._json_file import json_object
from curvelab.sources import Source

_PLACES = {
    "max_grad_norm": ("gradient_clipping",),
    "per_device_train_batch_size": ("train_micro_batch_size_per_gpu",),
    "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    "bf16": ("bf16", "enabled"),
    "fp16": ("fp16", "enabled"),
    "learning_rate": ("optimizer", "params", "lr"),
    "weight_decay": ("optimizer", "params", "weight_decay"),
    "adam_epsilon": ("optimizer", "params", "eps"),
    "warmup_steps": ("scheduler", "params", "warmup_num_steps"),
    "max_steps": ("scheduler", "params", "total_num_steps"),
}


@sidecar(
    title="DeepSpeed JSON config",
    globs=("ds_*.json", "ds-*.json", "*deepspeed*.json", "zero*.json", "*_zero[0-9]*.json", "*_z[0-9]*_config.json"),
    marks=(b'"zero_optimization"', b'"gradient_clipping"', b'"train_micro_batch_size_per_gpu"', b'"train_batch_size"'),
    alternatives=True,
)
def read(source: Source) -> Stated:
    """Read what the config gives by itself. Raises UnreadableError when the file holds no JSON object."""
    tree = json_object(source)
    found = {name: _at(tree, place) for name, place in _PLACES.items()}
    return Stated(known={name: value for name, value in found.items() if value not in (None, "auto")}, raw=tree)


def _at(tree: Any, place: tuple[str, ...]) -> object:
    for key in place:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree if isinstance(tree, bool | int | float | str) else None
