"""Each run against one of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.ranking import Noise, Unit, Value, ahead, lead
from curvelab.model.comparison import Against, Baseline, Standing
from curvelab.model.errors import UsageError, did_you_mean


def named(entrants: Sequence[Entrant], baseline: str) -> Entrant:
    """The run that a name, an id or a path means. Raises UsageError where none or several are meant."""
    place = os.path.realpath(baseline)
    tests = (
        lambda one: baseline in (one.name, one.id, one.run.path),
        lambda one: os.path.realpath(one.run.path) == place,
        lambda one: os.path.realpath(one.run.path).startswith(place + os.sep),
    )
    for test in tests:
        meant = [one for one in entrants if test(one)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise UsageError(f"--baseline {baseline}: means {len(meant)} runs: {', '.join(one.name for one in meant[:4])}")
    raise UsageError(f"--baseline {baseline}: is none of the runs{did_you_mean(baseline, [one.name for one in entrants])}")


def held_against(
    base: Entrant, entrants: Sequence[Entrant], values: Mapping[str, Value], choice: Choice, noise: Noise, refused: bool
) -> Baseline:
    """Every other run against the baseline. `values` are those of the runs that may be ranked, by id."""
    standings = tuple(_standing(base, one, values, choice, noise, refused) for one in entrants if one is not base)
    regressed = tuple(one.run for one in standings if one.against in ("worse", "failed"))
    return Baseline(run=base.id, standings=standings, regressed=regressed)


def _standing(
    base: Entrant, one: Entrant, values: Mapping[str, Value], choice: Choice, noise: Noise, refused: bool
) -> Standing:
    # A run whose weights were lost, or that did not get there, is a regression whatever its losses mean.
    if one.failure and not base.failure:
        return Standing(run=one.id, against="failed", change=None, sentence=f"{one.failure}; the baseline did not")
    if refused:
        return Standing(run=one.id, against="not-comparable", change=None, sentence="not comparable (see the refusal)")
    for run in (base, one):
        if run.id not in values:
            why = run.failure or f"{choice.metric} was logged too seldom"
            return Standing(run=one.id, against="not-comparable", change=None, sentence=f"not comparable: {run.name} {why}")
    mine, theirs = Unit(0, (one,), (values[one.id],)), Unit(1, (base,), (values[base.id],))
    told = lead(mine, theirs, choice, noise)
    change = mine.mean - theirs.mean
    against: Against = "better" if told.real else "worse" if -told.by >= told.needed else "within-noise"
    sentence = ahead(told.by, told.noise, noise.origin)
    return Standing(run=one.id, against=against, change=change, sentence=sentence)
