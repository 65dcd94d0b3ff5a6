"""Where the samples of an optimizer step stand in the order of their epoch.

What the Trainer of Transformers does (verified against 4.44 and 5.23 on one and on two processes): every epoch has its
own order; a step takes the next per_device_train_batch_size x processes x accumulation samples of it; the last step of
an epoch takes what is left, and where several processes share an incomplete batch it is filled up from the epoch's
beginning. Before 4.46 an accumulation went on over the end of an epoch. A resumed run goes on where it was, unless
`ignore_data_skip` is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from curvelab.facts import Facts
from curvelab.model.finding import SampleRange
from curvelab.samples.counts import Counted, raw_setting
from curvelab.signals.epoch_length import EpochLength, epoch_lengths

_UNROUNDED = (4, 44)  # version of Transformers that was seen to log epochs unrounded
_WHOLE = frozenset(("trainer-state", "tensorboard", "wandb-file", "wandb-online"))  # logs that keep all digits
_ENDLESS = 1e12  # epochs: what the Trainer writes for a data set without a length

Window = tuple[int, int]


@dataclass(frozen=True)
class Order:
    """The order of a run's samples as far as it is known.

    lengths       lengths of an epoch that the log allows; empty: not known
    shuffled      None: not known
    reproducible  whether the seed gives the order again
    known         whether positions can be counted at all
    """

    lengths: tuple[EpochLength, ...]
    shuffled: bool | None
    reproducible: bool
    known: bool
    doubts: tuple[str, ...] = ()

    @property
    def carried(self) -> bool:
        """Whether an accumulation may go on over the end of an epoch."""
        return any(length.carried for length in self.lengths)


def order_of(facts: Facts, one: Counted) -> Order:
    """What the settings and the epoch column say of the order."""
    lengths = _lengths(facts, one.accumulated) if one.accumulated else []
    shuffled, reproducible, doubts = _sampler(facts)
    unknown = _unknown(facts)
    return Order(tuple(_planned(facts, lengths)), shuffled, reproducible, not unknown, (*unknown, *doubts))


def _lengths(facts: Facts, accumulated: int) -> list[EpochLength]:
    curve = facts.curve("train/loss")
    if _unrounded(facts) and (exact := epoch_lengths(curve.step, curve.epoch, accumulated, rounded=False)):
        return exact
    return epoch_lengths(curve.step, curve.epoch, accumulated)


def _unrounded(facts: Facts) -> bool:
    """Whether the epochs are as the Trainer counted them: a version that does not round, and no log that does."""
    version = re.match(r"(\d+)\.(\d+)", str(facts.setting("transformers_version")))
    recent = version is not None and (int(version[1]), int(version[2])) >= _UNROUNDED
    return recent and set(facts.run.format.split("+")) <= _WHOLE


def _unknown(facts: Facts) -> tuple[str, ...]:
    """Why positions cannot be counted, or nothing."""
    epochs = (values.get("num_train_epochs") for values in facts.run.raw_config.values())
    if any(isinstance(one, int | float) and one > _ENDLESS for one in epochs):
        return ("the data was streamed: it has no positions that could be looked up again",)
    if facts.reinforced:
        return ("prompts are repeated and completions made during training: steps only",)
    if raw_setting(facts, "sample_packing"):
        return ("samples were packed into batches by their length (sample_packing): steps only",)
    if raw_setting(facts, "ignore_data_skip") is True and (facts.run.seams or facts.resumed):
        return ("ignore_data_skip was set and the run resumed: its epoch began anew, steps only",)
    return ()


def _sampler(facts: Facts) -> tuple[bool | None, bool, tuple[str, ...]]:
    """(shuffled, reproducible, doubts) of the Trainer's sampler."""
    strategy = str(facts.setting("train_sampling_strategy") or "random")
    accelerator = raw_setting(facts, "accelerator_config")
    doubts: tuple[str, ...] = ()
    if facts.setting("packing"):
        doubts = ("packing is on: a sample is a packed row, which holds several of your documents",)
    if facts.run.seams or facts.resumed:
        doubts += ("the run was resumed: batch size and number of GPUs are taken to have stayed the same",)
    if facts.setting("group_by_length") is True or strategy in ("group_by_length", "batch_rebalance"):
        return True, False, (*doubts, "samples were grouped by length: the seed alone does not give that order again")
    if isinstance(accelerator, dict) and accelerator.get("use_seedable_sampler") is False:
        return True, False, (*doubts, "use_seedable_sampler is off: the seed alone does not give the order again")
    return strategy != "sequential", True, doubts


def _planned(facts: Facts, lengths: Sequence[EpochLength]) -> Iterable[EpochLength]:
    """Of several lengths those that make the planned steps out of the planned epochs, where there are such."""
    plan, epochs = facts.run.planned_steps, facts.setting("num_train_epochs")
    if len(lengths) < 2 or not plan or not isinstance(epochs, int | float):
        return lengths
    fitting = [
        one
        for one in lengths
        if -(-epochs * (max(1, one.batches // one.accumulated) if one.carried else one.steps) // 1) == plan
    ]
    return fitting or lengths


def ranges_of(windows: Iterable[Window], one: Counted, order: Order) -> list[SampleRange]:
    """The samples of each window of steps; without positions where the log does not tell them."""
    found: list[SampleRange] = []
    for start, end in windows:
        told = [list(_positions(start, end, length, one)) for length in order.lengths] if order.known else []
        if one.per_step and len({tuple(map(_begins, ranges)) for ranges in told}) == 1:
            found += [max(same, key=lambda r: r.end or 0) for same in zip(*told, strict=True)]
        else:
            found.append(SampleRange(step=start, end_step=end))
    return found


def _begins(one: SampleRange) -> tuple[int | None, ...]:
    """All of a range but its end: how short the last step of an epoch is may stay open."""
    return one.epoch, one.step, one.end_step, one.first


def _positions(start: int, end: int, length: EpochLength, one: Counted) -> Iterator[SampleRange]:
    """The samples of the steps start..end, one range for each epoch that they touch."""
    at_once, accumulated = one.at_once or 0, length.accumulated
    if length.carried:
        passed, stop = (start - 1) * accumulated, end * accumulated
        while passed < stop:
            epoch, place = divmod(passed, length.batches)
            taken = min(stop - passed, length.batches - place)
            yield SampleRange(
                step=passed // accumulated + 1,
                end_step=-(-(passed + taken) // accumulated),
                epoch=epoch,
                first=place * at_once,
                end=(place + taken) * at_once,
            )
            passed += taken
        return
    step = start
    while step <= end:
        epoch, place = divmod(step - 1, length.steps)
        last = min(end, (epoch + 1) * length.steps)
        yield SampleRange(
            step=step,
            end_step=last,
            epoch=epoch,
            first=place * accumulated * at_once,
            end=min((last - epoch * length.steps) * accumulated, length.batches) * at_once,
        )
        step = last + 1
