"""Comparison: what curvelab has to say about several runs together. Its JSON is enough to draw the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from curvelab.model.result import SCHEMA, Diagnosis
from curvelab.model.strict_json import strict

if TYPE_CHECKING:
    import pandas as pd

AxisName = Literal["step", "epoch", "tokens", "samples", "time"]
AXES: tuple[AxisName, ...] = ("step", "epoch", "tokens", "samples", "time")
Goal = Literal["min", "max"]
Against = Literal["better", "worse", "within-noise", "failed", "not-comparable"]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs are aligned by, and why. `possible`: every axis that all runs can be laid on, this one first."""

    name: AxisName
    reason: str
    possible: tuple[AxisName, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the table; None for what is not known.

    run                    its id, as in `runs`
    group                  number of its group of seeds
    rank, unranked         its place (ties share one), or why it has none
    value, value_step      the metric that ranks, and the step of its best value
    best, best_step, last, last_step   of eval_metric (an eval loss), and perplexity = exp(best) where it has one
    train_loss             level of the last tenth of the train loss
    throughput             `throughput_unit` a second, the median of the run
    seconds, gpu_hours, money   of the whole run
    wasted                 share of the steps after the last useful one (0..1)
    findings               key findings: patterns at warning or critical, the one that names the run first
    """

    run: str
    name: str
    group: int
    verdict: str
    state: str
    steps: int | None
    rank: int | None
    unranked: str
    value: float | None
    value_step: int | None
    eval_metric: str | None
    best: float | None
    best_step: int | None
    last: float | None
    last_step: int | None
    perplexity: float | None
    train_loss: float | None
    throughput: float | None
    throughput_unit: str
    seconds: float | None
    gpu_hours: float | None
    money: float | None
    wasted: float | None
    findings: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is not the same in all runs: value by run id, for the runs whose log knows it."""

    setting: str
    values: dict[str, Any]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one setting that differ in their seed only; a run without such siblings is a group of one.

    mean, spread   of the ranked runs' metric: mean and sample standard deviation (None for fewer than two)
    low, high      their range
    """

    number: int
    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    rank: int | None
    mean: float | None
    spread: float | None
    low: float | None
    high: float | None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why these runs must not be ranked by this metric, and what would be fair."""

    kind: str
    text: str
    alternative: str
    runs: tuple[str, ...] = ()


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


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Which run is better. `order`: group numbers, the best first; empty where the ranking is refused."""

    metric: str
    goal: Goal
    reason: str
    noise_from: str
    order: tuple[int, ...]
    leads: tuple[Lead, ...]
    refusals: tuple[Refusal, ...]


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """Where two runs part: the first place on the axis from which on they stay apart by more than their noise.

    at, steps      place on the axis, and the step of each of the two runs there; None: they do not part
    gap, noise     second minus first there, and one sigma of it
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


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What came with changing one setting and nothing else that was logged.

    change, low, high   of the metric, with its 95 % interval; pairs: how many pairs of groups it is the mean of
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
    """Spearman's rank correlation of a setting with the metric over `count` groups: no cause is claimed.

    low, high   95 % interval (Fisher's z with Fieller's variance); p; q: p after the false discovery rate of all tested
    """

    setting: str
    rho: float
    low: float
    high: float
    p: float
    q: float
    count: int
    values: int
    sentence: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One run against the baseline: `change` is its value minus the baseline's."""

    run: str
    against: Against
    change: float | None
    sentence: str


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Each other run against one of them. `regressed`: ids of the runs that are worse beyond the noise, or failed."""

    run: str
    standings: tuple[Standing, ...]
    regressed: tuple[str, ...]


class Aligned(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one run for drawing, extremes kept: value against every axis that all runs have.

    `along` holds, by axis, a list as long as `value` (seconds of training for "time"); `points` were logged.
    """

    run: str
    metric: str
    points: int
    value: list[float]
    along: dict[AxisName, list[float]]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs held against each other.

    sentence       the answer in one or two sentences; `caveats` what to keep in mind with it
    also_differ    names of other logged settings that differ; their values are not shown
    """

    sentence: str
    caveats: tuple[str, ...]
    axis: Axis
    ranking: Ranking
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    also_differ: tuple[str, ...]
    partings: tuple[Parting, ...]
    effects: tuple[Effect, ...]
    associations: tuple[Association, ...]
    baseline: Baseline | None
    aligned: tuple[Aligned, ...]
    runs: tuple[Diagnosis, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract: {"schema", "curvelab", "runs", "errors", "comparison"}, non-finite numbers by name."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        runs = plain.pop("runs")
        version = runs[0]["provenance"].get("curvelab", "") if runs else ""
        document = {"schema": SCHEMA, "curvelab": version, "runs": runs, "errors": [], "comparison": plain}
        strictly: dict[str, Any] = strict(document)
        return strictly

    def to_json(self) -> str:
        """`to_dict` as strict JSON."""
        return msgspec.json.encode(self.to_dict()).decode()

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Comparison:
        """The inverse of `to_dict`. Raises msgspec.ValidationError where a field does not fit."""
        return msgspec.convert({**plain["comparison"], "runs": plain["runs"]}, cls, strict=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Comparison:
        """The inverse of `to_json`."""
        return cls.from_dict(msgspec.json.decode(text))

    @property
    def refused(self) -> bool:
        """Whether the runs must not be ranked (see `ranking.refusals`)."""
        return bool(self.ranking.refusals)

    @property
    def names(self) -> dict[str, str]:
        """Run id -> name."""
        return {row.run: row.name for row in self.rows}

    @property
    def table(self) -> pd.DataFrame:
        """One row a run, indexed by name: the columns of Row."""
        import pandas as pd

        columns = Row.__struct_fields__
        rows = [[getattr(row, name) for name in columns] for row in self.rows]
        return pd.DataFrame(rows, columns=pd.Index(columns)).set_index("name")

    @property
    def settings(self) -> pd.DataFrame:
        """Only the settings that differ: one row a run, one column a setting; None where a log does not say."""
        import pandas as pd

        columns = {one.setting: [one.values.get(row.run) for row in self.rows] for one in self.differences}
        return pd.DataFrame(columns, index=pd.Index([row.name for row in self.rows], name="name"), dtype=object)

    @property
    def curves(self) -> pd.DataFrame:
        """The thinned curves, long: run (name), metric, value, and a column for each axis. All points: Run.frame."""
        import pandas as pd

        names = self.names
        parts = []
        for one in self.aligned:
            columns: dict[str, Any] = {"run": names[one.run], "metric": one.metric, **{str(axis): at for axis, at in one.along.items()}, "value": one.value}
            parts.append(pd.DataFrame(columns))
        empty = pd.DataFrame(columns=["run", "metric", *self.axis.possible, "value"])
        return pd.concat(parts, ignore_index=True) if parts else empty

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.rows)} runs: {self.sentence}>"
