"""How long a run trained after a step, and on how many tokens: from whatever the log has to tell it by.

Time is taken from the wall times of the logs. It is the time that was paid for: what a later attempt did once more
counts again, what lies between two attempts does not (see curvelab.signals.clock for pauses). Where no times were
logged, as in a trainer_state.json, every step takes its share of train_runtime, which the trainer writes at the end;
without that, the time that train_steps_per_second gives it. Of a run that was resumed train_runtime covers the last
attempt only: it is shared among the steps of that one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvelab.facts import Facts
from curvelab.model.log import Floats, Ints
from curvelab.model.run import Curve
from curvelab.signals.clock import intervals

TOKENS = ("train/num_input_tokens_seen", "train/num_tokens", "train/tokens_seen", "train/total_tokens", "train/tokens")


@dataclass(frozen=True)
class Clock:
    """A run's training time. `told_by` says where it is from.

    pace      seconds of one step, where no log or settled one tells more
    step, segment, seconds   of each log in the order of time: optimizer step, attempt, and seconds of training up to it;
              empty without wall times
    begins    first step of each attempt after the first, as the run's seams have it
    last      last step of the run
    """

    told_by: str
    pace: float
    last: int
    step: Floats
    segment: Ints
    seconds: Floats
    begins: tuple[tuple[int, int], ...] = ()

    def after(self, step: int) -> float:
        """Seconds of training after `step`: from when it was done for good to the end of the log, all attempts."""
        if not len(self.step):
            return self.pace * max(0, self.last - step)
        mine = self.segment == max((segment for segment, first in self.begins if first <= step), default=0)
        at, seconds = (self.step[mine], self.seconds[mine]) if mine.any() else (self.step, self.seconds)
        before = self.pace * max(0.0, float(at[0]) - step)
        done = float(np.interp(step, at, seconds)) - before
        beyond = self.pace * max(0.0, self.last - max(float(self.step[-1]), step))
        return max(0.0, float(self.seconds[-1]) - done) + beyond


def clock_of(facts: Facts) -> Clock | None:
    """The clock of a run; None where the log tells nothing of time."""
    return _by_wall_times(facts) or _by_summary(facts)


def _by_wall_times(facts: Facts) -> Clock | None:
    logged = facts.run.logged
    timed = [curve.take(np.isfinite(curve.wall_time)) for name, curve in logged.items() if name.startswith("train/")]
    rows = max(timed, key=lambda c: (c.metric == "train/loss" and len(c) > 1, len(c)), default=None)
    if rows is None or len(rows) < 2 or np.ptp(rows.step) == 0:
        return None
    step = rows.step.astype(np.float64)
    evals = facts.evals
    slow = np.searchsorted(evals, rows.step[:-1], "left") < np.searchsorted(evals, rows.step[1:], "right")
    taken, pauses = intervals(step, rows.wall_time, _begins(rows), slow)
    if not taken.sum() > 0:
        return None  # written in one go, after the fact
    forward = np.diff(step) > 0
    pace = float(taken[forward].sum() / np.diff(step)[forward].sum()) if forward.any() else 0.0
    left_out = f", {pauses} long {'pause' if pauses == 1 else 'pauses'} left out" if pauses else ""
    return Clock(
        told_by=f"wall times{left_out}",
        pace=pace,
        last=facts.run.last_step or 0,
        step=step,
        segment=rows.segment.astype(np.int64),
        seconds=np.concatenate([[0.0], np.cumsum(taken)]),
        begins=tuple((seam.segment, seam.step) for seam in facts.run.seams),
    )


def _begins(rows: Curve) -> np.ndarray:
    """bool[n - 1]: the later of two rows is the first of a new attempt, or of a new file that follows the one before.

    A process writes a file of its own (TensorBoard, W&B); a run resumed exactly where it stopped shows no other seam.
    """
    begins: np.ndarray = np.diff(rows.segment) != 0
    change = np.flatnonzero(np.diff(rows.origin) != 0)
    for place in change.tolist():
        before, after = rows.origin[: place + 1], rows.origin[place + 1 :]
        begins[place] |= not np.isin(after, before).any()
    return begins


def _by_summary(facts: Facts) -> Clock | None:
    """Without wall times: the trainer's own summary of the run, or its steps per second."""
    last = facts.run.last_step or 0
    none = np.empty(0)

    def clock(told_by: str, pace: float) -> Clock | None:
        usable = np.isfinite(pace) and pace > 0
        return Clock(told_by, pace, last, none, none.astype(np.int64), none) if usable else None

    runtime = facts.finite("final/train_runtime")
    if len(runtime):
        return clock("train_runtime", float(runtime.value[-1]) / max(1, int(runtime.step[-1]) - _attempt(facts, runtime)))
    for metric in ("train/steps_per_second", "final/train_steps_per_second"):
        speed = facts.finite(metric)
        if len(speed) and float(np.median(speed.value)) > 0:
            return clock(metric.rpartition("/")[2], 1 / float(np.median(speed.value)))
    return None


def _attempt(facts: Facts, runtime: Curve) -> int:
    """The step at which the attempt began that the last train_runtime is of.

    A value below the one before it is of another attempt, which began where that one ended; rising ones are one clock.
    """
    if facts.run.seams:
        return facts.run.seams[-1].step
    if len(runtime) > 1 and runtime.value[-1] < runtime.value[-2]:
        return int(runtime.step[-2])
    return int(facts.loss.step[0]) if facts.resumed else 0


def tokens_after(facts: Facts, step: int) -> int | None:
    """Tokens trained on after `step`, up to the last log that counts them; None where none does."""
    counted = tokens_seen(facts)
    return None if counted is None else round(float(counted[1][-1] - np.interp(step, *counted)))


def tokens_seen(facts: Facts) -> tuple[Floats, Floats] | None:
    """(step, tokens trained on up to it), float64[n] each, both rising; None where no log counts them.

    A counter that falls began again at a restart: what it shows from there on is added.
    """
    counts = _token_counts(facts)
    if len(counts) < 2 or counts.value[-1] <= 0:
        return None
    grown = np.diff(counts.value)
    grown = np.where(grown < 0, counts.value[1:], grown)
    seen = np.concatenate([[counts.value[0]], counts.value[0] + np.cumsum(grown)])
    at = counts.step.astype(np.float64)
    if not facts.resumed and at[0] > 0:
        at, seen = np.concatenate([[0.0], at]), np.concatenate([[0.0], seen])
    return at, seen


def _token_counts(facts: Facts) -> Curve:
    """Tokens seen so far, as the value of a curve; empty where they were not logged."""
    if facts.has("train/loss"):
        loss = facts.curve("train/loss")
        known = loss.take(np.isfinite(loss.tokens))
        if len(known) > 1:
            return Curve.of("tokens", known.step, known.tokens)
    return next((curve for metric in TOKENS if len(curve := facts.finite(metric)) > 1), Curve.of("tokens", [], []))
