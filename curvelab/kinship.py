"""Do logs tell of one training? By the values that they hold at the same steps, and by where one goes on after another.

Equal values at equal steps are the only proof; settings and steps alone say that two trainings are alike, not that they
are one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from curvelab.free_names import common_name
from curvelab.knowledge.metric_names import canonical
from curvelab.model.log import Floats, Ints, Log, RawSeries

CONSOLES = frozenset(("trainer-console", "console-loss"))

_FLOAT32 = 3e-7  # relative: two float32 roundings of one number
_PRINTED = 1e-3  # relative: consoles print four digits; two runs of other seeds differ by more
_MOSTLY = 0.9  # share of the printed losses that must be those of the other log; judgement
_ENOUGH = 3  # equal, differing values at equal steps that make a coincidence unbelievable
_FRESH = 2  # log distances: a run that was not resumed logs for the first time by then; judgement
_DONE_AGAIN = 0.5  # share of a log that a resumed run does again at most, when its settings are the same; judgement
_UNTIED = 0.25  # the same where neither has settings: steps that both hold with other values speak against one run
_LEVEL = 0.1  # share of the loss by which it may be off where one log goes on from another; judgement
_NOISE = 3.0  # times its noise by which it may be; judgement
_ENDS = 5  # losses at either side of a gap that are compared
_GAP = 0.25  # share of a log's length that may be missing between it and what goes on from it; judgement

_KEYS = 64  # first points that runs are looked up by; enough to tell runs apart, few enough for thousands of runs
_SHARED = 3  # points that two runs must share to be compared at all
_CROWD = 50  # runs with one and the same point: a loss of exactly 0 or ln 2, which tells nothing
_NEAREST = 8  # logs that one is compared with as what it goes on from; two that fit are already too many

_ARGUMENTS = ("learning_rate", "max_steps", "num_train_epochs", "per_device_train_batch_size", "seed", "lr_scheduler_type",
              "output_dir", "gradient_accumulation_steps", "max_grad_norm", "model_type", "vocab_size")  # fmt: skip
# A dead run's loss is constant and its norms are not; both are zero where a policy has no signal, and its entropy is not.
TELLING = ("train/loss", "eval/loss", "train/grad_norm", "train/entropy")

Points = tuple[Ints, Floats]


@dataclass(frozen=True, eq=False)
class Unit:
    """Logs of one format that are one log by their place alone, and what they are compared by."""

    logs: tuple[Log, ...]

    @property
    def format(self) -> str:
        return self.logs[0].format

    @cached_property
    def curves(self) -> dict[str, Points]:
        """The last logged value a step of the curves that tell runs apart, whatever the format calls them."""
        parts: dict[str, list[RawSeries]] = defaultdict(list)
        for log in self.logs:
            for series in log.series:
                name = canonical(log.names.get(series.name) or common_name(series.name))
                if name in TELLING:
                    parts[name].append(series)
        return {name: _points(several) for name, several in parts.items()}

    @cached_property
    def span(self) -> _Span | None:
        """Where the steps begin and end; those of the train loss where it was logged."""
        steps = [self.curves["train/loss"][0]] if "train/loss" in self.curves else [s for s, _ in self.curves.values()]
        if not steps or not sum(map(len, steps)):
            return None
        rising = np.unique(np.concatenate(steps))
        return _Span(
            first=int(rising[0]),
            last=int(rising[-1]),
            distance=int(np.median(np.diff(rising))) if len(rising) > 1 else 1,
            count=len(rising),
        )

    @cached_property
    def points(self) -> frozenset[tuple[int, bytes]]:
        """The first values of its curves as (step, float32 bytes): what an equal run has, too."""
        found: set[tuple[int, bytes]] = set()
        for step, value in self.curves.values():
            with np.errstate(over="ignore"):
                short = value[:_KEYS].astype(np.float32)
            good = np.isfinite(short) & (short != 0)
            found |= {(int(s), v.tobytes()) for s, v in zip(step[:_KEYS][good], short[good], strict=True)}
        return frozenset(found)

    @cached_property
    def arguments(self) -> dict[str, object]:
        merged: dict[str, object] = {}
        for log in self.logs:
            for values in log.settings.values():
                merged.update({k: values[k] for k in _ARGUMENTS if k in values})
        return merged


@dataclass(frozen=True)
class _Span:
    """First and last step, the usual distance between logs, and how many steps were logged."""

    first: int
    last: int
    distance: int
    count: int


def same_numbers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which values of two arrays are one number, rounded to float32 once or twice; NaN is NaN. bool[n]."""
    same: np.ndarray = np.isclose(a, b, rtol=_FLOAT32, atol=1e-30, equal_nan=True)
    return same


