"""How a refusal sets runs apart: groups that are told, names in a sentence, and what became of those of which nothing is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from curvelab.comparing.entrants import Entrant
from curvelab.comparing.wording import short
from curvelab.model.verdicts import Refusal

NOT_TOLD = {
    "other-vocabulary": "vocabulary not told",
    "other-eval-set": "eval set not told",
    "other-definition": "the usual definition",
    "other-objective": "kind of loss not told",
}


def known(one: Entrant, name: str) -> str | None:
    value = one.facts.setting(name)
    return None if value is None else f"{float(value):g}" if isinstance(value, int | float) else str(value)[:60]


def by_key(entrants: Sequence[Entrant], key: Callable[[Entrant], Any]) -> dict[Any, list[Entrant]]:
    groups: dict[Any, list[Entrant]] = {}
    for one in entrants:
        groups.setdefault(key(one), []).append(one)
    return groups


def split(kind: str, why: str, groups: dict[str, list[Entrant]], fair: str, concerned: Sequence[Entrant]) -> Refusal:
    """The refusal that sets some groups apart. `concerned` runs of which nothing is told are taken to be alike, as they would
    be without the others."""
    told = "; ".join(f"{label}: {names_of(runs)}" for label, runs in list(groups.items())[:4])
    more = f"; and {len(groups) - 4} more" if len(groups) > 4 else ""
    members = [one for runs in groups.values() for one in runs]
    unclear = [one for one in concerned if one not in members]
    return Refusal(
        kind=kind,
        text=f"{why} ({told}{more})",
        alternative=fair,
        runs=ids(members),
        classes=classes([*groups.values(), unclear]),
        labels=(*groups, *([NOT_TOLD[kind]] if unclear else [])),
    )


def classes(groups: Sequence[Sequence[Entrant]]) -> tuple[tuple[str, ...], ...]:
    return tuple(ids(group) for group in groups if group)


def names_of(entrants: Sequence[Entrant]) -> str:
    shown = ", ".join(short(one.name) for one in entrants[:3])
    return f"{shown} and {len(entrants) - 3} more" if len(entrants) > 3 else shown


def ids(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    return tuple(one.id for one in entrants)
