"""Which settings differ between runs, and which runs are seeds of one setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from curvelab.comparing.entrants import Entrant
from curvelab.comparing.told import BATCH, BATCHES, LAST, RATE, WATCHING, Change, changes, comparable, safe, told
from curvelab.knowledge.setting_names import KNOWN
from curvelab.model.comparison import Difference

MOST_OTHERS = 20


def differences(entrants: Sequence[Entrant]) -> tuple[Difference, ...]:
    """The settings that are not the same in all runs, those of training first; with what only some of them tell."""
    found = [one for name in KNOWN if (one := _difference(name, entrants)) is not None]
    batches = {one.id: one.told.batch for one in entrants if one.told.batch is not None}
    if len(set(batches.values())) > 1 and not any(one.setting in BATCHES and _several(one.values.values()) for one in found):
        found.append(Difference(setting=BATCH, values=batches, inferred=tuple(batches)))
    found.sort(key=lambda one: one.setting in LAST)
    return (*found, *(one for one in _raw(entrants) if all(safe(one.setting, value) for value in one.values.values())))


def others(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    """Names of logged settings that differ and whose values stay in the log: texts that curvelab has no name for."""
    return tuple(one.setting for one in _raw(entrants) if not all(safe(one.setting, value) for value in one.values.values()))


def _difference(name: str, entrants: Sequence[Entrant]) -> Difference | None:
    values = {one.id: value for one in entrants if (value := _value(name, one)) is not None}
    inferred = tuple(one.id for one in entrants if name == RATE and RATE not in one.told.known and one.id in values)
    if inferred:
        first, *rest = (one for one in entrants if one.id in values)
        differs = any(change.name == RATE for one in rest for change in changes(first.told, one.told))
    else:
        differs = _several(values.values()) or (name not in WATCHING and _untold_by_some(entrants, values))
    return Difference(setting=name, values=_as_booleans(values), inferred=inferred) if differs else None


def _value(name: str, one: Entrant) -> Any:
    if name == RATE:
        return one.told.known.get(RATE, one.told.rate)
    return told(one.facts, name) if name in LAST else one.told.known.get(name)


def _raw(entrants: Sequence[Entrant]) -> list[Difference]:
    """Settings without a name of ours that differ, but for other words for those that have one."""
    known = {tuple(comparable(one.told.known.get(name)) for one in entrants) for name in KNOWN}
    found = []
    for name in dict.fromkeys(name for one in entrants for name in one.told.raw):
        values = {one.id: one.told.raw[name] for one in entrants if name in one.told.raw}
        pattern = tuple(comparable(values.get(one.id)) for one in entrants)
        if pattern not in known and (_several(values.values()) or _untold_by_some(entrants, values)):
            found.append(Difference(setting=name, values=_as_booleans(values)))
    return found[:MOST_OTHERS]


def _several(values: Iterable[Any]) -> bool:
    return len({comparable(value) for value in values}) > 1


def _untold_by_some(entrants: Sequence[Entrant], values: dict[str, Any]) -> bool:
    """Whether a run does not tell a setting though its settings come from the same kind of file as those of one that does."""
    telling = frozenset(file for one in entrants if one.id in values for file in one.told.files)
    return bool(values) and any(one.id not in values and telling & one.told.files for one in entrants)


def _as_booleans(values: dict[str, Any]) -> dict[str, Any]:
    """0 and 1 as booleans where another run says true or false."""
    if not any(isinstance(value, bool) for value in values.values()):
        return values
    return {id_: bool(float(text)) if (text := comparable(value)) in ("0", "1") else value for id_, value in values.items()}


def seed_groups(entrants: Sequence[Entrant]) -> list[list[Entrant]]:
    """Runs of one setting with different known seeds together, each other run alone; in the order of the runs.

    Runs without settings are never siblings, nor are two of one seed: they differ in something that was not logged.
    """
    groups: dict[tuple[Any, ...], list[list[Entrant]]] = {}
    found: list[list[Entrant]] = []
    for one in entrants:
        alike = groups.setdefault(_experiment(one), [])
        mine = next((group for group in alike if _siblings(one, group)), None)
        if mine is None:
            alike.append([one])
            found.append(alike[-1])
        else:
            mine.append(one)
    return found


def _experiment(one: Entrant) -> tuple[Any, ...]:
    return one.run.planned_steps, *sorted(one.told.comparable.items())


def _siblings(one: Entrant, group: Sequence[Entrant]) -> bool:
    if not one.told.known or any(not _other_seed(one, other) for other in group):
        return False
    return not changes(one.told, group[0].told)


def _other_seed(one: Entrant, other: Entrant) -> bool:
    """Whether two runs tell a seed, of whatever name, that is not the same; one that only one of them tells says nothing."""
    return any(None not in pair and pair[0] != pair[1] for pair in zip(one.seeds, other.seeds, strict=True))


def seeds_of(group: Sequence[Entrant]) -> tuple[int, ...]:
    """The seeds by which runs of one setting differ: the trainer's, else those of the data, else those in their names."""
    for kind in zip(*(one.seeds for one in group), strict=True):
        known = tuple(one for one in kind if one is not None)
        if len(set(known)) == len(group):
            return known
    return tuple(one.seed for one in group if one.seed is not None)


def replicates(entrants: Sequence[Entrant]) -> list[list[Entrant]]:
    """Runs of equal told settings and of seeds that are not told: only where enough is told to call them one experiment.

    Two of one seed differ in something that was not logged, which may be what is to be judged.
    """
    groups: dict[tuple[Any, ...], list[Entrant]] = {}
    for one in entrants:
        if one.told.replicable and one.seed is None:
            groups.setdefault(_experiment(one), []).append(one)
    return list(groups.values())


def differing(first: Entrant, second: Entrant) -> list[Change]:
    """The settings that differ between two runs, as trained: what both tell first."""
    return changes(first.told, second.told)


def one_change(first: Entrant, second: Entrant) -> Change | None:
    """The one known setting in which two runs differ, when everything else that was logged is the same; else None.

    What was read off the curves counts not: how often they were logged moves it.
    """
    found = changes(first.told, second.told)
    return found[0] if len(found) == 1 and found[0].known and not found[0].inferred else None
