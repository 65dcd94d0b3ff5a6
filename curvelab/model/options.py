"""Options: what the user asked of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """Which patterns to look for, and thresholds that differ from their defaults.

    select      only these patterns; empty: all
    ignore      none of these
    thresholds  pattern -> threshold name -> value
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def wants(self, pattern: str) -> bool:
        """Whether a pattern is to be looked for."""
        return (not self.select or pattern in self.select) and pattern not in self.ignore
