"""Comparison: what curvelab has to say about several runs together. Its JSON is enough to draw the page."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from curvelab.model.result import SCHEMA, Diagnosis
from curvelab.model.strict_json import encoded, strict
from curvelab.model.verdicts import Association, AxisName, Baseline, Effect, Parting, Ranking

if TYPE_CHECKING:
    import pandas as pd

AXES: tuple[AxisName, ...] = ("step", "epoch", "tokens", "samples", "time")


FLOATS = (
    "value", "best", "last", "perplexity", "train_loss", "throughput", "seconds", "gpu_hours", "money", "wasted", "common",
)  # fmt: skip
COUNTS = ("rank", "steps", "value_step", "best_step", "last_step")


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs are aligned by, and why.

    possible   every axis that all runs can be laid on, this one first
    withheld   why the runs cannot be laid on each of the others
    """

    name: AxisName
    reason: str
    possible: tuple[AxisName, ...]
    withheld: dict[str, str] = {}


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
    common                 the metric that ranks, at the last place that all ranked runs reached (see Common)
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
    common: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is not the same in all runs: value by run id, for the runs whose log tells it.

    inferred   ids of the runs whose value was read off the curves
    """

    setting: str
    values: dict[str, Any]
    inferred: tuple[str, ...] = ()


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
        return encoded(self.to_dict()).decode()

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
        """Whether there is no ranking (see `ranking.refusals`); with an order the refusals keep only some runs out of it."""
        return bool(self.ranking.refusals) and not self.ranking.order

    @property
    def names(self) -> dict[str, str]:
        """Run id -> name."""
        return {row.run: row.name for row in self.rows}

    @property
    def table(self) -> pd.DataFrame:
        """One row a run, indexed by name: the columns of Row, the mean and spread of its group, and with a baseline its standing.

        Numbers that are not known are NaN; counts (rank, steps) that are not known are NA.
        """
        import pandas as pd

        columns = Row.__struct_fields__
        rows = [[getattr(row, name) for name in columns] for row in self.rows]
        table = pd.DataFrame(rows, columns=pd.Index(columns)).set_index("name")
        table = table.astype(dict.fromkeys(FLOATS, "float64") | dict.fromkeys(COUNTS, "Int64"))
        groups = {group.number: group for group in self.groups}
        table["group_name"] = [groups[row.group].name for row in self.rows]
        for column in ("mean", "spread"):
            values = [getattr(groups[row.group], column) for row in self.rows]
            table[f"group_{column}"] = pd.Series(values, index=table.index, dtype="float64")
        if self.baseline is not None:
            held = [self.baseline.of(row.run) for row in self.rows]
            table["against"] = ["baseline" if one is None else one.against for one in held]
            table["change"] = pd.Series([None if one is None else one.change for one in held], index=table.index, dtype="float64")
        return table

    @property
    def settings(self) -> pd.DataFrame:
        """Only the settings that differ: one row a run, one column a setting; numbers as numbers, NaN or None where not told."""
        import pandas as pd

        index = pd.Index([row.name for row in self.rows], name="name")
        columns = {one.setting: _column([one.values.get(row.run) for row in self.rows], index) for one in self.differences}
        return pd.DataFrame(columns, index=index)

    @property
    def curves(self) -> pd.DataFrame:
        """The thinned curves, long: run (name), metric, value, and a column for each axis. All points: Run.frame.

        Where runs share a name, `run` is "name (id)".
        """
        import pandas as pd

        shared = Counter(self.names.values())
        names = {run: name if shared[name] == 1 else f"{name} ({run})" for run, name in self.names.items()}
        parts = []
        for one in self.aligned:
            columns: dict[str, Any] = {"run": names[one.run], "metric": one.metric, **{str(axis): at for axis, at in one.along.items()}, "value": one.value}
            parts.append(pd.DataFrame(columns))
        empty = pd.DataFrame(columns=["run", "metric", *self.axis.possible, "value"])
        return pd.concat(parts, ignore_index=True) if parts else empty

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.rows)} runs: {self.sentence}>"


def _column(values: list[Any], index: pd.Index) -> pd.Series:
    """Numbers as float64 (as int64 where all are known and whole), booleans as bool, anything else as it is."""
    import pandas as pd

    told = [value for value in values if value is not None]
    if told and all(isinstance(value, bool) for value in told):
        return pd.Series(values, index=index, dtype="bool" if len(told) == len(values) else "boolean")
    if told and all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        whole = len(told) == len(values) and all(isinstance(value, int) and abs(value) < 2**63 for value in told)
        return pd.Series(values, index=index, dtype="int64" if whole else "float64")
    return pd.Series(values, index=index, dtype=object)
