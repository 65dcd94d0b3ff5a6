"""One curve for many of a kind: the mean over the GPUs or the CPUs of a machine, beside what each of them logged."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
import numpy as np

from curvelab.model.result import Diagnosis, Thinned

_MACHINE = re.compile(r"^(gpu|host|cpu|system)[/.]")
_NUMBER = re.compile(r"(?<=[/.])\d+(?=[/.]|$)")
_MEAN = re.compile(r"^(.+), mean of \d+$")


def kind(metric: str) -> str:
    """The metric with stars for the numbers of machine parts: "gpu/3/utilization" -> "gpu/*/utilization"."""
    found = _MEAN.match(metric)
    if found:
        return found[1]
    return _NUMBER.sub("*", metric) if _MACHINE.match(metric) else metric


def kinds(metrics: Iterable[str]) -> dict[str, list[str]]:
    """The metrics by their kinds, in their order."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        found.setdefault(kind(metric), []).append(metric)
    return found


def with_means(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with a curve "gpu/*/utilization, mean of 8" for each kind of which there are several."""
    several = {name: members for name, members in kinds(diagnosis.series).items() if len(members) > 1}
    curves = {f"{name}, mean of {len(members)}": _mean([diagnosis.series[m] for m in members]) for name, members in several.items()}
    added = {name: curve for name, curve in curves.items() if curve is not None}
    return msgspec.structs.replace(diagnosis, series={**diagnosis.series, **added}) if added else diagnosis


def _mean(members: list[Thinned]) -> Thinned | None:
    """The mean at the steps of the longest curve, straight in between; None without a finite value."""
    base = max(members, key=lambda one: len(one.step))
    total, counted = np.zeros(len(base.step)), 0
    for one in members:
        n = min(len(one.step), len(one.value))
        step, value = np.array(one.step[:n], dtype=np.float64), np.array(one.value[:n], dtype=np.float64)
        good = np.isfinite(value)
        if good.any():
            total, counted = total + np.interp(base.step, step[good], value[good]), counted + 1
    if not counted:
        return None
    return msgspec.structs.replace(base, value=[float(f"{v:.7g}") for v in total / counted])
