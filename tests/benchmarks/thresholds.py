"""F1 against every threshold: how wide is the valley that a default stands in?

    python tests/benchmarks/thresholds.py LABELS... [--seeds 40] [--pattern PATTERN ...]

Every threshold of every labelled pattern is swept from a quarter to four times its default, the others at their
defaults, over the labelled runs and over synthetic runs (the families of the pattern and healthy ones). Printed: F1 at
each step, and the range of factors over which it stays within WITHIN of the default's. `edge` marks a default with less
than a factor of NARROW to one side of its valley.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curvelab import cards
from curvelab.catalogue import detectors
from curvelab.diagnosis import look
from curvelab.facts import Facts
from curvelab.ingest import gather
from curvelab.labels import read_labels
from curvelab.rules import Detector
from curvelab.synth.families import FAULTS, HEALTHY, sample

FACTORS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
WITHIN = 0.02  # of F1
NARROW = 1.2  # factor


@dataclass(frozen=True)
class Labelled:
    """The runs of one case, as facts, and what they are labelled."""

    facts: Sequence[Facts]
    labels: Mapping[str, str]


def on_disk(paths: Sequence[Path]) -> list[Labelled]:
    cases = [case for path in paths for case in read_labels(path)]
    return [Labelled([Facts(run) for run in gather([case.path]).runs], case.labels) for case in cases]


def made(seeds: int) -> list[Labelled]:
    runs = [sample(name, 90_000 + seed) for name in [*FAULTS, *HEALTHY] for seed in range(seeds)]
    return [Labelled([Facts(one.run)], one.labels) for one in runs]


def raised(one: Detector, limits: object, case: Labelled) -> bool:
    found = (finding for facts in case.facts for finding in look(one, facts, limits)[1])
    return any(finding.severity != "info" or one.kind == "run" for finding in found)


def f1(one: Detector, limits: object, cases: Sequence[Labelled]) -> float | None:
    """F1 of a pattern; None without a case that has it."""
    hits = false = missed = 0
    for case in cases:
        label = case.labels.get(one.pattern)
        if label in ("yes", "no"):
            said = raised(one, limits, case)
            hits += said and label == "yes"
            false += said and label == "no"
            missed += not said and label == "yes"
    return 2 * hits / (2 * hits + false + missed) if hits + missed else None


def valley(curve: Mapping[float, float | None]) -> tuple[float, float]:
    """The factors around 1 over which F1 stays within WITHIN of that at 1; the bounds of a threshold end no valley."""
    base = curve[1.0]
    assert base is not None

    def reach(factors: Sequence[float]) -> float:
        last = 1.0
        for factor in factors:
            value = curve[factor]
            if value is not None and value < base - WITHIN:
                break
            last = factor
        return last

    return reach([f for f in FACTORS[::-1] if f < 1]), reach([f for f in FACTORS if f > 1])


def sweep(one: Detector, limit: cards.Limit, score: Callable[[object], float | None]) -> dict[float, float | None]:
    """Factor -> F1; None where the threshold would be out of its bounds."""
    name, curve = limit.setting.rpartition(".")[2], {}
    for factor in FACTORS:
        value = limit.default * factor
        curve[factor] = score(one.limits({name: value})) if limit.low <= value <= limit.high else None
    return curve


def main(paths: Sequence[Path], seeds: int, patterns: Sequence[str]) -> None:
    sets = {"labelled": on_disk(paths), "synthetic": made(seeds)}
    print(f"{'threshold':34}{'runs':10}" + "".join(f"{factor:>7g}" for factor in FACTORS) + "   valley")
    for one in detectors():
        if patterns and one.pattern not in patterns:
            continue
        for limit in cards.limits(one):
            for name, cases in sets.items():
                if f1(one, one.limits(), cases) is None or not limit.default:
                    continue
                curve = sweep(one, limit, lambda limits, one=one, cases=cases: f1(one, limits, cases))
                low, high = valley(curve)
                narrow = low > 1 / NARROW or high < NARROW
                values = "".join("      -" if value is None else f"{value:7.2f}" for value in curve.values())
                print(f"{limit.setting:34}{name:10}{values}   x{low:g} to x{high:g}{'  edge' if narrow else ''}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=40, help="runs of each synthetic family")
    parser.add_argument("--pattern", nargs="*", default=[])
    given = parser.parse_args()
    main(given.labels, given.seeds, given.pattern)
