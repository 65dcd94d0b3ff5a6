"""What a log tells of a run's settings, and in what two runs differ.

A setting that only one of two logs tells is a difference as well where both have the same kind of file: there a
trainer that knows it would have written it. A learning rate that is read off the logged schedule is compared loosely.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curvelab.facts import Facts
from curvelab.knowledge.setting_names import DATA, KNOWN, LOGGING

SEEDS = ("seed", "data_seed")
BATCH = "samples_per_step"  # of a log that tells no accumulation: measured, not set
RATE = "learning_rate"
BATCHES = frozenset(("per_device_train_batch_size", "gradient_accumulation_steps", "train_batch_size", "world_size", "n_gpu"))
DEVICES = frozenset(("world_size", "n_gpu"))
RATE_TOLERANCE = 0.2  # of an inferred rate: a log seldom falls on the peak of the schedule (judgement)
# How a run is watched, kept and fed changes no weight: such settings do not make two runs two experiments.
WATCHING = frozenset((*LOGGING, *SEEDS, "dataloader_num_workers", "transformers_version")) - {"metric_for_best_model"}
LAST = WATCHING | frozenset(DATA)
# Names, places and times of a run: they differ from run to run whatever is trained.
_VOLATILE = re.compile(
    r"(^|[_./-])(dir|path|file|name|id|uuid|time|date|timestamp|host|hostname|user|port|url|tags?|notes?|version|seed|pid|job(_?id)?|exp(eriment)?|random_state|runtime|start(ed)?(_at)?|duration)s?$"
    r"|^(hub|push_to_hub|report_to|logging|log|save|saving|wandb|_wandb|eval|evaluation|output|run|resume|local_rank"
    r"|disable_tqdm|include|overwrite|debug|dataloader|total_flos|deepspeed_plugin|distributed_state|cached|device|__)",
    re.I,
)
_TELLING = re.compile(
    r"^_?(name_or_path|(base_)?model(_name|_id|_type)?|pretrained_model|tokenizer|(train_|eval_|val_|validation_)?data(set|_path|_files?)?"
    r"|(train|validation)_file|template)",
    re.I,
)
_SHOWN = re.compile(
    r"_?(name_or_path|(base_|pretrained_)?model(_name|_id|_type)?(_or_path)?|tokenizer(_name|_type)?(_or_path)?|template"
    r"|(train_|eval_|val_|validation_)?(data(set|_path|_files?)?|file)(_name|_config|_config_name|_split)?)",
    re.I,
)
MOST_NAMED = 3
LONGEST = 60  # characters of a value in a sentence


@dataclass(frozen=True)
class Change:
    """A setting in which two runs differ; `values` of the first and the second, None where its log does not tell.

    known     whether curvelab has a name for it; the values of unknown texts are not shown
    inferred  whether a value was read off the curves
    """

    name: str
    values: tuple[Any, Any]
    known: bool = True
    inferred: bool = False

    @property
    def told(self) -> bool:
        """Whether both logs tell it."""
        return None not in self.values

    @property
    def text(self) -> str:
        """ "learning_rate 0.0003 against 0.0001"."""
        if not self.known and not all(safe(self.name, value) for value in self.values):
            return self.name
        about = "about " if self.inferred else ""
        first, second = ("not told" if value is None else f"{about}{shown(value)}" for value in self.values)
        return f"{self.name} {first} against {second}"


@dataclass(frozen=True)
class Told:
    """The settings of one run. `known` by the names of curvelab, `raw` by those of the log; not its seed, not its place.

    rate   the learning rate that was read off the log, where none is told
    batch  samples of a step; None: not known
    files  kinds of files that tell settings, by the names of those files
    """

    known: Mapping[str, Any]
    raw: Mapping[str, Any]
    rate: float | None
    batch: int | None
    files: frozenset[str]

    @cached_property
    def comparable(self) -> dict[str, str]:
        """Every setting as a text that is the same for values that mean the same."""
        return {name: comparable(value) for name, value in (self.raw | self.known).items()}  # type: ignore[operator]

    @property
    def replicable(self) -> bool:
        """Whether enough is told to say that a run of equal settings was the same experiment."""
        return RATE in self.known


def told_by(facts: Facts, batch: int | None) -> Told:
    """The settings of a run. What the trainer computed from others is left out: it is a consequence, not a setting."""
    run = facts.run
    known = {name: value for name in KNOWN if name not in WATCHING and (value := told(facts, name)) is not None}
    steps = known.get("max_steps")
    if isinstance(steps, int | float) and steps > 0:
        known.pop("num_train_epochs", None)  # ignored by the trainer, or computed from the steps
    if "per_device_train_batch_size" in known:
        known.pop("train_batch_size", None)  # what a trainer_state.json calls the same
    rate = facts.setting(RATE) if RATE not in known else None
    origins = {one.origin for one in run.config.values()} | set(run.raw_config)
    files = frozenset(Path(origin).name for origin in origins)
    return Told(known, _raw(facts), rate, batch, files)


def told(facts: Facts, name: str) -> Any:
    """The value of a setting as a log tells it, never inferred; None where none does."""
    value = facts.run.setting(name)
    return plain(facts.spoken.own(name) if value is None else value)


def changes(a: Told, b: Told) -> list[Change]:
    """In what two runs differ: what both tell first, then what one tells though the other has the same kind of file."""
    names = dict.fromkeys((*a.known, *b.known))
    known = [Change(name, (a.known.get(name), b.known.get(name))) for name in names if name != RATE]
    known = [one for one in known if not _same(*one.values)]
    rates = [rate for one in (a, b) for rate in [one.known.get(RATE, one.rate)]]
    inferred = RATE not in a.known or RATE not in b.known
    if not (_close(*rates) if inferred else _same(*rates)):
        known.insert(0, Change(RATE, (rates[0], rates[1]), inferred=inferred))
    devices = any(one.name in DEVICES for one in known)  # told by one of two logs: the other's batch is not known
    if a.batch and b.batch and a.batch != b.batch and not devices and not any(one.told for one in known if one.name in BATCHES):
        known.append(Change(BATCH, (a.batch, b.batch), inferred=True))
    pairs = {tuple(map(comparable, one.values)) for one in known}
    raw = [Change(name, (a.raw.get(name), b.raw.get(name)), known=False) for name in dict.fromkeys((*a.raw, *b.raw))]
    # A trainer's own word for a known setting ("lr") changes with it: that is one change.
    raw = [one for one in raw if not _same(*one.values) and tuple(map(comparable, one.values)) not in pairs]
    both = [one for one in (*known, *raw) if one.told]
    return [*both, *(one for one in (*known, *raw) if not one.told and a.files & b.files)]


def untold(a: Told, b: Told) -> int:
    """How many known settings only one of two logs tells, of different kinds of files."""
    return 0 if a.files & b.files else len(set(a.known) ^ set(b.known))


def listed(found: Sequence[Change]) -> str:
    """ "learning_rate 0.0003 against 0.0001, optim … and 2 more"."""
    left = len(found) - MOST_NAMED
    return ", ".join(one.text for one in found[:MOST_NAMED]) + (f" and {left} more {'setting' if left == 1 else 'settings'}" if left > 0 else "")


def safe(name: str, value: Any) -> bool:
    """Whether the value of a setting that curvelab has no name for may be shown: numbers, and texts that name model or data."""
    if isinstance(value, str) and (len(value) > LONGEST or "{" in value):
        return False
    return value is None or isinstance(value, bool | int | float) or bool(_SHOWN.fullmatch(name.rpartition(".")[2]))


def shown(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)[:LONGEST]


def plain(value: Any) -> Any:
    """A value as it was meant: "True" is a boolean, "None" and an empty text are nothing."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return {"true": True, "false": False, "none": None, "null": None, "": None}.get(word, value)


