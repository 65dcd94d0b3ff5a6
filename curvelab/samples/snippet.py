"""The snippet that prints the samples of suspect steps, out of the loader that the user's own Trainer makes.

The Trainer's loader is asked, not a permutation made anew: it knows the data set, the sampler and the seed, and what a
newer version draws differently it draws here, too. Its batch sampler gives indices without reading the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.model.finding import SampleRange
from curvelab.samples.counts import Counted
from curvelab.samples.order import Order

MOST_SHOWN = 3  # samples that are printed in full, of each range

_HEAD = """\
# Prints the data set rows of the suspect steps. Put it into the training script in place of trainer.train() and run
# that in one process. It assumes the same data set, seed{seed} and versions of transformers, accelerate and torch,
# the Trainer's own data loader, and that nothing sets torch's seed after the Trainer was made.
from itertools import chain

loader = trainer.get_train_dataloader()
"""
_PLACES = """\
for steps, epoch, first, end in [
{ranges}
]:
    loader.set_epoch(epoch)  # every epoch has an order of its own, made from the seed and its number
    rows = list(chain.from_iterable(loader.batch_sampler))[first:end]
    print(f"steps {{steps}}: rows {{rows}}")
    for row in rows[:{shown}]:
        print(row, trainer.train_dataset[row])
"""
_STEPS = """\
gpus = {gpus}{remark}
at_once = {at_once} * gpus
accumulated = {accumulated}
rows_of_epoch = len(list(chain.from_iterable(loader.batch_sampler)))
batches = rows_of_epoch // at_once if trainer.args.dataloader_drop_last else -(-rows_of_epoch // at_once)
steps_of_epoch = -(-batches // accumulated)
for begin, end in {windows}:
    for step in range(begin, end + 1):
        epoch, place = divmod(step - 1, steps_of_epoch)
        loader.set_epoch(epoch)  # every epoch has an order of its own, made from the seed and its number
        order = list(chain.from_iterable(loader.batch_sampler))[: batches * at_once]
        rows = order[place * accumulated * at_once :][: accumulated * at_once]
        print(f"step {{step}}: rows {{rows}}")
        for row in rows[:{shown}]:
            print(row, trainer.train_dataset[row])
"""


def snippet_of(ranges: Sequence[SampleRange], one: Counted, order: Order, seed: int | None) -> str:
    """Python to run beside the user's data; empty where it could not find the samples again.

    With positions known they stand in it; else it counts them from the steps and the length of the data set.
    """
    if not order.known or not order.reproducible or not ranges:
        return ""
    head = _HEAD.format(seed="" if seed is None else f" ({seed})")
    if one.gpus is not None and all(one.epoch is not None for one in ranges):
        lines = (f'    ("{_steps(r)}", {r.epoch}, {r.first}, {r.end}),' for r in ranges)
        return head + _PLACES.format(ranges="\n".join(lines), shown=MOST_SHOWN)
    if order.carried:
        return ""
    gpus = one.gpus or 1
    return head + _STEPS.format(
        gpus=gpus,
        remark="" if one.gpus else "  # the log does not tell: put the number that the run was trained on",
        at_once=one.at_once // gpus if one.at_once else "trainer.args.train_batch_size",
        accumulated=one.accumulated or "trainer.args.gradient_accumulation_steps",
        windows=sorted({(r.step, r.end_step) for r in ranges}),
        shown=MOST_SHOWN,
    )


def _steps(one: SampleRange) -> str:
    return str(one.step) if one.step == one.end_step else f"{one.step}-{one.end_step}"
