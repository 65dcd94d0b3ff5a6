"""Options: what the user asked of a diagnosis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from curvelab.model.errors import UsageError

# Options that are one number, and what each takes.
NUMBERS: Mapping[str, str] = {
    "gpus": "a whole number from 1 to 1,000,000",
    "gpu_price": "a number above 0, up to 1,000,000",
    "patience": "a whole number from 1 to 1,000,000",
    "min_gain": "a number from 0 to 1,000,000",
}
MOST = 1_000_000  # of each: more GPUs than any cluster has, and an hour of one in the smallest currencies (judgement)


def check_number(option: str, shown: str, value: object) -> None:
    """Raise UsageError when an option of NUMBERS, called `shown`, cannot take the value; None is no value."""
    if value is None:
        return
    kinds = int if "whole" in NUMBERS[option] else int | float
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not 0 <= value <= MOST or (value == 0 and option != "min_gain"):  # type: ignore[operator]
        raise UsageError(f"{shown} takes {NUMBERS[option]}, not {value!r}")


@dataclass(frozen=True)
class Options:
    """Which patterns to look for, and thresholds that differ from their defaults.

    select      only these patterns; empty: all
    ignore      none of these
    thresholds  pattern -> threshold name -> value
    gpus        number of GPUs, whatever the log says; gpu_price what one of them costs an hour, in any currency
    patience, min_gain   of the early stopping that is simulated: evals without an improvement of more than min_gain

    Raises UsageError for a number that cannot be meant so.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gpus: int | None = None
    gpu_price: float | None = None
    patience: int = 3
    min_gain: float = 0.001

    def __post_init__(self) -> None:
        for name in NUMBERS:
            check_number(name, name, getattr(self, name))

    @classmethod
    def of(cls, value: object) -> Options:
        """What was handed to `diagnose` as its settings; None means the defaults.

        Raises UsageError for anything but Options, and says how to write them.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        hint = "Options(thresholds={'overfitting': {'rise': 0.1}})"
        raise UsageError(f"settings are given as {hint}, not as {type(value).__name__}")

    def wants(self, pattern: str) -> bool:
        """Whether a pattern is to be looked for."""
        return (not self.select or pattern in self.select) and pattern not in self.ignore
