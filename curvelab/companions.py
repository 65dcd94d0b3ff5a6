"""What must stand beside a changed setting, so that the trainer accepts the whole and does what was meant.

Transformers refuses load_best_model_at_end unless it saves where it evaluates, and fp16 beside bf16; it ignores
eval_steps without eval_strategy "steps"; it hands the arguments of one schedule to the next. TRL wants num_generations
to divide the generated batch. A micro-batch that changes alone changes the batch. Each addition says for which line it
stands there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from curvelab.dialects import Spoken
from curvelab.model.finding import Change, Scalar
from curvelab.model.options import Options
from curvelab.model.result import PatchChange

EVALS = 10  # of a run that has shown none: every 10 % of the steps
STRATEGIES = ("no", "steps", "epoch", "best")  # words of Transformers for when to evaluate and to save


def completed(lines: Iterable[PatchChange], spoken: Spoken, options: Options) -> tuple[PatchChange, ...]:
    """The lines of a patch with their companions, at the end; a line whose companions cannot be had is kept as it is."""
    desk = _Desk({line.change.canonical or line.change.setting: line for line in lines}, spoken, options)
    for rule in (_precision, _schedule, _warmup, _batch, _generations, _eval_strategy, _save_strategy, _best, _stopping, _needs):
        rule(desk)
    return tuple({line.change.setting: line for line in reversed(desk.lines.values())}.values())[::-1]


@dataclass
class _Desk:
    """The lines by canonical setting, what the run had, and what the user asked for."""

    lines: dict[str, PatchChange]
    spoken: Spoken
    options: Options

    def value(self, name: str) -> Scalar:
        """What a setting will be: as proposed, else as it was; None where nothing says."""
        if name in self.lines:
            return self.lines[name].change.to
        return self.was(name)

    def was(self, name: str) -> Scalar:
        value: Scalar = self.spoken.run.setting(name)
        value = self.spoken.own(name) if value is None else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def strategy(self, name: str) -> str:
        """eval_strategy or save_strategy as one of STRATEGIES; empty where nothing says, or something unknown."""
        value = self.value(name)
        word = "no" if value is False else str(value).lower().rpartition(".")[2]
        return word if word in STRATEGIES else ""

    def whole(self, name: str) -> int | None:
        value = self.value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    def add(self, name: str, to: Scalar, beside: str, remark: str) -> None:
        """A companion of the line `beside`; nothing where the setting has the value already."""
        if self.value(name) != to:
            self.write(name, to, beside, remark)

    def note(self, name: str, remark: str) -> None:
        """Add to the remark of a line."""
        line = self.lines[name]
        self.lines[name] = msgspec.structs.replace(line, remark="; ".join(filter(None, (line.remark, remark))))

    def write(self, name: str, to: Scalar, beside: str, remark: str) -> None:
        """A line, also where it repeats what the run had."""
        change = Change(setting=name, from_=self.was(name), to=to, because=remark)
        for one in self.spoken.said((change,)):
            if one.to is not None and self.spoken.word(name).flag:
                self.lines[name] = PatchChange(change=one, patterns=self.lines[beside].patterns, remark=remark)


def _precision(desk: _Desk) -> None:
    for name, other in (("bf16", "fp16"), ("fp16", "bf16")):
        if name in desk.lines and desk.value(name) is True and desk.was(other) is True and other not in desk.lines:
            desk.add(other, False, name, f"at most one of it and {name}")


def _schedule(desk: _Desk) -> None:
    """No arguments of the schedule that goes: num_cycles makes a plain cosine rise again, and linear takes none."""
    kind, name = "lr_scheduler_type", "lr_scheduler_kwargs"
    present = desk.spoken.nested(name)
    if kind in desk.lines and present and desk.spoken.word(name).flag:
        remark = "they belong to the schedule that goes"
        was = json.dumps(present, default=str)
        change = Change(setting=desk.spoken.flag(name), canonical=name, from_=was, to="{}", because=remark)
        desk.lines[name] = PatchChange(change=change, patterns=desk.lines[kind].patterns, remark=remark)


def _warmup(desk: _Desk) -> None:
    """A share and a number of steps: older Transformers take the steps, axolotl refuses both."""
    ratio = desk.value("warmup_ratio")
    if "warmup_steps" in desk.lines and isinstance(ratio, int | float) and ratio > 0:
        desk.add("warmup_ratio", 0.0, "warmup_steps", f"{desk.spoken.flag('warmup_steps')} takes its place")


def _batch(desk: _Desk) -> None:
    """Accumulation that keeps the batch of an optimizer step, where only the micro-batch changes."""
    size, steps = "per_device_train_batch_size", "gradient_accumulation_steps"
    if size not in desk.lines or steps in desk.lines:
        return
    old, new, accumulated = desk.was(size), desk.whole(size), desk.whole(steps)
    if isinstance(old, int) and new and accumulated and (old * accumulated) % new == 0:
        desk.add(steps, old * accumulated // new, size, f"keeps the batch of {old * accumulated} a process")
    elif isinstance(old, int) and new and old:
        desk.note(size, f"the batch of an optimizer step changes {new / old:g} times with it")


def _generations(desk: _Desk) -> None:
    """TRL: num_generations divides micro-batch x accumulation x processes."""
    name, steps = "num_generations", "gradient_accumulation_steps"
    wanted = desk.whole(name)
    if name not in desk.lines or wanted is None:
        return
    size, accumulated, processes = desk.whole("per_device_train_batch_size"), desk.whole(steps), desk.whole("world_size")
    rule = f"{desk.spoken.flag(name)} must divide micro-batch x accumulation x processes"
    if not size or not accumulated or not processes:
        desk.note(name, rule)
    elif size * accumulated * processes % wanted:
        unit = wanted // math.gcd(wanted, size * processes)
        desk.add(steps, math.ceil(accumulated / unit) * unit, name, rule)


def _eval_strategy(desk: _Desk) -> None:
    if "eval_steps" in desk.lines and desk.strategy("eval_strategy") != "steps":
        desk.add("eval_strategy", "steps", "eval_steps", "else eval_steps is not looked at")


def _save_strategy(desk: _Desk) -> None:
    if "save_steps" in desk.lines and desk.strategy("save_strategy") not in ("", "steps"):
        desk.add("save_strategy", "steps", "save_steps", "else save_steps is not looked at")


def _best(desk: _Desk) -> None:
    """load_best_model_at_end, new or there before: saves where evals are."""
    best = "load_best_model_at_end"
    if not desk.spoken.dialect.arranges or desk.value(best) is not True:
        return
    touched = [n for n in (best, "eval_steps", "eval_strategy", "save_steps", "save_strategy") if n in desk.lines]
    if not touched:
        return
    cause, why = touched[0], f"{desk.spoken.flag(best)} wants saves where evals are"
    if desk.strategy("eval_strategy") in ("", "no"):
        desk.write("eval_strategy", "steps", cause, why)
    if desk.strategy("save_strategy") != "best":
        desk.add("save_strategy", desk.strategy("eval_strategy"), cause, why)
        if desk.strategy("eval_strategy") == "steps":
            _aligned(desk, cause, why)
    metric = "metric_for_best_model"
    if metric in desk.lines and str(desk.value(metric)).endswith("loss") and desk.value("greater_is_better") is True:
        desk.add("greater_is_better", False, metric, "a loss is better when it is lower")


def _aligned(desk: _Desk, cause: str, why: str) -> None:
    """save_steps equal to eval_steps, both written out where the log does not show that they were in force.

    The trainer accepts any multiple, but it restores the best of the evals that were saved: with one save for several
    evals, or none before the end, the best one is lost.
    """
    evals = _eval_steps(desk)
    length = desk.whole("max_steps") if "max_steps" in desk.lines else None
    evals = min(evals, length) if length else evals
    desk.add("eval_steps", evals, cause, why)
    saves = desk.value("save_steps")
    more = isinstance(saves, int | float) and saves > evals and "save_total_limit" in desk.spoken.dialect.words
    disk = f"; {desk.spoken.flag('save_total_limit')} bounds the disk space" if more else ""
    desk.add("save_steps", evals, cause, f"a save at each eval, or the best one may not be kept{disk}")
    for name in desk.spoken.dialect.explicit:
        if name not in desk.lines and desk.value(name) is not None:
            desk.write(name, desk.value(name), cause, "early stopping wants it written out")


def _eval_steps(desk: _Desk) -> int | float:
    """Steps between evals: as proposed, as set where the settings say that they counted, else as logged."""
    value = desk.value("eval_steps")
    number = value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
    in_force = "eval_steps" in desk.lines or ("eval_strategy" not in desk.lines and desk.strategy("eval_strategy") == "steps")
    if number is not None and in_force:
        return number
    run = desk.spoken.run
    gaps = [np.diff(run.curve(m).step) for m in run.logged if m.startswith("eval/") and len(run.curve(m)) > 1]
    if gaps:
        return max(1, int(np.median(max(gaps, key=len))))
    return number or max(1, (run.planned_steps or run.last_step or EVALS) // EVALS)


def _stopping(desk: _Desk) -> None:
    """Early stopping beside the best model that is kept, where the run had none."""
    best = "load_best_model_at_end"
    if best not in desk.lines or desk.value(best) in (None, False):
        return
    if desk.spoken.word(best).place == "ModelCheckpoint":
        desk.lines.pop("save_steps", None)  # a checkpoint callback that monitors saves after each validation
    metric = desk.value("metric_for_best_model")
    said = f"stops where {metric if isinstance(metric, str) and metric != 'None' else 'the eval loss'} no longer improves"
    wanted = {"early_stopping_patience": desk.options.patience, "early_stopping_threshold": desk.options.min_gain}
    for name, value in wanted.items():
        if desk.was(name) is None and name not in desk.lines:
            desk.add(name, value, best, said)


def _needs(desk: _Desk) -> None:
    """Evals of a run that has logged none need data to evaluate on: without them the trainers refuse to start."""
    if any(metric.startswith("eval/") for metric in desk.spoken.run.logged):
        return
    for name in ("eval_steps", "eval_strategy"):
        needs = desk.spoken.word(name).needs
        if name in desk.lines and needs:
            desk.note(name, f"needs {needs}")
            return
