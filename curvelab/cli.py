"""The command line: puts the commands together, and turns every ending into an exit code and at most one line.

Exit codes: 0 done; 1 findings at or above --fail-on; 2 wrong use; 3 some inputs could not be read; 4 nothing readable;
5 internal error; 130 interrupted. Nothing heavy is imported here, and only the command that is called is imported at
all: `curvelab --help` must stay fast however many commands there are.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from curvelab.commands.terminal import INTERNAL_ERROR, INTERRUPTED, NOTHING_READABLE, WRONG_USE, say
from curvelab.model.errors import CurvelabError, UnreadableError

# Each is a function of its name in a module of its name in curvelab/commands/.
COMMANDS = {
    "postmortem": "One report per run: what went wrong, since which step, what to change.",
    "compare": "Several runs in one report: which is better, is it real, where did they part.",
    "audit": "All runs of a project, every night: what is new, what got worse, what is fixed.",
    "mute": "Findings of the nightly audit that nobody is to be told of, for a while.",
    "render": "The pages of a diagnosis that was saved as JSON.",
    "export": "The unified dataframe as csv, parquet or jsonl.",
    "inspect": "What was recognised: files, metrics, points, damage.",
    "recipe": "The audit every night: by cron, systemd or GitHub Actions.",
    "bench": "Score curvelab on your own labelled runs.",
    "explain": "The card of a pattern, or a table of all patterns.",
}

# Typer carries a copy of click from some version on; the base class of its usage errors is the same in both worlds.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]


def _print_version(wanted: bool) -> None:
    if wanted:
        from curvelab import __version__

        typer.echo(f"curvelab {__version__}")
        raise typer.Exit


def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")] = False,
) -> None:
    """Read training runs after the fact: what went wrong, since which step, and what to change."""


def _not_called() -> None:
    """Stands in for a command whose name and summary are all that is needed."""


def assembled(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with the parameters of the one command that the arguments call (of all, for completion)."""
    # Plain help and plain errors: the decorated ones import rich, which costs as much as everything else together.
    app = typer.Typer(name="curvelab", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_about)
    called = next((word for word in arguments if not word.startswith("-")), None)
    completing = "_CURVELAB_COMPLETE" in os.environ
    for name, summary in COMMANDS.items():
        wanted = completing or name == called
        command = getattr(import_module(f"curvelab.commands.{name}"), name) if wanted else _not_called
        app.command(name, short_help=summary)(command)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Raises an internal error only with `--debug`, anywhere in it."""
    debug, rest = _without_debug(arguments)
    try:
        code = assembled(rest)(args=rest, prog_name="curvelab", standalone_mode=False)
    except UnreadableError as error:
        say(str(error))
        return NOTHING_READABLE
    except CurvelabError as error:
        say(f"curvelab: {error}")
        return WRONG_USE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _CommandLineError as error:
        return _usage_error(error)
    except Exception as error:  # the outermost edge: users get a line, developers --debug
        if debug:
            raise
        say(f"curvelab: internal error: {type(error).__name__}: {error}; run with --debug for the traceback")
        return INTERNAL_ERROR
    return code if isinstance(code, int) else 0


def _usage_error(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "curvelab"
    text = str(getattr(error, "format_message", error.__str__)())
    if not text.strip():  # no arguments at all: the message is the help itself
        typer.echo(context.get_help() if context else "", err=True)
    elif "\n" in text:
        typer.echo(text, err=True)
    else:
        say(f"{where}: {text.rstrip('.')}; see {where} --help")
    return WRONG_USE


def _without_debug(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Take `--debug` out wherever it stands before a `--`: an error message tells people to add it to their line."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [word for word in arguments[:end] if word != "--debug"]
    return len(options) < end, [*options, *arguments[end:]]


def main() -> NoReturn:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names from logs need not fit the terminal's encoding
    try:
        sys.exit(run(sys.argv[1:]))
    except Exception:
        if "--debug" not in sys.argv:
            raise
        import traceback

        traceback.print_exc()
        sys.exit(INTERNAL_ERROR)
