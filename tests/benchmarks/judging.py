"""What all detectors together cost, as a multiple of one scipy.ndimage.median_filter pass (width 101) over the run.

    python tests/benchmarks/judging.py [--points 10000 1000000] [--rounds 5]

The run has every metric that a detector asks for. Both sides are timed in turns, in CPU seconds of this process; every
detector counts with its fastest round.
Limits: 60 times at 10,000 points, 25 times at 1,000,000.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import process_time

import numpy as np
from scipy.ndimage import median_filter

from curvelab import synth
from curvelab.catalogue import detectors
from curvelab.diagnosis import look
from curvelab.facts import Facts
from curvelab.model.run import Run

WIDTH = 101
LIMITS = {10_000: 60.0, 1_000_000: 25.0}
WORST = 8  # detectors that are listed


def example(n: int) -> Run:
    """A healthy run of n points with everything logged."""
    dice, x = np.random.default_rng(0), np.arange(1, n + 1) / n
    near = dice.normal(0, 0.1, n)
    more = {
        "train/tokens_per_second": 2e4 * np.exp(near),
        "host/memory_gb": 10 + near,
        "gpu/0/memory_gb": 30 + near,
        "gpu/1/memory_gb": 30 - near,
        "gpu/0/utilization": 90 + near,
        "train/logps/chosen": -90 + near,
        "train/rewards/accuracies": 0.7 + 0.3 * near.clip(-1, 1),
        "train/rewards/margins": x + near,
    }
    loss = synth.decay(n) * (1 + dice.normal(0, 0.05, n))
    evals = synth.decay(50) * 1.05
    return synth.run_of(loss, every=1, evals=evals, rate=synth.cosine(n), norms=1 + near, more=more, epoch=20 * x)


def troubled(n: int) -> Run:
    """Noise, jumps, teeth and a late climb: nothing can be ruled out at a glance."""
    dice, x = np.random.default_rng(2), np.arange(1, n + 1) / n
    loss = (synth.decay(n) + 2 * np.clip(x - 0.8, 0, None)) * np.exp(dice.normal(0, 0.2, n)) + 0.2 * (40 * x % 1)
    loss[dice.choice(n, 12, replace=False)] *= 6
    evals = 2 + 0.5 * np.abs(np.linspace(-1, 1, 50))
    norms = np.exp(dice.normal(0, 1, n)) * 30 ** np.clip(2 * x - 1, 0, None)
    rate = 1e-4 * (1 + np.cos(40 * np.pi * x))
    return synth.run_of(loss, every=1, evals=evals, rate=rate, norms=norms, epoch=20 * x, config={"max_grad_norm": 1.0})


def reinforced(n: int) -> Run:
    """The metrics of a GRPO run."""
    dice, x = np.random.default_rng(1), np.arange(1, n + 1) / n
    near = dice.normal(0, 0.1, n)
    more = {
        "train/reward": x + near,
        "train/kl": 0.1 * x * np.exp(near),
        "train/entropy": 1 - 0.5 * x,
        "train/completions/mean_length": 200 * np.exp(near),
        "train/completions/clipped_ratio": 0.1 * np.exp(near),
        "train/frac_reward_zero_std": 0.3 + near.clip(-0.3, 0.3),
    }
    return synth.run_of(0.01 * near, every=1, rate=synth.cosine(n), norms=1 + near, more=more)


def seconds(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return process_time() - began


def costs(run: Run) -> dict[str, float]:
    """Seconds of each detector; what several of them ask for is paid by the first."""
    facts = Facts(run)
    return {one.pattern: seconds(lambda one=one: look(one, facts, one.limits())) for one in detectors()}


def main(points: list[int], rounds: int) -> bool:
    good = True
    for n in points:
        for name, run in (("fine-tuning", example(n)), ("troubled", troubled(n)), ("reinforced", reinforced(n))):
            value = run.curve("train/loss").value
            unit, table = np.inf, dict[str, float]()
            for _ in range(rounds):
                unit = min(unit, seconds(lambda value=value: median_filter(value, WIDTH)))
                now = costs(run)
                table = {pattern: min(spent, table.get(pattern, np.inf)) for pattern, spent in now.items()}
            total = sum(table.values()) / unit
            limit = LIMITS.get(n)
            good &= limit is None or total <= limit
            said = f" (limit {limit:g}: {'kept' if total <= limit else 'BROKEN'})" if limit else ""
            print(f"{n:>9,} points, {name}: {total:.1f} times one median filter of {unit * 1000:.2f} ms{said}")
            for pattern, spent in sorted(table.items(), key=lambda item: -item[1])[:WORST]:
                print(f"{'':11}{pattern:28}{spent / unit:8.2f}")
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=list(LIMITS))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    raise SystemExit(0 if main(given.points, given.rounds) else 1)
