"""The curves beside the losses: which are drawn, in what order, and what stands in their pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from curvelab.model.finding import Level
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.curves import Line
from curvelab.report.keys import Key, spoilt_keys, warmup_key
from curvelab.report.means import kind, kinds
from curvelab.report.pictures import Panel, is_loss, lines_of, names_of, range_of, seams_of, warmup_of
from curvelab.report.value_axis import scale_of

NORM, RATE = "train/grad_norm", "train/learning_rate"
MOST_CURVES = 8  # with those of no known rank; what an objective is judged by is drawn in any case
MOST_NAMES = 40  # of the curves that are not drawn
FEWEST = 2  # finite points: a single dot is no curve
# What a run is judged by, the most telling first; of each alternative ("|" between groups) the first that was logged.
_REWARDED = (("train/reward",), ("train/kl",), ("train/entropy",), ("train/completions/mean_length",),
             ("train/clip_ratio/region_mean", "train/clip_ratio", "train/clip_ratio/high_mean"))  # fmt: skip
_PREFERENCE = (("train/rewards/margins", "eval/rewards/margins"), ("train/rewards/accuracies", "eval/rewards/accuracies"),
               ("train/rewards/chosen", "train/logps/chosen"), ("train/rewards/rejected", "train/logps/rejected"))  # fmt: skip
# The machine: one curve of each kind, the mean where there are several of it.
_MACHINE = tuple(
    tuple(re.compile(one) for one in alternatives)
    for alternatives in (
        ("train/.*tokens_per_second", "train/.*(samples|steps)_per_second", "train/step_time"),
        ("gpu/.*memory_(gb|mb|bytes)", "gpu/.*memory", "host/.*memory", "train/(rss|.*memory)"),
        ("gpu/.*utilization", "gpu/.*(power|temperature)", r"system\.cpu"),
    )
)
# Extremes beside means, how long the evals took, counters, and what else the machine tells: named, not drawn.
_NEVER = re.compile(
    r"clip_ratio|/(min|max)_|_(min|max)$|"
    r"(runtime|total_flos|num_tokens|num_input_tokens_seen|epoch|step_time|^(eval|test|validation)/.*_per_second)$"
    r"|^(gpu|host|cpu|system)[/.]"
)


def other_curves(diagnosis: Diagnosis, shown: Collection[str] = ()) -> list[str]:
    """Metrics for the small pictures, without those of `shown`: what the objective is judged by, gradient norm, learning
    rate, throughput, memory, how busy the machine was; then the others, those of training first.
    """
    taken = {kind(metric) for metric in shown}
    curves = {m: one for m, one in diagnosis.series.items() if m not in shown and kind(m) not in taken and not is_loss(m)}
    drawable = [m for m, one in curves.items() if sum(map(math.isfinite, one.value)) >= FEWEST]
    ranked = [_first(drawable, names) for names in _judged_by(diagnosis)]
    ranked += [_first(drawable, (NORM,)), _first(drawable, (RATE,))]
    ranked += [_of_machine(drawable, several) for several in _MACHINE if not any(map(_any(several), shown))]
    first = [m for m in dict.fromkeys(ranked) if m]
    moving = [m for m in drawable if m not in first and len({*curves[m].value}) > 1]
    rest = [m for m in moving if not _NEVER.search(m) and not any(_any(k)(m) for k in _MACHINE)]
    rest.sort(key=lambda m: not m.startswith("train/"))
    return [*first, *rest[: max(0, MOST_CURVES - len(first))]]


def not_drawn(diagnosis: Diagnosis, drawn: Collection[str]) -> list[str]:
    """The metrics that were logged and are in no picture, those of one kind together: "gpu/*/power (8)"."""
    done = {kind(metric) for metric in drawn}
    left = kinds(m for m in diagnosis.metrics if m not in drawn and not m.startswith("final/") and kind(m) not in done)
    return [f"{name} ({len(members)})" if len(members) > 1 else members[0] for name, members in left.items()]


def _judged_by(diagnosis: Diagnosis) -> tuple[tuple[str, ...], ...]:
    """What the objective is judged by: rewards of a policy, or margins of preferences; nothing for a supervised run."""
    if any(metric.endswith(("rewards/margins", "rewards/accuracies")) for metric in diagnosis.metrics):
        return _PREFERENCE
    return _REWARDED if "train/reward" in diagnosis.metrics or "train/kl" in diagnosis.metrics else ()


def _first(drawable: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in drawable), "")


def _of_machine(drawable: Sequence[str], alternatives: Sequence[re.Pattern[str]]) -> str:
    """The first that one of the alternatives finds, a mean before what it is the mean of."""
    for one in alternatives:
        found = [metric for metric in drawable if one.search(metric)]
        if found:
            return max(found, key=lambda metric: ", mean of " in metric)
    return ""


def _any(alternatives: Sequence[re.Pattern[str]]) -> Callable[[str], bool]:
    return lambda metric: any(one.search(metric) for one in alternatives)


def curve_panel(diagnosis: Diagnosis, metric: str, most: int) -> Panel:
    """A curve without findings, with the setting that bounds it."""
    lines = lines_of(diagnosis, [metric], most)
    first, last = range_of(diagnosis, [])
    warmup = warmup_of(diagnosis, first, last) if metric in (NORM, RATE) else None
    spoilt = spoilt_keys(diagnosis, lines)
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
