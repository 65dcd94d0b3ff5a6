"""compare(): several runs -> Comparison. Which is better, is the difference real, what changed, where did they part?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from curvelab.comparing.axes import align
from curvelab.comparing.baselines import held_against, named
from curvelab.comparing.choice import Choice, choose
from curvelab.comparing.differences import differences, others, seed_groups
from curvelab.comparing.effects import associations, effects
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.fairness import refusals, too_few
from curvelab.comparing.partings import Places, partings
from curvelab.comparing.ranking import Noise, Unit, Value, in_order, lead, noise_among, ranks, unranked, value_of
from curvelab.comparing.rows import common_speed, row_of
from curvelab.comparing.summing_up import answer, caveats
from curvelab.comparing.thinned import aligned
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import discover, distinct
from curvelab.model.comparison import Axis, AxisName, Baseline, Comparison, Group, Parting, Ranking, Refusal, Row
from curvelab.model.errors import UsageError
from curvelab.model.options import Options
from curvelab.model.result import Diagnosis
from curvelab.model.run import Run


def compare(
    runs: Sequence[Run | str | Path],
    settings: Options | None = None,
    *,
    by: AxisName | None = None,
    rank_by: str | None = None,
    goal: str | None = None,
    baseline: str | None = None,
) -> Comparison:
    """Hold several runs against each other.

    runs      Runs, or paths below which runs are looked for
    settings  as for `diagnose`
    by        axis: "step", "epoch", "tokens", "samples" or "time"; None: chosen, and said why
    rank_by, goal   the metric that ranks, and whether "min" or "max" of it is best; None: see curvelab.comparing.choice
    baseline  name, id or path of the run that the others are held against

    Raises UsageError for fewer than two runs, and for an axis, metric, goal or baseline that does not exist.
    """
    found = [one for run in runs for one in ([run] if isinstance(run, Run) else discover(run))]
    options = Options.of(settings)
    return compared([(run, diagnose(run, options)) for run in distinct(found)], options, by, rank_by, goal, baseline)


def compared(
    diagnosed: Sequence[tuple[Run, Diagnosis]],
    options: Options,
    by: str | None = None,
    rank_by: str | None = None,
    goal: str | None = None,
    baseline: str | None = None,
) -> Comparison:
    """`compare` for runs that were diagnosed already; their ids must differ."""
    if len(diagnosed) < 2:
        raise UsageError(f"a comparison takes two runs or more, and there {'is one' if diagnosed else 'is none'}")
    entrants = [Entrant(run, Facts(run), diagnosis) for run, diagnosis in diagnosed]
    choice = choose(entrants, rank_by, goal)
    axis, places = align(entrants, by)
    base = None if baseline is None else named(entrants, baseline)
    return _Bench(entrants, choice, axis, places, base, options).comparison()


@dataclass(frozen=True)
class _Bench:
    """Everything that the parts of one comparison have in common."""

    entrants: Sequence[Entrant]
    choice: Choice
    axis: Axis
    places: Places
    base: Entrant | None
    options: Options

    def comparison(self) -> Comparison:
        units, whys, values = self._units()
        noise = noise_among(units)
        refused = refusals(self.entrants, self.choice)
        ranked = [one for one in self.entrants if not whys[one.id]]
        few = None if refused else too_few(self.entrants, self.choice, ranked)
        refused = (*refused, few) if few else refused
        placed = {} if refused else ranks(units, self.choice, noise)
        order = [] if refused else in_order(units, self.choice)
        ranking = self._ranking(order, noise, refused)
        held = self._held(values, whys, noise, bool(refused))
        return Comparison(
            sentence=answer(self.entrants, order, ranking, placed, held),
            caveats=caveats(self.entrants, self.choice, units, noise, whys, bool(refused)),
            axis=self.axis,
            ranking=ranking,
            rows=self._rows(units, whys, values, placed),
            groups=tuple(self._group(unit, placed) for unit in units),
            differences=differences(self.entrants),
            also_differ=others(self.entrants),
            partings=tuple(self._partings(order, units)),
            effects=() if refused else effects(units, self.choice, noise),
            associations=() if refused else associations(units, self.choice),
            baseline=held,
            aligned=aligned(self.entrants, tuple(dict.fromkeys((self.choice.metric, "train/loss"))), self.places),
            runs=tuple(_with_losses(one.diagnosis, self.choice) for one in self.entrants),
        )

    def _ranking(self, order: Sequence[Unit], noise: Noise, refused: tuple[Refusal, ...]) -> Ranking:
        return Ranking(
            metric=self.choice.metric,
            goal=self.choice.goal,
            reason=self.choice.reason,
            noise_from=noise.origin,
            order=tuple(one.number for one in order),
            leads=tuple(lead(order[0], one, self.choice, noise) for one in order[1:]),
            refusals=refused,
        )

    def _rows(
        self, units: Sequence[Unit], whys: dict[str, str], values: dict[str, Value], placed: dict[int, int]
    ) -> tuple[Row, ...]:
        """The table, in the order of the runs."""
        speed = common_speed(self.entrants)
        unit_of = {one.id: unit.number for unit in units for one in unit.members}
        return tuple(
            row_of(
                one,
                unit_of[one.id],
                None if whys[one.id] else placed.get(unit_of[one.id]),
                whys[one.id],
                values.get(one.id),
                speed,
                self.options,
            )
            for one in self.entrants
        )

    def _units(self) -> tuple[list[Unit], dict[str, str], dict[str, Value]]:
        """(what is ranked, why a run is not by id or an empty string, the value of each run that logged the metric)."""
        values = {one.id: value for one in self.entrants if (value := value_of(one, self.choice)) is not None}
        groups = seed_groups(self.entrants)
        seeded = {one.id: len(group) > 1 for group in groups for one in group}
        whys = {one.id: unranked(one, values.get(one.id), self.choice, seeded[one.id]) for one in self.entrants}
        units = [
            Unit(number, tuple(group), tuple(values[one.id] for one in group if not whys[one.id]))
            for number, group in enumerate(groups)
        ]
        return units, whys, values

    def _held(self, values: dict[str, Value], whys: dict[str, str], noise: Noise, refused: bool) -> Baseline | None:
        if self.base is None:
            return None
        fit = {id_: value for id_, value in values.items() if not whys[id_]}
        return held_against(self.base, self.entrants, fit, self.choice, noise, refused)

    def _partings(self, order: Sequence[Unit], units: Sequence[Unit]) -> list[Parting]:
        """Where one run of each other setting parts from the baseline, else from the best run, else from the first one."""
        first = self.base or (order[0].members[0] if order else self.entrants[0])
        ordered = [*order, *(unit for unit in units if unit not in order)]
        rest = [unit.members[0] for unit in ordered if first not in unit.members]
        return partings(first, rest, self.choice.metric, self.axis.name, self.places)

    def _group(self, unit: Unit, placed: dict[int, int]) -> Group:
        numbers = [one.value for one in unit.values]
        return Group(
            number=unit.number,
            name=unit.name,
            runs=tuple(one.id for one in unit.members),
            seeds=tuple(one.seed for one in unit.members if one.seed is not None),
            rank=placed.get(unit.number),
            mean=unit.mean if numbers else None,
            spread=unit.spread,
            low=min(numbers, default=None),
            high=max(numbers, default=None),
        )


def _with_losses(diagnosis: Diagnosis, choice: Choice) -> Diagnosis:
    """A diagnosis with the series of its losses only: hundreds of runs with all of theirs would be too much of a file."""
    kept = {m: s for m, s in diagnosis.series.items() if m.endswith("/loss") or m == choice.metric}
    return msgspec.structs.replace(diagnosis, series=kept)
