"""Where an audited run stands, as machines want it: a path below the audited folder, with slashes."""

from __future__ import annotations

import os
from pathlib import PurePath

from curvelab.model.audit import AuditedRun, AuditResult

ROOT_NAME = "runs"  # of an audited folder that has no name, such as "/"


def project_name(result: AuditResult) -> str:
    """What people call the project: its name, else that of the audited folder."""
    return result.project or PurePath(result.root).name or ROOT_NAME


def runs_by_key(result: AuditResult) -> dict[str, AuditedRun]:
    """The runs by their keys."""
    return {run.key: run for run in result.runs}


def below(path: str, folder: str) -> str | None:
    """The path relative to a folder, with slashes; None where it is not below it (or is no path at all)."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return None
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or "\0" in relative:
        return None
    return PurePath(relative).as_posix()


def place_of(result: AuditResult, key: str, run: AuditedRun | None) -> str:
    """A run's log below the audited folder, else the run itself; of a run that is not known any more, by its key."""
    if run is not None and run.log and below(str(PurePath(result.root, run.log)), result.root):
        return PurePath(run.log).as_posix()
    return (run and below(run.path, result.root)) or key.partition("#")[0] or "."