def comparable(value: Any) -> str:
    """Values that mean the same are the same text: 1, 1.0, true and "1", lists in any order."""
    value = plain(value)
    if isinstance(value, list | tuple | set):
        return str(sorted(map(str, value)))
    try:
        return f"{float(value):.10g}"
    except (TypeError, ValueError):
        return str(value)


def _same(a: Any, b: Any) -> bool:
    return comparable(a) == comparable(b)


def _close(a: Any, b: Any) -> bool:
    """Whether two learning rates may be one; one that is not known may be any."""
    if not isinstance(a, int | float) or not isinstance(b, int | float) or min(a, b) <= 0:
        return True
    return abs(math.log(a / b)) <= math.log1p(RATE_TOLERANCE)


def _raw(facts: Facts) -> dict[str, Any]:
    """Scalar settings of the log that curvelab has no name for, without those that name the run."""
    found: dict[str, Any] = {}
    for name, value in _scalars(facts):
        if name not in KNOWN and (_TELLING.match(name) or not _VOLATILE.search(name)):
            found.setdefault(name, value)
    return found


def _scalars(facts: Facts) -> Iterator[tuple[str, Any]]:
    for values in facts.run.raw_config.values():
        for name, given in values.items():
            value = plain(given)
            if isinstance(value, bool | int | float | str):
                yield name, value


def number(value: Any) -> float | None:
    """A setting as a number, or None."""
    return float(value) if isinstance(value, bool | int | float) and math.isfinite(value) else None
