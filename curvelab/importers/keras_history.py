"""Keras history as JSON: the dict `history.history` that people dump after `model.fit`, one list a metric.

What it reads
-------------
`{"loss": [...], "val_loss": [...]}`, also under a key `history`, also as pandas writes it (`{"loss": {"0": ...}}`).
The step is the number of the epoch, from 0, or what a list `epoch` says; a note says so. Lists may differ in length.

Damage
------
A file that was cut anywhere is salvaged: of every list the complete items are kept. Values that are no numbers are
counted, not kept; null is no value.

Names
-----
Plain names are of the training (`loss` is train/loss, `accuracy` train/accuracy), `val_...` of the validation
(eval/loss).

Limits
------
Steps are epochs: Keras does not log how many optimizer steps one has. No wall times, settings or mark of completion.
Only a `.json` whose name speaks of a history and that begins with lists of numbers is claimed. Pickled histories are
not read.

Sources
-------
https://keras.io/api/models/model_training_apis/ (History.history).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from curvelab.free_names import train_by_default, whole_file_names
from curvelab.importers._json_text import complete_items, decoded, parse
from curvelab.importers._lines import Tally, refuse_empty
from curvelab.importers._metric_columns import MetricColumns, count_of
from curvelab.importers._table_notes import value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.sources import Source, importer

_FIRST_LIST = re.compile(
    r'^\s*\{\s*(?:"history"\s*:\s*\{\s*)?"[^"]{1,200}"\s*:\s*(?:\[|\{\s*"\d+"\s*:)\s*"?(?:[-+]?[\d.]|NaN|null|Infinity|nan)'
)
_METRIC = re.compile(r'"(?:val_)?(?:\w*loss|\w*acc\w*)"\s*:')
_KEY = re.compile(r'"([^"\\]{1,200})"\s*:\s*\[')


def looks_like_history(source: Source) -> bool:
    """Whether a file begins as a dict of lists of numbers, one of them a loss or an accuracy."""
    head = decoded(source.head)
    return bool(_FIRST_LIST.match(head) and _METRIC.search(head))


@importer(
    title="Keras history JSON",
    globs=("*history*.json", "*History*.json"),
    names=train_by_default,
    looks=looks_like_history,
)
def read(source: Source) -> Log:
    """Read one history. Raises UnreadableError when no list of numbers can be read."""
    tally = Tally(source.path)
    refuse_empty(source)
    raw = source.read_bytes()
    notes: list[Note] = []
    try:
        history = _history_of(parse(raw))
    except ValueError as error:
        text = decoded(raw)
        history = {
            match.group(1): [item for _, item in complete_items(text, match.end() - 1)] for match in _KEY.finditer(text)
        }
        kept = sum(map(len, history.values()))
        notes.append(tally.warn(f"cut or damaged ({error}); the {kept:,} complete values before that were kept"))
    columns = _columns(history)
    if not len(columns):
        raise UnreadableError(source.path, "holds no list of numbers; nothing to read")
    notes.append(tally.say("no steps are logged: the step is the number of the epoch"))
    notes += value_notes(tally, columns)
    return Log(
        path=source.path,
        format="keras-history",
        series=columns.series(),
        names=whole_file_names(columns.names, train_by_default),
        skipped=columns.skipped,
        notes=tuple(notes),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


def _history_of(tree: Any) -> dict[str, list[Any]]:
    """The lists of a history by metric; what is no list is left out."""
    if isinstance(tree, dict) and isinstance(tree.get("history"), dict):
        tree = {**tree["history"], **({"epoch": tree["epoch"]} if isinstance(tree.get("epoch"), list) else {})}
    if not isinstance(tree, dict):
        return {}
    found: dict[str, list[Any]] = {}
    for name, values in tree.items():
        if isinstance(values, Mapping) and all(str(key).isdigit() for key in values):
            found[name] = [values[key] for key in sorted(values, key=lambda key: (len(str(key)), str(key)))]
        elif isinstance(values, list):
            found[name] = values
    return found


def _columns(history: dict[str, list[Any]]) -> MetricColumns:
    columns = MetricColumns()
    epochs = [count_of(value) for value in history.get("epoch", [])]
    longest = max((len(values) for name, values in history.items() if name != "epoch"), default=0)
    for i in range(longest):
        given = epochs[i] if i < len(epochs) else None
        step = i if given is None else given
        row = [(name, values[i]) for name, values in history.items() if name != "epoch" and i < len(values)]
        columns.add(step, row, epoch=float(step))
    return columns
