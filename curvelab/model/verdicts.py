"""What a comparison says of runs held against each other: rankings, partings, effects, a baseline."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

AxisName = Literal["step", "epoch", "tokens", "samples", "time"]
Goal = Literal["min", "max"]
Against = Literal["better", "worse", "within-noise", "failed", "not-comparable"]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why these runs must not be ranked by this metric, and what would be fair.

    classes   ids of the runs that this leaves comparable with each other; runs in none of them are not concerned
    labels    what the first classes are called
    """

    kind: str
    text: str
    alternative: str
    runs: tuple[str, ...] = ()
    classes: tuple[tuple[str, ...], ...] = ()
    labels: tuple[str, ...] = ()


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """How far one group (or run) is ahead of another: `by` > 0 is better, `noise` is one sigma of that difference.

    needed   the difference from which on it is believed to be real, at 95 %
    real     whether `by` reaches it
    """

    better: str
    worse: str
    by: float
    noise: float
    needed: float
    noise_from: str
    real: bool
    sentence: str


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The runs at the last place that all of them reached, where some were trained longer than others.

    at      the place on the axis; order: group numbers, the best there first; lead: of the first over the second
    """

    axis: AxisName
    at: float
    order: tuple[int, ...]
    lead: Lead
    sentence: str


class Class(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that may be held against each other, where not all may.

    ranked    whether the ranking above is of these runs; else `sentence` says which of them is the best
    command   what compares these runs only; empty where it would be too long
    """

    label: str
    runs: tuple[str, ...]
    order: tuple[int, ...]
    ranked: bool
    sentence: str
    command: str


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Which run is better. `order`: group numbers, the best first; empty where the ranking is refused.

    refusals  why not all runs may be ranked together; with an order they keep some runs out of it
    budget    for what amount of training the ranking is
    """

    metric: str
    goal: Goal
    reason: str
    noise_from: str
    order: tuple[int, ...]
    leads: tuple[Lead, ...]
    refusals: tuple[Refusal, ...]
    budget: str = ""
    common: Common | None = None
    classes: tuple[Class, ...] = ()


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """Where two settings part: the first place on the axis from which they stay apart by more than their noise.

    runs           ids of the two runs, or of the first runs of two groups of seeds, whose means are compared then
    at, steps      place on the axis, and the step of each of the two there; None: they do not part
    gap, noise     second minus first there, and one sigma of it
    seen           the least gap that would have been seen there; None where a failure is the parting
    crosses        the places at which they change sides after it; end_gap: second minus first at the end
    identical      the last place up to which the two logged the very same values, or None
    failed         what became of the second run where that is the parting, or an empty text
    settings       those that differ between the two
    """

    runs: tuple[str, str]
    metric: str
    axis: AxisName
    at: float | None
    steps: tuple[int, int] | None
    gap: float | None
    noise: float
    settings: tuple[str, ...]
    sentence: str
    seen: float | None = None
    crosses: tuple[float, ...] = ()
    end_gap: float | None = None
    identical: float | None = None
    failed: str = ""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What came with changing one setting and nothing else that was logged.

    change, low, high   of the metric, with its 95 % interval, which holds for all that are told together
    pairs               how many pairs of groups it is the mean of; 0: a line through all the values of the setting
    """

    setting: str
    from_: Any = msgspec.field(name="from")
    to: Any
    change: float
    low: float
    high: float
    pairs: int
    runs: int
    sentence: str


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a setting over `count` groups: no cause is claimed.

    rho       Spearman's rank correlation with the metric, None for a setting of kinds (Kruskal-Wallis then gives p)
    low, high 95 % interval of rho (Fisher's z with Fieller's variance)
    partial   rank correlation with the other numeric settings held, where there are groups enough
    p, q      of the partial one where there is one; q: p after the false discovery rate of all tested
    shape     where the relation turns, or an empty text; together: settings whose values go with those of this one
    """

    setting: str
    rho: float | None
    low: float | None
    high: float | None
    p: float
    q: float
    count: int
    values: int
    sentence: str
    partial: float | None = None
    shape: str = ""
    together: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One group (or a run of it that failed) against the baseline's group: `change` is its mean minus the baseline's.

    run, runs   its first run, and all of them; name: as the group is called
    """

    run: str
    against: Against
    change: float | None
    sentence: str
    name: str = ""
    runs: tuple[str, ...] = ()


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Each other group against one of them. `regressed`: ids of the runs that are worse beyond the noise, or failed.

    run, runs   the first run of the baseline's group, and all of them
    unjudged    why nothing can be held against the baseline itself, or an empty text
    """

    run: str
    standings: tuple[Standing, ...]
    regressed: tuple[str, ...]
    name: str = ""
    runs: tuple[str, ...] = ()
    unjudged: str = ""

    def of(self, run: str) -> Standing | None:
        """The standing that holds for a run: its own where it failed alone, else its group's; None for the baseline's."""
        mine = [one for one in self.standings if run in one.runs]
        return min(mine, key=lambda one: len(one.runs), default=None)
