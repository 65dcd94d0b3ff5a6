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
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Its settings (default: curvelab.toml, or pyproject.toml, of this folder)."),
    ] = None,
) -> None:
    """Print a recipe that runs the audit every night.

    How to install it stands at its top.
    """
    from curvelab import recipes

    if kind not in KINDS:
        raise UsageError(f'no recipe is called "{kind}"{did_you_mean(kind, KINDS) or "; known: " + ", ".join(KINDS)}')
    if kind == "github":
        if output or user or config:
            raise UsageError("the recipe for github takes --dir and --time only; it reads the curvelab.toml of the repository")
        print_result(recipes.github("runs" if folder is None else folder, time))
        return
    runs = Path(os.path.normpath(Path(folder or ".").absolute()))
    reports = os.path.normpath(Path(output).absolute()) if output else str(runs.parent / "reports" / "audit")
    settings = _settings(config)
    if kind == "cron":
        print_result(recipes.cron(str(runs), reports, time, _program(), user, settings))
        return
    files = recipes.systemd(str(runs), reports, time, _program(), user or _me(), settings)
    print_result("\n".join(f"# ===== {name} =====\n{text}" for name, text in files.items()))


def _settings(config: Path | None) -> list[str]:
    """The flags by which an audit that is started elsewhere has the settings of this folder.

    Raises UsageError for a file that the audit would refuse every night.
    """
    from curvelab.audit_settings import AuditWishes, settled
    from curvelab.user_settings import Wishes, settings_file, settle

    found = settings_file(config, os.environ, Path())
    if found is None:
        return []
    settings = settle(Wishes(), found, {}, Path())
    settings.check_patterns()
    file = settings.places[-1]
    settled(AuditWishes(), os.environ, file.audit, file.origin, settings.options)
    flags = ["--config", os.path.normpath(found.absolute())]
    history = file.audit.get("history")
    if history and "://" not in history and not history.startswith("env:") and not Path(history).is_absolute():
        flags += ["--history", os.path.normpath(Path(history).absolute())]  # a path in the file is meant from here
    return flags


def _program() -> str:
    """The curvelab that is running: neither cron nor systemd has the PATH of a person."""
    return str(Path(shutil.which("curvelab") or Path(sys.prefix) / "bin" / "curvelab").absolute())


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("nobody knows who you are here; name a user with --user") from None
