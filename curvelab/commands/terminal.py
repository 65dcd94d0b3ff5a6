"""What the commands have in common when they talk: results to stdout, messages to stderr, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from curvelab.report.plain import clean

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
