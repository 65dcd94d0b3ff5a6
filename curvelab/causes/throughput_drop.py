"""Why a run becomes slower from some step on: what the GPUs, their memory and the lengths of the samples do at that
step.

GPUs that wait after the drop wait for data. GPUs that are as busy as before do more work (longer samples) or are
slower themselves (clocks, heat, another job). Memory at its limit makes the allocator search. A speed in tokens a
second is not lowered much by longer samples; one in samples or steps is.

Sources: PyTorch, Performance Tuning Guide; judgement for the factors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import level, number, spacing
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.model.run import Curve
from curvelab.weighing import CLEAR, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

WAITS = 0.8  # times the utilisation before: the GPUs wait
LONGER = 1.15  # times the tokens of a step before
FULL = 95.0  # percent of the memory
GPU_USE, GPU_MEMORY = re.compile(r"^gpu/\d+/utilization$"), re.compile(r"^gpu/\d+/memory_percent$")
TOKENS = ("train/num_tokens", "train/num_input_tokens_seen", "train/tokens")


@weighing(
    Candidate(
        "slow-data", "data come more slowly: the loader, the disk, an evicted file cache", 0.22,
        "GPU utilisation falls with the speed",
    ),
    Candidate(
        "slow-machine", "the machine became slower: another job, heat, the network", 0.3,
        "GPU utilisation stays, tokens of a step stay",
    ),
    Candidate(
        "longer-samples", "the samples became longer", 0.18,
        "tokens of a step rise where the speed in steps or samples falls",
    ),
    Candidate(
        "evals-or-saves", "evals or checkpoints take the time", 0.08,
        "the drop begins at an eval or a checkpoint",
    ),
    Candidate(
        "memory-full", "memory is at its limit and the allocator searches", 0.07,
        "GPU memory at 95 % or more after the drop",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start = finding.start_step or 0
    yield from _gpus(facts, start)
    yield from _lengths(facts, finding, start)
    gap = 2 * spacing(facts.loss.step)
    events = {"an eval": facts.evals, "a checkpoint": np.array(facts.run.checkpoint_steps, dtype=np.int64)}
    near = [name for name, steps in events.items() if len(steps) > 1 and np.abs(steps - start).min() <= gap]
    if near:  # weak: evals and checkpoints lie all over a run
        yield Sign(f"the drop begins at {' and '.join(near)}", {"evals-or-saves": SLIGHT})
    elif len(facts.evals) or facts.run.checkpoint_steps:
        yield Sign("no eval or checkpoint lies where the drop begins", {"evals-or-saves": 1 / CLEAR})
    ends = facts.epoch_ends
    if len(ends) and np.abs(ends - start).min() <= gap:
        yield Sign("the drop begins at the end of an epoch", {"slow-data": SLIGHT, "longer-samples": SLIGHT})


def _around(curves: list[Curve], start: int) -> tuple[float, float] | None:
    """(level before a step, level after it), over all GPUs; None when one side is empty."""
    before = [level(c.value[c.step < start]) for c in curves]
    after = [level(c.value[c.step > start]) for c in curves]
    known = [(b, a) for b, a in zip(before, after, strict=True) if b is not None and a is not None]
    return (float(np.mean([b for b, _ in known])), float(np.mean([a for _, a in known]))) if known else None


def _gpus(facts: Facts, start: int) -> Iterator[Sign]:
    use = _around([facts.finite(m) for m in facts.run.metrics if GPU_USE.match(m)], start)
    if use is None:
        text = "GPU utilisation was not logged: whether the GPUs wait cannot be seen"
        yield from unseen(text, "slow-data", "slow-machine")
    elif use[1] <= WAITS * use[0]:
        text = f"GPU utilisation fell from {number(use[0])} % to {number(use[1])} %: the GPUs wait"
        yield Sign(text, {"slow-data": CLEAR, "longer-samples": 1 / CLEAR, "memory-full": 1 / SLIGHT})
    else:
        text = f"GPU utilisation stayed at {number(use[1])} %: the GPUs do not wait"
        yield Sign(text, {"slow-data": 1 / CLEAR, "slow-machine": SLIGHT})
    memory = _around([facts.finite(m) for m in facts.run.metrics if GPU_MEMORY.match(m)], start)
    if memory is None:
        yield from unseen("the share of GPU memory in use was not logged", "memory-full")
    else:
        factor = STRONG if memory[1] >= FULL else 1 / CLEAR
        yield Sign(f"GPU memory is at {number(memory[1])} % after the drop", {"memory-full": factor})


def _lengths(facts: Facts, finding: Finding, start: int) -> Iterator[Sign]:
    if finding.metric == "train/tokens_per_second":
        text = "it is the speed in tokens that fell, which longer samples hardly change"
        yield Sign(text, {"longer-samples": 1 / CLEAR})
        return
    counted = next((facts.finite(m) for m in TOKENS if len(facts.finite(m)) > 8), None)
    if counted is None:
        yield from unseen("tokens were not counted: whether the samples became longer cannot be seen", "longer-samples")
        return
    each = np.diff(counted.value) / np.maximum(1, np.diff(counted.step))
    before, after = level(each[counted.step[1:] < start]), level(each[counted.step[1:] > start])
    if before is None or after is None or before <= 0:
        return
    text = f"a step took {number(before)} tokens before and {number(after)} after"
    longer = after >= LONGER * before
    yield Sign(text, {
        "longer-samples": STRONG if longer else 1 / STRONG, "slow-machine": 1 / SLIGHT if longer else SLIGHT,
    })  # fmt: skip
