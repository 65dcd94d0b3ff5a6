"""What makes a loss jump and come back: where the jumps lie, and what the gradient norm does before and at them.

Each place that could explain a jump (the end of warm-up, the peak of the rate, the ends of epochs, restarts, jumps of
the rate) is a zone of the run. The jumps that lie in it are held against those that would lie there by chance. A
batch that is broken or very unlike lifts loss and norm in the same log and is forgotten in the next; updates that are
too large show in the norm first, and what they broke takes several logs to mend.

Sources: PaLM, arXiv 2204.02311 section 5.1; ZClip, arXiv 2504.02507; Wortsman et al., arXiv 2309.14322; judgement for
the factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from curvelab.causes._log import AT_PEAK, CLOSE, epoch_steps, level, number, percent, places, rate_share, spacing
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, coincidence, unseen, weighing

AROUND_WARMUP = 0.25  # of the length of warm-up, before and after its end (judgement)
HIGH = 2.0  # times the usual norm: a norm that stands out with a jump, or before it (judgement)
UNMENDED = 0.2  # of the height, left after two logs: the weights were thrown and not only the batch odd (judgement)
MENDED_AFTER = 2  # logs
NEAR = 1.5  # logs around a place that count as at it
MOST = 0.5  # of the jumps
LISTED = 5  # jumps that are named


@weighing(
    Candidate(
        "odd-batches", "single batches that are broken or very unlike the others", 0.4,
        "the jumps lie at unrelated steps, norm and loss jump in the same log, and the next logs are as before",
    ),
    Candidate(
        "rate-too-high", "the updates are too large while the learning rate is at its peak", 0.2,
        "the jumps lie where the rate is at its peak, the gradient norm rises before them, the loss takes logs to mend",
    ),
    Candidate(
        "warmup-end", "the learning rate reaches its peak too fast", 0.08,
        "the jumps lie around the end of warm-up",
    ),
    Candidate(
        "epoch-boundary", "something that happens between epochs: a new order, an odd last batch", 0.08,
        "the jumps lie at the ends of epochs",
    ),
    Candidate("resume", "a restart without optimizer states or data order", 0.07, "the jumps lie behind restarts"),
    Candidate("rate-jump", "a jump of the learning rate", 0.07, "the logged rate jumps up at the jumps"),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    jumps = places(finding)
    if not jumps:
        return
    zones = [*_rate(facts, jumps), *_epochs(facts, jumps), *_restarts(facts, jumps)]
    yield from zones
    factors = [factor for sign in zones for factor in sign.factors.values()]
    if max(factors) <= 1 and any(0 < factor < 1 for factor in factors):
        steps = ", ".join(str(jump) for jump in jumps[:LISTED]) + (" …" if len(jumps) > LISTED else "")
        text = f"step {steps}: none of the places of schedule, epochs and restarts that could be looked at"
        yield Sign(text, {"odd-batches": SLIGHT})
    yield from _norms(facts, jumps)
    yield from _mending(facts, jumps)


def _lie(hits: int, jumps: Sequence[int]) -> str:
    """ "2 of the 3 jumps lie"."""
    if len(jumps) == 1:
        return "the jump lies" if hits else "the jump does not lie"
    if not hits:
        return f"none of the {len(jumps)} jumps lies"
    return f"{'all' if hits == len(jumps) else hits} of the {len(jumps)} jumps lie"


def _zone(text: str, cause: str, factor: float) -> Sign:
    """The sign of a zone; jumps that keep to one are not those of odd batches."""
    return Sign(text, {cause: factor} | ({"odd-batches": 1 / SLIGHT} if factor >= CLEAR else {}))


def _rate(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    if len(facts.rate) < 4 or facts.peak_rate <= 0:
        text = "the learning rate was not logged: its peak and its jumps cannot be seen"
        yield from unseen(text, "rate-too-high", "warmup-end", "rate-jump")
        return
    end = facts.warmup_end
    width = max(AROUND_WARMUP * (end - (facts.run.first_step or 0)), 3 * spacing(facts.loss.step))
    near = [jump for jump in jumps if end > 0 and abs(jump - end) <= width]
    if end <= 0:
        yield Sign("there was no warm-up", {"warmup-end": RULED_OUT})
    else:
        text = f"{_lie(len(near), jumps)} within {number(width)} steps of the end of warm-up at step {end}"
        yield _zone(text, "warmup-end", coincidence(len(near), len(jumps), 2 * width / facts.length))
    later = [jump for jump in jumps if jump not in near]  # those of the end of warm-up are at the peak in any case
    yield from _peak(facts, later) if later else unseen("the jumps lie where the peak begins", "rate-too-high")
    jumped = sum(facts.rate_jump(jump) is not None for jump in jumps)
    text = f"the learning rate jumps up at {jumped} of the jumps" if jumped else "the learning rate does not jump there"
    yield _zone(text, "rate-jump", coincidence(jumped, len(jumps), CLOSE))


def _peak(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    at = sum((rate_share(facts, jump) or 0.0) >= AT_PEAK for jump in jumps)
    share = float(np.mean(facts.rate.value >= AT_PEAK * facts.peak_rate))
    told = f"{percent(AT_PEAK)} or more of the peak learning rate, where the run spent {percent(share)} of its steps"
    if share < MOST or at < len(jumps):
        yield Sign(f"{_lie(at, jumps)} at {told}", {"rate-too-high": coincidence(at, len(jumps), share)})
    else:  # where nearly every place is at the peak, nothing is learned from it
        yield from unseen(f"{_lie(at, jumps)} at {told}: that says little", "rate-too-high")


def _epochs(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    ends, length = facts.epoch_ends, epoch_steps(facts)
    if length is None:
        yield from unseen("the log has no epochs: whether the jumps lie at their ends cannot be told", "epoch-boundary")
        return
    if not len(ends):
        yield Sign("the run saw less than one epoch", {"epoch-boundary": RULED_OUT})
        return
    width = NEAR * spacing(facts.loss.step)
    near = sum(bool((np.abs(ends - jump) <= width).any()) for jump in jumps)
    factor = coincidence(near, len(jumps), min(1.0, 2 * width / length))
    text = f"{_lie(near, jumps)} at the end of an epoch ({number(length)} steps long)"
    yield _zone(text, "epoch-boundary", factor)
    phase = (np.array(jumps) - jumps[0]) / length
    apart = np.abs(phase - np.round(phase)) * length <= width
    if len(jumps) > 1 and apart.all() and near == 0 and float(np.ptp(phase)) >= MOST:
        yield Sign("the jumps come back at the same place of every epoch: the same batch", {"odd-batches": STRONG})


def _restarts(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    seams = facts.run.seams
    if not seams:
        yield Sign("the log shows no restart", {"resume": RULED_OUT})
        return
    behind = sum(any(0 <= jump - s.step <= CLOSE * facts.length for s in seams) for jump in jumps)
    text = f"{_lie(behind, jumps)} within {percent(CLOSE)} of the run after a restart"
    yield _zone(text, "resume", coincidence(behind, len(jumps), CLOSE * len(seams)))


def _norms(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    norms = facts.finite("train/grad_norm")
    usual = level(norms.value[norms.step >= facts.warmup_end])
    if usual is None or usual <= 0:
        text = "grad_norm was not logged: whether it rises before the jumps cannot be seen"
        yield from unseen(text, "rate-too-high", "odd-batches")
        return
    at, before = _peaks(norms.step, norms.value / usual, jumps)
    early, same = int(np.sum(before >= HIGH)), int(np.sum((at >= HIGH) & (before < HIGH)))
    if early > MOST * len(jumps):
        text = f"the gradient norm stands out one log before {early} of the {len(jumps)} jumps already, {number(float(np.median(before)))} times its median"
        yield Sign(text, {"rate-too-high": CLEAR, "odd-batches": 1 / SLIGHT})
    elif same > MOST * len(jumps):
        text = f"the gradient norm jumps with the loss and not before it, to {number(float(np.median(at)))} times its median"
        yield Sign(text, {"odd-batches": SLIGHT, "rate-too-high": 1 / SLIGHT})
    elif spacing(norms.step) > 1:
        gap = number(spacing(norms.step))
        text = f"the logged norm is that of one step in {gap}: the jumps may lie between"
        yield from unseen(text, "odd-batches", "rate-too-high")
    else:
        yield Sign("the gradient norm does not stand out at most of the jumps", {"rate-too-high": 1 / SLIGHT})


def _peaks(step: np.ndarray, times: np.ndarray, jumps: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The norm at each jump, and in the log before it, in units of its median; float64[k] each."""
    place = np.searchsorted(step, jumps).clip(0, len(step) - 1)
    return times[place], times[np.maximum(place - 1, 0)]


def _mending(facts: Facts, jumps: list[int]) -> Iterator[Sign]:
    """How much of each jump is left MENDED_AFTER logs later."""
    loss, left = facts.loss, []
    for place in np.searchsorted(loss.step, jumps).tolist():
        before = level(loss.value[max(0, place - 5) : place])
        if before is None or place + MENDED_AFTER >= len(loss) or loss.value[place] <= before:
            continue
        left.append((float(loss.value[place + MENDED_AFTER]) - before) / (float(loss.value[place]) - before))
    if not left or not np.isfinite(left).all():
        return
    rest = float(np.median(left))
    if rest >= UNMENDED:
        text = f"{percent(rest)} of the height is left {MENDED_AFTER} logs later: the weights were thrown off"
        yield Sign(text, {"rate-too-high": SLIGHT, "rate-jump": SLIGHT, "odd-batches": 1 / SLIGHT})
    else:
        yield Sign(f"the loss is back {MENDED_AFTER} logs later", {"odd-batches": SLIGHT})
