"""Known hyperparameters in trees of settings: at the top and one level below, by their names only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from curvelab.knowledge.setting_names import KNOWN, MODEL, OTHER_NAMES

_KNOWN, _MODEL = frozenset(KNOWN), frozenset(MODEL)
_MODEL_MARKS = ("model_type", "architectures")
_OF_TRAINING = frozenset(
    ("train", "training", "trainer", "args", "arguments", "hparams", "hyperparameters", "hyper", "config", "optim",
     "optimizer", "optimization", "lora", "peft", "adapter", "sft", "dpo", "grpo", "ppo", "model")
)  # fmt: skip
# sections of these describe something else than the training of this run
_OF_OTHERS = frozenset(
    ("generation", "eval", "test", "tokenizer", "reward", "ref", "reference", "teacher", "draft", "critic")
)


def known_settings(tree: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, object]:
    """Canonical name -> value, from the top level of a tree first, then from its sections (`training_args`, `model`).

    A model's section gives the model's names only: its `max_length` or `temperature` are for generation.
    names  further names of this kind of file, beside those of knowledge/setting_names.py
    """
    found: dict[str, object] = {}
    _take(found, tree, names or {})
    for section, below in tree.items():
        words = frozenset(re.split(r"[^a-z]+", section.lower()))
        if isinstance(below, Mapping) and words & _OF_TRAINING and not words & _OF_OTHERS:
            _take(found, below, names or {}, of_model="model" in words)
    return found


def _take(found: dict[str, object], tree: Mapping[str, Any], names: Mapping[str, str], of_model: bool = False) -> None:
    a_model = "learning_rate" not in tree and any(mark in tree for mark in _MODEL_MARKS)
    allowed = _MODEL if of_model or a_model else _KNOWN
    for name, value in tree.items():
        known = names.get(name) or OTHER_NAMES.get(name, name)
        if known in allowed and value is not None and value != "auto":
            found.setdefault(known, value)
