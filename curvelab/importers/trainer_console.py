"""Console output of a Hugging Face Trainer: the dict lines it prints, mixed with progress bars and other text.

What it reads
-------------
`{'loss': 1.2, 'grad_norm': 3.1, 'learning_rate': 1e-05, 'epoch': 0.1}` anywhere in a line of a *.log, *.txt or *.out,
numbers also as texts (`'loss': '1.2'`, as newer versions print). Steps are not printed. In this order they come from
`global_step/max_steps` where a dict has it (ms-swift); from the progress bar, `123/500 [`, behind or before each dict;
from the epoch and the bar's total; else dicts are counted. A note says which: such steps are guessed.

Damage
------
Text around the dicts is passed over. A dict of metrics that is cut or broken is dropped and counted. Lines over 4 MiB
are dropped, NUL bytes cut off.

Names
-----
`eval_x` becomes `eval/x`, the summary row `final/x`, everything else `train/x`, as in trainer_state.json.

Limits
------
Values were rounded when they were printed. Where the standard output was buffered, bars and dicts are not in the order
of time; bars that do not fit the dicts are not used. The dicts of several processes on one console are not told apart.
trainer_state.json, an event file or a .wandb of the same run is always better.

Sources
-------
transformers.ProgressCallback and PrinterCallback; tqdm.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from curvelab.free_names import SPLIT_WORDS
from curvelab.importers._console_kinds import GLOBS, kind_of, trainer_dicts
from curvelab.importers._lines import Lines, Tally, lines_of
from curvelab.importers._metric_columns import MetricColumns, cell_number, count_of
from curvelab.importers._table_notes import value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.sources import Source, importer

_BAR = re.compile(
    r"(?:^\s{0,9}|[^:\s]\s{1,9})\d{1,3}%\|[^|]{0,200}\|\s*(\d{1,15})/(\d{1,15})\s*\["
)  # a bar without a description before it: "Loading weights: 100%|" counts no steps
_BROKEN = re.compile(r"\{'(?:loss|eval_loss|train_runtime)':[^{}]*$|\{'(?:loss|eval_loss|train_runtime)':[^{}]*\{")
_OF_ALL = "global_step/max_steps"
_AXES = frozenset(
    ("epoch", _OF_ALL, "percentage", "elapsed_time", "remaining_time", "memory(GiB)", "train_speed(iter/s)")
)
_MOST = 2_000_000  # dicts of one file
_SUMMARY = frozenset(
    ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos",
     "train_tokens_per_second")
)  # fmt: skip


def common_name(raw: str) -> str:
    """`eval_loss` -> `eval/loss`, `loss` -> `train/loss`, `train_runtime` -> `final/train_runtime`."""
    if raw in _SUMMARY:
        return "final/" + raw
    word, _, rest = raw.partition("_")
    if word in ("eval", "test") and rest:
        return f"{SPLIT_WORDS[word]}/{rest}"
    return "train/" + raw


@dataclass
class _Printed:
    """A dict of metrics, and the progress bars (done, total) around it."""

    values: dict[str, str]
    before: tuple[int, int] | None
    after: tuple[int, int] | None = None

    @property
    def epoch(self) -> float:
        found = cell_number(self.values.get("epoch", ""))
        return math.nan if found is None or not math.isfinite(found) else found

    @property
    def trains(self) -> bool:
        return "loss" in self.values or "learning_rate" in self.values


@importer(
    title="Console log of a Hugging Face Trainer",
    globs=GLOBS,
    names=common_name,
    looks=lambda source: kind_of(source) == "trainer-console",
)
def read(source: Source) -> Log:
    """Read one console log. Raises UnreadableError when no dict of metrics is in it."""
    tally = Tally(source.path)
    printed, bars = _printed(lines_of(source, tally), tally)
    if not printed:
        raise UnreadableError(source.path, "holds no dict of metrics; nothing to read")
    total = _total(printed, bars)
    steps, how = _steps(printed, total)
    columns = MetricColumns()
    for entry, step in zip(printed, steps, strict=True):
        metrics = [(key, text) for key, text in entry.values.items() if key not in _AXES]
        columns.add(step, metrics, epoch=entry.epoch)
    damage = tally.notes(columns.rows, "dicts of metrics")
    notes = [*damage, *value_notes(tally, columns)]
    if how:
        notes.append(tally.warn(f"steps are not printed; they are guessed {how}"))
    return Log(
        path=source.path,
        format="trainer-console",
        series=columns.series(),
        plan=total,
        finished=True if "train_runtime" in columns else None,
        skipped=columns.skipped,
        notes=tuple(notes),
        damage=tuple(damage),
    )


def _printed(lines: Lines, tally: Tally) -> tuple[list[_Printed], Counter[int]]:
    """All dicts in the order of the file, each with the bars next to it; and how often each total was seen."""
    found: list[_Printed] = []
    totals: Counter[int] = Counter()
    last: tuple[int, int] | None = None
    for number, line in lines:
        dicts = trainer_dicts(line)
        if not dicts and "{'" in line and _BROKEN.search(line):
            tally.drop("are cut or broken", number)
        bars = [(int(done), int(total)) for done, total in _BAR.findall(line[:20_000])] if "%|" in line else []
        if bars and not dicts and found and found[-1].after is None:
            found[-1].after = bars[0]
        if bars:
            last = bars[-1]
            totals.update(total for _, total in bars)
        for values in dicts:
            if len(found) >= _MOST:
                tally.drop(f"are beyond the limit of {_MOST:,}", number)
                continue
            found.append(_Printed(values, last))
    return found, totals


def _total(printed: list[_Printed], bars: Counter[int]) -> int | None:
    """The planned steps: what dicts say themselves, else the total of the bars that stand next to training dicts."""
    for entry in printed:
        if (given := _of_all(entry)) is not None:
            return given[1]
    votes = Counter(bar[1] for entry in printed if entry.trains for bar in (entry.before, entry.after) if bar)
    if not votes:
        return max(bars) if bars else None
    most = max(votes.values())
    return max(total for total, count in votes.items() if 2 * count >= most)


def _of_all(entry: _Printed) -> tuple[int, int] | None:
    """(step, planned steps) of `'global_step/max_steps': '10/500'`."""
    done, _, total = entry.values.get(_OF_ALL, "").partition("/")
    step, plan = count_of(done) if done else None, count_of(total) if total else None
    return (step, plan) if step is not None and plan else None


def _steps(printed: list[_Printed], total: int | None) -> tuple[list[int], str]:
    """A step for each dict, and in words how it was guessed; an empty text when it is printed."""
    given = [_of_all(entry) for entry in printed]
    if any(given):
        return _filled([None if found is None else found[0] for found in given]), ""
    training = [entry for entry in printed if entry.trains]
    if total:
        for where in ("after", "before"):
            bars = [getattr(entry, where) for entry in printed]
            steps = [bar[0] if bar is not None and bar[1] == total else None for bar in bars]
            known = [step for entry, step in zip(printed, steps, strict=True) if entry.trains]
            if _rising(known):
                return _in_order(printed, steps), "from the progress bar"
        last = max((entry.epoch for entry in printed if not math.isnan(entry.epoch)), default=math.nan)
        if last > 0 and sum(not math.isnan(entry.epoch) for entry in training) > 0:
            whole = any("train_runtime" in entry.values for entry in printed)
            epochs = last if whole else max(last, math.ceil(last - 1e-6))
            steps = [None if math.isnan(e.epoch) else min(total, round(e.epoch / epochs * total)) for e in printed]
            return _filled(steps), "from the epoch and the total of the progress bar"
    count = 0
    counted = []
    for entry in printed:
        count += entry.trains
        counted.append(count)
    return counted, "by counting the printed losses (1, 2, 3 ...)"


def _rising(steps: list[int | None]) -> bool:
    """Whether nearly all training dicts have a bar, and the bars go up from one to the next."""
    known = [step for step in steps if step is not None]
    if not known or len(known) < 0.9 * len(steps):
        return False
    rises = sum(b > a for a, b in pairwise(known))
    return rises >= 0.98 * (len(known) - 1)


def _in_order(printed: list[_Printed], steps: list[int | None]) -> list[int]:
    """Steps of the training dicts from their bars; evaluations and summaries take the step of the log before."""
    return _filled([step if entry.trains else None for entry, step in zip(printed, steps, strict=True)])


def _filled(steps: list[int | None]) -> list[int]:
    out, last = [], next((step for step in steps if step is not None), 0)
    for step in steps:
        last = last if step is None else step
        out.append(last)
    return out
