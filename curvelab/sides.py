"""Files that lie side by side and are parts of one run: train.csv beside val.csv, two charts that W&B exported.

Neither goes on where the other ends, so that the steps of each are counted on their own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from curvelab.free_names import SPLIT_WORDS, common_name, split_of
from curvelab.kinship import compared
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.log import Log
from curvelab.model.note import Note

_TABLES = frozenset(("csv-table", "jsonl-table", "parquet-table", "console-loss"))  # the others name the split of each metric
# What may stand beside the split in the name of a file that logs nothing else: val_metrics.csv, but not dev_baseline.csv.
_PLAIN = frozenset(("", "metrics", "metric", "log", "logs", "history", "loss", "losses", "results", "curve"))
_OF_NO_SPLIT = frozenset(("train/learning_rate", "train/grad_norm"))
_REACHED = 0.5  # share of the train log's steps that the last eval comes after at least, on the same axis; judgement
_BEYOND = 0.05  # share of them by which it may come later

Family = tuple[Path, str, str]


def is_chart(log: Log) -> bool:
    """Whether a log is one run of a chart that W&B exported: it has only the metrics that the chart showed."""
    return log.format == "csv-table" and "id" in log.identity


def split_in_name(log: Log) -> tuple[str, str]:
    """(split, rest) of a table's file name: `val_metrics.csv` -> ("eval", "metrics"); two empty texts where it says none."""
    if log.format not in _TABLES or is_chart(log):
        return "", ""
    name = log.path.name.lower().removesuffix(".gz")
    words = re.split(r"[._\-]+", name.rpartition(".")[0] or name)
    for at in (0, -1):
        if words[at] in SPLIT_WORDS:
            split = SPLIT_WORDS[words.pop(at)]
            return split, "_".join(words)
    return "", ""


def side(log: Log) -> str:
    """What tells a log from those that lie beside it as parts of one run; empty for one that stands alone."""
    return log.path.name if is_chart(log) else split_in_name(log)[0]


def families(logs: Iterable[Log]) -> dict[Path, Family]:
    """Path -> what is common to the files of one run; only of files with a sibling of another split on the same axis."""
    found: dict[Family, dict[str, list[Log]]] = defaultdict(lambda: defaultdict(list))
    for log in logs:
        split, rest = split_in_name(log)
        if split:
            found[log.path.parent, rest, log.format][split].append(log)
    members: dict[Path, Family] = {}
    for family, by_split in found.items():
        lone = [some[0] for some in by_split.values() if len(some) == 1]
        train = next((log for log in lone if split_in_name(log)[0] == "train"), None)
        if train is None or len(lone) < len(by_split):
            continue
        beside = [log for log in lone if log is not train and _on_one_axis(train, log)]
        members |= {log.path: family for log in (train, *beside)} if beside else {}
    return members


def _on_one_axis(train: Log, other: Log) -> bool:
    last, end = (max((int(s.step.max()) for s in log.series if len(s)), default=-1) for log in (train, other))
    return last >= 0 and _REACHED * last <= end <= (1 + _BEYOND) * last + 1


def named_by_files(logs: Sequence[Log], names: Callable[[str, str], str]) -> list[Log]:
    """The logs; in tables whose file's name says a split (eval.csv), metrics without one take it: `loss` -> `eval/loss`.

    names   (format, raw name) -> common name

    `test.csv` may be anybody's trial, and so it says a split only beside a train or an eval log.
    """
    relatives = defaultdict(set)
    for log in logs:
        split, rest = split_in_name(log)
        relatives[log.path.parent, rest].add(split)
    told = []
    for log in logs:
        split, rest = split_in_name(log)
        alone = len(relatives[log.path.parent, rest] - {""}) < 2
        plain = split == "eval" and rest in _PLAIN
        told.append(_named(log, split, names) if split and (plain or not alone) else log)
    return told


def _named(log: Log, split: str, names: Callable[[str, str], str]) -> Log:
    found = {}
    for series in log.series:
        common = log.names.get(series.name) or names(log.format, series.name)
        known = canonical(common)
        if common in AXES or known in _OF_NO_SPLIT or split_of(series.name)[0] or known.startswith("final/"):
            continue
        ours = f"{split}/loss" if known == "train/loss" else common_name(f"{split} {series.name}")
        if ours != known:
            found[series.name] = ours
    if not found:
        return log
    shown = ", ".join(f"{raw} is {name}" for raw, name in list(found.items())[:3])
    note = Note(level="info", text=f"the file's name says whose values these are: {shown}", file=str(log.path))
    return replace(log, names={**log.names, **found}, notes=(*log.notes, note))


def of_one_run(charts: Sequence[Log]) -> list[list[Log]]:
    """Charts of runs of one name, in one list where no two contradict each other: other metrics, or the same values."""
    runs: list[list[Log]] = []
    for log in charts:
        fitting = next((run for run in runs if all(_agree(log, one) for one in run)), None)
        if fitting is None:
            runs.append([log])
        else:
            fitting.append(log)
    return runs


def _agree(one: Log, other: Log) -> bool:
    common = {s.name for s in one.series} & {s.name for s in other.series}
    shared, differing = compared(one, other)
    return not common or (len(np.unique(shared)) > 0 and not len(differing))
