"""Transformers' `training_args.bin`: all arguments of the trainer, a pickle inside a zip.

What it reads
-------------
The fields of TrainingArguments and of its subclasses (TRL's SFTConfig, DPOConfig ...): max_grad_norm, batch sizes,
accumulation, warm-up, scheduler, precision. The number of processes and of GPUs, which the trainer keeps in it.

Safety
------
Nothing is unpickled, imported or called: the opcodes are walked and only those of plain values are carried out. The
size of the file, of the zip's entry and the number of opcodes are limited before anything is unpacked.

Damage
------
A checksum of the zip that fails, or a pickle that ends too early, costs all values of the file, with a note: a value
out of a damaged file cannot be vouched for.

Sources
-------
torch.save and pickletools of the Python library; TrainingArguments of transformers 4 and 5.
"""

from __future__ import annotations

from typing import Any

from curvelab.beside import Stated, contents, sidecar
from curvelab.model.errors import UnreadableError
from curvelab.sidecars._known import known_settings
from curvelab.sidecars._pickle_walk import PickleError, dtype_name, first_objects
from curvelab.sidecars._plain import Opaque, plain
from curvelab.sidecars._torch_file import pickle_of
from curvelab.sources import Source

MAX_BYTES = 4 * 1024**2  # real ones have 3 to 8 kB, with a DeepSpeed plugin inside some 20
_MOST_PROCESSES = 2**20  # beyond this it is no count but damage
_PRIVATE = ("distributed_state", "deepspeed_plugin", "hf_deepspeed_config", "accelerator_state")


@sidecar(title="Transformers training_args.bin", globs=("training_args.bin",))
def read(source: Source) -> Stated:
    """Read the arguments. Raises UnreadableError when the file is damaged or holds something else."""
    data = pickle_of(source, contents(source, MAX_BYTES))
    try:
        fields = _fields(first_objects(data, lambda made: _fields(made) is not None))
        if fields is None:
            raise UnreadableError(source.path, "holds no training arguments; not used")
        raw = plain(_shown(fields))
    except PickleError as error:
        raise UnreadableError(source.path, f"no pickle of training arguments ({error}); not used") from None
    except ValueError as error:
        raise UnreadableError(source.path, f"{error}; not used") from None
    return Stated(known=known_settings(raw) | _processes(fields), raw=raw)


def _fields(made: object) -> dict[Any, Any] | None:
    """The attributes of an arguments object, or a dict of them; None for anything else (torch's own header dicts)."""
    state = made.state if isinstance(made, Opaque) else made
    return state if isinstance(state, dict) and "learning_rate" in state else None


def _shown(fields: dict[Any, Any]) -> dict[Any, Any]:
    public = {k: v for k, v in fields.items() if not str(k).startswith("_") and k not in _PRIVATE}
    return {k: dtype_name(v) or v for k, v in public.items()}


def _processes(fields: dict[Any, Any]) -> dict[str, object]:
    """World size and GPUs of this process, which are attributes of the trainer's own and no arguments."""
    state = getattr(fields.get("distributed_state"), "state", None)
    world = state.get("num_processes") if isinstance(state, dict) else None
    counts = {"world_size": world, "n_gpu": fields.get("_n_gpu")}
    return {
        name: value
        for name, value in counts.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_PROCESSES
    }
