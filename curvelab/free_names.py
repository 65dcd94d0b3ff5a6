"""Metric names of tools that name freely ("Valid MSE", `val_loss`, `train_loss_step`) -> `train/...`, `eval/...`.

A name whose first word is no split stays as it is, unless it is one of a few that every tool means alike. Where a file
logs one metric twice, by step and by epoch, the finer one gets the common name: `whole_file_names` decides that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from curvelab.knowledge.metric_names import AXES, SAME, canonical

SPLIT_WORDS = {
    "train": "train", "training": "train", "tr": "train", "trn": "train",
    "val": "eval", "valid": "eval", "validation": "eval", "eval": "eval", "evaluation": "eval", "dev": "eval",
    "test": "test", "testing": "test",
}  # fmt: skip
_FIRST_WORD = re.compile(r"^([A-Za-z]+)[\s_/.\-:]+(\S.*)$")
_LAST_WORD = re.compile(r"^(\S.*?)[\s_/.\-:]+(train|training|val|valid|validation|eval)$", re.I)
_AT_STEP, _AT_EPOCH = re.compile(r"(?<!per)_step(/epoch_\d+)?$"), re.compile(r"_epoch$")
_KNOWN = {
    "loss": "train/loss", "total_loss": "train/loss", "lm_loss": "train/loss", "ce_loss": "train/loss",
    "loss_step": "train/loss", "loss_epoch": "train/loss_epoch",
    "lr": "train/learning_rate", "learning_rate": "train/learning_rate", "grad_norm": "train/grad_norm",
    "gnorm": "train/grad_norm", "gradient_norm": "train/grad_norm",
}  # fmt: skip
_LIGHTNING_RATE = re.compile(r"^lr-\w+(/pg\d+)?$")  # LearningRateMonitor: lr-AdamW, lr-AdamW/pg1
_SUMMARY = frozenset(
    ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_tokens_per_second", "total_flos")
)


def common_name(raw: str) -> str:
    """`Valid MSE` -> `eval/mse`, `val_loss` -> `eval/loss`, `train_loss_step` -> `train/loss`."""
    name = raw.strip()
    if name in AXES:
        return name
    if canonical(name) != name:
        return canonical(name)
    if name in _SUMMARY:
        return "final/" + name
    plain = re.sub(r"[\s\-]+", "_", name).lower()
    if plain in _KNOWN:
        return _KNOWN[plain]
    if plain in SAME:
        return SAME[plain]
    if _LIGHTNING_RATE.match(name):
        return "train/learning_rate" if not name.endswith(tuple("123456789")) else name
    split, metric = split_of(name)
    if split is None:
        return name
    if not name.startswith(("train/", "eval/", "test/")):  # the common form already: its rest is the user's own
        metric = _plain(metric)
    # Training: the epoch's mean stays apart. Else: the whole set's value counts, `eval/loss_step` are its batches
    finer = _AT_STEP if split == "train" else _AT_EPOCH
    return canonical(f"{split}/{finer.sub('', metric)}")


def train_by_default(raw: str) -> str:
    """The same for tools whose training metrics bear no prefix (Keras): `accuracy` -> `train/accuracy`."""
    name = common_name(raw)
    return name if "/" in name else "train/" + re.sub(r"[\s\-]+", "_", name.strip()).lower()


def whole_file_names(raws: Iterable[str], common: Callable[[str], str] = common_name) -> dict[str, str]:
    """What only the names of a file together decide.

    The epoch mean of the train loss takes the name `train/loss` where nothing finer is there; where two names mean one
    metric, the first of them by trust (a plain name, then one with a suffix) has it and the other stays apart from it.
    """
    names = {raw: common(raw) for raw in raws}
    found = lone_names(names)
    taken: dict[str, str] = {}
    for raw in sorted(names, key=lambda raw: (names[raw] != canonical(raw), len(raw))):
        name = found.get(raw, names[raw])
        if name in taken:
            found[raw] = f"{name} ({raw.strip()})"
        else:
            taken[name] = raw
    return found


def lone_names(names: Mapping[str, str]) -> dict[str, str]:
    """What only all names of a file together tell, from raw name -> common name.

    The epoch mean of the train loss is the train loss where nothing finer is there; `train_loss` beside `loss` is the
    mean over the whole run in the Trainer's summary row.
    """
    found: dict[str, str] = {}
    if "train/loss" not in names.values():
        lone = [raw for raw, name in names.items() if name == "train/loss_epoch"]
        found.update(dict.fromkeys(lone[:1], "train/loss"))
    if _SUMMARY & names.keys() and "train_loss" in names and "loss" in names:
        found["train_loss"] = "final/train_loss"
    return found


def _plain(metric: str) -> str:
    """A metric's name without its split, in small letters; the name of a data set before it stays as it is."""
    above, slash, last = re.sub(r"[\s\-]+", "_", metric.strip()).rpartition("/")
    data_set = "" if re.search(r"\s", metric) else last[: -len("_loss")] if last.lower().endswith("_loss") else ""
    return above + slash + data_set + last[len(data_set) :].lower()


def split_of(name: str) -> tuple[str | None, str]:
    """The split that a name's first or last word says, and the rest of the name."""
    first = _FIRST_WORD.match(name)
    if first and first.group(1).lower() in SPLIT_WORDS:
        return SPLIT_WORDS[first.group(1).lower()], first.group(2)
    last = _LAST_WORD.match(name)
    if last:
        return SPLIT_WORDS[last.group(2).lower()], last.group(1)
    return None, name
