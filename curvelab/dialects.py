"""Whose settings a run has, and how its trainer says a change: recognition of the trainer, and translation.

`spoken(run)` looks, in this order, at the kinds of files the run was logged in, at the names in its settings (those that
only one trainer has), at its metrics; what has no mark of another trainer is taken for Transformers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from curvelab.knowledge.trainers import (
    DIALECTS,
    KERAS,
    LIGHTNING,
    LLAMAFACTORY,
    MONITOR,
    SCHEDULERS,
    TORCHTUNE,
    TRANSFORMERS,
    TRL,
    Dialect,
    Word,
)
from curvelab.model.finding import Change, Scalar
from curvelab.model.run import Run

_FORMATS = {
    "trainer-log": (LLAMAFACTORY, "trainer_log.jsonl is LLaMA-Factory's"),
    "keras-csv": (KERAS, "a table by epoch with loss and val_loss is that of Keras' CSVLogger"),
    "keras-history": (KERAS, "a history of lists by metric is that of Keras' fit"),
    "lightning-csv": (LIGHTNING, "metrics.csv with step and epoch is Lightning's CSVLogger"),
}
_METRICS = (
    (TRL, ("train/rewards/margins", "train/rewards/accuracies", "train/logps/chosen", "train/completions/mean_length",
           "train/frac_reward_zero_std", "train/mean_token_accuracy")),
    (TORCHTUNE, ("tokens_per_second_per_gpu", "train/tokens_per_second_per_gpu")),
)  # fmt: skip
_TRL_CONFIGS = (  # class, keys of settings, metrics: the first that has one of either
    ("RLOOConfig", ("normalize_advantages", "rloo_k"), ()),
    ("GRPOConfig", ("num_generations",), ("train/completions/mean_length", "train/frac_reward_zero_std")),
    ("PPOConfig", ("num_ppo_epochs", "cliprange"), ()),
    ("KTOConfig", ("desirable_weight",), ()),
    ("ORPOConfig", (), ("train/log_odds_ratio",)),
    ("DPOConfig", ("precompute_ref_log_probs", "rpo_alpha"), ("train/logps/chosen", "train/rewards/margins")),
    ("RewardConfig", ("center_rewards_coefficient",), ()),
)
_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
_NUMBER = re.compile(r"[+-]?\d{1,20}\.?\d{0,20}[eE][+-]?\d{1,3}\Z")
_MOST_KEYS = 20_000  # of one file's settings


def spoken(run: Run) -> Spoken:
    """The trainer of a run with its words, and how it was recognised. Nothing is raised: the last guess is Transformers."""
    dialect, because = _recognised(run)
    return Spoken(dialect, because, run)


def _recognised(run: Run) -> tuple[Dialect, str]:
    for format_ in dict.fromkeys((run.format, *(log.format for log in run.logs))):
        if format_ in _FORMATS:
            return _FORMATS[format_]
    keys = {file: _keys(values) for file, values in run.raw_config.items()}
    for dialect in DIALECTS:
        if dialect is LIGHTNING and (why := _of_lightning(run)):
            return dialect, why
        for file, names in keys.items():
            certain, likely = sorted(dialect.certain & names), sorted(dialect.likely & names)
            if certain or len(likely) > 1:
                marks = " and ".join(f'"{name}"' for name in (certain[:1] or likely[:2]))
                return dialect, f"{file} has {marks}, as {dialect.title} writes {'it' if certain else 'them'}"
    for dialect, metrics in _METRICS:
        for metric in metrics:
            if metric in run.logged:
                return dialect, f"{metric} is a metric that {dialect.title} logs"
    return TRANSFORMERS, "no mark of another trainer: Transformers assumed"


def _keys(values: Mapping[str, object]) -> frozenset[str]:
    """Names at the top of a file's settings and one level below, and the parts of dotted ones."""
    found: set[str] = set()
    for name, value in list(values.items())[:_MOST_KEYS]:
        found.update((name, *name.split(".")))
        if isinstance(value, Mapping):
            found.update(str(below) for below in value)
    return frozenset(found)


