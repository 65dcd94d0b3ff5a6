"""Tasks in many processes, with joblib. A task that kills its process (out of memory) costs only itself."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 12  # items for which no processes are started, if they are small: that takes as long as the work
SMALL = 32 * 1024**2  # bytes of them; a log that fills the memory is no small file


def in_parallel(
    work: Callable[[Sequence[Item]], Result],
    tasks: Sequence[Sequence[Item]],
    jobs: int,
    killed: Callable[[Item], Result],
    size: int = 0,
) -> Iterator[Result]:
    """The result of each task, as they are done.

    work    a function that can be pickled, of a task's items
    jobs    processes; 1, or few small items: this process does it all
    size    of all items together, bytes
    killed  what stands for an item at which a process died
    """
    if jobs == 1 or (sum(map(len, tasks)) <= FEW and size <= SMALL):
        yield from (work(task) for task in tasks)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    done: set[int] = set()
    try:
        numbered = ((number, task) for number, task in enumerate(tasks))
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        for number, result in parallel(delayed(_numbered)(work, number, task) for number, task in numbered):
            done.add(number)
            yield result
    except TerminatedWorkerError:
        left = [item for number, task in enumerate(tasks) if number not in done for item in task]
        yield from _one_by_one(work, left, killed)


def _numbered(work: Callable[[Sequence[Item]], Result], number: int, task: Sequence[Item]) -> tuple[int, Result]:
    return number, work(task)


def _one_by_one(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], killed: Callable[[Item], Result]
) -> Iterator[Result]:
    """Each item on its own, in a process that is replaced when it dies: so the one that kills it is found."""
    pool: concurrent.futures.ProcessPoolExecutor | None = None
    try:
        for item in items:
            if pool is None:
                pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            try:
                result = pool.submit(work, [item]).result()
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = None
                result = killed(item)
            yield result
    finally:
        if pool is not None:
            pool.shutdown()


def parts(items: Sequence[Item], size: Callable[[Item], int], most: int, largest: int) -> list[list[Item]]:
    """The items in their order, in tasks of at most `most` items and about `largest` in size each."""
    tasks: list[list[Item]] = []
    weight = 0
    for item in items:
        own = size(item)
        if not tasks or len(tasks[-1]) >= most or weight + own > largest:
            tasks.append([])
            weight = 0
        tasks[-1].append(item)
        weight += own
    return tasks
