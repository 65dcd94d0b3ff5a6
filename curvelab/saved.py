"""Which checkpoints a run left behind: those that stand beside its log, else those that its settings say were kept."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curvelab.deciding import judge_of
from curvelab.facts import Facts
from curvelab.model.log import Ints
from curvelab.signals.retention import left

_FOLDER = re.compile(r"^checkpoint-(\d{1,15})$")
MOST = 100_000  # saves of one run; more are no plan but a mistake in the settings


@dataclass(frozen=True)
class Saved:
    """Checkpoints that are left after a run.

    steps       int64[k], rising; empty where none is known
    known_from  how they are known, in words
    folders     step -> its folder, of those beside the log
    reason      why none is known, in words
    off         whether the run saved nothing on purpose
    partly      whether there may be others: only some were named, and the settings do not say
    """

    steps: Ints
    known_from: str = ""
    folders: dict[int, Path] = field(default_factory=dict)
    reason: str = ""
    off: bool = False
    partly: bool = False


def ended(facts: Facts) -> bool:
    """Whether there is a final model: the run was not cut off. A lone checkpoint of a longer plan is none."""
    unknown = facts.run.state == "unknown" and (facts.run.planned_steps or 0) <= (facts.run.last_step or 0)
    return facts.run.state == "finished" or unknown


def saved(facts: Facts) -> Saved:
    """What is known of the checkpoints: the folders, where the run's own folder was looked through, else the settings.

    A folder, or a state that names its best checkpoint, adds to what the settings say, which may be nothing.
    """
    folders = _folders(facts)
    if any(Path(facts.run.path) in folder.parents for folder in folders.values()):
        return Saved(np.array(sorted(folders), dtype=np.int64), "folders", folders)
    planned = saved_by_settings(facts)
    seen = np.array(facts.run.checkpoint_steps, dtype=np.int64)
    seen = seen[seen <= (facts.run.last_step or 0)]
    words = [word for word in (planned.known_from, "best_model_checkpoint" if len(seen) else "") if word]
    steps = np.union1d(planned.steps, seen).astype(np.int64)
    partly = len(steps) > 0 and not planned.known_from
    return Saved(steps, " and ".join(words), folders, "" if len(steps) else planned.reason, planned.off, partly)


def _folders(facts: Facts) -> dict[int, Path]:
    """Checkpoint folders by step: those that hold a log of the run, and those beside them that hold anything.

    A checkpoint of weights alone (save_only_model, or copied by hand) has no trainer_state.json. Folders beside the logs
    count where the run's own folder was looked through, up to the last step that was logged.
    """
    places = {log.path.parent: _FOLDER.match(log.path.parent.name) for log in facts.run.logs}
    found = {int(name.group(1)): place for place, name in places.items() if name}
    home = Path(facts.run.path)
    roots = {place.parent if name else place for place, name in places.items()}
    for root in roots:
        if root == home or home in root.parents:
            beside = _filled_below(root)
            found = {step: place for step, place in beside.items() if step <= (facts.run.last_step or 0)} | found
    return found


def _filled_below(root: Path) -> dict[int, Path]:
    """The checkpoint folders in a folder that hold anything, by step; none where it cannot be read."""
    try:
        named = [(found, place) for place in root.iterdir() if (found := _FOLDER.match(place.name))]
        return {int(found.group(1)): place for found, place in named if place.is_dir() and any(place.iterdir())}
    except OSError:
        return {}


def saved_by_settings(facts: Facts) -> Saved:
    """The checkpoints that save_strategy, save_steps and save_total_limit leave, in Transformers' way.

    Strategies: `steps` (save_steps, below 1 a share of the plan), `epoch`, `best`. A run that got to its end also saved
    there. Over the limit the oldest go; the best one known so far stays, where metric_for_best_model or
    load_best_model_at_end make the trainer know of one.
    """
    how = str(facts.setting("save_strategy") or "").rpartition(".")[2].lower()
    none = np.empty(0, dtype=np.int64)
    if how in ("", "no", "none"):
        reason = "the run saved nothing" if how else "the log does not say what was saved (save_strategy)"
        return Saved(none, reason=reason, off=bool(how))
    saves, words = _saves(facts, how)
    if not words:
        return Saved(none, reason="the log does not say how often checkpoints were saved (save_steps)")
    if not saves:
        return Saved(none, reason=f"the run ended before its first checkpoint ({words})")
    limit = facts.setting("save_total_limit")
    bound = limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None
    best = _best_by(facts, saves) if how == "best" or _knows_best(facts) else None
    words += f", save_total_limit {bound}" if bound else ""
    return Saved(np.array(left(saves, bound, best), dtype=np.int64), words)


def _knows_best(facts: Facts) -> bool:
    return facts.setting("load_best_model_at_end") is True or facts.setting("metric_for_best_model") not in (None, "None")


def _saves(facts: Facts, how: str) -> tuple[list[int], str]:
    """(every step at which a checkpoint was written, the setting that says so); no steps where none says."""
    last = facts.run.last_step or 0
    at_end = [last] if ended(facts) else []
    every = facts.setting("save_steps")
    if how == "best":
        best = _best_by(facts, [int(step) for step in facts.evals])
        return sorted({step for step, known in best.items() if step == known}), "save_strategy best"
    if how == "epoch":
        steps = np.round(facts.epoch_ends).astype(np.int64).tolist()
        return sorted({*(s for s in steps if s <= last), *at_end}), "save_strategy epoch"
    if not isinstance(every, int | float) or isinstance(every, bool) or not 0 < every < math.inf:
        return [], ""
    between = int(every) if every >= 1 else math.ceil(every * (facts.run.planned_steps or last))
    if between < 1 or last / between > MOST:
        return [], ""
    return sorted({*range(between, last + 1, between), *at_end}), f"save_steps {every:g}"


def _best_by(facts: Facts, steps: list[int]) -> dict[int, int | None]:
    """Step -> step of the best eval up to it, None before the first one."""
    judge = judge_of(facts)
    if judge is None:
        return dict.fromkeys(steps)
    evals = judge.curve.finite
    cost = judge.costs(evals.value)
    lowest = np.minimum.accumulate(cost) if len(cost) else cost
    new = np.concatenate([[True], lowest[1:] < lowest[:-1]]) if len(cost) else np.empty(0, dtype=bool)
    record = evals.step[new]
    place = np.searchsorted(record, steps, side="right") - 1
    return {step: int(record[at]) if at >= 0 else None for step, at in zip(steps, place.tolist(), strict=True)}
