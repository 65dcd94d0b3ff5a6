"""curvelab inspect: what was recognised at a path, file by file and run by run, and whether it was read rightly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curvelab.commands.inputs import Config, Metric, read_runs
from curvelab.commands.terminal import exit_code, json_text, print_result, progress, say
from curvelab.report.plain import clean
from curvelab.user_settings import Wishes, metrics_in, one_of, settle

if TYPE_CHECKING:
    from curvelab.ingest import Gathered
    from curvelab.model.log import Log
    from curvelab.model.run import Run

FORMATS = ("text", "json")


def inspect(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A log file, a folder, a glob or a URL.")],
    format_: Annotated[str, typer.Option("--format", metavar="text|json", help="How to print it.")] = "text",
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the format's reference reader.")] = False,
    metric: Metric = None,
    config: Config = None,
) -> None:
    """What was recognised: files, metrics, points, damage."""
    one_of("--format", format_, FORMATS)
    flags = Wishes(metrics=metrics_in(metric))
    settings = settle(flags, config, os.environ, Path())
    gathered = read_runs([path], settings.metrics, flags.metrics)
    report = _report(gathered, verify)
    if format_ == "json":
        print_result(json_text(report))
    elif gathered.runs:
        print_result("\n".join(_text(report)))
    looked = [(file["path"], file["verified"]) for file in report["files"] if verify]
    differing = [name for name, verified in looked if verified["status"] == "different"]
    for name in differing:
        say(f"{name}: differs from the reference reader")
    unverified = [(name, verified["reason"]) for name, verified in looked if verified["extra"]]
    for name, reason in unverified:
        say(f"{name}: not verified; {reason}")
    raise typer.Exit(exit_code(len(gathered.runs), len(gathered.errors) + len(unverified), bool(differing)))


def _report(gathered: Gathered, verify: bool) -> dict[str, Any]:
    """The JSON form: all that the text says, too."""
    from curvelab import __version__
    from curvelab.model.result import SCHEMA

    logs = [log for run in gathered.runs for log in run.logs]
    verified = _verified(logs) if verify else [None] * len(logs)
    return {
        "schema": SCHEMA,
        "curvelab": __version__,
        "files": [_file(log, result) for log, result in zip(logs, verified, strict=True)],
        "runs": [_run(run) for run in gathered.runs],
        "errors": [{"path": error.path, "message": error.message} for error in gathered.errors],
    }


def _verified(logs: Sequence[Log]) -> list[dict[str, Any]]:
    import msgspec

    from curvelab.verify import verify

    with progress("verifying") as show:
        results = []
        for log in logs:
            show(str(log.path))
            results.append(msgspec.to_builtins(verify(log)))
        return results


def _file(log: Log, verified: dict[str, Any] | None) -> dict[str, Any]:
    import msgspec

    tags: dict[str, dict[str, int | None]] = {}
    for series in log.series:
        native = series.step if series.native_step is None else series.native_step
        first, last = (int(native[0]), int(native[-1])) if len(native) else (None, None)
        tags[series.name] = {"count": len(native), "first_step": first, "last_step": last}
    for timed in log.timed:
        tags[timed.name] = {"count": len(timed.value), "first_step": None, "last_step": None}
    return {
        "path": str(log.path),
        "format": log.format,
        "run": log.identity.get("name"),
        "tags": tags,
        "skipped": dict(log.skipped),
        "damage": [msgspec.to_builtins(note) for note in log.damage],
        "verified": verified,
    }


def _run(run: Run) -> dict[str, Any]:
    import msgspec

    return {
        "id": run.id,
        "name": run.name,
        "path": run.path,
        "format": run.format,
        "project": run.project,
        "state": run.state,
        "first_step": run.first_step,
        "last_step": run.last_step,
        "planned_steps": run.planned_steps,
        "points": run.points,
        "metrics": {metric: len(run.logged[metric]) for metric in run.metrics},
        "seams": [{"step": seam.step, "reached": seam.reached} for seam in run.seams],
        "settings": len(run.config),
        "notes": [msgspec.to_builtins(note) for note in run.notes],
        "files": [str(log.path) for log in run.logs],
    }


def _text(report: dict[str, Any]) -> Iterator[str]:
    for _, runs in groupby(report["files"], key=lambda file: file["path"]):
        yield from _file_text(list(runs))
        yield ""
    for run in report["runs"]:
        yield from _run_text(run)
        yield ""


def _file_text(logs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What one file holds, under one heading: its log, or that of each run in it."""
    several = f", {_counted(len(logs), 'run')}" if len(logs) > 1 else ""
    yield f"{clean(logs[0]['path'])}: {logs[0]['format']}{several}"
    for log in logs:
        if several:
            yield f"  run {clean(log['run'] or '?')}"
        yield from _log_text(log)


def _log_text(file: dict[str, Any]) -> Iterator[str]:
    rows = [("tag", "count", "first step", "last step")]
    for name, tag in file["tags"].items():
        rows.append((clean(name), f"{tag['count']:,}", _number(tag["first_step"]), _number(tag["last_step"])))
    yield from _columns(rows) if file["tags"] else ("  no numbers",)
    for name, count in file["skipped"].items():
        yield f"  skipped: {clean(name)}, {_counted(count, 'value')} that {'is' if count == 1 else 'are'} no number"
    yield from (f"  damage: {_note(note)}" for note in file["damage"])
    if not file["damage"]:
        yield "  damage: none"
    if file["verified"]:
        yield from _verified_text(file["verified"])


def _verified_text(verified: dict[str, Any]) -> Iterator[str]:
    reason = f"; {clean(verified['reason'])}" if verified["reason"] else ""
    words = {
        "equal": f"equal to {verified['reader']} ({_counted(verified['values'], 'value')}){reason}",
        "different": f"differs from {verified['reader']}{reason}",
        "not-verified": f"not verified{reason}",
    }
    yield f"  {words[verified['status']]}"
    yield from (f"    {clean(difference)}" for difference in verified["differences"])


def _run_text(run: dict[str, Any]) -> Iterator[str]:
    planned = "plan unknown" if run["planned_steps"] is None else f"of {run['planned_steps']:,} planned"
    yield f"run {clean(run['name'])}: {run['format']}, {run['state']}, {_counted(run['points'], 'point')}"
    yield f"  settings {run['settings']}"
    yield f"  steps {_number(run['first_step'])} to {_number(run['last_step'])}, {planned}"
    yield from _columns([("metric", "rows"), *((clean(name), f"{rows:,}") for name, rows in run["metrics"].items())])
    for seam in run["seams"]:
        yield f"  restart: step {seam['step']:,} after {seam['reached']:,}"
    yield from (f"  {note['level']}: {_note(note)}" for note in run["notes"])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _note(note: dict[str, Any]) -> str:
    from curvelab.model.note import Note

    return clean(str(Note(**note)))


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        aligned = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield "  ".join(("", name.ljust(widths[0]), *aligned)).rstrip()
