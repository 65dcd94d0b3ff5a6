"""Where a run was restarted: the places in its logs at which steps go back.

Each series is judged by its own steps. A loss that was logged at steps 1, 2, 3 of its epochs between a train loss at
steps 990, 1990, 2990 goes back nowhere: it has an axis of its own. Nor is a counter that begins again with each epoch a
restart: its steps are continued. Where such an axis counts epochs or evals, its values are placed at the optimizer steps
at which they were written, which the order of the records tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from curvelab.model.log import Floats, Ints, Log, RawSeries
from curvelab.model.note import Note
from curvelab.model.run import Seam

_WRITERS = 0.02  # share of rows that step back above which two processes wrote one file (a restart is rare)
_FEW_RESTARTS = 10
_BEHIND = 0.5  # share of rows that fall behind the main series from which on a series has its own axis; judgement
_FAR = 0.5  # share of the main series' last step below which such an axis is worth a note; judgement
_LAPS = 3  # attempts that a counter of each epoch makes at least: two may be two runs in one file
_LAP_ROWS = 5  # rows of such an attempt at least: two writers in turn make short ones; judgement
_LAP_SPREAD = 0.1  # how much the lengths of the attempts may differ; judgement
_BACK = 0.5  # a run that starts anew has a loss this much nearer to its first than to its last one; judgement
_ONE_EACH = 0.8  # share of the counts of an axis that must fall on optimizer steps of their own to be placed; judgement
_NAMED = 3  # series named in a note


@dataclass(frozen=True, eq=False)
class _Track:
    """One raw name over all files in turn: order int64[n] rising through all files, step int64[n], value float64[n]."""

    name: str
    order: Ints
    step: Ints
    value: Floats

    @cached_property
    def back(self) -> Ints:
        """Rows whose step is below that of the row before."""
        return np.flatnonzero(self.step[1:] < self.step[:-1]) + 1


@dataclass(frozen=True)
class _Rewind:
    """A series goes back: its last row before, its first row after (places in the whole line), and that row's step."""

    before: int
    after: int
    step: int


@dataclass(frozen=True, eq=False)
class Attempts:
    """The attempts of a run in the logs of one format.

    offsets   what to add to the `order` of each log, so that one log comes after the other
    places    int64[k], rising: the place (order with offset) at which attempt 1, 2, ... begins
    seams     one for each place
    continued raw names whose steps were continued, each attempt `lap` steps after the one before; then no seams
    placed    raw names of own axes that are placed on that of `axis`: its (order int64[n], step int64[n]), rising
    """

    offsets: tuple[int, ...]
    places: Ints
    seams: tuple[Seam, ...]
    notes: tuple[Note, ...]
    apart: frozenset[str] = frozenset()
    continued: frozenset[str] = frozenset()
    lap: int = 0
    placed: frozenset[str] = frozenset()
    axis: tuple[Ints, Ints] | None = None

    def segment_of(self, series: RawSeries, offset: int) -> Ints:
        """The attempt of each row."""
        if self.continued:
            return np.zeros(len(series), dtype=np.int64)
        return np.searchsorted(self.places, series.order + offset, side="right")

    def settled(self, series: RawSeries, offset: int) -> RawSeries:
        """The series with its steps continued where they begin again with each epoch, or placed on the main axis."""
        native = series.step if series.native_step is None else series.native_step
        if series.name in self.placed and self.axis is not None:
            return replace(series, step=_reached(self.axis, series.order + offset), native_step=native)
        if series.name not in self.continued:
            return series
        lap = np.searchsorted(self.places, series.order + offset, side="right")
        return replace(series, step=series.step + lap * self.lap, native_step=native)


