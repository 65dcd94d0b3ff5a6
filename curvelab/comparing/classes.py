"""The runs that may be held against each other, where not all may: each class is ranked by itself."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from curvelab.comparing.entrants import Entrant
from curvelab.model.verdicts import Refusal

MOST_PATHS = 40  # in a command that is to be copied


def classes_of(entrants: Sequence[Entrant], refused: Sequence[Refusal]) -> list[list[Entrant]]:
    """Runs that no refusal sets apart, together; the largest class first, in the order of the runs."""
    found: dict[tuple[int, ...], list[Entrant]] = {}
    for one in entrants:
        key = tuple(_place(one.id, refusal) for refusal in refused if refusal.classes)
        found.setdefault(key, []).append(one)
    return sorted(found.values(), key=lambda members: -len(members))


def main_class(classes: Sequence[Sequence[Entrant]], whys: Mapping[str, str]) -> Sequence[Entrant] | None:
    """The class of more than half of the runs that can be ranked, and of two: the others are the odd ones. None: there is none."""
    counts = [sum(not whys[one.id] for one in members) for members in classes]
    most = max(counts)
    return classes[counts.index(most)] if 2 * most > sum(counts) and most > 1 else None


def label_of(members: Sequence[Entrant], refused: Sequence[Refusal]) -> str:
    """What sets a class apart, in the words of the refusals."""
    one = members[0].id
    words = [
        label
        for refusal in refused
        for label, runs in zip(refusal.labels, refusal.classes, strict=False)
        if one in runs
    ]
    return ", ".join(dict.fromkeys(words)) or "alike"


def why_apart(one: Entrant, other: Entrant, refused: Sequence[Refusal]) -> str:
    """Why a run has no place among those of another, in few words."""
    for refusal in refused:
        if refusal.classes and _place(one.id, refusal) != _place(other.id, refusal):
            known = one.id in refusal.runs or refusal.kind in ("no-cross-entropy", "scaled-loss")
            return f"not comparable: {WORDS.get(refusal.kind, refusal.kind)}{'' if known else ', as far as is told'}"
    return ""


WORDS = {
    "no-cross-entropy": "its loss measures no error",
    "other-objective": "a loss of another kind",
    "other-definition": "the metric is defined otherwise",
    "other-vocabulary": "another tokenizer",
    "other-eval-set": "another eval set",
    "scaled-loss": "its train loss is a sum",
}


def command(members: Sequence[Entrant], entrants: Sequence[Entrant]) -> str:
    """The command that compares these runs only; empty where it would be too long.

    Paths are from the working folder, else from the folder that all runs share: a page names no folder above it.
    """
    here = str(Path.cwd()) + os.sep
    paths = [one.run.path.removeprefix(here) for one in entrants]
    above = {Path(path).parent for path in paths if Path(path).is_absolute()}
    shared = os.path.commonpath(above) + os.sep if above else ""
    mine = [one.run.path.removeprefix(here).removeprefix(shared) for one in members]
    fits = len(mine) <= MOST_PATHS and len(set(mine)) == len(mine)
    return f"curvelab compare {shlex.join(mine)}" if fits else ""


def _place(run: str, refusal: Refusal) -> int:
    return next((place for place, members in enumerate(refusal.classes) if run in members), -1)
