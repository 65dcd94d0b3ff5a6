"""Which tokenizer, base model and eval data a log names. Places differ from machine to machine: the last part counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from curvelab.comparing.entrants import Entrant
from curvelab.comparing.told import LONGEST, plain

_TOKENIZER = re.compile(r"_?tokenizer(_(name|path|id|type|file|model|name_or_path))?", re.I)
_MODEL = re.compile(r"_?((base_|pretrained_)?model(_(name|path|id|name_or_path))?|name_or_path|pretrained_model_name_or_path)", re.I)
_EVAL = re.compile(
    r"(eval|validation|valid|val|dev)(uation)?_(data(set)?s?|files?|data_files?|data_path|path|set|size|split|split_percentage)"
    r"(_(name|names|path|config|config_name|split))?",
    re.I,
)
_DATA = re.compile(r"((train|training)_)?(data(set)?s?|file|data_files?)(_(name|names|path))?", re.I)
LONGEST_NAME = 200
# A run's own checkpoint is named after the run, not after the model that it is.
_OWN = re.compile(r"(checkpoint|ckpt|step|epoch|iter|global_step)[-_]?\d*|best|final|last|latest|output|model|merged|tokenizer", re.I)


def tokenizer(one: Entrant) -> str | None:
    """The tokenizer that a log names, or None."""
    return _named(one, _TOKENIZER)


def model(one: Entrant) -> str | None:
    """The base model that a log names, or None."""
    return _named(one, _MODEL)


def eval_sets(entrants: Sequence[Entrant]) -> list[str | None]:
    """The eval data that each log names, by the settings that all of those tell which tell any; None where it tells none."""
    told = [dict(_words(one, _EVAL)) for one in entrants]
    telling = [one for one in told if one]
    shared = sorted(set.intersection(*(set(one) for one in telling))) if telling else []
    return [", ".join(f"{name} {one[name]}" for name in shared) or None if one else None for one in told]


def unclear_data(entrants: Sequence[Entrant]) -> list[str]:
    """The training data that the logs name where they are not the same and nothing tells the eval data of each; else empty."""
    if any(one is not None for one in eval_sets(entrants)):
        return []
    named = {words for one in entrants if (words := ", ".join(sorted({word for _, word in _words(one, _DATA)})))}
    return sorted(named) if len(named) > 1 else []


def _named(one: Entrant, wanted: re.Pattern[str]) -> str | None:
    words = [word for _, word in _words(one, wanted) if not word.replace(".", "").isdigit()]
    names = [word for word in words if not _OWN.fullmatch(word)]
    return names[0] if names else None


def _words(one: Entrant, wanted: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for values in one.run.raw_config.values():
        for name, given in values.items():
            key = re.split(r"[./]", name)[-1]
            value = plain(given)
            if wanted.fullmatch(key) and _names_something(value):
                yield key, _last_part(value)


def _names_something(value: Any) -> bool:
    """Whether a value is a name, a number or a list of names: a whole config that was logged as one value is none."""
    if isinstance(value, list | tuple):
        return bool(value) and all(_names_something(one) for one in value)
    if isinstance(value, str):
        return len(value) <= LONGEST_NAME and not set(value) & set("{}[]()=\n")
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last_part(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " + ".join(_last_part(one) for one in value)[:LONGEST]
    return re.split(r"[/\\]", str(value).rstrip("/\\"))[-1][:LONGEST]
