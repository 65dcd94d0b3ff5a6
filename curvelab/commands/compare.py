"""curvelab compare: several runs in one report."""

from __future__ import annotations

import os
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
from curvelab.commands.pages import is_page, put_text, write_file
from curvelab.commands.terminal import exit_code, json_text, print_result, progress, say, severe, terminal_text
from curvelab.model.errors import UsageError
from curvelab.user_settings import (
    UserSettings,
    Wishes,
    comparing_in,
    metrics_in,
    names_in,
    one_of,
    settle,
    thresholds_in,
)

if TYPE_CHECKING:
    from curvelab.ingest import Gathered
    from curvelab.model.comparison import Comparison

DEFAULT_FOLDER, PAGE = "reports", "compare.html"
PIPED_WIDTH = 140  # columns of a text that goes to no terminal
REGRESSION = "regression"
FAIL_ON = ("never", "info", "warning", "critical", REGRESSION)


def compare(
    paths: Paths,
    rank_by: Annotated[
        str | None, typer.Option(metavar="METRIC", help="The metric that says which is better (default eval/loss).")
    ] = None,
    goal: Annotated[str | None, typer.Option(metavar="min|max", help="Whether less or more of it is better.")] = None,
    align: Annotated[
        str | None, typer.Option(metavar="step|epoch|tokens|samples|time", help="Align by it (default: chosen, and said why).")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="Name, id or path of the run that the others are held against.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="html|text|json|md", help="html (default) writes a page, the others print."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PATH", help="html: a folder (default reports) or an .html; else a file."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="never|info|warning|critical|regression", help="Exit 1 for such findings, or for a run worse than the baseline."),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    set_: Threshold = None,
    metric: Metric = None,
    gpus: Gpus = None,
    gpu_price: GpuPrice = None,
    config: Config = None,
) -> None:
    """Several runs in one report: which is better, is it real, what changed, where did they part."""
    regression = one_of("--fail-on", fail_on, FAIL_ON) == REGRESSION if fail_on is not None else False
    flags = Wishes(
        format=format_, output=output, fail_on="never" if regression else fail_on, select=names_in(select),
        ignore=names_in(ignore), thresholds=thresholds_in(set_), metrics=metrics_in(metric), gpus=gpus, gpu_price=gpu_price,
        compare=comparing_in({"rank-by": rank_by, "goal": goal, "align": align, "baseline": baseline}),
    )  # fmt: skip
    settings = settle(flags, config, os.environ, Path())
    wanted = settings.compare
    if regression and "baseline" not in wanted:
        raise UsageError("--fail-on regression: say against which run, with --baseline RUN")
    place = _place(settings)
    settings.check_patterns()
    gathered = _with_points(read_runs(paths, settings.metrics, flags.metrics))
    if not gathered.runs or (len(gathered.runs) == 1 and gathered.errors):
        if gathered.runs:
            say(f"curvelab: a comparison takes two runs or more, and only {gathered.runs[0].name} could be read")
        _deliver_nothing(settings, place, gathered)
        raise typer.Exit(exit_code(len(gathered.runs), max(1, len(gathered.errors))))
    comparison = _compared(gathered, settings)
    _deliver(comparison, settings, place, gathered)
    failing = (regression and _regressed(comparison)) or severe((finding for one in comparison.runs for finding in one.findings), settings.fail_on)
    raise typer.Exit(exit_code(len(gathered.runs), len(gathered.errors), failing))


def _with_points(gathered: Gathered) -> Gathered:
    """Without the runs of damaged logs of which no number is left: there is nothing to compare of them."""
    from curvelab.ingest import Gathered
    from curvelab.model.errors import UnreadableError

    empty = [run for run in gathered.runs if not run.logged and any(note.level != "info" for note in run.notes)]
    errors = [UnreadableError(run.path, "damaged, and no number of it could be read") for run in empty]
    for error in errors:
        say(str(error))
    return Gathered([run for run in gathered.runs if run not in empty], [*gathered.errors, *errors], gathered.remarks)


def _compared(gathered: Gathered, settings: UserSettings) -> Comparison:
    from curvelab.comparison import compared
    from curvelab.diagnosis import diagnose

    with progress("looking at") as show:
        diagnosed = []
        for run in gathered.runs:
            show(run.name)
            diagnosed.append((run, diagnose(run, settings.options)))
        show("all together")
        wanted = settings.compare
        return compared(
            diagnosed, settings.options, wanted.get("align"), wanted.get("rank-by"), wanted.get("goal"), wanted.get("baseline")
        )


def _place(settings: UserSettings) -> Path | None:
    """Where the result goes; None: to stdout. Raises UsageError before any log is read when that cannot be."""
    if settings.format != "html":
        return output_file(settings.output) if settings.output else None
    target = Path(settings.output or DEFAULT_FOLDER)
    if is_page(target) and not target.is_dir():
        return target
    if target.is_file():
        raise UsageError(f"-o {target}: is a file; the page goes to a folder or to one .html file")
    return target / PAGE


def _deliver(comparison: Comparison, settings: UserSettings, place: Path | None, gathered: Gathered) -> None:
    if settings.format == "html":
        from curvelab.report.compared.page import page

        assert place is not None
        with progress("drawing"):
            write_file(place, page(comparison))
        print_result(f"{_text(comparison, to_stdout=True)}-> {place}")
        return
    written = {"json": lambda: _json(comparison, gathered), "text": lambda: _text(comparison, place is None), "md": lambda: _markdown(comparison)}
    put_text(written[settings.format](), place)


def _json(comparison: Comparison, gathered: Gathered) -> str:
    return json_text(comparison.to_dict() | {"errors": _errors(gathered)})


def _errors(gathered: Gathered) -> list[dict[str, str]]:
    return [{"path": error.path, "message": error.message} for error in gathered.errors]


def _text(comparison: Comparison, to_stdout: bool) -> str:
    from curvelab.report.compared.text import plain, show

    return terminal_text(lambda console: show(comparison, console), lambda width: plain(comparison, width), to_stdout, PIPED_WIDTH)


def _markdown(comparison: Comparison) -> str:
    from curvelab.report.compared.markdown import markdown

    return markdown(comparison)


def _deliver_nothing(settings: UserSettings, place: Path | None, gathered: Gathered) -> None:
    """Without a run the errors are told on stderr; only the JSON has a place for them."""
    if settings.format == "json":
        from curvelab import __version__
        from curvelab.model.result import SCHEMA

        empty = {"schema": SCHEMA, "curvelab": __version__, "runs": [], "errors": _errors(gathered), "comparison": None}
        put_text(json_text(empty), place)


def _regressed(comparison: Comparison) -> bool:
    """Whether a run is worse than the baseline, or that cannot be told: a gate that sees nothing must not open."""
    from curvelab.comparing.baselines import unjudged

    held = comparison.baseline
    if held is None:
        return False
    why = unjudged(held)
    if why:
        say(f"curvelab: --fail-on regression: {why}; exit code 1, as nothing was checked")
        return True
    unknown = [one.name for one in held.standings if one.against == "not-comparable"]
    if unknown:
        say(f"curvelab: --fail-on regression: {len(unknown)} of {len(held.standings)} cannot be judged ({', '.join(unknown[:4])})")
    return bool(held.regressed)

