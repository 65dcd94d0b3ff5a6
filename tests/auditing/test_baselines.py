"""What is unusual for a project, and the trend of its weeks."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from curvelab.auditing.baselines import FEWEST, LAST, departures
from curvelab.auditing.weeks import weeks
from curvelab.model.audit import AuditedRun, FoundTonight, RunRecord

DAY = 86_400.0


def runs(speeds, *, key="tokens_per_second", settings=None, **told) -> list[AuditedRun]:
    """One run a day with these numbers."""
    settings = {"model_type": "llama"} if settings is None else settings
    return [
        AuditedRun(key=f"r{i}", name=f"r{i}", path=f"/r{i}", format="x", ended=i * DAY, summary={key: speed}, settings=settings, verdict="healthy", **told)
        for i, speed in enumerate(speeds)
    ]


def test_a_slow_run_among_its_like():
    (found,) = departures(runs([100, 101, 99, 100, 102, 98, 100, 66]))
    assert (found.run, found.among, found.median) == ("r7", 7, 100)
    assert found.share == pytest.approx(-0.34)
    assert found.sentence == "throughput is 34 % below the median of the last 7 runs like it: 66 against 100 tokens/s"


@pytest.mark.parametrize(
    "speeds",
    [
        [100, 101, 99, 100, 102, 98, 100, 140],  # faster is no fault
        [100] * (FEWEST - 1) + [50],  # too few to know what is usual
        [100, 60, 140, 80, 120, 100, 70, 66],  # the runs differ as much among themselves
        [100, 101, 99, 100, 102, 98, 100, 90],  # a tenth is not much
    ],
)
def test_nothing_unusual(speeds):
    assert departures(runs(speeds)) == ()


def test_only_the_last_runs_count():
    slow = [50.0] * 30 + [100.0] * LAST + [60.0]
    found = departures(runs(slow))
    assert [one.run for one in found] == [f"r{len(slow) - 1}"]
    assert (found[0].among, found[0].median) == (LAST, 100)


def test_runs_of_other_settings_are_not_held_against_each_other():
    fast, slow = runs([100] * 8), runs([50] * 3, settings={"model_type": "llama", "per_device_train_batch_size": 1})
    later = [msgspec.structs.replace(one, key=f"s{i}", ended=(20 + i) * DAY) for i, one in enumerate(slow)]
    assert departures([*fast, *later]) == ()


def test_live_runs_are_left_out():
    some = runs([100] * 8 + [40])
    assert departures([*some[:-1], msgspec.structs.replace(some[-1], live=True)]) == ()


@pytest.mark.parametrize(("key", "value", "told"), [("memory_gb", 60.0, 1), ("memory_gb", 20.0, 0), ("best_eval_loss", 50.0, 1)])
def test_more_is_worse_for_memory_and_loss(key, value, told):
    assert len(departures(runs([40.0] * 8 + [value], key=key))) == told


def test_false_alarms_among_runs_of_one_kind():
    """Speeds with 5 % of noise: one in thousands may be called unusual, no more."""
    rng = np.random.default_rng(0)
    told = sum(len(departures(runs(rng.normal(100, 5, 60).tolist()))) for _ in range(50))
    assert told <= 6  # of 50 x 55 runs


def record(key: str, ended: float | None, patterns: dict[str, str]) -> RunRecord:
    findings = tuple(
        FoundTonight(pattern=p, severity=s, confidence=1, metric="m", headline="h", start_step=1, end_step=2) for p, s in patterns.items()
    )
    run = AuditedRun(key=key, name=key, path=key, format="x", ended=ended)
    return RunRecord(run=run, signature="", causes={}, files=(), findings=findings, checked={}, diagnosis=msgspec.Raw(b"{}"))


def test_weeks_without_gaps():
    def at(day: str) -> float:
        return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()

    told = weeks(
        [
            record("a", at("2026-11-02"), {"spikes": "warning"}),
            record("b", at("2026-11-08T23:59:59"), {"spikes": "warning", "plateau": "info"}),
            record("c", at("2026-11-20"), {}),
            record("d", None, {"spikes": "warning"}),
        ]
    )
    assert [(week.week, week.runs, week.flagged, week.patterns) for week in told] == [
        ("2026-W45", 2, 2, {"spikes": 2}),
        ("2026-W46", 0, 0, {}),
        ("2026-W47", 1, 0, {}),
    ]
    assert weeks([]) == ()


def test_times_that_no_calendar_has():
    assert weeks([record("a", 1e300, {}), record("b", -1e12, {})]) == ()


def test_an_eval_loss_is_judged_among_whole_and_healthy_runs():
    """That a run overfits, or was killed early, is told by its findings."""
    some = runs([40.0] * 8 + [50.0], key="best_eval_loss")
    for told in ({"verdict": "overfitting"}, {"state": "crashed"}):
        assert departures([*some[:-1], msgspec.structs.replace(some[-1], **told)]) == ()


def test_another_folder_is_another_task():
    here = runs([100] * 8)
    there = [msgspec.structs.replace(one, key=f"b/{one.key}", ended=(20 + i) * DAY) for i, one in enumerate(runs([50] * 8))]
    assert departures([msgspec.structs.replace(one, key=f"a/{one.key}") for one in here] + there) == ()


def test_runs_with_folders_of_their_own():
    some = [msgspec.structs.replace(one, key=f"{one.key}/output") for one in runs([100] * 8 + [50])]
    assert [one.run for one in departures(some)] == ["r8/output"]
