"""audit(): a project's folder -> AuditResult. One pass over all runs; only what has changed is looked at again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from curvelab.auditing import delivery
from curvelab.auditing.delivery import TELLING, UNDELIVERED, read_missed, told
from curvelab.auditing.night import Night, Tick
from curvelab.auditing.policies import Policy
from curvelab.auditing.request import Request
from curvelab.history import History
from curvelab.model.audit import NEWS, AuditResult
from curvelab.model.errors import UnreadableError, UsageError
from curvelab.model.strict_json import encoded

__all__ = ["DATABASE", "Request", "audit", "audited", "cores", "delivered", "given_up", "missed"]

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
    result = audited(request, tick)
    delivered(request, result)
    return result


def cores() -> int:
    """Processes that run at once without getting into each other's way."""
    from joblib import cpu_count

    return int(cpu_count())


def audited(request: Request, tick: Tick | None = None) -> AuditResult:
    """One night's pass. What was judged is committed as the work goes on: a kill loses nothing of it.

    Who shows the result to nobody calls `delivered` all the same, or the next audit tells all of it again.
    """
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


def missed(request: Request) -> dict[str, list[str]]:
    """What targets of messages could not be told by earlier audits; see curvelab.telling."""
    with History.open(request.history) as history:
        return read_missed(history.memo(request.kept_as, UNDELIVERED))


def delivered(request: Request, result: AuditResult, left: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write down that people have been told of a result: until then the next audit takes it for news.

    left   what targets could not be told of, for the next time; None: nobody was told by messages
    """
    if result.rehearsed:
        return
    names = [one.fingerprint for one in result.of(*NEWS)] + [one.fingerprint for one in result.departures if one.new]
    with History.open(request.history) as history:
        history.remember(request.kept_as, TELLING, lambda before: told(before, result.started, names))
        if left is not None:
            history.remember(request.kept_as, UNDELIVERED, lambda before: encoded(dict(left)).decode())


def given_up(request: Request, result: AuditResult) -> None:
    """Write down that nobody was told of a result, since its page could not be written: the next audit tells it."""
    if not result.rehearsed:
        with History.open(request.history) as history:
            history.remember(request.kept_as, TELLING, lambda before: delivery.given_up(before, result.started))
