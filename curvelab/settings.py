"""Where a run's hyperparameters come from, and which file wins when two disagree.

Precedence, the most trusted first: the arguments that the trainer wrote into the event file, the W&B config record,
training_args.bin, then what trainer_state.json repeats of them. Every value keeps the name of its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curvelab.knowledge.setting_names import KNOWN, OTHER_NAMES
from curvelab.model.log import Log
from curvelab.model.run import Setting

_TRUST = {"tensorboard": 0, "wandb-file": 1, "training-args": 2, "trainer-state": 3}
_LONGEST = 200  # characters of a value worth showing


def canonical_settings(logs: Iterable[Log]) -> dict[str, Setting]:
    """Canonical hyperparameters of a run, each with the file it came from; unknown names stay in the raw config."""
    chosen: dict[str, Setting] = {}
    for log in sorted(logs, key=lambda log: _TRUST.get(log.format, 9)):
        for origin, values in log.settings.items():
            for name, value in values.items():
                known = OTHER_NAMES.get(name, name)
                if known in KNOWN and known not in chosen and _shown(value):
                    chosen[known] = Setting(_number_if_one(value), origin)
    return {name: chosen[name] for name in KNOWN if name in chosen}


def raw_settings(logs: Iterable[Log]) -> dict[str, Mapping[str, object]]:
    """All settings as they were logged, by file."""
    return {origin: values for log in logs for origin, values in log.settings.items()}


def _shown(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 20 and all(isinstance(v, str | int | float) for v in value)
    return isinstance(value, bool | int | float | str) and len(str(value)) <= _LONGEST


def _number_if_one(value: Any) -> Any:
    """Numbers that a log wrote as text ("1e-4") as numbers."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value
