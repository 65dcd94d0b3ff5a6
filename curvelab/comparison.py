"""compare(): several runs -> Comparison. Which is better, is the difference real, what changed, where did they part?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from curvelab.comparing.associations import associations, too_varied
from curvelab.comparing.axes import Place, align
from curvelab.comparing.baselines import held_against, named
from curvelab.comparing.budgets import budget, common
from curvelab.comparing.choice import Choice, choose
from curvelab.comparing.classes import classes_of, command, label_of, main_class, why_apart
from curvelab.comparing.differences import differences, others, seed_groups, seeds_of
from curvelab.comparing.effects import effects
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.fairness import refusals, too_few
from curvelab.comparing.noise import Noise, noise_among
from curvelab.comparing.partings import Places, partings
from curvelab.comparing.ranking import Unit, Value, in_order, leads, ranks, unranked, value_of
from curvelab.comparing.rows import common_speed, row_of
from curvelab.comparing.scaling import scaled_by_accumulation
from curvelab.comparing.summing_up import answer, best, caveats, why
from curvelab.comparing.thinned import aligned
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import discover, distinct
from curvelab.model.comparison import Axis, Comparison, Group, Row
from curvelab.model.errors import UsageError
from curvelab.model.options import Options
from curvelab.model.result import Diagnosis
from curvelab.model.run import Run
from curvelab.model.verdicts import AxisName, Baseline, Class, Parting, Ranking, Refusal


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
    baseline  name, id or path of the run that the others are held against, or name or folder of its group of seeds

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
    telling = [one for one in entrants if any(len(curve) for curve in one.run.logged.values())] or entrants
    choice = choose(telling, rank_by, goal)
    axis, places = align(telling, by)
    nowhere: dict[AxisName, Place] = dict.fromkeys(axis.possible, np.zeros_like)
    places |= {one.id: nowhere for one in entrants if one not in telling}
    return _Bench(entrants, choice, axis, places, baseline, options).comparison()


@dataclass(frozen=True)
class _Bench:
    """Everything that the parts of one comparison have in common."""

    entrants: Sequence[Entrant]
    choice: Choice
    axis: Axis
    places: Places
    baseline: str | None
    options: Options

    def comparison(self) -> Comparison:
        refused = refusals(self.entrants, self.choice)
        classes = classes_of(self.entrants, refused)
        units, whys, values = self._units(classes)
        base = None if self.baseline is None else named(units, self.baseline)
        main = main_class(classes, whys)
        few = too_few(self.entrants, self.choice, [one for one in self.entrants if not whys[one.id]]) if not refused else None
        refused = (*refused, few) if few else refused
        fair = [] if main is None or few else [one for one in units if one.members[0] in main and one.values]
        if main is not None:
            classes = [[*main], *(one for one in classes if one is not main)]
            whys |= {one.id: whys[one.id] or why_apart(one, main[0], refused) for one in self.entrants if one not in main}
        noise = noise_among(fair or units)
        placed = ranks(fair, self.choice, noise)
        order = in_order(fair, self.choice)
        ranking, there = self._ranking(order, noise, refused)
        ranking = msgspec.structs.replace(ranking, classes=self._classes(classes, units, refused, bool(fair)))
        held = None if base is None else self._held(base, units, classes, bool(few))
        summed = scaled_by_accumulation(self.entrants)
        return Comparison(
            sentence=answer(self.entrants, order, ranking, placed, held),
            caveats=caveats(self.entrants, self.choice, fair, noise, whys, not fair, summed, ranking.budget, too_varied(fair)),
            axis=self.axis,
            ranking=ranking,
            rows=self._rows(units, whys, values, placed, there),
            groups=tuple(self._group(unit, placed) for unit in units),
            differences=differences(self.entrants),
            also_differ=others(self.entrants),
            partings=tuple(self._partings(base, order, units, classes, summed)),
            effects=effects(fair, self.choice, noise),
            associations=associations(fair, self.choice),
            baseline=held,
            aligned=aligned(self.entrants, tuple(dict.fromkeys((self.choice.metric, "train/loss"))), self.places),
            runs=tuple(_with_losses(one.diagnosis, self.choice) for one in self.entrants),
        )

    def _ranking(self, order: Sequence[Unit], noise: Noise, refused: tuple[Refusal, ...]) -> tuple[Ranking, dict[str, float]]:
        """(the ranking, the value of each ranked run where all were, if some went farther)."""
        held, there = common(order, self.choice, noise, self.axis.name, self.places)
        ranking = Ranking(
            metric=self.choice.metric,
            goal=self.choice.goal,
            reason=self.choice.reason,
            noise_from=noise.origin,
            order=tuple(one.number for one in order),
            leads=leads(order, self.choice, noise),
            refusals=refused,
            budget=budget(order, self.choice, self.axis.name, self.places),
            common=held,
        )
        return ranking, there

    def _classes(
        self, classes: Sequence[Sequence[Entrant]], units: Sequence[Unit], refused: tuple[Refusal, ...], ranked: bool
    ) -> tuple[Class, ...]:
        """The runs that may be held against each other, where not all may; each class with the best of it."""
        if len(classes) < 2:
            return ()
        found = []
        for place, members in enumerate(classes):
            mine = [one for one in units if one.members[0] in members and one.values]
            noise, order = noise_among(mine), in_order(mine, self.choice)
            told = ""
            if len(order) > 1 and not (ranked and place == 0):
                ranking, _ = self._ranking(order, noise, ())
                told = best(order, ranking, ranks(mine, self.choice, noise)) + why(order)
            found.append(
                Class(
                    label=label_of(members, refused),
                    runs=tuple(one.id for one in members),
                    order=tuple(one.number for one in order),
                    ranked=ranked and place == 0,
                    sentence=told,
                    command=command(members, self.entrants) if len(members) > 1 else "",
                )
            )
        return tuple(found)

    def _rows(
        self, units: Sequence[Unit], whys: dict[str, str], values: dict[str, Value], placed: dict[int, int], there: dict[str, float]
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
                there.get(one.id),
            )
            for one in self.entrants
        )

    def _units(self, classes: Sequence[Sequence[Entrant]]) -> tuple[list[Unit], dict[str, str], dict[str, Value]]:
        """(what is ranked, why a run is not by id or an empty string, the value of each run that logged the metric)."""
        values = {one.id: value for one in self.entrants if (value := value_of(one, self.choice)) is not None}
        place = {one.id: number for number, one in enumerate(self.entrants)}
        groups = [group for members in classes for group in seed_groups(members)]
        groups.sort(key=lambda group: place[group[0].id])
        seeded = {one.id: len(group) > 1 for group in groups for one in group}
        whys = {one.id: unranked(one, values.get(one.id), self.choice, seeded[one.id]) for one in self.entrants}
        units = [
            Unit(number, tuple(group), tuple(values[one.id] for one in group if not whys[one.id]))
            for number, group in enumerate(groups)
        ]
        return units, whys, values

    def _held(self, base: Unit, units: Sequence[Unit], classes: Sequence[Sequence[Entrant]], few: bool) -> Baseline:
        mine = next(members for members in classes if base.members[0] in members)
        alike = [] if few else [one for one in units if one.members[0] in mine]
        noise = noise_among([one for one in alike if one.values])
        refused = "too few values to be judged" if few else "see why there is no ranking of all runs"
        return held_against(base, units, alike, self.choice, noise, refused)

    def _partings(
        self, base: Unit | None, order: Sequence[Unit], units: Sequence[Unit], classes: Sequence[Sequence[Entrant]], summed: Sequence[Entrant]
    ) -> list[Parting]:
        """Where each other setting parts from the baseline, else from the best, else from the first: of comparable runs only."""
        first = base or (order[0] if order else next(one for one in units if one.members[0] in classes[0]))
        mine = next(members for members in classes if first.members[0] in members)
        ordered = [*order, *(unit for unit in units if unit not in order)]
        rest = [unit for unit in ordered if unit is not first and unit.members[0] in mine]
        metrics = tuple(dict.fromkeys((self.choice.metric, "train/loss")))
        return partings(first, rest, metrics, self.axis.name, self.places, summed)

    def _group(self, unit: Unit, placed: dict[int, int]) -> Group:
        numbers = [one.value for one in unit.values]
        return Group(
            number=unit.number,
            name=unit.name,
            runs=tuple(one.id for one in unit.members),
            seeds=seeds_of(unit.members),
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