def attempts_of(logs: Sequence[Log]) -> Attempts:
    """Find the restarts in the files of one line, given in the order of their time."""
    offsets = _offsets(logs)
    tracks = _tracks(logs, offsets)
    if not tracks:
        return Attempts(offsets, np.empty(0, np.int64), (), ())
    main = max(tracks, key=lambda track: len(track.step))
    apart = [track for track in tracks if track is not main and _behind(track, main)]
    together = [track for track in tracks if track not in apart]
    names = frozenset(track.name for track in apart)
    rewinds = [rewind for track in together for rewind in _rewinds(track)]
    every, rows = _rows(tracks), _rows(together)
    laps = _laps(main, together, _places(rewinds, every))
    if laps is not None:
        places, lap, text = laps
        told = Note(level="warning", text=text, file=str(logs[-1].path))
        return Attempts(offsets, places, (), (told,), names, frozenset(track.name for track in together), lap)
    notes: list[Note] = []
    for i, log in enumerate(logs):
        low, high = offsets[i], offsets[i + 1] if i + 1 < len(logs) else np.inf
        inside = [rewind for rewind in rewinds if low <= rewind.before and rewind.after < high]
        count = len(_places(inside, every))
        length = int(np.searchsorted(rows[0], high) - np.searchsorted(rows[0], low))
        if count > max(_FEW_RESTARTS, _WRITERS * length):
            theirs = set(inside)
            rewinds = [rewind for rewind in rewinds if rewind not in theirs]
            text = f"steps go back {count} times: several processes wrote it; rows were put in the order of their steps"
            notes.append(Note(level="warning", text=text, file=str(log.path)))
    begun = [order + offset for log, offset in zip(logs, offsets, strict=True) for order in log.restarts]
    places = np.union1d(_places(rewinds, every), np.array(begun, dtype=np.int64))
    axis = (main.order, main.step)
    placed = [track for track in apart if not len(places) and _can_be_placed(track, main)]
    if placed:
        counts = max(int(t.step.max()) for t in placed)
        text = f"{_listed(placed)}: logged by a count of their own (to {counts}), such as epochs; placed at the steps of"
        notes.append(Note(level="info", text=f"{text} {main.name} at which they were written", file=str(logs[-1].path)))
    notes += _own_axes([track for track in apart if track not in placed], main, places, str(logs[-1].path))
    moved = frozenset(track.name for track in placed)
    return Attempts(offsets, places, _seams(places, rows), tuple(notes), names - moved, placed=moved, axis=axis)


def _can_be_placed(track: _Track, main: _Track) -> bool:
    """Whether an own axis is a count of epochs or evals: far behind the main one, and each count at a step of its own."""
    if len(track.back) or len(track.step) < 2 or track.step.max() > _FAR * main.step.max() or len(main.back):
        return False
    counts, first = np.unique(track.step, return_index=True)
    steps = np.unique(_reached((main.order, main.step), track.order[first]))
    return len(counts) > 1 and len(steps) >= _ONE_EACH * len(counts)


def _reached(axis: tuple[Ints, Ints], order: Ints) -> Ints:
    """The step that the main series had reached when each row was written; its first step before that. int64[n]."""
    place = np.searchsorted(axis[0], order, side="right") - 1
    reached: Ints = axis[1][np.maximum(place, 0)]
    return reached


def _offsets(logs: Sequence[Log]) -> tuple[int, ...]:
    ends = [max((int(s.order.max()) + 1 for s in log.series if len(s)), default=0) for log in logs]
    return tuple(int(end) for end in np.cumsum([0, *ends])[: len(logs)])


def _tracks(logs: Sequence[Log], offsets: Sequence[int]) -> list[_Track]:
    parts: dict[str, list[tuple[Ints, Ints, Floats]]] = defaultdict(list)
    for log, offset in zip(logs, offsets, strict=True):
        for series in (s for s in log.series if len(s)):
            parts[series.name].append((series.order + offset, series.step, series.value))
    tracks = []
    for name, several in parts.items():
        order, step, value = (np.concatenate(columns) for columns in zip(*several, strict=True))
        if (order[1:] < order[:-1]).any():
            by_order = np.argsort(order, kind="stable")
            order, step, value = order[by_order], step[by_order], value[by_order]
        tracks.append(_Track(name, order, step, value))
    return tracks


def _behind(track: _Track, main: _Track) -> bool:
    """Whether a series falls behind the steps that the main one had reached, most of the time: its axis is another."""
    place = np.searchsorted(main.order, track.order, side="right") - 1
    known = place >= 0
    behind = track.step[known] < main.step[place[known]]
    return bool(len(behind)) and float(behind.mean()) > _BEHIND


