"""False alarms on healthy synthetic runs, by length and noise: python tests/benchmarks/false_alarms.py [runs a family]

The seeds begin at FIRST: detectors were mended on runs of lower ones.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from curvelab.catalogue import detectors
from curvelab.diagnosis import diagnose
from curvelab.model.options import Options
from curvelab.synth.families import HEALTHY, sample
from curvelab.synth.parts import Labelled

FIRST = 50_000
LENGTHS = (10, 30, 100, 300, 1000, 3000, 10_000)
NOISES = (0.003, 0.01, 0.03, 0.1, 0.25)
CURVES = Options(select=tuple(one.pattern for one in detectors() if one.kind == "curve"))


def raised(one: Labelled) -> set[str]:
    """The curve patterns found at warning or above."""
    return {finding.pattern for finding in diagnose(one.run, CURVES).findings if finding.severity != "info"}


def cell(edges: tuple[float, ...], value: float) -> str:
    low, high = next((a, b) for a, b in pairwise(edges) if a <= value < b or (value == b == edges[-1]))
    return f"{low:g} to {high:g}"


def main(each: int, names: Iterable[str] = HEALTHY) -> None:
    runs, flagged, patterns = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str]()
    grid = defaultdict[tuple[str, str], list[bool]](list)
    for name in names:
        for seed in range(FIRST, FIRST + each):
            one = sample(name, seed)
            found = raised(one)
            patterns.update(found)
            place = cell(LENGTHS, one.about["points"]), cell(NOISES, one.about["noise"])
            grid[place].append(bool(found))
            for about in (("family", name), ("noise", one.about["noise_kind"]), ("schedule", one.about["schedule"])):
                runs[about] += 1
                flagged[about] += bool(found)
            if found:
                print(f"  {name} {seed}: {', '.join(sorted(found))}", file=sys.stderr)
    total = [flag for flags in grid.values() for flag in flags]
    print(f"{sum(total)} of {len(total)} healthy runs flagged ({sum(total) / len(total):.2%}): {dict(patterns)}\n")
    columns = [f"{a:g} to {b:g}" for a, b in pairwise(NOISES)]
    print("| points / noise | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for a, b in pairwise(LENGTHS):
        cells = [grid[f"{a:g} to {b:g}", column] for column in columns]
        print(f"| {a} to {b} | " + " | ".join(f"{sum(flags)} of {len(flags)}" for flags in cells) + " |")
    print()
    for about in sorted(runs):
        print(f"{about[0]:10}{about[1]:22}{flagged[about]:4} of {runs[about]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
