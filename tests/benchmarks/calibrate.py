"""Fits the map from what detectors say to how often it is right, and tests it where it was not fitted.

    python tests/benchmarks/calibrate.py [--seeds 300] [--write] [LABELS...]

Fitted on every second family (curvelab/synth) and tested on the others, other seeds. --write puts the two numbers into
curvelab/knowledge/calibration.py and the tested table into tests/data/reliability.json, which the README shows.
LABELS are labelled runs (see curvelab bench --help), for which the error is printed as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np

from curvelab import confidence, diagnosis
from curvelab.catalogue import detectors
from curvelab.ingest import gather
from curvelab.knowledge import calibration
from curvelab.labels import read_labels
from curvelab.model.options import Options
from curvelab.reliability import Bin, bins_of, calibration_error
from curvelab.scoring import answer_of
from curvelab.synth.families import FAULTS, HEALTHY, sample
from curvelab.synth.parts import Labelled

ROOT = Path(__file__).resolve().parents[2]
DATA, TABLE = ROOT / "curvelab/knowledge/calibration.py", ROOT / "tests/data/reliability.json"
CURVES = Options(select=tuple(one.pattern for one in detectors() if one.kind == "curve"))
NAMES = [*FAULTS], [*HEALTHY]
FITTED = [name for names in NAMES for name in names[::2]]
TESTED = [name for names in NAMES for name in names[1::2]]


@dataclass(frozen=True)
class Said:
    """One finding of a curve pattern: what the detector said, what became of that, and whether it was right."""

    pattern: str
    raw: float
    confidence: float
    right: bool


def runs_of(names: list[str], seeds: range) -> Iterator[Labelled]:
    """Runs of the families, every second of them healthy."""
    healthy = [name for name in names if name in HEALTHY]
    more = (len(names) - len(healthy)) / len(healthy)
    for name in names:
        count = int(len(seeds) * more) if name in healthy else len(seeds)
        yield from (sample(name, seeds.start + k) for k in range(count))


def findings(runs: Iterable[Labelled]) -> Iterator[Said]:
    for run in runs:
        raw: dict[str, float] = {}

        def noted(said, one, facts, raw=raw):
            raw[one.pattern] = max(float(said), raw.get(one.pattern, 0.0))
            return confidence.calibrated(said, one, facts)

        with patch.object(diagnosis, "calibrated", noted):
            found = [f for f in diagnosis.diagnose(run.run, CURVES).findings if f.severity != "info"]
        for one in found:
            fault = run.about.get("fault") == one.pattern
            right = run.about["holds"] if fault else {"yes": True, "no": False}.get(run.labels[one.pattern])
            if right is not None:
                yield Said(one.pattern, raw[one.pattern], one.confidence, right)


def fitted(said: list[Said]) -> tuple[float, float]:
    """(scale, power) of the greatest likelihood, on a grid."""
    used = [one for one in said if one.raw > confidence.ASSUMED]
    doubt = 1 - np.array([one.raw for one in used])
    right = np.array([one.right for one in used])
    best = (-np.inf, 1.0, 1.0)
    for power in np.arange(0.5, 4.01, 0.1):
        for scale in np.geomspace(0.05, 4, 80):
            p = np.clip(1 - scale * doubt**power, confidence.ASSUMED, confidence.HIGHEST)
            best = max(best, (float(np.sum(np.log(np.where(right, p, 1 - p)))), float(scale), float(power)))
    return float(f"{best[1]:.2g}"), float(f"{best[2]:.2g}")


def show(title: str, table: tuple[Bin, ...]) -> None:
    print(f"\n{title}: expected calibration error {calibration_error(table) or 0:.3f}, {sum(b.findings for b in table)} findings")
    for one in table:
        print(f"  {one.low:.1f} to {one.high:.1f}{one.findings:8}   said {one.confidence:.3f}   right {one.right:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=300, help="runs of each family with a fault")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()

    scale, power = fitted(list(findings(runs_of(FITTED, range(given.seeds)))))
    print(f"fitted: right = 1 - {scale:g} * (1 - said) ** {power:g}; in use: {calibration.SCALE:g}, {calibration.POWER:g}")
    if given.write:
        text = re.sub(r"^SCALE = .*$", f"SCALE = {scale:g}", DATA.read_text(), flags=re.M)
        DATA.write_text(re.sub(r"^POWER = .*$", f"POWER = {power:g}", text, flags=re.M))
    with patch.multiple(confidence, SCALE=scale, POWER=power):
        tested = list(findings(runs_of(TESTED, range(10_000, 10_000 + given.seeds))))
        table = bins_of((one.confidence, one.right) for one in tested)
        show("families that were not fitted", table)
        for pattern in CURVES.select:
            own = [one for one in tested if one.pattern == pattern]
            said = float(np.mean([one.confidence for one in own] or [0]))
            right = float(np.mean([one.right for one in own] or [0]))
            print(f"    {pattern:22}{len(own):6} findings   said {said:.3f}   right {right:.3f}")
        for path in given.labels:
            pairs = [pair for case in read_labels(path) for pair in labelled(case)]
            show(path.name, bins_of(pairs))
    if given.write:
        TABLE.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")


def labelled(case) -> Iterator[tuple[float, bool]]:
    answer = answer_of([diagnosis.diagnose(run) for run in gather([case.path]).runs])
    for pattern, sure in answer.confidence.items():
        if case.labels.get(pattern) in ("yes", "no"):
            yield sure, case.labels[pattern] == "yes"


if __name__ == "__main__":
    sys.exit(main())
