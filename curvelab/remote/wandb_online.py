"""Runs that W&B's own service holds: `wandb://entity/project` or `wandb://entity/project/run`, through W&B's SDK.

What it reads
-------------
The whole history with `scan_history`, page by page, never the sampled `history`; the config; the summary, for the mark
of completion; the state. Steps, epochs, tokens and times are found by the code that reads `.wandb` files, so that a run
gives the same curves from either. What `define_metric` said stands in the config's `_wandb` part.

System metrics
--------------
The service hands them out only sampled to a number of rows. Many are asked for: when fewer come, they are all there are,
and are kept; else they are left out, and a note says so.

State
-----
"crashed", "failed", "killed" and "preempted" runs are crashed, running ones are running. "finished" means to W&B that
the process ended with exit code 0, which a caller may do early: it counts where no plan says otherwise.

Failure
-------
A 5xx answer, a timeout or a broken connection is tried again by the SDK, with doubling waits, a bounded number of times.
A run that still cannot be read is an error of its own; the others are read.

Limits
------
A number beyond the range of a float64 comes out of the SDK as an infinity, like one that was logged: no note tells them
apart.

Sources
-------
https://docs.wandb.ai/ref/python/public-api/; the queries are those that wandb 0.31 sends to a local server.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from curvelab.importers._wandb_axes import INTERNAL, StepMetrics, history_series
from curvelab.importers._wandb_table import Table
from curvelab.model.errors import UnreadableError, UsageError
from curvelab.model.log import Log, State, TimedSeries
from curvelab.model.note import Note
from curvelab.remote._wandb_account import Account, opened
from curvelab.remote.fetched import Fetched, Progress
from curvelab.remote.labels import Label

PAGE = 1_000  # rows of a page, as the SDK has it
MOST_RUNS = 5_000  # of one project; judgement
MOST_SYSTEM_ROWS = 10_000  # asked for; fewer in the answer are all there are
COMPLETION = "train_runtime"  # the Trainer logs it once, when training has run to its end

STATES: Mapping[str, State] = {
    "finished": "finished", "running": "running", "crashed": "crashed", "failed": "crashed", "killed": "crashed",
    "preempted": "crashed",
}  # fmt: skip


def fetch_runs(url: str, progress: Progress | None = None) -> Fetched:
    """The runs of a project, or one run, as logs.

    Raises UsageError for a URL that names no project, UnreadableError when the service gives nothing at all.
    """
    entity, project, name = parts_of(url)
    label = Label(local=f"/curvelab-{secrets.token_hex(8)}/", url="wandb://")
    logs: list[Log] = []
    errors: list[UnreadableError] = []
    with opened(url) as account:
        runs = _listed(account, entity, project, name)
        while True:
            try:
                run = next(runs, None)
                if run is None:
                    break
                path = Path(label.local, entity, project, str(run.id).replace("/", "_"))
            except Exception as error:  # foreign code: the runs that were listed before are kept
                kept = f"; the {len(logs):,} runs before are kept" if logs else ""
                errors.append(UnreadableError(url, account.told(error) + kept))
                break
            if len(logs) + len(errors) == MOST_RUNS:
                errors.append(UnreadableError(url, f"more than {MOST_RUNS:,} runs; the rest was not read"))
                break
            try:
                logs.append(_log(account, run, path, label, progress))
            except Exception as error:  # one run that fails does not stop the others
                errors.append(UnreadableError(path, account.told(error)))
    if not logs and not errors:
        raise UnreadableError(url, "the project holds no runs")
    return Fetched(label, logs=tuple(logs), errors=tuple(errors))


def parts_of(url: str) -> tuple[str, str, str | None]:
    """Entity, project and run of an address. Raises UsageError."""
    parts = url.partition("://")[2].rstrip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts) or {".", ".."} & {*parts}:
        raise UsageError(f"{url}: write wandb://entity/project or wandb://entity/project/run")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _listed(account: Account, entity: str, project: str, name: str | None) -> Iterator[Any]:
    if name is None:
        yield from account.api.runs(f"{entity}/{project}")
    else:
        yield account.api.run(f"{entity}/{project}/{name}")


def _log(account: Account, run: Any, path: Path, label: Label, progress: Progress | None) -> Log:
    """One run of the service as a log, like that of its `.wandb` file."""
    shown = label.text(str(path))
    if progress:
        progress(shown)
    config, raw = dict(run.config), dict(run.rawconfig)
    summary = [str(key) for key in run.summary_metrics]
    table = Table(item_field=1)
    for rows in _chunks(run.scan_history(page_size=PAGE)):
        table.add_texts([_texts(row) for row in rows])
        if progress:
            progress(f"{shown}: {table.rows:,} rows")
    series, said = history_series(table, _step_metrics(raw.get("_wandb")), None)
    timed, said_of_system = _system(account, run)
    notes = [Note(level=level, text=text, file=str(path)) for level, text in (*said, *_value_notes(table))]
    notes += [Note(level="info", text=text, file=str(path)) for text in said_of_system]
    if not series:
        notes.append(Note(level="info", text="no numbers were logged", file=str(path)))
    state = STATES.get(str(run.state), "unknown")
    completed = any(name.rpartition("/")[2] == COMPLETION for name in (*summary, *table.columns))
    steps = config.get("max_steps")
    identity = {"id": run.id, "name": run.name, "project": run.project, "entity": run.entity, "group": run.group}
    return Log(
        path=path,
        format="wandb-online",
        series=series,
        timed=timed,
        settings={"W&B config": config} if config else {},
        plan=int(steps) if isinstance(steps, int | float) and 0 < steps < 2**62 else None,
        finished=True if completed else (False if state == "crashed" else None),
        said_state=state,
        exit_code=0 if state == "finished" else None,
        identity={word: str(value) for word, value in identity.items() if value},
        skipped={name: column.skipped for name, column in table.columns.items() if column.skipped},
        notes=tuple(notes),
    )


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    source = (row for row in rows)  # the SDK's own iterator begins anew at every iter(), so also at every islice()
    while chunk := list(islice(source, PAGE)):
        yield chunk


def _texts(row: Mapping[str, Any]) -> dict[str, bytes]:
    """The row's values as the JSON that W&B wrote; columns of other rows come as null."""
    return {str(key): json.dumps(value, default=str).encode() for key, value in row.items() if value is not None}


