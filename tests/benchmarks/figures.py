"""How much longer the pictures of a million points take than empty ones.

    python tests/benchmarks/figures.py --points 1000000 --rounds 7

The same run, with all its points and with the first and last of each curve, in turns; CPU seconds, medians. A page must
take at most 1.25 times as long: what costs is setting a picture up, not its points. Trust the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import msgspec
import numpy as np

from curvelab.diagnosis import diagnose
from curvelab.model.result import Diagnosis, Thinned
from curvelab.model.run import Curve, Run
from curvelab.report import curves
from curvelab.report.page import page
from curvelab.signals.thinning import min_max_rows

METRICS = ("train/loss", "train/grad_norm", "train/learning_rate", "train/tokens_per_second", "gpu/0/memory_gb")
LIMIT = 1.25


def run_of(points: int) -> Run:
    """A falling, noisy run that logged every metric at every step."""
    step, noise = np.arange(1, points + 1), np.random.default_rng(0)
    columns = {"epoch": step / points * 3, "wall_time": 1.7e9 + step * 0.2, "tokens": step * 4096.0}
    logged = {
        name: Curve.of(name, step, 1 + 2 * np.exp(-step / points * 4) + noise.normal(0, 0.05, points), **columns)
        for name in METRICS
    }
    return Run(id="bench", name="bench", path="bench", format="synthetic", logged=logged)


def ends(one: Thinned) -> Thinned:
    """The first and the last point of a curve."""
    columns = {name: [getattr(one, name)[0], getattr(one, name)[-1]] for name in ("step", "value", "epoch", "tokens", "wall_time")}
    return Thinned(points=one.points, **columns)


def seconds(work: Callable[[], object]) -> float:
    curves._smoothed.cache_clear()  # each page is the first of its process
    began = time.process_time()
    work()
    return time.process_time() - began


def sizes(full: Diagnosis, empty: Diagnosis) -> str:
    return f"{len(page(full).encode()) / 1000:,.0f} kB and {len(page(empty).encode()) / 1000:,.0f} kB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    run = run_of(given.points)
    full = diagnose(run)
    empty = msgspec.structs.replace(full, series={name: ends(one) for name, one in full.series.items()})
    print(f"pages of {sizes(full, empty)}")  # also imports everything, before the clock runs
    times = [(seconds(lambda: page(full)), seconds(lambda: page(empty))) for _ in range(given.rounds)]
    thinning = seconds(lambda: [min_max_rows(curve.value, 1600) for curve in run.logged.values()])
    long, short = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{given.points:,} points: {long:.3f} s, empty: {short:.3f} s, ratio {long / short:.2f} (at most {LIMIT})")
    print(f"thinning, once at the diagnosis: {thinning:.3f} s")


if __name__ == "__main__":
    main()
