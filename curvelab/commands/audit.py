"""curvelab audit: all runs of a project, what is new in them since the last time, and whom to tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curvelab.commands.inputs import Config, GpuPrice, Gpus, Ignore, Metric, Select, Threshold, output_file
from curvelab.commands.pages import is_page, put_text, write_file
from curvelab.commands.terminal import NOTHING_READABLE, exit_code, json_text, print_result, say, terminal_text
from curvelab.model.errors import UnreadableError, UsageError
from curvelab.user_settings import UserSettings, Wishes, metrics_in, names_in, settle, thresholds_in

if TYPE_CHECKING:
    from curvelab.audit_settings import AuditSettings
    from curvelab.model.audit import AuditResult
    from curvelab.nightly import Request

PAGE = "index.html"
PIPED_WIDTH = 100  # columns of a text that goes to no terminal


def audit(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the project: all runs below it.")],
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="html|text|json|md", help="html (default) writes pages, the others print."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="html: a folder (default reports/audit); else a file.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="LEVEL|new-LEVEL|never", help="Exit 1 for such findings: info, warning, critical, new-warning, new-critical (default)."),
    ] = None,
    accept_current: Annotated[
        bool, typer.Option("--accept-current", help="Take everything that is found as known: tell of what comes after.")
    ] = False,
    history: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="The history (default: curvelab.db beside the pages), or postgresql://…")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Its name in the history (default: the path of DIR).")] = None,
    notify: Annotated[list[str] | None, typer.Option(metavar="URL", help="Tell an apprise target: slack://…, mailto://… Repeatable.")] = None,
    notify_on: Annotated[str | None, typer.Option(metavar="info|warning|critical", help="From which severity on (default warning).")] = None,
    ping: Annotated[str | None, typer.Option(metavar="URL", help="A dead-man's switch, called at the end.")] = None,
    link: Annotated[str | None, typer.Option(metavar="URL", help="Where the pages can be seen, for links in messages.")] = None,
    md: Annotated[Path | None, typer.Option("--md", metavar="FILE", help="Write the digest, too.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the JSON, too.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, too.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write SARIF 2.1.0, too.")] = None,
    github: Annotated[
        bool | None, typer.Option("--github/--no-github", help="Step summary and annotations (default: inside GitHub Actions).")
    ] = None,
    look: Annotated[
        bool, typer.Option("--look", help="Only look: nothing is written down or drawn, nobody is told, all stays new.")
    ] = False,
    allow_unreadable: Annotated[
        bool, typer.Option("--allow-unreadable", help="Inputs that cannot be read do not change the exit code.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="N", help="Processes (default: one for each core).")] = None,
    live_minutes: Annotated[
        float | None, typer.Option(metavar="N", help="A run without news for as long is over (default 60).")
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    set_: Threshold = None,
    metric: Metric = None,
    gpus: Gpus = None,
    gpu_price: GpuPrice = None,
    config: Config = None,
) -> None:
    """All runs of a project: what is new since the last audit, in a page that a team keeps open."""
    from curvelab.audit_settings import AuditWishes, settled

    flags = Wishes(
        format=format_, output=output, select=names_in(select), ignore=names_in(ignore),
        thresholds=thresholds_in(set_), metrics=metrics_in(metric), gpus=gpus, gpu_price=gpu_price,
    )  # fmt: skip
    # an audit has levels of its own: new-critical
    settings = settle(flags, config, {k: v for k, v in os.environ.items() if k != "CURVELAB_FAIL_ON"}, Path())
    wishes = AuditWishes(
        history=history, project=project, fail_on=fail_on, notify=tuple(notify) if notify else None, notify_on=notify_on,
        ping=ping, link=link, live_minutes=live_minutes, jobs=jobs,
    )  # fmt: skip
    file = settings.places[-1]
    asked = settled(wishes, os.environ, file.audit, file.origin, settings.options)
    settings.check_patterns()
    place = _Place(settings, output)
    request = _request(folder, settings, asked, place, accept_current, look)
    _ping(asked.ping, None)
    result = None
    try:
        result = _audited(request, place)
        _write(result, place, asked.link)
        _write_besides(result, asked.link, {"md": md, "json": json_, "junit": junit, "sarif": sarif}, github)
        if not look:
            _tell(result, request, asked)
        _tell_github(result, asked.link, github)
    except BaseException:
        _ping(asked.ping, False)
        if result is not None:
            from curvelab.nightly import given_up

            given_up(request, result)
        raise
    readable, unreadable = _readable(result), len(result.errors)
    code = exit_code(readable, 0 if allow_unreadable and readable else unreadable, bool(result.failing))
    _ping(asked.ping, code != NOTHING_READABLE)
    raise typer.Exit(code)


class _Place:
    """Where the result goes: a folder of pages, a file, or stdout. Raises UsageError before any log is read."""

    def __init__(self, settings: UserSettings, given: str | None) -> None:
        from curvelab.audit_settings import pages_folder

        self.format = settings.format
        self.file: Path | None = None
        self.folder = pages_folder(settings)
        if self.format != "html":
            self.file = output_file(settings.output) if settings.output else None
            return
        if given is not None:
            self.folder = Path(given)
        if is_page(self.folder) or self.folder.is_file():
            raise UsageError(f"-o {self.folder}: an audit writes several pages; name a folder")

    @property
    def pages(self) -> Path | None:
        return self.folder if self.format == "html" else None


def _request(
    folder: str, settings: UserSettings, asked: AuditSettings, place: _Place, accept: bool, look: bool
) -> Request:
    from curvelab.nightly import DATABASE, Request, cores

    return Request(
        root=Path(folder),
        history=asked.history or place.folder / DATABASE,
        pages=None if look else place.pages,
        policy=asked.policy,
        metric_names=settings.metrics,
        project=asked.project,
        passed_over=(place.folder,),
        processes=asked.jobs or cores(),
        quiet=asked.quiet,
        accept=accept,
        rehearsed=look,
    )


def _audited(request: Request, place: _Place) -> AuditResult:
    from curvelab.nightly import audited

    try:
        with _bar() as tick:
            result = audited(request, tick)
    except UnreadableError as why:
        if place.format == "json":  # only the JSON has a place for it
            put_text(json_text(_nothing(why)), place.file)
        raise
    for error in result.errors:
        say(f"{error.path}: {error.message}")
    for remark in result.remarks:
        say(str(remark))
    return result


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, on a terminal only, gone afterwards."""

    if not sys.stderr.isatty():
        yield lambda what, done, all_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, Any] = {}

        def tick(what: str, done: int, all_: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=all_)
            progress.update(bars[what], completed=done)

        yield tick


