"""How many GPUs a run worked on, as far as it is known."""

from __future__ import annotations

import re

import numpy as np

from curvelab.facts import Facts
from curvelab.model.run import Curve, Setting

AT_WORK = 5.0  # percent of median utilisation below which a GPU is not one of the run's (judgement)
HELD = 0.1  # of the fullest GPU; one that holds less is not one of the run's, where no utilisation was logged (judgement)
MEMORY = ("memory_bytes", "memory_gb", "memory_percent")  # units of GPU memory, as metrics name them
FEWEST = 5  # samples (judgement)
_SERIES = re.compile(r"gpu/\d+/")
_ARGUMENTS = "training_args.bin"


def works(facts: Facts, memory: Curve, fullest: float) -> bool:
    """Whether a GPU is one of the run's: by its utilisation where that was logged, else by what it holds.

    memory: its memory in any unit; fullest: median of that of the fullest GPU, in the same unit.
    """
    used = facts.levels(memory.metric.rpartition("/")[0] + "/utilization")
    if len(used):
        return float(np.median(used.value)) > AT_WORK
    return float(np.median(memory.value)) > HELD * fullest


def gpus_of(facts: Facts, given: int | None = None) -> tuple[int | None, str]:
    """(number of GPUs, where it was read); (None, "") where nothing says. What the user gives wins.

    From the settings: processes (world_size) times GPUs of one process (n_gpu, above 1 under DataParallel). Where both are
    the same number above 1 they say the same, and it counts once: with several processes each of them has one GPU. The
    world size in training_args.bin counts only with an n_gpu beside it, because the trainer writes 1 for a run on a CPU, too.
    Without settings: the GPUs in the log that really worked. A logger watches every GPU of its machine, so those that
    stood still are not the run's; it does not see other machines, so the settings come first.
    """
    if given is not None:
        return given, "--gpus"
    world, each = facts.run.config.get("world_size"), facts.run.config.get("n_gpu")
    processes, devices = _count(world), _count(each)
    if world is not None and processes and (devices or not world.origin.endswith(_ARGUMENTS)):
        if devices is not None and devices > 1 and devices == processes:
            return processes, f"world_size in {world.origin}, and n_gpu says the same"
        several = devices is not None and devices > 1
        return processes * (devices or 1), f"world_size{' x n_gpu' if several else ''} in {world.origin}"
    if each is not None and devices and world is None:
        return devices, f"n_gpu in {each.origin}"
    working, told_by = _working(facts)
    return (working, f"GPUs at work by {told_by}") if working else (None, "")


def _count(setting: Setting | None) -> int | None:
    """A whole number of at least 1 that a setting holds; None for anything else."""
    value = None if setting is None else setting.value
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _working(facts: Facts) -> tuple[int, str]:
    """(number of GPUs at work, the metrics that tell); (0, "") where none was logged often enough."""
    logged = [m for m in facts.run.metrics if _SERIES.match(m)]
    used = [c for m in logged if m.endswith("/utilization") and len(c := facts.levels(m)) >= FEWEST]
    if used:
        return sum(float(np.median(c.value)) > AT_WORK for c in used), "gpu/*/utilization"
    for unit in MEMORY:
        held = [c for m in logged if m.endswith(f"/{unit}") and len(c := facts.levels(m)) >= FEWEST]
        if held:
            fullest = max(float(np.median(c.value)) for c in held)
            return sum(works(facts, c, fullest) for c in held), f"gpu/*/{unit}"
    return 0, ""
