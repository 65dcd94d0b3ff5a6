"""Options: what the user asked of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from curvelab.model.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Which patterns to look for, and thresholds that differ from their defaults.

    select      only these patterns; empty: all
    ignore      none of these
    thresholds  pattern -> threshold name -> value
    gpus        number of GPUs when the log does not say; gpu_price what one of them costs an hour, in any currency
    patience, min_gain   of the early stopping that is simulated: evals without an improvement of more than min_gain
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gpus: int | None = None
    gpu_price: float | None = None
    patience: int = 3
    min_gain: float = 0.001

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