def _of_lightning(run: Run) -> str:
    """What shows that Lightning logged a run without its metrics.csv, or an empty text."""
    for file in run.raw_config:
        if file.rpartition("/")[2] == "hparams.yaml":
            return f"{file} is what Lightning's save_hyperparameters writes"
    names = {name for curve in run.logged.values() for name in curve.raw_names}
    for name in sorted(names):
        if name == "hp_metric" or (name.endswith("_step") and name.removesuffix("_step") + "_epoch" in names):
            return f"{name} is a name that Lightning's loggers give"
    return ""


@dataclass(frozen=True)
class Spoken:
    """A run's trainer. `because` says in one sentence how it was recognised; `run` gives the values that stand beside."""

    dialect: Dialect
    because: str
    run: Run

    @cached_property
    def _written(self) -> tuple[tuple[str, Mapping[str, object]], ...]:
        """(file, settings) of the YAML files that somebody wrote for this trainer; a dump of all arguments is none."""
        flags = {word.flag for word in self.dialect.words.values()}
        return tuple(
            (file, values)
            for file, values in self.run.raw_config.items()
            if file.endswith((".yaml", ".yml")) and "transformers_version" not in values and flags & _keys(values)
        )

    @cached_property
    def file(self) -> str:
        """Where the settings are written: the YAML beside the log when there is one, else the trainer's usual place."""
        if "yaml" in self.dialect.forms and self._written:
            return self._written[0][0]
        return self.dialect.file

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """Kinds of text that the trainer takes, the one that this run used first."""
        yaml = [form for form in self.dialect.forms if form == "yaml" and self._written]
        return tuple(dict.fromkeys((*yaml, *self.dialect.forms)))

    @cached_property
    def call(self) -> str:
        """The class that takes the settings in Python ("DPOConfig"); empty for a trainer of YAML files."""
        if self.dialect is not TRL:
            return self.dialect.call
        keys = frozenset().union(*map(_keys, self.run.raw_config.values()))
        for name, settings, metrics in _TRL_CONFIGS:
            if keys & set(settings) or any(metric in self.run.logged for metric in metrics):
                return name
        return self.dialect.call

    @cached_property
    def monitor(self) -> str:
        """The name under which the run logs its eval loss ("val_loss")."""
        sets = sorted(m for m in self.run.logged if m.startswith("eval/") and m.endswith("/loss"))
        metric = "eval/loss" if "eval/loss" in self.run.logged else next(iter(sets), None)
        names = self.run.logged[metric].raw_names if metric else ()
        return names[0] if names and names[0] else "val_loss"

    def word(self, canonical: str) -> Word:
        """The trainer's word for a canonical setting, under the name that the run's own settings have for it."""
        word = self.dialect.words.get(canonical, Word(canonical))
        if word.flag and self._at(word.flag) is not None:
            return word
        own = next((name for name in word.also if self._at(name) is not None), None)
        if own is None and word.form == "beta" and "train/rewards/margins" not in self.run.logged and self._is_policy:
            own = "trl.beta"
        return word if own is None else replace(word, flag=own)

    def flag(self, canonical: str) -> str:
        """What the trainer calls a setting; the canonical name where it has none."""
        return self.word(canonical).flag or canonical

    def own(self, canonical: str) -> Scalar:
        """The value of a setting that the run's settings have under the trainer's own name only; None when they do not."""
        word = self.word(canonical)
        return self._at(word.flag) if word.flag not in ("", canonical) and not word.form else None

    def displaced(self, canonical: str) -> tuple[str, Scalar] | None:
        """(key, value) in the run's settings that the trainer refuses beside this one."""
        key = self.word(canonical).instead
        value = self._at(key) if key else None
        return None if value is None else (key, value)

    def beside(self, canonical: str) -> tuple[tuple[str, Scalar], ...]:
        """(argument, value) that must stand beside a setting in Python."""
        return tuple((name, self.monitor if value == MONITOR else value) for name, value in self.word(canonical).beside)

    def said(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """The changes of one fix in the trainer's words: `setting` its flag, values in its form, `canonical` the old name.

        A setting that the trainer lacks keeps its canonical name, and `because` says what to do instead.
        """
        asked = tuple(changes)
        told: dict[str, Change] = {}
        for change in asked:
            for one in self._said(change, asked):
                told.setdefault(one.setting, one)
        return tuple(told.values())

    def _said(self, change: Change, all_of_fix: Sequence[Change]) -> Iterator[Change]:
        change = self._as_warmup(change)
        canonical = change.canonical or change.setting
        word = self.word(canonical)
        if not word.flag:
            if word.form != "implied" or len(all_of_fix) == 1:
                yield msgspec.structs.replace(
                    change, setting=canonical, canonical=canonical, because=f"{self.dialect.title}: {word.by_hand}"
                )
            return
        partner = any(one.to is True and one.setting in _PRECISION for one in all_of_fix)
        if word.form in ("precision", "dtype") and change.to is False and partner:
            return  # one setting says both
        now = self._at(word.flag) if word.flag != canonical else None
        before = now if now is not None else None if word.form == "per-epoch" else self._value(word, canonical, change.from_)
        to = self._value(word, canonical, change.to)
        yield msgspec.structs.replace(change, setting=word.flag, canonical=canonical, from_=before, to=to)

    def _as_warmup(self, change: Change) -> Change:
        """Warm-up in the unit in which the run gives it: a share where it has one, else steps."""
        canonical, to, plan = change.canonical or change.setting, change.to, self.run.planned_steps
        ratio = self.run.setting("warmup_ratio")
        share = isinstance(ratio, int | float) and 0 < ratio < 1 and not self.run.setting("warmup_steps")
        if not plan or not isinstance(to, int | float) or isinstance(to, bool):
            return change
        if canonical == "warmup_steps" and share and to >= 1 and self.word("warmup_ratio").flag:
            share_of_plan = float(f"{to / plan:.2g}")
            return msgspec.structs.replace(change, setting="warmup_ratio", canonical="", from_=ratio, to=share_of_plan)
        if canonical == "warmup_ratio" and not share and 0 < to < 1:
            steps = self.run.setting("warmup_steps")
            whole = max(1, round(to * plan))
            return msgspec.structs.replace(change, setting="warmup_steps", canonical="", from_=steps, to=whole)
        return change

    def _value(self, word: Word, canonical: str, value: Scalar) -> Scalar:
        """A canonical value in the form of the trainer; None where it cannot be said."""
        if value is None or word.form in ("", "beta"):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(word.form, value)
        match word.form:
            case "precision":
                return _PRECISION[canonical] if value is True else "32-true"
            case "dtype":
                return "bf16" if value is True and canonical == "bf16" else "fp32"
            case "monitor":
                return self.monitor if value in (True, "eval_loss") else value or None
            case "component":
                return SCHEDULERS.get(str(value))
        return value

    def _number(self, form: str, value: int | float) -> int | float | None:
        if not math.isfinite(value):
            return value
        match form:
            case "whole":
                return math.ceil(value)
            case "per-epoch":
                epochs = self.run.setting("num_train_epochs") or self._at("epochs")
                return math.ceil(value / epochs) if isinstance(epochs, int | float) and epochs > 0 else None
            case "micro-batches":
                steps = self.run.setting("gradient_accumulation_steps")
                return value * steps if isinstance(steps, int) else value
        return value

    def nested(self, name: str) -> Mapping[str, object]:
        """What the run's raw settings hold below a name, nested or in dotted names; empty without it."""
        for values in self.run.raw_config.values():
            below = values.get(name)
            if isinstance(below, Mapping) and below:
                return {str(key): value for key, value in below.items()}
            head = f"{name}."
            if dotted := {key.removeprefix(head): value for key, value in values.items() if key.startswith(head)}:
                return dotted
        return {}

    @cached_property
    def _is_policy(self) -> bool:
        return any(m in self.run.logged for m in ("train/reward", "train/kl", "train/completions/mean_length"))

    def _at(self, name: str) -> Any:
        """A plain value of the run's raw settings by its name, dotted names also in nested settings; None without one."""
        for values in self.run.raw_config.values():
            found = value_at(values, name)
            if found is not None:
                return found
        return None


def value_at(tree: Mapping[str, object], name: str) -> Any:
    """A bool, number or text at a dotted name of settings, flat or nested; None when there is none.

    YAML 1.1 reads 1e-4 as a text; it is given as the number that was meant.
    """
    found: object = tree.get(name)
    if found is None:
        found = tree
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str) and _NUMBER.match(found):
        return float(found)
    return found if isinstance(found, bool | int | float | str) else None