def _rewinds(track: _Track) -> list[_Rewind]:
    columns = (track.order[track.back - 1], track.order[track.back], track.step[track.back])
    return [_Rewind(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _rows(tracks: Sequence[_Track]) -> tuple[Ints, Ints]:
    """(order, step) of all rows of several series together, one row an order."""
    order = np.concatenate([track.order for track in tracks])
    step = np.concatenate([track.step for track in tracks])
    rows, first = np.unique(order, return_index=True)
    return rows, step[first]


def _places(rewinds: Iterable[_Rewind], rows: tuple[Ints, Ints]) -> Ints:
    """The fewest places that explain every rewind: a series that goes back later than another one may do so at once."""
    order, step = rows
    places: list[int] = []
    for rewind in sorted(rewinds, key=lambda rewind: rewind.after):
        if places and places[-1] > rewind.before:
            continue
        i = int(np.searchsorted(order, rewind.after))
        # what another series logged between, at steps not above, was logged by the new attempt as well
        while i > 0 and order[i - 1] > rewind.before and step[i - 1] <= rewind.step:
            i -= 1
        places.append(int(order[i]))
    return np.array(places, dtype=np.int64)


def _seams(places: Ints, rows: tuple[Ints, Ints]) -> tuple[Seam, ...]:
    order, step = rows
    reached = np.maximum.accumulate(step)
    starts = np.searchsorted(order, places)
    return tuple(
        Seam(segment=i, step=int(step[at]), reached=int(reached[at - 1])) for i, at in enumerate(starts.tolist(), 1)
    )


def _laps(main: _Track, together: Sequence[_Track], places: Ints) -> tuple[Ints, int, str] | None:
    """(places, steps of a lap, what to say) when the steps begin again regularly, as a counter of each epoch does."""
    starts = np.concatenate([[0], main.back])
    counts = np.diff(np.append(starts, len(main.step)))
    if len(starts) < _LAPS or len(places) != len(main.back) or counts[:-1].min() < _LAP_ROWS:
        return None
    firsts, lasts = main.step[starts], main.step[np.append(starts[1:], len(main.step)) - 1]
    whole = counts[:-1]
    spread = max(1, _LAP_SPREAD * int(np.median(whole)))
    regular = whole.max() - whole.min() <= spread and counts[-1] <= whole.max() + spread
    if not regular or (firsts != firsts[0]).any() or _begins_anew(main, together, places):
        return None
    inside = np.delete(np.diff(main.step), main.back - 1)
    lap = int((lasts - firsts).max()) + max(1, int(np.median(inside)))
    text = (
        f"steps begin again at {int(firsts[0])} every {lap} steps, {len(main.back)} times: a counter of each epoch; "
        f"they were continued, step + {lap} x number of the epoch"
    )
    return places, lap, text


def _begins_anew(main: _Track, together: Sequence[_Track], places: Ints) -> bool:
    """Whether each attempt starts from the first one's loss again, so that it is a training of its own."""
    track = next((t for t in (main, *together) if "loss" in t.name.lower() and len(t.step) > len(places) * 2), main)
    attempts = np.split(track.value, np.searchsorted(track.order, places))
    attempts = [values[np.isfinite(values)] for values in attempts]
    if any(len(values) < 2 for values in attempts):
        return False
    few = max(1, min(map(len, attempts)) // 10)
    heads = np.array([values[:few].mean() for values in attempts])
    tails = np.array([values[-few:].mean() for values in attempts])
    from_start = np.abs(heads[1:] - heads[0]).sum()
    from_end = np.abs(heads[1:] - tails[:-1]).sum()
    return bool(from_start < _BACK * from_end)


def _own_axes(apart: Sequence[_Track], main: _Track, places: Ints, file: str) -> list[Note]:
    """What is said of series with steps of their own."""
    notes = []
    far = [track for track in apart if len(track.step) > 1 and track.step.max() <= _FAR * main.step.max()]
    if far:
        text = f"{_listed(far)}: steps of their own, to {max(int(t.step.max()) for t in far)}, while {main.name} is at"
        notes.append(Note(level="info", text=f"{text} {int(main.step.max())}; no restart was seen in that", file=file))
    again = {track.name: _unexplained(track, places) for track in apart}
    times = sum(again.values())
    if times:
        text = f"{_listed([t for t in apart if again[t.name]])}: steps of their own go back {times} times, no restart"
        notes.append(Note(level="info", text=f"{text}; at a step logged twice the later value counts", file=file))
    return notes


def _unexplained(track: _Track, places: Ints) -> int:
    """How often a series goes back where no restart is."""
    before, after = track.order[track.back - 1], track.order[track.back]
    return int((np.searchsorted(places, before, "right") == np.searchsorted(places, after, "right")).sum())


def _listed(tracks: Sequence[_Track]) -> str:
    names = [track.name for track in tracks]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
