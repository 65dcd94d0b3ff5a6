"""Sketches tell the same runs apart as whole logs do, and bring back what was found out about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from states import SAMPLES

from curvelab.auditing.inventory import take
from curvelab.auditing.marks import marks_below
from curvelab.auditing.sketches import HEAD, TAIL, restored, sketches
from curvelab.ingest import gather
from curvelab.model.log import Log, RawSeries


def log_of(rows: int) -> Log:
    step = np.arange(1, rows + 1)
    names = ("loss", "grad_norm", "reward_std")
    series = tuple(RawSeries(name, step.copy(), np.sin(step + i), step.copy(), epoch=step / rows) for i, name in enumerate(names))
    return Log(Path("trainer_state.json"), "trainer-state", series)


def test_whole_curves_where_runs_are_told_apart_by_them():
    (sketch,) = sketches([log_of(10_000)])
    lengths = {series.name: len(series) for series in sketch.series}
    assert lengths == {"loss": 10_000, "grad_norm": 10_000, "reward_std": HEAD + TAIL}
    assert sketch.find("loss").step is sketch.find("grad_norm").step


def test_the_ends_are_kept():
    (sketch,) = sketches([log_of(10_000)])
    one = sketch.find("reward_std")
    assert (one.step[0], one.step[-1]) == (1, 10_000)
    assert (one.epoch.min(), one.epoch.max()) == (1e-4, 1.0)


def test_restored():
    log = log_of(1000)
    (sketch,) = sketches([log])
    whole = restored(sketch, log)
    assert all(a is b for a, b in zip(whole.series, log.series, strict=True))


def _groups(path: Path) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(run.id, run.name, tuple(sorted(str(log.path) for log in run.logs))) for run in gather([path]).runs}


def _jobs(path: Path) -> set[tuple[str, str, tuple[str, ...]]]:
    jobs = take(path, marks_below(path), {}).jobs
    return {(job.id, job.name, tuple(sorted(str(log.path) for log in job.group.logs))) for job in jobs}


def test_the_sample_runs_are_the_same_runs():
    assert _jobs(SAMPLES) == _groups(SAMPLES)


@pytest.mark.parametrize("name", ["trained", "wild"])
def test_the_corpus_is_the_same_runs(corpus, name):
    assert _jobs(corpus / name) == _groups(corpus / name)
