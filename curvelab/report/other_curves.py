"""The curves beside the losses: which are drawn, in what order, and what stands in their pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from curvelab.model.finding import Level
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.curves import Line
from curvelab.report.keys import Key, common_keys, warmup_key
from curvelab.report.pictures import LOSS, Panel, is_loss, lines_of, names_of, range_of, seams_of, warmup_of
from curvelab.report.value_axis import scale_of

NORM, RATE = "train/grad_norm", "train/learning_rate"
MOST_CURVES = 8
# The machine: one curve of each kind, after what was learned.
_MACHINE = (
    re.compile(r"train/.*(tokens|samples|steps)_per_second"),
    re.compile(r"(gpu|host)/.*memory"),
    re.compile(r"gpu/.*(utilization|power|temperature)"),
)
# How long the evals took, and counters: at most one is drawn beside better ones.
_LAST = re.compile(r"(runtime|total_flos|num_input_tokens_seen|epoch|^(eval|test|validation)/.*_per_second)$")


def other_curves(diagnosis: Diagnosis) -> list[str]:
    """Metrics for the small pictures: gradient norm, learning rate, what was learned, throughput, memory, the rest."""
    shown = {LOSS} if LOSS in diagnosis.series else set(list(diagnosis.series)[:1])
    rest = [m for m in diagnosis.series if not is_loss(m) and m not in shown]
    first = [m for m in (NORM, RATE) if m in rest]
    machine = [m for kind in _MACHINE for m in [m for m in rest if kind.search(m)][:1]]
    last = [m for m in rest if _LAST.search(m) and m not in machine]
    others = [m for m in rest if m not in {*first, *machine, *last} and not any(k.search(m) for k in _MACHINE)]
    spare = [m for m in rest if any(k.search(m) for k in _MACHINE) and m not in machine]
    better = [*first, *others[: MOST_CURVES - len(first) - len(machine)], *machine]
    return [*better, *spare, *(last[:1] if better else last)][:MOST_CURVES]


def curve_panel(diagnosis: Diagnosis, metric: str, most: int) -> Panel:
    """A curve without findings, with the setting that bounds it."""
    lines = lines_of(diagnosis, [metric], most)
    first, last = range_of(diagnosis, [])
    warmup = warmup_of(diagnosis, first, last) if metric in (NORM, RATE) else None
    spoilt = [key for key in common_keys(diagnosis, lines, [], last) if key.shape.startswith("spoilt")]
    clip = _clip(diagnosis) if metric == NORM else None
    panel = Panel(
        lines=lines,
        first=first,
        last=last,
        alt=f"{names_of(lines)} over the steps{_course(lines)}.",
        seams=seams_of(diagnosis),
        warmup=warmup,
        keys=(*spoilt, *warmup_key(warmup)),
    )
    return panel if clip is None else _with_level(panel, clip)


def _with_level(panel: Panel, level: Level) -> Panel:
    """The panel with a threshold; one that is too far away to be drawn is named in the key all the same."""
    drawn = replace(panel, marks=(level,))
    inside = 0 <= float(scale_of(drawn).place(level.value)) <= 1
    key = Key("level", level.label if inside else f"{level.label} (outside the picture)")
    return replace(drawn if inside else panel, keys=(*panel.keys, key))


def _clip(diagnosis: Diagnosis) -> Level | None:
    """max_grad_norm, where the log says it and it is on."""
    entry = diagnosis.config.get("max_grad_norm")
    value = entry.get("value") if isinstance(entry, dict) else entry
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return None
    return Level(metric=NORM, value=float(value), label=f"max_grad_norm {numerals.value(float(value))}")


def _course(lines: Sequence[Line]) -> str:
    """In words where a curve begins, ends, and how far it reaches."""
    finite = [one.value[np.isfinite(one.value)] for one in lines]
    if len(finite) != 1 or not len(finite[0]):
        return ""
    first, last, low, high = (numerals.value(float(v)) for v in (finite[0][0], finite[0][-1], finite[0].min(), finite[0].max()))
    return f": from {first} to {last}, between {low} and {high}"
