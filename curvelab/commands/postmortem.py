"""curvelab postmortem: one report per run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.inputs import (
    Config,
    GpuPrice,
    Gpus,
    Ignore,
    Metric,
    Paths,
    Select,
    Threshold,
    output_file,
    read_runs,
)
from curvelab.commands.pages import page_target, put_text, write_pages
from curvelab.commands.plots import plot_formats, write_plots
from curvelab.commands.terminal import exit_code, json_text, progress, say, severe
from curvelab.user_settings import UserSettings, Wishes, metrics_in, names_in, settle, thresholds_in

if TYPE_CHECKING:
    from curvelab.ingest import Gathered
    from curvelab.model.result import Diagnosis

PIPED_WIDTH = 100  # columns of a text report that goes to no terminal


def postmortem(
    paths: Paths,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="html|text|json|md", help="html (default) writes pages, the others print."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="html: a folder (default reports) or one .html; else a file."
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="never|info|warning|critical", help="Exit 1 for findings at or above it (default never)."),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    set_: Threshold = None,
    metric: Metric = None,
    gpus: Gpus = None,
    gpu_price: GpuPrice = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="Evals without gain that stop a run early (default 3).")
    ] = None,
    min_gain: Annotated[float | None, typer.Option(metavar="X", help="Least gain of an eval (default 0.001).")] = None,
    export_plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every picture to a file of its own, too.")
    ] = None,
    plot_format: Annotated[
        list[str] | None, typer.Option(metavar="svg|png|pdf,...", help="Formats of these files (default svg).")
    ] = None,
    config: Config = None,
) -> None:
    """One report per run: what went wrong, since when, what to change."""
    flags = Wishes(
        format=format_,
        output=output,
        fail_on=fail_on,
        select=names_in(select),
        ignore=names_in(ignore),
        thresholds=thresholds_in(set_),
        metrics=metrics_in(metric),
        gpus=gpus,
        gpu_price=gpu_price,
        patience=patience,
        min_gain=min_gain,
    )
    settings = settle(flags, config, os.environ, Path())
    deliver = _delivery(settings)
    settings.check_patterns()
    formats = plot_formats(export_plots, plot_format)
    gathered = read_runs(paths, settings.metrics, flags.metrics)
    diagnoses = _diagnosed(gathered, settings)
    deliver(diagnoses, gathered)
    if len(diagnoses) > 1 and settings.format in ("html", "text"):
        say("to see them side by side: curvelab compare " + " ".join(shlex.quote(path) for path in paths))
    if export_plots is not None:
        write_plots(diagnoses, export_plots, formats)
    failing = severe((finding for diagnosis in diagnoses for finding in diagnosis.findings), settings.fail_on)
    raise typer.Exit(exit_code(len(diagnoses), len(gathered.errors), failing))


def _diagnosed(gathered: Gathered, settings: UserSettings) -> list[Diagnosis]:
    from curvelab.diagnosis import diagnose

    with progress("looking at") as show:
        found = []
        for run in gathered.runs:
            show(run.name)
            found.append(diagnose(run, settings.options))
        return found


Delivery = Callable[[Sequence["Diagnosis"], "Gathered"], None]


def _delivery(settings: UserSettings) -> Delivery:
    """What to do with the result. Raises UsageError before any log is read when the output cannot be meant so."""
    if settings.format == "html":
        target = page_target(settings.output)
        return lambda diagnoses, gathered: write_pages(diagnoses, target)
    file = output_file(settings.output) if settings.output else None
    written = {"json": _as_json, "text": _as_text, "md": _as_markdown}[settings.format]

    def deliver(diagnoses: Sequence[Diagnosis], gathered: Gathered) -> None:
        if not diagnoses and settings.format != "json":
            return  # the errors are told on stderr; only the JSON has a place for them
        put_text(written(diagnoses, gathered, file is None), file)

    return deliver


def _as_json(diagnoses: Sequence[Diagnosis], gathered: Gathered, to_stdout: bool) -> str:
    from curvelab import __version__
    from curvelab.model.result import SCHEMA

    return json_text(
        {
            "schema": SCHEMA,
            "curvelab": __version__,
            "runs": [diagnosis.to_dict() for diagnosis in diagnoses],
            "errors": [{"path": error.path, "message": error.message} for error in gathered.errors],
        }
    )


def _as_text(diagnoses: Sequence[Diagnosis], gathered: Gathered, to_stdout: bool) -> str:
    import shutil
    import sys

    from curvelab.report.text import plain

    on_terminal = to_stdout and sys.stdout.isatty()
    return plain(list(diagnoses), shutil.get_terminal_size().columns if on_terminal else PIPED_WIDTH)


def _as_markdown(diagnoses: Sequence[Diagnosis], gathered: Gathered, to_stdout: bool) -> str:
    from curvelab.report.markdown import markdown

    return markdown(list(diagnoses))
