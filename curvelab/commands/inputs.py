"""The arguments that several commands share, and reading the runs below the paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.terminal import progress, say
from curvelab.model.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from curvelab.ingest import Gathered

Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Log files, folders or globs.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings from this file (default: curvelab.toml, or [tool.curvelab] of pyproject.toml).")
]  # fmt: skip
Metric = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME=CANONICAL", help="Read a logged NAME as a canonical metric, e.g. valid_mse=eval/loss. Repeatable.")
]  # fmt: skip


def read_runs(paths: Sequence[str], metric_names: Mapping[str, str], typed: Mapping[str, str]) -> Gathered:
    """All runs below the paths; each input that could not be read is said in one line.

    metric_names  logged name -> canonical name, from all settings
    typed         those of them that stood on the command line: one that fits no log is said, too
    """
    from curvelab.ingest import gather

    with progress("reading") as show:
        gathered = gather(paths, progress=show, metric_names=metric_names)
    for error in gathered.errors:
        say(str(error))
    logged = {raw for run in gathered.runs for curve in run.logged.values() for raw in (*curve.raw_names, curve.metric)}
    for name in typed:
        if gathered.runs and name not in logged and typed[name] not in logged:
            say(f'--metric {name}: no log has a metric of that name{did_you_mean(name, logged)}')
    return gathered


def output_file(output: str) -> Path:
    """A file that may be written. Raises UsageError for a folder, a device, or a place that does not exist."""
    path = Path(output)
    if path.is_dir():
        raise UsageError(f"-o {output}: is a folder; this format is written to one file")
    if path.exists() and not path.is_file():
        raise UsageError(f"-o {output}: is not a regular file; leave -o out to write to stdout")
    return path
