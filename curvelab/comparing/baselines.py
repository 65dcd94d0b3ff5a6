"""Each group of runs against one of them. A run without seeds is a group of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.noise import Noise
from curvelab.comparing.ranking import Unit, ahead, lead
from curvelab.comparing.wording import names
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.verdicts import Against, Baseline, Standing


def named(units: Sequence[Unit], baseline: str) -> Unit:
    """The group that is meant by its name, or by the name, id, path or folder of a run of it.

    Raises UsageError where none or several are meant.
    """
    place = os.path.realpath(baseline)
    tests: tuple[Callable[[Unit, Entrant], bool], ...] = (
        lambda unit, one: baseline in (one.name, one.id, one.run.path),
        lambda unit, one: os.path.realpath(one.run.path) == place,
        lambda unit, one: baseline in (unit.name, unit.stem),
        lambda unit, one: os.path.realpath(one.run.path).startswith(place + os.sep),
    )
    for test in tests:
        meant = [unit for unit in units if any(test(unit, one) for one in unit.members)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise UsageError(f"--baseline {baseline}: means {len(meant)} runs: {', '.join(one.name for one in meant[:4])}")
    known = dict.fromkeys(name for unit in units for name in (*(one.name for one in unit.members), unit.stem))
    raise UsageError(f"--baseline {baseline}: is none of the runs{did_you_mean(baseline, list(known))}")


def held_against(
    base: Unit, units: Sequence[Unit], comparable: Sequence[Unit], choice: Choice, noise: Noise, refused: str
) -> Baseline:
    """Every other group against the baseline's, each interval widened for their number.

    comparable   those that may be held against the baseline at all; `refused`: why the others may not
    """
    rest = [one for one in units if one is not base]
    pairs = max(1, sum(one in comparable and bool(one.values) for one in rest))
    standings: list[Standing] = []
    for unit in rest:
        failed = [one for one in unit.members if one.failure]
        lost = bool(base.lost) and len(base.lost) == len(base.members)
        if lost:
            standings.append(_against_lost(base, unit))
            continue
        standings += [_failed(one) for one in failed]
        if len(failed) < len(unit.members):
            standings.append(_standing(base, unit, unit in comparable, choice, noise, pairs, refused))
    regressed = tuple(run for one in standings if one.against in ("worse", "failed") for run in one.runs)
    first = base.members[0]
    return Baseline(
        run=first.id,
        standings=tuple(standings),
        regressed=tuple(dict.fromkeys(regressed)),
        name=base.name,
        runs=tuple(one.id for one in base.members),
        unjudged="" if base.values or any(one.against == "better" for one in standings) else f"{base.name}: {_why_not(base, choice)}",
    )


def _failed(one: Entrant) -> Standing:
    """A run whose weights were lost, or that did not get there, is a regression whatever its losses mean."""
    return Standing(
        run=one.id, against="failed", change=None, sentence=f"{one.failure}; the baseline did not", name=one.name, runs=(one.id,)
    )


def _against_lost(base: Unit, unit: Unit) -> Standing:
    """Against a baseline that failed, whatever did not fail is better."""
    alive = tuple(one.id for one in unit.members if not one.failure)
    runs = alive or tuple(one.id for one in unit.members)
    why = base.lost[0].failure
    sentence = f"did not fail; the baseline {why}" if alive else f"{unit.lost[0].failure}; the baseline failed as well ({why})"
    against: Against = "better" if alive else "not-comparable"
    return Standing(run=runs[0], against=against, change=None, sentence=sentence, name=unit.name, runs=runs)


def _standing(
    base: Unit, unit: Unit, comparable: bool, choice: Choice, noise: Noise, pairs: int, refused: str
) -> Standing:
    runs = tuple(one.id for one in unit.members if not one.failure) or tuple(one.id for one in unit.members)
    if not comparable:
        return Standing(run=runs[0], against="not-comparable", change=None, sentence=refused, name=unit.name, runs=runs)
    for one in (base, unit):
        if not one.values:
            sentence = f"cannot be judged: {one.name} {_why_not(one, choice)}"
            return Standing(run=runs[0], against="not-comparable", change=None, sentence=sentence, name=unit.name, runs=runs)
    told = lead(unit, base, choice, noise, pairs=pairs)
    against: Against = "better" if told.real else "worse" if -told.by >= told.needed else "within-noise"
    sentence = ahead(told.by, told.noise, noise.origin)
    sentence += f"; {told.needed:.2g} would be needed" if against == "within-noise" else ""
    return Standing(run=runs[0], against=against, change=unit.mean - base.mean, sentence=sentence, name=unit.name, runs=runs)


def _why_not(unit: Unit, choice: Choice) -> str:
    failures = [one.failure for one in unit.members if one.failure]
    return failures[0] if len(failures) == len(unit.members) else f"logged {choice.metric} too seldom"


def unjudged(held: Baseline) -> str:
    """Why a check against the baseline could not be made: of the baseline itself, or of all the others; else empty."""
    if held.unjudged:
        return f"the baseline cannot be judged ({held.unjudged})"
    unknown = [one.name for one in held.standings if one.against == "not-comparable"]
    if unknown and len(unknown) == len(held.standings):
        return f"no run can be judged ({names(unknown)}: {held.standings[0].sentence})"
    return "" if held.standings else "all runs are of the baseline's group of seeds"
