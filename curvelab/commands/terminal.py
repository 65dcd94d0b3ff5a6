"""What the commands have in common when they talk: results to stdout, messages to stderr, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from curvelab.report.plain import clean

if TYPE_CHECKING:
    from rich.console import Console

    from curvelab.model.finding import Finding

FOUND, WRONG_USE, SOME_UNREADABLE, NOTHING_READABLE, INTERNAL_ERROR, INTERRUPTED = 1, 2, 3, 4, 5, 130


def say(text: str) -> None:
    """One line to stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def print_result(text: str) -> None:
    """The result to stdout. A reader that has gone away (`| head`) is no error."""
    try:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit; let that go nowhere instead of failing noisily
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_text(value: dict[str, Any]) -> str:
    """Strict JSON in one line, and a line feed."""
    from curvelab.model.strict_json import encoded

    return encoded(value).decode() + "\n"


def exit_code(readable: int, unreadable: int, failing: bool = False) -> int:
    """The first that applies: nothing readable, some unreadable, findings that the user wants to fail on, done."""
    if unreadable:
        return SOME_UNREADABLE if readable else NOTHING_READABLE
    return FOUND if failing else 0


def severe(findings: Iterable[Finding], fail_on: str) -> bool:
    """Whether any finding is at or above a level of --fail-on."""
    from curvelab.model.finding import SEVERITIES

    if fail_on == "never":
        return False
    failing = SEVERITIES[[*SEVERITIES].index(fail_on) :]  # type: ignore[arg-type]
    return any(finding.severity in failing for finding in findings)


def terminal_text(show: Callable[[Console], object], plain: Callable[[int], str], to_stdout: bool, piped_width: int) -> str:
    """A summary as the terminal takes it: with colours and in its width where it goes to one, else as plain text.

    show          prints it on a console
    plain         gives it in so many columns, `piped_width` unless COLUMNS says otherwise
    """
    if to_stdout and sys.stdout.isatty():
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        with console.capture() as captured:
            show(console)
        return captured.get()
    import shutil

    return plain(shutil.get_terminal_size((piped_width, 40)).columns if "COLUMNS" in os.environ else piped_width)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being worked on; only on a terminal, and gone afterwards."""
    if not sys.stderr.isatty():
        yield lambda item: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status(Text(what)) as status:

        def show(item: str) -> None:
            line = Text(f"{what} {clean(item)}")
            line.truncate(max(10, console.width - 4), overflow="ellipsis")
            status.update(line)

        yield show
