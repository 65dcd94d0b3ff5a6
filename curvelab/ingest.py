"""load(): a path -> runs. Finds the log files, reads each, groups them to runs, and keeps what could not be read."""

from __future__ import annotations

import glob
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from curvelab.catalogue import importers
from curvelab.clean_names import with_clean_names
from curvelab.clean_times import with_known_times
from curvelab.files import find
from curvelab.grouping import Group, group
from curvelab.joining import join, place_hash
from curvelab.model.errors import UnreadableError, UsageError, did_you_mean
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.model.run import Run
from curvelab.remote.fetching import ONLINE, fetch, is_url
from curvelab.sides import named_by_files
from curvelab.sources import BUGS, Importer, Source
from curvelab.surroundings import beside_each

Progress = Callable[[str], None]
_NAMED = 12  # runs that a message lists
_LONG = 300  # characters of a path that cannot be one, as far as it is shown


@dataclass
class Gathered:
    """The runs below some paths, every input that could not be read, and what was passed over on purpose."""

    runs: list[Run] = field(default_factory=list)
    errors: list[UnreadableError] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)


def gather(
    paths: Iterable[str | Path], progress: Progress | None = None, metric_names: Mapping[str, str] | None = None
) -> Gathered:
    """Every run below the paths, in their order. Different paths are never merged; an unreadable one is an error in it.

    metric_names  logged name -> canonical name, for names of one's own; stronger than what curvelab knows
    """
    gathered = Gathered()
    places: list[int] = []  # which of the paths each run is of
    for number, path in enumerate(_once(_expanded(paths, gathered.errors))):
        try:
            if isinstance(path, str):
                _gather_url(path, gathered, progress, metric_names or {})
            else:
                _gather(path, gathered, progress, metric_names or {})
        except UnreadableError as error:
            gathered.errors.append(error)
        places += [number] * (len(gathered.runs) - len(places))
    gathered.runs = distinct(_each_once(gathered.runs, places))
    gathered.errors = list({(error.path, error.message): error for error in gathered.errors}.values())
    return gathered


def discover(*paths: str | Path) -> list[Run]:
    """Every run below the paths; an input that cannot be read becomes a warning and is skipped."""
    gathered = gather(paths)
    for error in gathered.errors:
        warnings.warn(str(error), stacklevel=2)
    return gathered.runs


def load(path: str | Path, *, run: str | None = None) -> Run:
    """The one run at a path.

    run   its name or id, where there are several (a database, a folder of runs)

    Raises UnreadableError when nothing there can be read, UsageError when there are several runs or none of that name.
    """
    gathered = gather([path])
    found = [one for one in gathered.runs if run is None or run in (one.name, one.id)]
    if len(found) == 1:
        return found[0]
    if not gathered.runs:
        raise gathered.errors[0]
    names = [one.name for one in gathered.runs]
    if run is not None:
        raise UsageError(f'{path}: holds no run "{run}"{did_you_mean(run, names)}; it holds {_listed(names)}')
    text = f"{path}: holds {len(names)} runs, not one: {_listed(names)}"
    raise UsageError(f"{text}; name one, as in load(path, run={names[0]!r}), or use discover()")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _expanded(paths: Iterable[str | Path], errors: list[UnreadableError]) -> Iterator[Path | str]:
    """The paths with their globs filled in; a URL stays a text; what can be no path becomes an error."""
    for path in paths:
        text = str(path)
        if is_url(text):
            yield text
            continue
        try:
            there = bool(Path(text).stat())
        except (FileNotFoundError, NotADirectoryError):
            there = False
        except (OSError, ValueError) as error:  # longer than the system allows, a NUL in it, a link in a circle
            why = getattr(error, "strerror", None) or str(error)
            errors.append(UnreadableError(_short(text), f"cannot be read ({why})"))
            continue
        if not there and glob.has_magic(text):
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            yield from (Path(match) for match in matches or [text])
        else:
            yield Path(text)


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _once(paths: Iterable[Path | str]) -> list[Path | str]:
    """Each place once, in the order of their first mention; a link gives way to what it leads to, a URL is a place."""
    found: dict[str, Path | str] = {}
    for path in paths:
        place = path if isinstance(path, str) else os.path.realpath(path)
        known = found.get(place)
        better = isinstance(known, Path) and known.is_symlink() and isinstance(path, Path) and not path.is_symlink()
        if known is None or better:
            found[place] = path
    return list(found.values())


def _each_once(runs: list[Run], places: list[int]) -> list[Run]:
    """The runs without those all of whose logs are also in one of another path: paths may overlap (a/b, then a)."""
    logs = [frozenset((os.path.realpath(log.path), log.identity.get("id")) for log in run.logs) for run in runs]
    holders: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for i, own in enumerate(logs):
        for log in own:
            holders[log].append(i)

    def again(i: int) -> bool:
        others = [j for j in holders[next(iter(logs[i]))] if places[j] != places[i]] if logs[i] else []
        return any(logs[i] < logs[j] or (logs[i] == logs[j] and j < i) for j in others)

    return [run for i, run in enumerate(runs) if not again(i)]


