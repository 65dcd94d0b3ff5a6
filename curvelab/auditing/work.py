"""What a worker process does: read the files of a task and sketch them, or read some runs again and judge them.

A task carries paths and settings, and brings back findings and sketches: never whole curves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from curvelab.auditing.liveness import QUIET, is_live, quiet_after
from curvelab.auditing.policies import Policy
from curvelab.auditing.records import record_of
from curvelab.auditing.sketches import Sketch, restored, sketches
from curvelab.catalogue import importers
from curvelab.diagnosis import diagnose
from curvelab.grouping import Group
from curvelab.ingest import read
from curvelab.joining import join
from curvelab.model.audit import RunRecord, Unread
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.result import Diagnosis
from curvelab.report.write import write_atomically
from curvelab.sources import BUGS, Source
from curvelab.surroundings import Folders, Whereabouts, beside


@dataclass(frozen=True)
class Errand:
    """What all runs of one audit have in common.

    pages   folder of the reports of single runs; None: none are drawn
    now     time of the audit, quiet after how many seconds a run without news is over
    """

    root: Path
    policy: Policy
    metric_names: Mapping[str, str]
    pages: Path | None
    now: float
    quiet: float = QUIET


@dataclass(frozen=True)
class Job:
    """One run to be judged: which logs it has, where its settings may stand, and what it is called.

    logs   the sketches of its logs, without their values
    files  the same, below the audited folder
    size   bytes of them
    page   name of its report's file, should it need one
    until  when the same logs were seen before: the time from which the run counted as over, whatever their times say now
    """

    key: str
    id: str
    name: str
    group: Group
    places: Whereabouts
    signature: str
    causes: Mapping[str, str]
    page: str
    files: tuple[str, ...] = ()
    size: int = 0
    until: float | None = None


def sketch_files(files: Sequence[tuple[Path, str]], named: frozenset[str]) -> list[tuple[Sketch, ...] | Unread]:
    """Read files, (path, format) each: their logs as sketches, or why they could not be read."""
    by_format = {one.format: one for one in importers()}
    found: list[tuple[Sketch, ...] | Unread] = []
    for path, format_ in files:
        try:
            found.append(sketches(read(Source.at(path, named), by_format[format_])))
        except UnreadableError as error:
            found.append(Unread(path=error.path, message=error.message))
    return found


def judge(jobs: Sequence[Job], errand: Errand) -> list[RunRecord | Unread]:
    """Look at some runs. One that cannot be read, or that a bug of ours stops, costs no other."""
    shelf = _Shelf(jobs, frozenset(errand.metric_names))
    found: list[RunRecord | Unread] = []
    for job in jobs:
        try:
            found.append(_judged(job, errand, shelf))
        except UnreadableError as error:
            found.append(Unread(path=error.path, message=error.message))
        except BUGS as error:
            text = f"could not be judged ({type(error).__name__}: {error}); please report it"
            found.append(Unread(path=str(job.group.path), message=text))
    return found


def _judged(job: Job, errand: Errand, shelf: _Shelf) -> RunRecord:
    group = replace(job.group, logs=tuple(shelf.whole(sketch) for sketch in job.group.logs))  # type: ignore[arg-type]
    around = beside(group, job.places, shelf.folders(errand.root))
    run = join(group, shelf.by_format, errand.metric_names, around.files)
    run = replace(run, id=job.id, name=job.name, notes=(*run.notes, *around.notes))
    until = quiet_after(run, errand.quiet)
    if until is not None and job.until is not None:
        until = min(until, job.until)
    live = is_live(run, until, errand.now)
    if live:
        run = replace(run, state="running")
    rule = errand.policy.rule_for(run, job.key)
    options = errand.policy.options_for(rule)
    diagnosis = diagnose(run, options)
    return record_of(
        run,
        diagnosis,
        options,
        key=job.key,
        root=errand.root,
        live=live,
        quiet_after=until if live else None,
        signature=job.signature,
        causes=job.causes,
        rule="" if rule is None else rule.name,
        page=_page(diagnosis, job, errand),
    )


def _page(diagnosis: Diagnosis, job: Job, errand: Errand) -> str | None:
    """Draw the report of a run that has findings; its address from the audit's page."""
    if errand.pages is None or not diagnosis.findings:
        return None
    from curvelab.report.page import page

    write_atomically(errand.pages / job.page, page(diagnosis))
    return f"{errand.pages.name}/{job.page}"


class _Shelf:
    """The files of some jobs: each read once, and let go when the last job that needs it has it."""

    def __init__(self, jobs: Sequence[Job], named: frozenset[str]) -> None:
        self.by_format = {one.format: one for one in importers()}
        self._named = named
        self._left = Counter(log.path for job in jobs for log in job.group.logs)
        self._read: dict[Path, tuple[Log, ...]] = {}
        self._folders: Folders | None = None

    def whole(self, sketch: Sketch) -> Log:
        """The log of a sketch. Raises UnreadableError."""
        path = sketch.path
        if path not in self._read:
            self._read[path] = read(Source.at(path, self._named), self.by_format[sketch.format])
        logs = self._read[path]
        self._left[path] -= 1
        if not self._left[path]:
            del self._read[path]
        if sketch.number >= len(logs):
            raise UnreadableError(path, "changed while it was read; the next audit will see it")
        return restored(sketch, logs[sketch.number])

    def folders(self, root: Path) -> Folders:
        """Listings of folders, shared by the jobs."""
        if self._folders is None:
            self._folders = Folders(root)
        return self._folders


def without_values(sketch: Log) -> Log:
    """A sketch that is small enough to be sent: which series there are, but none of their rows."""
    return replace(sketch, series=tuple(series.take(np.empty(0, dtype=np.int64)) for series in sketch.series))
