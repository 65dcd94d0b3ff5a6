"""How far a run was meant to go and how it ended: by the marks in its logs, never by file times.

Logs of a resumed run disagree: the first attempt was planned to 100 steps and bears the mark of completion, the second
was planned to 1,000 and was killed. The latest attempt decides, and a mark counts only where nothing was trained after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from curvelab.beside import SettingsFile
from curvelab.kinship import CONSOLES
from curvelab.model.log import Log, State
from curvelab.model.note import Note
from curvelab.model.run import Curve, Setting

COMPLETION = "train_runtime"  # the Trainer logs it once, when training has run to its end
_NO_PLAN = 1e12  # steps; streaming runs write 2^63 - 1 epochs for "no end"
_MOST = 0.9  # share of the epochs of a mark of completion that the logs must hold to be that run (judgement)
_EPOCH_ROUNDING = 0.05  # epochs; older trainers rounded to two digits, newer ones do not
_DONE = 0.999  # share of the plan that counts as all of it


def began(log: Log) -> float:
    """The first wall time in a log, 0 where it has none: puts several files in order."""
    times = [s.wall_time[np.isfinite(s.wall_time)] for s in log.series if s.wall_time is not None]
    return min((float(t.min()) for t in times if len(t)), default=0.0)


def reach(log: Log) -> int:
    """The last step that a log knows of; -1 where it knows none."""
    return max([-1 if log.reached is None else log.reached, *(int(s.step.max()) for s in log.series if len(s))])


def latest_first(logs: Iterable[Log]) -> list[Log]:
    """Logs of later attempts before those of earlier ones; where no times tell, those that reach further."""
    return sorted(logs, key=lambda log: (-began(log), -reach(log)))


def latest_of_each(logs: Iterable[Log]) -> list[Log]:
    """The log of the latest attempt in each format."""
    found: dict[str, Log] = {}
    for log in latest_first(logs):
        found.setdefault(log.format, log)
    return list(found.values())


def plan_of(logs: Sequence[Log], ranks: Mapping[str, int]) -> int | None:
    """Planned steps of the latest attempt, by the log that reaches furthest; of equals that of the lowest rank."""
    planned = latest_of_each(log for log in logs if log.plan)
    best = min(planned, key=lambda log: (-reach(log), ranks.get(log.format, len(ranks))), default=None)
    return None if best is None else best.plan


def plan_from_settings(curves: Mapping[str, Curve], config: Mapping[str, Setting]) -> int | None:
    """Planned steps by max_steps, which overrides the epochs where it is set; else by num_train_epochs."""
    steps = config.get("max_steps")
    if steps is not None and isinstance(steps.value, int | float) and 0 < steps.value < _NO_PLAN:
        return int(steps.value)
    return _plan_from_epochs(curves, config)


def _plan_from_epochs(curves: Mapping[str, Curve], config: Mapping[str, Setting]) -> int | None:
    """Planned steps from num_train_epochs and the epoch that the last log had reached; None when either is unknown."""
    main, planned = curves.get("train/loss"), config.get("num_train_epochs")
    if main is None or planned is None or not isinstance(planned.value, int | float):
        return None
    known = main.take(np.isfinite(main.epoch) & (main.epoch > 0))
    if not len(known):
        return None
    furthest = int(np.argmax(known.step))
    steps = float(known.step[furthest]) * planned.value / float(known.epoch[furthest])
    return round(steps) if 0 < steps < _NO_PLAN else None


def state_of(logs: Sequence[Log], plan: int | None, last: int, trained: int, completed: bool = False) -> State:
    """Finished when a log bears the mark of completion or the plan was reached.

    last      last step of any metric
    trained   last step of the train loss, earlier attempts that were overruled apart
    completed whether a file beside the logs is the mark of completion
    """
    reached = max([last, *(log.reached for log in logs if log.reached is not None)])
    if completed or _marked(logs, trained) or (plan and reached >= _DONE * plan):
        return "finished"
    if any(log.finished is False for log in latest_of_each(logs)):
        return "crashed"
    said = {log.said_state for log in logs}
    if "running" in said:
        return "running"
    if "finished" in said and not plan:  # with a plan that was not reached, a process that ended well proves nothing
        return "finished"
    live = any(log.format != "trainer-state" for log in logs)  # a lone state may be a snapshot of a longer run
    return "crashed" if live and plan else "unknown"


def _marked(logs: Sequence[Log], trained: int) -> bool:
    """Whether a log bears a mark of completion that no later attempt has made void by training on.

    A console's steps are guessed: its mark counts where no other log's mark is void.
    """
    marks = [log for log in logs if log.finished]
    placed = [step for log in marks if (step := _marked_step(log)) is not None]
    if placed:
        return max(placed) >= trained
    return bool(marks)


def _marked_step(log: Log) -> int | None:
    """The step at which a log says that the training was completed; None where it cannot tell."""
    if log.format in CONSOLES:
        return None
    steps = [int(s.step.max()) for s in log.series if s.name.endswith(COMPLETION) and len(s)]
    if steps:
        return max(steps)
    known = reach(log)
    return known if known >= 0 else None


def completed_by(files: Iterable[SettingsFile], curves: Mapping[str, Curve]) -> bool:
    """Whether a file beside the logs is the mark of completion of this run, not of an earlier one in the same folder."""
    main = curves.get("train/loss")
    epochs = main.epoch[np.isfinite(main.epoch)] if main is not None else np.empty(0)
    marks = [one.stated.epoch for one in files if one.stated.completed]
    if not len(epochs) or None in marks:
        return bool(marks)
    seen = float(epochs.max())
    return any(mark is not None and _MOST * mark <= seen <= mark + _EPOCH_ROUNDING for mark in marks)


def no_exit(logs: Iterable[Log], state: State) -> Iterator[Note]:
    """What is said of a run of unknown state whose W&B file ends without an exit record."""
    last = next((log for log in latest_of_each(logs) if log.format == "wandb-file"), None)
    if state == "unknown" and last is not None and last.exit_code is None and any(map(len, last.series)):
        text = "no exit record in the W&B file: the process was killed, or it is still running"
        yield Note(level="info", text=text, file=str(last.path))
