"""What makes a loss or a gradient NaN: when it begins, what moved before it, and what survives it.

Data or weights that are broken from the start give NaN in the first logs. Updates that are too large announce
themselves: the gradient norm, then the loss, climb for some logs. One bad batch, and an overflow of float16 (largest
number: 65,504), come without notice; the precision of the run tells them apart, and so does whether the weights live
on.

Sources: Transformers docs, Debugging (underflow and overflow detection); Wortsman et al., arXiv 2309.14322; judgement
for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import Climb, amount, climb, number, origin, percent, rate_share, spacing
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

FIRST_LOGS = 3  # a value that is not finite among these was so at once (judgement)
CLIMBED = 3.0  # times the usual norm: the norm had climbed (judgement)
FAR = 10.0  # times the usual norm: it had climbed far
STEADY = 1.5  # times the usual norm or loss: up to here nothing had moved (judgement)
ROSE = 1.25  # times the usual loss: the loss had risen
SPARSE = 25  # steps between two logs, in which a climb may go unseen (judgement)
LOW_RATE = 0.3  # of the peak: large updates are unlikely at so low a rate


@weighing(
    Candidate(
        "bad-batch", "one batch cannot be trained on: a bad token or its embedding row, labels that are all masked, extreme values", 0.35,
        "loss and gradient norm are as usual up to the last log before it, without float16; or only the logged loss is spoilt",
    ),
    Candidate(
        "updates-too-large", "the updates had become too large", 0.25,
        "the gradient norm or the loss climbs for some logs before it, or the learning rate jumps",
    ),
    Candidate(
        "fp16-overflow", "float16 overflowed", 0.15,
        "fp16 is on and nothing climbs before it; the run may go on, with steps skipped",
    ),
    Candidate(
        "broken-from-start", "data or initialisation are broken from the start", 0.12, "it is not finite in the first logs",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start = finding.start_step or 0
    yield from _place(facts, finding, start)
    yield from _climbs(facts, start)
    yield from _rate(facts, start)
    yield from _precision(facts)
    yield from _afterwards(facts, finding, start)
    if len(facts.masked):
        gap = spacing(facts.curve("train/loss").step)
        text = f"a filter hid the NaN: which of the {number(gap)} steps up to step {start} was the first cannot be told"
        yield from unseen(text, "bad-batch")


def _place(facts: Facts, finding: Finding, start: int) -> Iterator[Sign]:
    before = int(np.sum(facts.loss.step < start))
    if before < FIRST_LOGS:
        text = f"{finding.metric} is not finite at step {start}, {'in the first log' if not before else f'after {before} logs'}"
        yield Sign(text, {"broken-from-start": STRONG, "updates-too-large": 1 / CLEAR})
    else:
        yield Sign(f"{before} logs before it were finite", {"broken-from-start": 1 / STRONG})


def _climbs(facts: Facts, start: int) -> Iterator[Sign]:
    norms, loss = facts.finite("train/grad_norm"), climb(facts.loss, start, facts.warmup_end)
    norm = climb(norms, start, facts.warmup_end)
    if norm is None:
        why = "too few were logged before it" if len(norms) else "grad_norm was not logged"
        yield from unseen(f"{why}: a climb of the gradient norm cannot be seen", "updates-too-large")
    else:
        yield from _norm(norm, spacing(norms.step))
    if loss is not None and loss.times >= ROSE:
        # a loss that rises with the norm is the same story told twice
        weight = SLIGHT if norm is not None and norm.times >= CLIMBED else CLEAR
        text = f"the loss rose from {number(loss.usual)} to {number(loss.last)} in the {loss.steps} steps before"
        yield Sign(text, {"updates-too-large": weight, "bad-batch": 1 / weight})


def _norm(norm: Climb, gap: float) -> Iterator[Sign]:
    text = f"the gradient norm rose from {number(norm.usual)} to {number(norm.last)} over the {norm.steps} steps before"
    if norm.times >= CLIMBED:
        weight = STRONG if norm.times >= FAR else CLEAR
        yield Sign(text, {"updates-too-large": weight, "bad-batch": 1 / CLEAR})
    elif norm.times <= STEADY:
        weight = SLIGHT if gap >= SPARSE else CLEAR
        sparse = f", as far as a log every {number(gap)} steps can tell" if gap >= SPARSE else ""
        text = f"the gradient norm did not climb: {number(norm.last)} in the last logs before, {number(norm.usual)} usually{sparse}"
        yield Sign(text, {"updates-too-large": 1 / weight, "bad-batch": SLIGHT})


def _rate(facts: Facts, start: int) -> Iterator[Sign]:
    jump, share = facts.rate_jump(start), rate_share(facts, start)
    if jump is not None:
        text = f"the learning rate jumps from {number(jump[1])} to {number(jump[2])} at step {jump[0]}"
        yield Sign(text, {"updates-too-large": STRONG, "bad-batch": 1 / CLEAR})
    elif share is not None and 0 <= share <= LOW_RATE and start > facts.warmup_end:
        yield Sign(f"the learning rate had fallen to {percent(share)} of its peak", {"updates-too-large": 1 / SLIGHT})
    if amount(facts, "max_grad_norm") == 0:
        yield Sign(f"clipping is off{origin(facts, 'max_grad_norm')}", {"updates-too-large": SLIGHT})


def _precision(facts: Facts) -> Iterator[Sign]:
    kind = str(facts.setting("torch_dtype") or facts.setting("dtype") or "")
    if facts.setting("fp16") is True or (kind.endswith("float16") and not kind.endswith("bfloat16")):
        name = "fp16 is on" if facts.setting("fp16") is True else f"the weights are {kind[:20]}"
        text = f"{name}{origin(facts, 'fp16', 'torch_dtype', 'dtype')}: float16 ends at 65,504"
        yield Sign(text, {"fp16-overflow": CLEAR})
    elif facts.setting("bf16") is True:
        yield Sign(f"bf16 is on{origin(facts, 'bf16')}: it has the range of float32", {"fp16-overflow": 1 / STRONG})
    elif facts.setting("fp16") is False:
        yield Sign(f"fp16 is off{origin(facts, 'fp16')}", {"fp16-overflow": 1 / STRONG})
    else:
        yield from unseen("the precision is not in the log", "fp16-overflow")


def _afterwards(facts: Facts, finding: Finding, start: int) -> Iterator[Sign]:
    """Whether the weights live on: gradients or evals after it are finite."""
    alive = [name for name in ("train/grad_norm", facts.resolved("eval/loss")) if name and facts.has(name) and _lives(facts, name, start)]
    if not alive:
        return
    text = f"{' and '.join(alive)} stayed finite after step {start}: the weights were not lost"
    skipped = finding.metric == "train/grad_norm"
    yield Sign(text, {
        "updates-too-large": 1 / STRONG, "broken-from-start": 1 / SLIGHT,
        "bad-batch": SLIGHT if skipped else CLEAR, "fp16-overflow": CLEAR,
    })  # fmt: skip
    first = facts.curve(finding.metric)
    value = first.value[first.step == start]
    if len(value) and np.isinf(value[0]):
        text = "its first value is infinite, as an overflow leaves it, and not NaN"
        yield Sign(text, {"fp16-overflow": SLIGHT, "bad-batch": 1 / SLIGHT})


def _lives(facts: Facts, metric: str, start: int) -> bool:
    """Whether the last values of a metric, after a step, are finite again or still."""
    curve = facts.curve(metric)
    later = curve.value[curve.step > start]
    return len(later) > 0 and bool(np.isfinite(later[-FIRST_LOGS:]).all())
