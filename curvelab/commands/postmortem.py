"""curvelab postmortem: one report per run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.inputs import Config, Metric, Paths, output_file, read_runs
from curvelab.commands.terminal import exit_code, json_text, print_result, progress, say
from curvelab.commands.writing import is_page, write
from curvelab.model.errors import UsageError
from curvelab.report.plain import clean
from curvelab.user_settings import UserSettings, Wishes, metrics_in, names_in, settle, thresholds_in

if TYPE_CHECKING:
    from curvelab.ingest import Gathered
    from curvelab.model.result import Diagnosis

DEFAULT_FOLDER = "reports"
PIPED_WIDTH = 100  # columns of a text report that goes to no terminal
MOST_BLOCKS = 4  # runs that are told one by one on the terminal; more become a table


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
    select: Annotated[list[str] | None, typer.Option(metavar="PATTERN,...", help="Look for these only.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="PATTERN,...", help="Do not look for these.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATTERN.THRESHOLD=VALUE", help="Change a threshold. Repeatable."),
    ] = None,
    metric: Metric = None,
    gpus: Annotated[int | None, typer.Option(metavar="N", help="GPUs of the run; wins over the log.")] = None,
    gpu_price: Annotated[float | None, typer.Option(metavar="X", help="Price of one GPU for an hour.")] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="Evals without gain that stop a run early (default 3).")
    ] = None,
    min_gain: Annotated[float | None, typer.Option(metavar="X", help="Least gain of an eval (default 0.001).")] = None,
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
    gathered = read_runs(paths, settings.metrics, flags.metrics)
    diagnoses = _diagnosed(gathered, settings)
    deliver(diagnoses, gathered)
    if len(diagnoses) > 1 and settings.format in ("html", "text"):
        say("to see them side by side: curvelab compare " + " ".join(shlex.quote(path) for path in paths))
    failing = any(_fails(diagnosis, settings.fail_on) for diagnosis in diagnoses)
    raise typer.Exit(exit_code(len(diagnoses), len(gathered.errors), failing))


def _diagnosed(gathered: Gathered, settings: UserSettings) -> list[Diagnosis]:
    from curvelab.diagnosis import diagnose

    with progress("looking at") as show:
        found = []
        for run in gathered.runs:
            show(run.name)
            found.append(diagnose(run, settings.options))
        return found


def _fails(diagnosis: Diagnosis, fail_on: str) -> bool:
    from curvelab.model.finding import SEVERITIES

    if fail_on == "never":
        return False
    failing = SEVERITIES[[*SEVERITIES].index(fail_on) :]  # type: ignore[arg-type]
    return any(finding.severity in failing for finding in diagnosis.findings)


Delivery = Callable[[Sequence["Diagnosis"], "Gathered"], None]


def _delivery(settings: UserSettings) -> Delivery:
    """What to do with the result. Raises UsageError before any log is read when the output cannot be meant so."""
    if settings.format == "html":
        target = Path(settings.output or DEFAULT_FOLDER)
        if target.is_file() and not is_page(target):
            raise UsageError(f"-o {target}: is a file; pages go to a folder or to one .html file")
        return lambda diagnoses, gathered: _write_pages(diagnoses, target)
    file = output_file(settings.output) if settings.output else None
    written = {"json": _as_json, "text": _as_text, "md": _as_markdown}[settings.format]

    def deliver(diagnoses: Sequence[Diagnosis], gathered: Gathered) -> None:
        if not diagnoses and settings.format != "json":
            return  # the errors are told on stderr; only the JSON has a place for them
        text = written(diagnoses, gathered, file is None)
        if file is None:
            print_result(text)
        else:
            write(file, text)

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


def _write_pages(diagnoses: Sequence[Diagnosis], target: Path) -> None:
    """A page for each run, an index when there are several, and a summary on the terminal."""
    from curvelab.report.page import index, page

    if not diagnoses:
        return
    single = is_page(target) and not target.is_dir()
    if single and len(diagnoses) > 1:
        raise UsageError(f"-o {target}: is one page, and there are {len(diagnoses)} runs and an index; name a folder")
    names = [target.name] if single else page_names(diagnoses)
    folder = target.parent if single else target
    with progress("drawing") as show:
        for diagnosis, name in zip(diagnoses, names, strict=True):
            show(diagnosis.name)
            write(folder / name, page(diagnosis))
    contents = folder / "index.html" if len(diagnoses) > 1 else None
    if contents:
        write(contents, index(list(zip(diagnoses, names, strict=True))))
    print_result(_summary(diagnoses, [folder / name for name in names], contents))


def page_names(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """A file name for each page: `<slug>.html`, with a short hash where two would be one file or the index.

    Names that differ only in case are one file on some systems. All that collide get the hash (of path and id), so
    that a name does not depend on the order of the paths.
    """
    import hashlib

    from curvelab.report.write import slug

    slugs = [slug(diagnosis.name) for diagnosis in diagnoses]
    lowered = [one.lower() for one in slugs]
    names: list[str] = []
    taken = {"index", *(one for one in lowered if lowered.count(one) == 1)}
    for diagnosis, one in zip(diagnoses, slugs, strict=True):
        if lowered.count(one.lower()) == 1 and one.lower() != "index":
            names.append(one)
            continue
        word = f"{diagnosis.path}\0{diagnosis.id}"
        digest = hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()
        name = next(n for n in (f"{one}-{digest[:k]}" for k in range(6, 64)) if n.lower() not in taken)
        taken.add(name.lower())
        names.append(name)
    return [f"{name}.html" for name in names]


def _summary(diagnoses: Sequence[Diagnosis], pages: Sequence[Path], contents: Path | None) -> str:
    """The terminal's view: a block a run, a table for many, and where the pages are."""
    import sys

    from rich.console import Console

    from curvelab.report.text import show

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        if len(diagnoses) <= MOST_BLOCKS:
            for diagnosis, path in zip(diagnoses, pages, strict=True):
                show(diagnosis, console)
                console.print(f"  -> {clean(str(path))}", soft_wrap=True)
        else:
            _print_table(console, diagnoses, pages)
        if contents:
            console.print(f"{len(diagnoses)} runs -> {clean(str(contents))}", soft_wrap=True)
    return captured.get()


def _print_table(console: object, diagnoses: Sequence[Diagnosis], pages: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    assert isinstance(console, Console)
    table = Table("run", "verdict", "findings", "last step", "page", box=None, pad_edge=False, header_style="bold")
    for diagnosis, path in zip(diagnoses, pages, strict=True):
        found = len({finding.pattern for finding in diagnosis.findings})
        last = "-" if diagnosis.last_step is None else f"{diagnosis.last_step:,}"
        cells = (diagnosis.name, diagnosis.verdict, str(found) if found else "none", last, path.name)
        table.add_row(*(Text(clean(cell), overflow="fold") for cell in cells))
    console.print(table)
