"""Where a run's hyperparameters come from, and which file wins when two disagree.

Precedence, the most trusted first:

1. the arguments that the trainer wrote into the event file (what it really ran with, at that start),
2. the W&B config record, in the `.wandb` or in `files/config.yaml` (the same, but other code may add to it),
3. training_args.bin (the same, but of the last start only when a run was resumed),
4. trainer_state.json (it repeats a few of them, some computed anew), and the other formats' own records,
5. YAML and JSON configs beside the log (what somebody meant to run; the command line overrides them without a trace).

Every value keeps the name of its file. Two files that disagree on a known setting are told in a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curvelab.beside import SettingsFile
from curvelab.knowledge.setting_names import KNOWN, OTHER_NAMES
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.model.run import Setting
from curvelab.redaction import REDACTED

_TRUST = ("tensorboard", "wandb-file", "wandb-online", "wandb-config", "training-args", "trainer-state")
_BESIDE = ("trainer-yaml", "lightning-hparams", "deepspeed-config", "json-config", "adapter-config")
_LONGEST = 200  # characters of a value worth showing
_SAME = 1e-6  # relative: roundings of one number (a float32 keeps 6e-8, a printed one six digits)
_MAX_NOTES = 12  # disagreements told one by one

# Two true values of one name: the state's are computed (num_train_epochs, batch of all GPUs), the model's depend on when
# its config was saved.
_NOT_COMPARED = frozenset(("train_batch_size", "transformers_version", "torch_dtype", "dtype", "n_gpu", "world_size"))
_RATIOS = frozenset(("logging_steps", "eval_steps", "save_steps", "warmup_steps"))  # below 1: a share of all steps


@dataclass(frozen=True)
class Settled:
    """The settings of a run: canonical ones with their files, all as they were logged by file, and disagreements."""

    config: Mapping[str, Setting]
    raw: Mapping[str, Mapping[str, object]]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Said:
    """A value of a canonical setting in one file."""

    value: Any
    origin: str
    file: str


def settle(logs: Iterable[Log], files: Iterable[SettingsFile] = ()) -> Settled:
    """Choose each known hyperparameter from the most trusted file that gives it; unknown names stay in the raw config.

    logs   the most trusted of one format first, which is that of the latest attempt
    """
    logs, files = tuple(logs), tuple(files)
    said = _by_name(logs, files)
    chosen = {name: _chosen(name, said[name]) for name in KNOWN if name in said}
    raw = {origin: values for log in reversed(logs) for origin, values in log.settings.items()}
    raw |= {one.origin: one.stated.raw for one in files if one.stated.raw and one.origin not in raw}
    config = {name: Setting(one.value, one.origin) for name, one in chosen.items()}
    return Settled(config, raw, tuple(_disagreements(said, chosen)))


def _by_name(logs: tuple[Log, ...], files: tuple[SettingsFile, ...]) -> dict[str, list[_Said]]:
    """Canonical name -> what each file says of it, the most trusted file first."""
    sources: list[tuple[int, str, str, Mapping[str, object]]] = []
    for log in logs:
        trust = _TRUST.index(log.format) if log.format in _TRUST else len(_TRUST)
        sources += [(trust, origin, str(log.path), values) for origin, values in log.settings.items()]
    for one in files:
        below = len(_TRUST) + 1 + (_BESIDE.index(one.kind) if one.kind in _BESIDE else len(_BESIDE))
        trust = _TRUST.index(one.kind) if one.kind in _TRUST else below
        sources.append((trust, one.origin, str(one.path), one.stated.known))
    said: dict[str, list[_Said]] = {}
    for _, origin, file, values in sorted(sources, key=lambda source: source[0]):
        for name, value in values.items():
            known = OTHER_NAMES.get(name, name)
            if known in KNOWN and _shown(value):
                said.setdefault(known, []).append(_Said(_number_if_one(value), origin, file))
    return said


def _chosen(name: str, said: list[_Said]) -> _Said:
    return next((one for one in said if not _left_open(name, one.value)), said[0])


def _left_open(name: str, value: object) -> bool:
    """Whether a value says "not given": Transformers writes max_steps -1 for "as many as the epochs give"."""
    return name == "max_steps" and isinstance(value, int | float) and value <= 0


def _disagreements(said: Mapping[str, list[_Said]], chosen: Mapping[str, _Said]) -> Iterator[Note]:
    """One note a setting on which files disagree: both values, and the one that was taken."""
    told = 0
    for name, taken in chosen.items():
        if name in _NOT_COMPARED or (name == "num_train_epochs" and _ended_by_steps(chosen)):
            continue
        others = {
            one.origin: one.value
            for one in reversed(said[name])
            if one.origin != taken.origin and not _left_open(name, one.value) and not same(name, one.value, taken.value)
        }
        if not others:
            continue
        told += 1
        if told <= _MAX_NOTES:
            rest = ", ".join(f"{value!r} in {origin}" for origin, value in list(others.items())[-3:][::-1])
            text = f"{name} is {taken.value!r} in {taken.origin}, but {rest}; {taken.value!r} was taken"
            yield Note(level="info", text=text, file=taken.file)
    if told > _MAX_NOTES:
        yield Note(level="info", text=f"{told - _MAX_NOTES} more settings differ between the files of this run")


def _ended_by_steps(chosen: Mapping[str, _Said]) -> bool:
    """Whether max_steps ends the run: then the epochs of the arguments are ignored, and the state's computed from it."""
    return "max_steps" in chosen and not _left_open("max_steps", chosen["max_steps"].value)


def same(name: str, one: object, other: object) -> bool:
    """Whether two values of a setting mean the same: equal to rounding, whatever way they were written."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return sorted(map(str, one)) == sorted(map(str, other))  # target_modules is a set: it has no order
    a, b = _comparable(name, one), _comparable(name, other)
    if isinstance(a, float) and isinstance(b, float):
        ratio = name in _RATIOS and (0 < a < 1) != (0 < b < 1)  # one is a share, the other what became of it
        return ratio or math.isclose(a, b, rel_tol=_SAME, abs_tol=1e-30) or (math.isnan(a) and math.isnan(b))
    return a == b


def _comparable(name: str, value: object) -> object:
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("true", "false"):
            return float(text == "true")
        # an enum printed by an older trainer: SchedulerType.COSINE
        return text.rpartition(".")[2] if name.endswith(("_type", "_strategy", "optim", "dtype")) else text
    return float(value) if isinstance(value, bool | int | float) else str(value)


def _shown(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 20 and all(isinstance(v, str | int | float) and v != REDACTED for v in value)
    return isinstance(value, bool | int | float | str) and value != REDACTED and len(str(value)) <= _LONGEST


def _number_if_one(value: Any) -> Any:
    """Numbers that a log wrote as text ("1e-4") as numbers."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value
