"""audit(): a project's folder -> AuditResult. One pass over all runs; only what has changed is looked at again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from curvelab.auditing.night import Night, Tick
from curvelab.auditing.policies import Policy
from curvelab.auditing.request import Request
from curvelab.history import History
from curvelab.model.audit import AuditResult
from curvelab.model.errors import UnreadableError, UsageError

__all__ = ["DATABASE", "Request", "audit", "audited", "cores"]

DATABASE = "curvelab.db"


def audit(
    path: str | Path,
    *,
    history: str | Path | None = None,
    pages: str | Path | None = None,
    policy: Policy | None = None,
    accept: bool = False,
    processes: int | None = None,
    tick: Tick | None = None,
) -> AuditResult:
    """Go over all runs of a project: what is new, worse, known, fixed.

    path       folder of the project
    history    file or URL of the history; None: `curvelab.db` in `pages`, else in reports/audit
    pages      folder in which the runs' own reports are drawn; None: none are
    policy     what is looked for, and what makes the audit fail
    accept     everything that is found is known from now on
    processes  how many work at once; None: one for each core
    tick       told (what is done, how many, of how many)

    Raises UnreadableError when there is no such folder, UsageError for a history that cannot be used.
    """
    root = Path(path)
    folder = Path("reports/audit" if pages is None else pages)
    request = Request(
        root=root,
        history=folder / DATABASE if history is None else history,
        pages=None if pages is None else folder,
        policy=policy or Policy(),
        passed_over=(folder,),
        accept=accept,
        processes=cores() if processes is None else processes,
    )
    return audited(request, tick)


def cores() -> int:
    """Processes that run at once without getting into each other's way."""
    from joblib import cpu_count

    return int(cpu_count())


def audited(request: Request, tick: Tick | None = None) -> AuditResult:
    """One night's pass. What was judged is committed as the work goes on: a kill loses nothing of it."""
    root = Path(request.root)
    if not root.is_dir():
        raise UnreadableError(root, "no such folder" if not root.exists() else "is no folder; an audit takes a project's folder")
    if request.processes < 1:
        raise UsageError(f"an audit takes 1 process or more, not {request.processes}")
    root = root.resolve()
    started = time.time() if request.now is None else request.now
    with History.open(request.history) as history:
        night = Night(replace(request, root=root, passed_over=tuple(Path(p).resolve() for p in request.passed_over)), history, started, tick)
        return night.result()