def _gather_url(url: str, gathered: Gathered, progress: Progress | None, metric_names: Mapping[str, str]) -> None:
    """Read what a URL names; one part that cannot be had does not stop the others."""
    for fetched in fetch(url, progress):
        part = Gathered(errors=[*fetched.errors])
        show = (lambda item, label=fetched.label: progress(label.text(item))) if progress else None
        try:
            if fetched.root is not None:
                _gather(fetched.root, part, show, metric_names)
        except UnreadableError as error:
            part.errors.append(error)
        part.runs += [join(Group(log.path, (log,)), {log.format: ONLINE}, metric_names) for log in map(_safe, fetched.logs)]
        gathered.runs += [fetched.label.run(run) for run in distinct(part.runs)]
        gathered.errors += [fetched.label.error(error) for error in part.errors]
        gathered.remarks += fetched.label.notes(part.remarks)


def _gather(path: Path, gathered: Gathered, progress: Progress | None, metric_names: Mapping[str, str]) -> None:
    found = find(path, metric_names)
    logs: list[Log] = []
    errors = list(found.errors)
    for source, importer in found.files:
        if progress:
            progress(str(source.path))
        try:
            logs += read(source, importer)
        except UnreadableError as error:
            errors.append(error)
    by_format = {one.format: one for one in importers()}
    logs = named_by_files(logs, lambda format_, raw: by_format[format_].names(raw))
    groups = group(logs, path)
    for members, around in zip(groups, beside_each(groups, path), strict=True):
        run = join(members, by_format, metric_names, around.files)
        gathered.runs.append(replace(run, notes=(*run.notes, *around.notes)) if around.notes else run)
    gathered.errors += errors
    gathered.remarks += found.remarks if logs else ()
    if not logs and not errors:
        raise UnreadableError(path, f"no training log among {found.looked_at} files{found.misses.text()}")


def read(source: Source, importer: Importer) -> tuple[Log, ...]:
    """Read one file: one log, or one for each run that it holds.

    An importer's own bug becomes an UnreadableError with its name: one bad file blocks no other.
    """
    try:
        logs = importer.read(source)
        return tuple(map(_safe, (logs,) if isinstance(logs, Log) else logs))
    except UnreadableError:
        raise
    except BUGS as error:
        message = f"the {importer.format} importer failed ({type(error).__name__}: {error}); please report it"
        raise UnreadableError(source.path, message) from error


def _safe(log: Log) -> Log:
    """The log with names and times that harm nothing that comes after."""
    return with_known_times(with_clean_names(log))


def distinct(runs: list[Run]) -> list[Run]:
    """Give runs of one id (copies of a W&B run) and runs of one name what tells them apart."""
    ids: dict[str, None] = {}
    copies: Counter[str] = Counter()
    for run in runs:
        given = run.id if run.id not in ids else f"{run.id}-{place_hash(run.path)[:6]}"
        stem = given
        while given in ids:
            copies[stem] += 1
            given = f"{stem}-{copies[stem] + 1}"
        ids[given] = None
    told = [run if run.id == id_ else replace(run, id=id_) for run, id_ in zip(runs, ids, strict=True)]
    return [run if run.name == name else replace(run, name=name) for run, name in zip(told, _names(told), strict=True)]


def _names(runs: list[Run]) -> list[str]:
    """Names with as much as tells runs of the same name apart: the project, then the file's name or the folders above."""
    names = [run.name for run in runs]
    _tell_apart(names, [f"{run.project}/{run.name}" if run.project else run.name for run in runs])
    places = [Path(run.path) for run in runs]
    folders = [place if place.is_dir() else place.parent for place in places]
    in_folder, at_place = Counter(folders), Counter(places)
    own = [f"/{p.stem}" if p != f and in_folder[f] > at_place[p] else "" for p, f in zip(places, folders, strict=True)]
    _tell_apart(names, [name + stem for name, stem in zip(names, own, strict=True)])
    several = [at_place[place] > 1 for place in places]  # a file of several runs: its folder tells none apart
    for depth in range(1, 8):
        above = ["/".join(folder.parts[-depth - 1 :]).replace("//", "/") for folder in folders]
        _tell_apart(names, [n if s else a for n, a, s in zip(names, above, several, strict=True)])
    taken: set[str] = set()
    for i, name in enumerate(names):
        if name in taken:
            names[i] = f"{name}-{runs[i].id[-6:]}"
        taken.add(names[i])
    return names


def _tell_apart(names: list[str], longer: list[str]) -> None:
    """Give the names that clash their longer form, in place."""
    clashing = {name for name, count in Counter(names).items() if count > 1}
    names[:] = [long if name in clashing else name for name, long in zip(names, longer, strict=True)]
