"""Which settings differ between runs, and which runs are seeds of one setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from curvelab.comparing.entrants import Entrant
from curvelab.knowledge.setting_names import DATA, KNOWN, LOGGING
from curvelab.model.comparison import Difference

SEEDS = ("seed", "data_seed")
# How a run is watched, kept and fed changes no weight: such settings do not make two runs two experiments.
_WATCHING = frozenset((*LOGGING, *SEEDS, "dataloader_num_workers", "transformers_version")) - {"metric_for_best_model"}
# Names, places and times of a run: they differ from run to run whatever is trained.
_VOLATILE = re.compile(
    r"(^|[_./-])(dir|path|file|name|id|uuid|time|date|timestamp|host|hostname|user|port|url|tags?|notes?|version|seed)s?$"
    r"|^(hub|push_to_hub|report_to|logging|log|save|saving|wandb|_wandb|eval|evaluation|output|run|resume|local_rank"
    r"|disable_tqdm|include|overwrite|debug|dataloader|total_flos|deepspeed_plugin|distributed_state|cached|device|__)",
    re.I,
)
_TELLING = re.compile(r"^_?(name_or_path|(base_)?model|tokenizer|(train_|eval_)?data(set|_path|_files?)?|train_file|template)", re.I)
MOST_OTHERS = 20
RAW = "raw "  # before the names of settings that curvelab has no name for


def differences(entrants: Sequence[Entrant]) -> tuple[Difference, ...]:
    """The known settings that are not the same in all runs that tell them, those of training first."""
    found = []
    for name in KNOWN:
        values = {one.id: value for one in entrants if (value := one.facts.setting(name)) is not None}
        if len({_comparable(value) for value in values.values()}) > 1:
            found.append(Difference(setting=name, values=values))
    batches = next((one.values for one in found if one.setting == "per_device_train_batch_size"), None)
    found = [one for one in found if one.setting != "train_batch_size" or one.values != batches]
    return tuple(sorted(found, key=lambda one: one.setting in _WATCHING or one.setting in DATA))


def others(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    """Names of logged settings beyond the known ones that differ between runs that tell them: values stay in the log."""
    settings = [trained_with(one) for one in entrants]
    names = dict.fromkeys(name for values in settings for name in values)
    told = {name: tuple(values.get(name) for values in settings) for name in names}
    known = {values for name, values in told.items() if not name.startswith(RAW)}
    differing = [
        name.removeprefix(RAW)
        for name, values in told.items()
        if name.startswith(RAW) and len(set(values) - {None}) > 1 and values not in known
    ]
    return tuple(differing[:MOST_OTHERS])


def trained_with(entrant: Entrant) -> dict[str, str]:
    """Everything logged that makes this run the experiment that it is, as comparable texts: not its seed, not its place."""
    known = {name: _comparable(entrant.facts.setting(name)) for name in KNOWN if name not in _WATCHING}
    if known["per_device_train_batch_size"] != "None":
        del known["train_batch_size"]  # what a trainer_state.json calls the same
    raw = {RAW + name: value for name, value in _raw(entrant).items()}
    return {name: value for name, value in (known | raw).items() if value != "None"}


def seed_groups(entrants: Sequence[Entrant]) -> list[list[Entrant]]:
    """Runs of one setting with different known seeds together, each other run alone; in the order of the runs.

    Runs without settings are never siblings, nor are two of one seed: they differ in something that was not logged.
    """
    groups: list[list[Entrant]] = []
    settings = {one.id: trained_with(one) for one in entrants}
    for one in entrants:
        mine = next((g for g in groups if _siblings(one, g, settings)), None)
        if mine is None:
            groups.append([one])
        else:
            mine.append(one)
    return groups


def _siblings(one: Entrant, group: Sequence[Entrant], settings: Mapping[str, Mapping[str, str]]) -> bool:
    seeds = [other.seed for other in group]
    if one.seed is None or None in seeds or one.seed in seeds or not settings[one.id]:
        return False
    return settings[one.id] == settings[group[0].id] and one.run.planned_steps == group[0].run.planned_steps


def differing(first: Entrant, second: Entrant) -> tuple[str, ...]:
    """Names of the settings that differ between two runs, as trained: known ones first; one that only one log tells counts not."""
    a, b = trained_with(first), trained_with(second)
    return tuple(name.removeprefix(RAW) for name in a if name in b and a[name] != b[name])


def one_change(first: Entrant, second: Entrant) -> str | None:
    """The one known setting in which two runs differ, when everything else that was logged is the same; else None."""
    a, b = trained_with(first), trained_with(second)
    told = {name: (a.get(name), b.get(name)) for name in {**a, **b} if a.get(name) != b.get(name)}
    known = {name: values for name, values in told.items() if not name.startswith(RAW)}
    # A trainer's own word for a known setting ("lr") changes with it: that is one change.
    if len(known) != 1 or any(values not in known.values() for name, values in told.items() if name not in known):
        return None
    (name,) = known
    return None if None in known[name] else name


def _raw(entrant: Entrant) -> dict[str, str]:
    """Scalar settings of the log that curvelab has no name for, without those that name the run, as texts."""
    found: dict[str, str] = {}
    for values in entrant.run.raw_config.values():
        for name, value in values.items():
            left_out = name in KNOWN or (_VOLATILE.search(name) and not _TELLING.match(name))
            if not left_out and isinstance(value, bool | int | float | str):
                found.setdefault(name, _comparable(value))
    return found


def _comparable(value: Any) -> str:
    """Values that mean the same are the same text: 1 and 1.0, lists in any order."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return f"{float(value):.10g}"
    if isinstance(value, list | tuple | set):
        return str(sorted(map(str, value)))
    return str(value)