def _step_metrics(internal: object) -> StepMetrics:
    """The definitions in the config's `_wandb.m`: a list of MetricRecords by field number (1 name, 2 glob, 4 step metric,
    5 place of the step metric in the list, from 1)."""
    metrics = StepMetrics()
    listed = internal.get("m") if isinstance(internal, dict) else None
    records = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    for record in records:
        step, place = record.get("4"), record.get("5")
        if not step and isinstance(place, int) and 0 < place <= len(records):
            step = records[place - 1].get("1")
        name, glob = record.get("1"), record.get("2")
        if all(word is None or isinstance(word, str) for word in (name, glob, step)):
            metrics.define(name, glob, step)
    return metrics


def _system(account: Account, run: Any) -> tuple[tuple[TimedSeries, ...], list[str]]:
    """The system metrics by time, when the service gave all of them, and what is to be said. Never costs the run."""
    try:
        rows = run.history(stream="system", samples=MOST_SYSTEM_ROWS, pandas=False)
    except Exception as error:  # the run's curves are at hand; they are worth more than its system metrics
        return (), [f"its system metrics could not be read ({account.told(error)})"]
    if len(rows) >= MOST_SYSTEM_ROWS:
        return (), [f"its system metrics come sampled to {MOST_SYSTEM_ROWS:,} rows; left out"]
    table = Table(item_field=3)
    table.add_texts([_texts(row) for row in rows])
    if (stamps := table.columns.get("_timestamp")) is None:
        return (), []
    wall = np.full(table.rows, np.nan)
    at, seconds = stamps.values()
    wall[at] = seconds
    series = []
    for name, column in table.columns.items():
        places, values = column.values()
        if name not in INTERNAL and len(places):
            full = name if name.startswith("system.") else f"system.{name}"
            series.append(TimedSeries(full, wall[places], values))
    return tuple(series), []


def _value_notes(table: Table) -> Iterator[tuple[Literal["info", "warning"], str]]:
    skipped = [column.skipped for column in table.columns.values() if column.skipped]
    if skipped:
        text = f"{sum(skipped):,} values of {len(skipped):,} keys are no numbers (texts, histograms, media); not kept"
        yield "info", text
    if table.refused:
        yield "warning", f"{table.refused:,} values under too many or too long names; not kept"