def _nothing(error: UnreadableError) -> dict[str, Any]:
    """The JSON of an audit that found no folder."""
    from curvelab import __version__
    from curvelab.model.result import SCHEMA

    errors = [{"path": error.path, "message": error.message}]
    return {"schema": SCHEMA, "curvelab": __version__, "runs": [], "errors": errors, "audit": None}


def _write(result: AuditResult, place: _Place, link: str) -> None:
    """The result in the format that was asked for. Who only looks gets the text in the place of pages."""
    if place.format != "html":
        put_text({"json": _json, "text": _text, "md": _markdown}[place.format](result, link, place.file is None), place.file)
        return
    if result.rehearsed:
        print_result(_text(result, link, True))
        return
    from curvelab.report.audited.page import page

    write_file(place.folder / PAGE, page(result))
    print_result(f"{_text(result, link, True)}-> {place.folder / PAGE}")


def _write_besides(result: AuditResult, link: str, files: dict[str, Path | None], github: bool | None) -> None:
    """Files besides the result itself, by their kind."""
    for kind, path in files.items():
        if path is None:
            continue
        if kind == "junit":
            from curvelab.report.audited.junit import junit

            text = junit(result)
        elif kind == "sarif":
            from curvelab.report.audited.sarif import sarif

            # GitHub knows neither suppressions nor baselines: there a muted finding would be an open alert
            text = json_text(sarif(result, only_open=_in_github(github)))
        else:
            text = {"md": _markdown, "json": _json}[kind](result, link, False)
        write_file(path, text)


def _json(result: AuditResult, link: str, to_stdout: bool) -> str:
    return json_text(result.document())


def _text(result: AuditResult, link: str, to_stdout: bool) -> str:
    from curvelab.report.audited.text import plain, show

    return terminal_text(lambda console: show(result, console), lambda width: plain(result, width), to_stdout, PIPED_WIDTH)


def _markdown(result: AuditResult, link: str, to_stdout: bool) -> str:
    from curvelab.report.audited.markdown import markdown

    return markdown(result, link)


def _tell(result: AuditResult, request: Request, asked: AuditSettings) -> None:
    """Messages to people. Who cannot be told is a warning, and is told the next time."""
    from curvelab.nightly import delivered, missed
    from curvelab.telling import tell

    failures, left = tell(result, asked.policy, asked.notify_on, asked.link, missed(request))
    for failure in failures:
        say(f"curvelab: could not notify {failure.target}: {failure.reason}")
    delivered(request, result, left)


def _tell_github(result: AuditResult, link: str, github: bool | None) -> None:
    if _in_github(github):
        from curvelab.report.audited.github import annotations, append_summary, summary

        for line in annotations(result):
            print(line, file=sys.stderr)  # GitHub reads both streams, and stdout may be JSON
        if failed := append_summary(summary(result, link)):
            say(f"curvelab: {failed}")


def _in_github(asked: bool | None) -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true" if asked is None else asked


def _ping(url: str | None, ok: bool | None) -> None:
    """Tell a dead-man's switch that the audit begins (None), or how it ended: findings are no failure of the audit."""
    if url:
        from curvelab.notify import ping

        failure = ping(url, ok)
        if failure is not None:
            say(f"curvelab: could not ping {failure.target}: {failure.reason}")


def _readable(result: AuditResult) -> int:
    """Runs that were read; a folder without any is as unreadable as a file that is no log."""
    return sum(run.seen != "gone" and not run.unread for run in result.runs)
