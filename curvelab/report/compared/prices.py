"""What a run took against the baseline: a loss that is as good at twice the time is no equal."""

from __future__ import annotations

from statistics import fmean

from curvelab.model.comparison import Comparison, Row
from curvelab.model.verdicts import Standing

ALIKE = 0.25  # by which times and speeds of equal runs differ on shared machines (judgement)
TOLD = 0.1  # by which a throughput or a price may be off what the time tells already
KINDS = (("time", "seconds"), ("price", "money"), ("throughput", "throughput"))


def price(comparison: Comparison, standing: Standing) -> str:
    """Time, money and throughput of a standing's runs as multiples of the baseline's; empty where they are alike or not known."""
    held = comparison.baseline
    if held is None or standing.against == "failed":
        return ""
    base = [row for row in comparison.rows if row.run in (held.runs or (held.run,))]
    runs = [row for row in comparison.rows if row.run in (standing.runs or (standing.run,))]
    told: dict[str, float] = {}
    for noun, field in KINDS:
        ratio = _ratio(runs, base, field)
        if ratio is not None and not any(_near(ratio, one) or _near(ratio, 1 / one) for one in told.values()):
            told[noun] = ratio
    return ", ".join(f"{ratio:.2g} times the {noun}" for noun, ratio in told.items())


def _near(a: float, b: float) -> bool:
    return 1 / (1 + TOLD) <= a / b <= 1 + TOLD


def _ratio(runs: list[Row], base: list[Row], field: str) -> float | None:
    """The mean of a field as a multiple of that of the baseline; None where it is not known of all, or is about 1."""
    values = [[getattr(row, field) for row in rows] for rows in (runs, base)]
    if any(not one or None in one for one in values):
        return None
    mine, other = (fmean(one) for one in values)
    if not other or not mine or 1 / (1 + ALIKE) <= mine / other <= 1 + ALIKE:
        return None
    return float(mine / other)
