"""LLaMA-Factory `trainer_log.jsonl`: the progress log that its web page draws from, one JSON object a line.

What it reads
-------------
`current_steps` is the step, `total_steps` the plan; epoch and total_tokens are axes. loss, eval_loss, reward and the
learning rate (`lr` in older versions, `learning_rate` in newer) are metrics; an explicit null is no value. A last row
without any metric at the end of the plan is written when the training has run to its end, and marks it as finished.

Damage
------
A line that is no complete JSON object is dropped and counted; where two processes wrote at once, whole objects that
share a line are kept. Rows of two processes repeat steps and go back: all are kept, and the run says so. A row without
a usable current_steps takes the step of the row before. Values that are texts are counted, not kept.

Names
-----
`loss` becomes train/loss, `eval_loss` eval/loss, `lr` train/learning_rate.

Limits
------
No wall times: elapsed_time counts from the start of a process that is not logged. percentage, elapsed_time and
remaining_time are not kept, nor a throughput and token count that are zero in every row (not measured).

Sources
-------
https://github.com/hiyouga/LLaMA-Factory (train/callbacks.py, as documentation); 4 public files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from curvelab.free_names import train_by_default
from curvelab.importers._axes import Axes
from curvelab.importers._json_lines import is_trainer_log, json_rows
from curvelab.importers._lines import Tally, lines_of
from curvelab.importers._metric_columns import count_of
from curvelab.importers._row_log import read_rows
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log, RawSeries
from curvelab.sources import Source, importer

_AXES = Axes(
    step="current_steps",
    epoch="epoch",
    tokens="total_tokens",
    others=frozenset(("current_steps", "epoch", "total_tokens")),
)
_PROGRESS = frozenset(("total_steps", "percentage", "elapsed_time", "remaining_time", "throughput"))
_DONE = 0.99  # share of the plan; a last, incomplete accumulation may be missing (6,565 of 6,566)


@dataclass
class _Plan:
    """What the rows say about the end of the training."""

    total: int | None = None
    reached: int | None = None
    bare: set[int] = field(default_factory=set)

    def watch(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        for _, row in rows:
            total, step = count_of(row.get("total_steps")), count_of(row.get("current_steps"))
            self.total = total or self.total
            if step is not None:
                self.reached = max(step, self.reached or 0)
                if all(value is None or key in _PROGRESS or key in _AXES.others for key, value in row.items()):
                    self.bare.add(step)
            yield row

    @property
    def finished(self) -> bool | None:
        return True if self.total and any(step >= _DONE * self.total for step in self.bare) else None


@importer(
    title="LLaMA-Factory trainer_log.jsonl",
    globs=("trainer_log.jsonl", "trainer_log*.jsonl", "trainer_log.jsonl.gz"),
    names=train_by_default,
    looks=is_trainer_log,
)
def read(source: Source) -> Log:
    """Read one trainer_log.jsonl. Raises UnreadableError when no row can be read."""
    tally = Tally(source.path)
    plan = _Plan()
    log = read_rows(plan.watch(json_rows(lines_of(source, tally), tally)), _AXES, _PROGRESS)
    if not log.columns.rows:
        raise UnreadableError(source.path, "holds no complete row; nothing to read")
    notes = log.notes(tally)
    return Log(
        path=source.path,
        format="trainer-log",
        series=tuple(_with_measured_tokens(series) for series in log.columns.series()),
        plan=plan.total,
        reached=plan.reached,
        finished=plan.finished,
        skipped=log.columns.skipped,
        notes=tuple(notes),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


def _with_measured_tokens(series: RawSeries) -> RawSeries:
    """A series without its tokens when none were ever counted."""
    if series.tokens is not None and not np.nan_to_num(series.tokens).any():
        return replace(series, tokens=None)
    return series