def same_training(one: Unit, other: Unit) -> bool:
    """Whether two units hold the same loss at the same steps, or one goes on where the other stopped."""
    if one.logs[0].path == other.logs[0].path:
        return False  # a file that holds several runs knows best which they are
    if (one.format in CONSOLES) != (other.format in CONSOLES):
        return _printed(one, other) if one.format in CONSOLES else _printed(other, one)
    if one.format == other.format:
        return _goes_on(one, other) or _goes_on(other, one)
    for name in one.curves.keys() & other.curves.keys():
        _, x, y = _shared(one.curves[name], other.curves[name])
        if _equal_beyond_chance(x, y):
            return True
    return False


def sharing_points(points: Sequence[frozenset[tuple[int, bytes]]]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose points say that they may be one training, in a time that grows with the points."""
    owners: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for i, some in enumerate(points):
        for point in some:
            owners[point].append(i)
    shared = Counter(pair for some in owners.values() if 1 < len(some) <= _CROWD for pair in combinations(sorted(some), 2))
    yield from (pair for pair, count in shared.items() if count >= min(_SHARED, *(len(points[i]) for i in pair)))


def going_on(units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    """Pairs of units of one format and equal settings of which one begins where the other could be resumed.

    Of many that could be, those that end nearest to that place: the time grows with the units, not with their pairs.
    """
    alike: dict[str, list[tuple[int, _Span]]] = defaultdict(list)
    for i, unit in enumerate(units):
        if unit.span is not None:
            alike[f"{unit.format}{sorted(unit.arguments.items())}"].append((i, unit.span))
    for some in alike.values():
        place = np.array([i for i, _ in some])
        first, last, distance = (np.array([getattr(span, name) for _, span in some]) for name in ("first", "last", "distance"))
        furthest = last + np.maximum(2 * distance, last - first)
        for i, span in some:
            could = np.flatnonzero((first < span.first) & (span.first <= furthest))
            near = could[np.argsort(np.abs(last[could] - span.first), kind="stable")[:_NEAREST]]
            yield from ((j, i) for j in place[near].tolist())


def only_seems(one: Unit, other: Unit) -> bool:
    """Whether nothing ties two units that `same_training` takes for one, but that one begins where the other ends."""
    if one.format != other.format or one.format == "trainer-state" or one.arguments:
        return False
    pairs = [_shared(one.curves[name], other.curves[name]) for name in one.curves.keys() & other.curves.keys()]
    return not any(_equal_beyond_chance(x, y) for _, x, y in pairs)


def overlapping(one: Unit, other: Unit) -> bool:
    """Whether two units of one format have steps in common, from the first to the last of each."""
    a, b = one.span, other.span
    return one.format == other.format and a is not None and b is not None and a.first <= b.last and b.first <= a.last


def one_history(one: Log, other: Log) -> bool:
    """Whether two snapshots (trainer states) are of one training: the later one repeats what the earlier one holds.

    A run that was resumed from an earlier checkpoint does some steps again: then the beginning is the same, and so are
    the settings, or the greater part.
    """
    shared, differing = compared(one, other)
    if not len(shared) or not len(differing):
        return len(shared) > 0
    agreed = int((np.unique(shared) < differing.min()).sum())
    alike = list(one.settings.values()) == list(other.settings.values())
    return agreed >= _ENOUGH and (alike or 2 * agreed >= len(np.unique(shared)))


def compared(one: Log, other: Log) -> tuple[Ints, Ints]:
    """(the step of each value that both hold under one name, the steps of those that differ)."""
    theirs = {series.name: series for series in other.series}
    shared: list[Ints] = [np.empty(0, np.int64)]
    differing: list[Ints] = [np.empty(0, np.int64)]
    for series in one.series:
        if series.name in theirs:
            steps, x, y = _shared(_points([series]), _points([theirs[series.name]]))
            shared.append(steps)
            differing.append(steps[~same_numbers(x, y)])
    return np.concatenate(shared), np.concatenate(differing)


def _points(several: Sequence[RawSeries]) -> Points:
    """The steps, rising, and the last value of each."""
    step = np.concatenate([series.step for series in several])
    value = np.concatenate([series.value for series in several])
    steps, last = np.unique(step[::-1], return_index=True)
    return steps, value[::-1][last]


def _shared(one: Points, other: Points) -> tuple[Ints, Floats, Floats]:
    """(steps, values of the one, values of the other) where both have a value."""
    steps, i, j = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    return steps, one[1][i], other[1][j]


def _equal_beyond_chance(x: Floats, y: Floats) -> bool:
    equal = same_numbers(x, y) & np.isfinite(x)
    return len(x) > 0 and len(np.unique(x[equal])) >= min(_ENOUGH, len(x))


def _printed(console: Unit, other: Unit) -> bool:
    """Whether a console shows the train losses of another log, in their order; steps are guessed."""
    a, b = (unit.curves.get("train/loss") for unit in (console, other))
    if a is None or b is None:
        return False
    n = min(len(a[1]), len(b[1]))
    x, y = a[1][:n], b[1][:n]
    close = np.isclose(x, y, rtol=_PRINTED, atol=_PRINTED / 2, equal_nan=True)
    return bool(close.mean() >= _MOSTLY and len(np.unique(x[close])) >= min(_ENOUGH, n))


def _goes_on(first: Unit, second: Unit) -> bool:
    """Whether `second` is the training of `first`, resumed.

    It begins inside or after `first`, with its settings. The steps since the checkpoint are done again and have other
    values. Where the two are not of one output folder, more must hold, or else every two experiments side by side were
    one: it begins later than a fresh run would, does only a part of `first` again, and its loss goes on where that was.
    """
    a, b = first.span, second.span
    if a is None or b is None or not a.first < b.first or first.arguments != second.arguments:
        return False
    length = a.last - a.first
    if "output_dir" in first.arguments or first.format == "trainer-state":
        return b.first <= a.last + max(2 * a.distance, length)
    pairs = [_shared(first.curves[name], second.curves[name]) for name in first.curves.keys() & second.curves.keys()]
    if any(len(x) >= _ENOUGH and _equal_beyond_chance(x, y) and _mostly_equal(x, y) for _, x, y in pairs):
        return True
    done_again = max((len(steps) for steps, *_ in pairs), default=0)
    if b.first <= _FRESH * b.distance or done_again > (_DONE_AGAIN if first.arguments else _UNTIED) * a.count:
        return False
    return b.first <= a.last + max(2 * a.distance, round(_GAP * length)) and _loss_goes_on(first, second)


def could_go_on(first: Unit, second: Unit) -> bool:
    """Whether `second` begins later than a fresh run would, at the end of `first` or not long before it, with such a loss."""
    a, b = first.span, second.span
    if a is None or b is None or not a.first < b.first or b.first <= _FRESH * b.distance:
        return False
    again = int(np.searchsorted(np.unique(np.concatenate([s for s, _ in first.curves.values()])), b.first))
    return again >= (1 - _DONE_AGAIN) * a.count and b.first <= a.last + 2 * max(a.distance, b.distance) and _loss_goes_on(first, second)


def _loss_goes_on(first: Unit, second: Unit) -> bool:
    """Whether the loss of `second` begins where that of `first` was at those steps, or ended: off by noise and trend only."""
    name = next((name for name in TELLING if name in first.curves and name in second.curves), None)
    if name is None:
        return True
    (steps, values), (later, others) = first.curves[name], second.curves[name]
    known, also = np.isfinite(values), np.isfinite(others)
    steps, values, later, others = steps[known], values[known], later[also], others[also]
    if not len(values) or not len(others):
        return True
    overlap = later[0] <= steps[-1]
    old, new = (values[steps >= later[0]], others[later <= steps[-1]]) if overlap else (values[-_ENDS:], others[:_ENDS])
    level = float(np.median(old))
    noise = float(np.median(np.abs(np.diff(values[-4 * _ENDS :])))) if len(values) > 1 else 0.0
    trend = 0.0 if overlap else abs(float(np.median(values[len(values) // 2 :][:_ENDS])) - level)
    return abs(float(np.median(new)) - level) <= max(_LEVEL * abs(level), _NOISE * noise, trend)


def _mostly_equal(x: Floats, y: Floats) -> bool:
    return 2 * int(same_numbers(x, y).sum()) > len(x)
