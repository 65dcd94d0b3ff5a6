"""Console logs of nanoGPT, Megatron-LM, torchtune and loops like theirs: one line a step, with its number and its loss.

What it reads
-------------
`iter 100: loss 2.31, time 12ms, mfu 10%`, `step 500: train loss 2.1, val loss 2.3` (nanoGPT), `iteration 100/ 5000 |
lm loss: 2.3E+00 | learning rate: 1.0E-04 | grad norm: 1.2 |` and `validation loss at iteration 1000 | lm loss value:
2.1 |` (Megatron-LM), `Step 1 | loss:1.95 lr:2e-05 tokens_per_second_per_gpu:1234.5` (torchtune's DiskLogger, its files
are called log_<time>.txt, and StdoutLogger), `step 10 | loss: 6.5 | lr 1e-4 | norm: 0.5`. Every number of the line that has a name is a
metric; the number behind the slash is the plan.

Damage
------
All other text is passed over. Lines over 4 MiB are dropped, NUL bytes cut off. A last line without a line end may be
cut: its last number is left out.

Names
-----
`loss`, `lm loss` become train/loss, `val loss` and `validation loss` eval/loss, `learning rate`, `lr`
train/learning_rate, `grad norm`, `norm` train/grad_norm. nanoGPT's `train loss` is an estimate over many batches and
stays apart from the `loss` of its iterations where a file has both.

Limits
------
No wall times. Units (ms, s, %) are cut off, not converted. A line needs a step, a loss, and commas or bars between its
numbers, or torchtune's `name:number` pairs. Printed values are rounded. Two processes on one console are not told apart.

Sources
-------
https://github.com/karpathy/nanoGPT, https://github.com/NVIDIA/Megatron-LM (what their consoles print);
https://github.com/pytorch/torchtune (training/metric_logging.py, as documentation).
"""

from __future__ import annotations

import re

from curvelab import free_names
from curvelab.importers._console_kinds import GLOBS, kind_of, loss_line
from curvelab.importers._lines import Tally, lines_of
from curvelab.importers._metric_columns import MetricColumns
from curvelab.importers._table_notes import value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.sources import Source, importer

_LM = re.compile(r"^((?:val|test) )?lm loss$", re.I)
_KNOWN = {"norm": "train/grad_norm", "loss scale": "train/loss_scale", "tok/sec": "train/tokens_per_second"}


def common_name(raw: str) -> str:
    """`lm loss` -> `train/loss`, `val lm loss` -> `eval/loss`, `norm` -> `train/grad_norm`."""
    if match := _LM.match(raw):
        return free_names.common_name((match.group(1) or "") + "loss")
    return _KNOWN.get(raw.lower()) or free_names.common_name(raw)


@importer(
    title="Console log with a loss a step (nanoGPT, Megatron-LM, torchtune)",
    globs=GLOBS,
    names=common_name,
    looks=lambda source: kind_of(source) == "console-loss",
)
def read(source: Source) -> Log:
    """Read one console log. Raises UnreadableError when no line has a step and a loss."""
    tally = Tally(source.path)
    lines = lines_of(source, tally)
    columns = MetricColumns()
    plan = None
    cut = False
    for _, line in lines:
        whole = not lines.unended
        found = loss_line(line if whole else line[: max(map(line.rfind, ",| ")) + 1])
        if found is None:
            continue
        step, total, metrics = found
        plan = total or plan
        cut = cut or not whole
        columns.add(step, metrics)
    if not len(columns):
        raise UnreadableError(source.path, "holds no line with a step and a loss; nothing to read")
    damage = tally.notes(columns.rows)
    if cut:
        damage.append(tally.say("the last line is not whole; its last number may be cut and is left out"))
    return Log(
        path=source.path,
        format="console-loss",
        series=columns.series(),
        plan=plan,
        names=free_names.whole_file_names(columns.names, common_name),
        skipped=columns.skipped,
        notes=(*damage, *value_notes(tally, columns)),
        damage=tuple(damage),
    )
