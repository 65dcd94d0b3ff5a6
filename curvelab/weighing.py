"""How the causes of a finding are weighed: every sign in the log multiplies the odds of the causes that it bears on.

A file of curvelab/causes/ is named after its pattern and holds, top to bottom: its docstring, and one function under the
candidates that it weighs:

    @weighing(
        Candidate("updates-too-large", "the updates had become too large", prior=0.25, tells="the gradient norm climbs before it"),
        Candidate("bad-batch", "one batch cannot be trained on", prior=0.35, tells="nothing moves before it"),
    )
    def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
        yield Sign("the gradient norm rose from 1.2 to 38 before it", {"updates-too-large": STRONG, "bad-batch": 1 / CLEAR})

    odds of a cause = its prior x the factors of all signs        weight = odds / (odds of something else + all odds)

A factor is a likelihood ratio: how many times as often the sign is seen when this cause is at work as when something
else is. Below 1 it speaks against. The prior of "something else" is what the candidates leave of 1. Signs are multiplied as
if they were independent, so what follows from one another belongs into one sign. Priors and factors are judgement; the
steps of the scale are those of Kass and Raftery, Bayes Factors (1995): up to 3 hardly worth a mention, 3 to 20 positive,
20 to 150 strong. A plug-in adds its own by an entry point `curvelab.causes.v1` that names a module of the same form.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from curvelab.facts import Facts
from curvelab.model.finding import Cause, Finding

SLIGHT = 2.0  # hardly worth a mention
CLEAR = 5.0  # positive
STRONG = 20.0  # strong; 1 / STRONG: seen with that cause once in twenty such runs
RULED_OUT = 0.0  # the cause cannot be: it is not listed
LEAST_ELSE = 0.04  # of the belief: a log alone never leaves only what was thought of (judgement)
HIT = 0.9  # how often an event lies in its zone when the zone is the reason (judgement)
NARROWEST = 0.01  # of the run: a zone is never taken to say more than one so small
COUNTED = 100.0  # the most that a coincidence may say: it is counted and not judged, so more than STRONG


@dataclass(frozen=True)
class Candidate:
    """A cause that is weighed. `prior`: how often it is the one, before the log is looked at, 0..1.

    title  one clause, small initial, no full stop
    tells  what in a log speaks for it, for the card
    """

    name: str
    title: str
    prior: float
    tells: str


@dataclass(frozen=True)
class Sign:
    """One thing that the log says: a clause with its numbers, and its factor for each cause that it bears on.

    A factor of exactly 1 says that the log lacks what would decide; it is told with what speaks against.
    """

    text: str
    factors: Mapping[str, float]


Signs = Callable[[Facts, Finding], Iterable[Sign]]


@dataclass(frozen=True)
class Weighing:
    """The candidates of one pattern and the function that reads their signs. `pattern` is the name of its file."""

    pattern: str
    card: str
    candidates: tuple[Candidate, ...]
    signs: Signs = field(repr=False)

    def weigh(self, facts: Facts, finding: Finding) -> tuple[Cause, ...]:
        """The causes of a finding of this run, the likeliest first; what the log rules out is left out.

        Raises KeyError for a sign that names no candidate. The weights sum to 1 - LEAST_ELSE at most.
        """
        odds = {one.name: one.prior for one in self.candidates}
        told: dict[str, list[tuple[float, str]]] = {name: [] for name in odds}
        for sign in self.signs(facts, finding):
            for name, factor in sign.factors.items():
                odds[name] *= factor
                told[name].append((factor, sign.text))
        total = sum(odds.values())
        rest = 1.0 - sum(one.prior for one in self.candidates)
        scale = min(1.0 / (rest + total), (1.0 - LEAST_ELSE) / total) if total > 0 else 0.0
        found = [_cause(one, odds[one.name] * scale, told[one.name]) for one in self.candidates if odds[one.name] > 0]
        return tuple(sorted(found, key=lambda cause: -cause.weight))


def _cause(one: Candidate, weight: float, told: list[tuple[float, str]]) -> Cause:
    strongest = sorted(told, key=lambda sign: -abs(math.log(sign[0])))  # sorting is stable: equal ones in their order
    return Cause(
        name=one.name,
        title=one.title,
        weight=math.floor(weight * 1000) / 1000,  # rounded down, so that the sum stays below 1
        for_=tuple(text for factor, text in strongest if factor > 1),
        against=tuple(text for factor, text in strongest if factor <= 1),
    )


def weighing(*candidates: Candidate) -> Callable[[Signs], Weighing]:
    """Make a Weighing of the decorated `signs`. Raises ValueError for priors that leave nothing to something else."""
    if not sum(one.prior for one in candidates) < 1 or len({one.name for one in candidates}) < len(candidates):
        raise ValueError("the priors of the candidates must sum to less than 1, and no name may come twice")

    def wrap(signs: Signs) -> Weighing:
        return Weighing(
            pattern=signs.__module__.rpartition(".")[2].replace("_", "-"),
            card=sys.modules[signs.__module__].__doc__ or "",
            candidates=candidates,
            signs=signs,
        )

    return wrap


def unseen(text: str, *names: str) -> Iterator[Sign]:
    """What the log lacks to decide on some causes: it is told, and moves no weight."""
    yield Sign(text, dict.fromkeys(names, 1.0))


def coincidence(hits: int, events: int, share: float) -> float:
    """The factor for a cause whose zone, `share` of the run, holds `hits` of `events`: 1 / COUNTED to COUNTED.

    Under the cause an event lies in its zone with probability HIT, otherwise by chance: the ratio of both binomials. A
    zone of HIT of the run or more says nothing.
    """
    chance = min(max(share, NARROWEST), HIT)
    inside, outside = math.log(HIT / chance), math.log((1 - HIT) / (1 - chance))
    bound = math.log(COUNTED)
    return math.exp(min(max(hits * inside + (events - hits) * outside, -bound), bound))
