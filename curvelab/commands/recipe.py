"""curvelab recipe: the audit every night, by cron, systemd or GitHub Actions, ready to be pasted."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from curvelab.commands.terminal import print_result
from curvelab.model.errors import UsageError, did_you_mean

KINDS = ("cron", "systemd", "github")


def recipe(
    kind: Annotated[str, typer.Argument(metavar="[cron|systemd|github]", help="What shall start the audit.")],
    folder: Annotated[str | None, typer.Option("--dir", metavar="DIR", help="The folder of runs (here: this one; github: runs).")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="Where the pages go (reports/audit beside the folder of runs).")
    ] = None,
    time: Annotated[str, typer.Option("--time", metavar="HH:MM", help="When, every day: local time; github: UTC.")] = "02:30",
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Who runs it (systemd: you; cron: for a file of /etc/cron.d).")
    ] = None,
) -> None:
    """Print a recipe that runs the audit every night.

    How to install it stands at its top.
    """
    from curvelab import recipes

    if kind not in KINDS:
        raise UsageError(f'no recipe is called "{kind}"{did_you_mean(kind, KINDS) or "; known: " + ", ".join(KINDS)}')
    if kind == "github":
        if output or user:
            raise UsageError("the recipe for github takes --dir and --time only")
        print_result(recipes.github("runs" if folder is None else folder, time))
        return
    runs = Path(os.path.normpath(Path(folder or ".").absolute()))
    reports = os.path.normpath(Path(output).absolute()) if output else str(runs.parent / "reports" / "audit")
    if kind == "cron":
        print_result(recipes.cron(str(runs), reports, time, _program(), user))
        return
    files = recipes.systemd(str(runs), reports, time, _program(), user or _me())
    print_result("\n".join(f"# ===== {name} =====\n{text}" for name, text in files.items()))


def _program() -> str:
    """The curvelab that is running: neither cron nor systemd has the PATH of a person."""
    return str(Path(shutil.which("curvelab") or Path(sys.prefix) / "bin" / "curvelab").absolute())


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("nobody knows who you are here; name a user with --user") from None
