"""Which data to look at: the samples of the steps in which a loss jumped or stopped being a number.

For `spikes` and `non-finite` only. A divergence or exploding gradients are a change of level whose onset is known to a few
logs at best: they are no matter of one batch, and a range there would only look like knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.facts import Facts
from curvelab.model.finding import Finding, SampleRange, Samples
from curvelab.samples.counts import Counted, counted, is_trainers
from curvelab.samples.logged import logged_lines
from curvelab.samples.order import Order, order_of, ranges_of
from curvelab.samples.snippet import snippet_of
from curvelab.samples.suspects import suspects

MOST_WINDOWS = 12  # that are told; as many episodes are named in a headline
WIDE = 20  # steps of a window that are too many to look at one by one (judgement)


def samples_of(facts: Facts, finding: Finding) -> Samples | None:
    """The data behind a finding; None for one that is no matter of single batches.

    The ranges tell steps only where the log does not say how many samples a step took, or in which order.
    """
    windows = suspects(facts, finding)
    if not windows:
        return None
    shown = windows[:MOST_WINDOWS]
    doubts = [f"{len(windows) - len(shown)} more episodes are not listed"] if len(windows) > len(shown) else []
    widest = max(end - start + 1 for start, end in shown)
    if widest >= WIDE:
        doubts.append(f"one logged value stands for up to {widest} steps: nothing tells which of them it was")
    lines = logged_lines(facts.run.batch_logs, shown)
    if not is_trainers(facts):
        doubts.append("not a log of the Transformers Trainer: how its steps take their samples is not known")
        one, order = Counted(None, None, None, ""), Order((), None, False, False)
    else:
        one = counted(facts)
        order = order_of(facts, one)
    ranges = tuple(ranges_of(shown, one, order))
    seed = facts.setting("seed") if facts.setting("data_seed") is None else facts.setting("data_seed")
    seed = seed if isinstance(seed, int) and not isinstance(seed, bool) else None
    return Samples(
        ranges=ranges,
        per_step=one.per_step,
        seed=seed,
        shuffled=order.shuffled,
        because=one.because,
        doubts=(*doubts, *one.doubts, *order.doubts, *_of_length(ranges, one, order), *lines.doubts),
        snippet=snippet_of(ranges, one, order, seed),
        logged=lines.lines,
    )


def _of_length(ranges: Sequence[SampleRange], one: Counted, order: Order) -> tuple[str, ...]:
    """What the length of an epoch leaves open."""
    if not order.known or one.at_once is None or one.per_step is None:
        return ()
    if not order.lengths:
        return ("the log does not tell how long an epoch is",)
    if all(r.end is not None for r in ranges):
        epoch = min(length.batches for length in order.lengths) * one.at_once
        if max(r.end or 0 for r in ranges) < epoch:
            return ()
        again = "" if one.gpus == 1 else "; with several GPUs it is filled up from the epoch's beginning"
        return (f"the last batch of an epoch may be shorter{again}",)
    shortest, longest = order.lengths[0].steps, order.lengths[-1].steps
    return (f"the logged epochs are rounded: an epoch has {shortest:,} to {longest:,} steps",)
