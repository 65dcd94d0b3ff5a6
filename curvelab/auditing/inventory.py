"""The runs of a project before any of them is judged: which logs are one run, what each is called, whether it has changed.

Every log is read once, in many processes, and only its sketch is kept: which logs belong together is a question of all
of them (outputs/a beside wandb/).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from curvelab.auditing.engine import in_parallel, parts
from curvelab.auditing.marks import Marks, digest
from curvelab.auditing.records import below
from curvelab.auditing.sketches import Sketch
from curvelab.auditing.work import Job, sketch_files, without_values
from curvelab.catalogue import importers
from curvelab.files import find
from curvelab.grouping import Group, group
from curvelab.ingest import distinct
from curvelab.joining import titled
from curvelab.model.audit import Unread
from curvelab.model.note import Note
from curvelab.report.write import slug
from curvelab.sides import named_by_files
from curvelab.surroundings import Whereabouts, whereabouts

FILES = 25  # files of one task
BYTES = 64 * 1024**2  # of one task

KILLED = "the process that read it was killed (out of memory?); skipped"

Tick = Callable[[int, int], None]


@dataclass
class Inventory:
    """The runs of a project as jobs, and what could not be read; `passing`: some of it may be readable the next time."""

    jobs: list[Job] = field(default_factory=list)
    errors: list[Unread] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)
    passing: bool = False


def take(
    root: Path,
    marks: Marks,
    causes: Mapping[str, str],
    *,
    named: frozenset[str] = frozenset(),
    passed_over: Sequence[Path] = (),
    processes: int = 1,
    tick: Tick | None = None,
) -> Inventory:
    """Read all logs below a folder, and say which runs they are.

    causes        what a diagnosis depends on besides the run's own files: word -> digest
    named         metrics that the user has named
    passed_over   folders that are not looked into
    tick          told (done, of how many files) as the work goes on
    """
    found = find(root, named, passed_over)
    inventory = Inventory(
        errors=[Unread(path=error.path, message=error.message) for error in found.errors], remarks=list(found.remarks)
    )
    logs = _sketched([(source.path, importer.format, source.size) for source, importer in found.files], named, processes, tick, inventory)
    if not logs and not inventory.errors:
        text = f"no training log among {found.looked_at} files{found.misses.text()}"
        inventory.errors.append(Unread(path=str(root), message=text))
    by_format = {one.format: one for one in importers()}
    named_logs = named_by_files(logs, lambda format_, raw: by_format[format_].names(raw))
    groups = group(named_logs, root)
    titles = distinct([titled(one) for one in groups])
    for one, title, places in zip(groups, titles, whereabouts(groups, root), strict=True):
        inventory.jobs.append(_job(one, title.id, title.name, places, root, marks, causes))
    inventory.jobs = _told_apart(inventory.jobs)
    return inventory


def _sketched(
    files: Sequence[tuple[Path, str, int]], named: frozenset[str], processes: int, tick: Tick | None, inventory: Inventory
) -> list[Sketch]:
    """The sketches of all files, in the order of the files."""
    sizes = {(path, format_): size for path, format_, size in files}
    tasks = parts([(path, format_) for path, format_, _ in files], lambda item: sizes[item], FILES, BYTES)
    by_path: dict[Path, tuple[Sketch, ...]] = {}
    done = 0
    for results in in_parallel(partial(_read, named=named), tasks, processes, _killed, sum(sizes.values())):
        for path, result in results:
            if isinstance(result, Unread):
                inventory.errors.append(result)
                inventory.passing |= result.message == KILLED
            else:
                by_path[path] = result
        done += len(results)
        if tick:
            tick(done, len(files))
    return [sketch for path, _, _ in files for sketch in by_path.get(path, ())]


def _read(items: Sequence[tuple[Path, str]], named: frozenset[str]) -> list[tuple[Path, tuple[Sketch, ...] | Unread]]:
    return [(path, result) for (path, _), result in zip(items, sketch_files(items, named), strict=True)]


def _killed(item: tuple[Path, str]) -> list[tuple[Path, tuple[Sketch, ...] | Unread]]:
    return [(item[0], Unread(path=str(item[0]), message=KILLED))]


def _job(
    one: Group, id_: str, name: str, places: Whereabouts, root: Path, marks: Marks, causes: Mapping[str, str]
) -> Job:
    key = _key(one, root)
    logs = sorted({log.path for log in one.logs})
    told = [f"{log.path.name}\0{sorted(log.names.items())}\0{log.restarts}\0{len(log.series)}" for log in one.logs]
    changed, content = marks.around(logs, (*places.own, *places.shared), root)
    own = {"log": digest([changed, *told]), "content": digest([content, *told]), "name": digest([id_, name]), **causes}
    return Job(
        key=key,
        id=id_,
        name=name,
        group=Group(one.path, tuple(without_values(log) for log in one.logs), one.homes, one.of_several),
        places=places,
        signature=digest(f"{word}\0{value}" for word, value in sorted(own.items())),
        causes=own,
        page=f"{slug(name)[:60]}-{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}.html",
        files=tuple(below(path, root) for path in logs),
        size=sum(map(_size, logs)),
    )


def _key(one: Group, root: Path) -> str:
    """The run's place below the folder; with the id of its log where a file holds several runs."""
    place = Path(os.path.relpath(one.path, root)).as_posix()
    if not one.of_several:
        return place
    own = next((log.identity["id"] for log in one.logs if log.identity.get("id")), None)
    return f"{place}#{own if own is not None else _number(one)}"


def _number(one: Group) -> int:
    first = one.logs[0]
    return first.number if isinstance(first, Sketch) else 0


def _told_apart(jobs: Sequence[Job]) -> list[Job]:
    """The jobs; where two have one key (ids of one file that are not unique), the later ones get a number."""
    seen: dict[str, int] = {}
    told = []
    for job in jobs:
        count = seen[job.key] = seen.get(job.key, 0) + 1
        told.append(job if count == 1 else replace(job, key=f"{job.key}#{count}", page=f"{count}-{job.page}"))
    return told


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
