"""Work in many processes: every task is done, and one that kills its process costs only itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from curvelab.auditing.engine import FEW, in_parallel, parts


def squares(items: Sequence[int]) -> list[tuple[int, int]]:
    return [(item, item * item) for item in items]


def deadly(items: Sequence[int]) -> list[tuple[int, int]]:
    if 13 in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(items)


def dead(item: int) -> list[tuple[int, int]]:
    return [(item, -1)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done(jobs):
    tasks = parts(list(range(40)), lambda item: 1, 7, 100)
    results = [pair for result in in_parallel(squares, tasks, jobs, dead) for pair in result]
    assert sorted(results) == squares(range(40))


def test_an_item_that_kills_its_process_costs_only_itself():
    tasks = parts(list(range(2 * FEW)), lambda item: 1, 5, 100)
    results = dict(pair for result in in_parallel(deadly, tasks, 2, dead) for pair in result)
    assert results == {item: (-1 if item == 13 else item * item) for item in range(2 * FEW)}


def test_tasks_are_bounded_in_number_and_size():
    tasks = parts([1, 2, 3, 50, 1, 1, 1, 1], lambda item: item, 3, 50)
    assert tasks == [[1, 2, 3], [50], [1, 1, 1], [1]]
    assert parts([], lambda item: 1, 3, 50) == []
