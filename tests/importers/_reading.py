"""What the tests of the text formats share: read bytes as a file, and walk every prefix of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from curvelab import catalogue
from curvelab.ingest import gather, read
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.run import Run
from curvelab.sources import Source

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus" / "wild"


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def claiming(path: Path) -> list[str]:
    """Formats that claim a file."""
    source = Source.at(path)
    return [one.format for one in catalogue.importers() if one.claims(source)]


def logs_of(path: Path) -> tuple[Log, ...]:
    """The logs of a file, by the one importer that claims it."""
    source = Source.at(path)
    (one,) = [one for one in catalogue.importers() if one.claims(source)]
    return read(source, one)


def log_of(path: Path) -> Log:
    (log,) = logs_of(path)
    return log


def run_of(path: Path) -> Run:
    gathered = gather([path])
    assert not gathered.errors, gathered.errors
    (run,) = gathered.runs
    return run


def points(log: Log, name: str) -> list[tuple[int, float]]:
    """(step, value) of a raw series."""
    series = log.find(name)
    assert series is not None, f"{name} not in {[s.name for s in log.series]}"
    return list(zip(series.step.tolist(), series.value.tolist(), strict=True))


def rows_of(log: Log) -> set[tuple[str, int, str]]:
    """(name, step, value) of everything in a log; values as texts, so that NaN equals NaN."""
    return {(s.name, int(a), repr(float(b))) for s in log.series for a, b in zip(s.step, s.value, strict=True)}


def every_prefix(path: Path, data: bytes, reader: Callable[[Source], object], *, step: int = 1) -> None:
    """Whatever a file was cut at: no error but UnreadableError, no invented value, no whole row lost."""
    path.write_bytes(data)
    whole = rows_of(_one(reader(Source.at(path))))
    before: set[tuple[str, int, str]] = set()
    for end in range(0, len(data), step):
        path.write_bytes(data[:end])
        try:
            now = rows_of(_one(reader(Source.at(path))))
        except UnreadableError:
            now = set()
        assert now <= whole, f"invented after {end} bytes: {now - whole}"
        if data[:end].endswith(b"\n"):
            assert before <= now, f"lost after {end} bytes: {before - now}"
            before = now


def _one(read: object) -> Log:
    assert isinstance(read, Log)
    return read


def same(found: list[float], expected: list[float]) -> bool:
    return np.array_equal(np.array(found), np.array(expected), equal_nan=True)


NAN = math.nan
