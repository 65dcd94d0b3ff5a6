"""What a detector is: a card, thresholds, remedies, a `detect` and examples; one file per pattern in curvelab/detectors/.

A detector file holds, top to bottom: its docstring card (first line the title sentence, then the headings What, Why,
Look-alikes, When it is wrong, Sources), its thresholds, its remedies, and one function:

    @dataclass(frozen=True)
    class Thresholds:
        rise: float = threshold(0.05, unit="of the minimum", low=0, high=10, source="definition of the pattern", meaning="...")

    @detector(title="Overfitting", kind="curve", needs={"train/loss": 12, "eval/loss": 4}, thresholds=Thresholds,
              remedies=REMEDIES, examples=EXAMPLES)
    def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]: ...

What may lie behind its findings is weighed in a file of the same name in curvelab/causes/ (see curvelab.weighing).
The engine (curvelab.diagnosis) handles missing metrics, too few points and exceptions. A detector raises NotApplicable
when the run lacks something else that it needs, such as a setting.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from curvelab.facts import Facts
from curvelab.knowledge.references import JUDGEMENT, REFERENCES, Reference
from curvelab.model.card import sections
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.finding import Change, Cost, Finding
from curvelab.model.run import Run

Kind = Literal["curve", "run"]
FLAG = "flag_"  # {flag_max_grad_norm} in a remedy's text: what the run's own trainer calls max_grad_norm
HEADINGS = ("What", "Why", "Look-alikes", "When it is wrong", "Sources")


class NotApplicable(Exception):  # noqa: N818 - it is an outcome, not an error
    """Raised by a detector that cannot look at this run; the message is the reason shown to the user."""


def threshold(default: float, *, unit: str, low: float, high: float, source: str, meaning: str) -> Any:
    """A field of a Thresholds dataclass: its default, unit, allowed range, where the number comes from, what it means."""
    about = {"unit": unit, "low": low, "high": high, "source": source, "meaning": meaning}
    return dataclasses.field(default=default, metadata=about)


def _always(facts: Facts, finding: Finding) -> bool:
    return True


def _nothing(facts: Facts, finding: Finding) -> Iterable[Change]:
    return ()


@dataclass(frozen=True)
class Remedy:
    """One piece of advice. `propose` computes new values from the evidence; `applies` says for which runs it is meant.

    title, why, when_not  may hold {placeholders} that the finding's measured values and the run's settings fill, and
                          {flag_NAME}, which becomes the name that the run's own trainer has for a setting
    source                key or keys of curvelab.knowledge.references, or "judgement"

    A detector lists its remedies from the most useful to the least: the engine takes the first three that apply, and
    shows those for the likeliest causes first, of equal ones the cheapest.

    alternative           another way to the end of a remedy before it ("or"): a patch takes one of them, the first that
                          computes a value
    conditional           right only if something holds that the log does not show ("if memory ran out"): no patch has it,
                          unless the likeliest cause is one of those that it serves
    causes                those that it serves, when it is meant for some of the causes that are weighed; none: it serves
                          whatever the cause
    """

    title: str
    why: str
    when_not: str
    cost: Cost
    source: str | tuple[str, ...]
    propose: Callable[[Facts, Finding], Iterable[Change]] = _nothing
    applies: Callable[[Facts, Finding], bool] = _always
    alternative: bool = False
    conditional: bool = False
    causes: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[Reference, ...]:
        """The sources in full, without those that are a judgement."""
        return tuple(REFERENCES[key] for key in self._keys if key != JUDGEMENT)

    @property
    def citation(self) -> str:
        """The sources in words: "Google, Deep Learning Tuning Playbook (2023); judgement"."""
        return "; ".join(key if key == JUDGEMENT else str(REFERENCES[key]) for key in self._keys)

    @property
    def _keys(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else self.source


@dataclass(frozen=True)
class Example:
    """A synthetic run and what the detector must say of it: `fires` on it, with its onset between two steps, or not."""

    name: str
    build: Callable[[], Run]
    fires: bool
    onset: tuple[int, int] | None = None


Detect = Callable[[Facts, Any], Iterator[Finding]]


@dataclass(frozen=True)
class Detector:
    """A pattern that curvelab recognises. `pattern` is the name of its file, with hyphens."""

    pattern: str
    title: str
    kind: Kind
    card: str
    needs: Mapping[str, int]
    thresholds: type[Any]
    remedies: tuple[Remedy, ...]
    examples: tuple[Example, ...]
    yields_to: tuple[str, ...]
    explains: tuple[str, ...]
    detect: Detect = field(repr=False)

    def limits(self, overrides: Mapping[str, float] | None = None) -> Any:
        """The thresholds with overrides. Raises UsageError for an unknown name or a value out of bounds."""
        known = {f.name: f for f in dataclasses.fields(self.thresholds)}
        for name, value in (overrides or {}).items():
            if name not in known:
                raise UsageError(
                    f'{self.pattern} has no threshold "{name}"{did_you_mean(name, known) or "; known: " + ", ".join(known)}'
                )
            about = known[name].metadata
            if isinstance(value, bool) or not isinstance(value, int | float) or not about["low"] <= value <= about["high"]:
                raise UsageError(
                    f"{self.pattern}.{name} = {value!r} is out of bounds; it takes {about['low']:g} to {about['high']:g} {about['unit']}"
                )
        return self.thresholds(**(overrides or {}))

    def sections(self) -> dict[str, str]:
        """The card's headings and their paragraphs; "" is the title sentence."""
        return sections(self.card)


def detector(
    *,
    title: str,
    kind: Kind,
    needs: Mapping[str, int],
    thresholds: type[Any],
    remedies: Iterable[Remedy] = (),
    examples: Iterable[Example] = (),
    yields_to: Iterable[str] = (),
    explains: Iterable[str] = (),
) -> Callable[[Detect], Detector]:
    """Make a Detector of the decorated `detect`.

    needs       canonical metric -> the fewest finite points with which it can look
    yields_to   patterns that explain this one when both are found at about the same place (see curvelab.diagnosis)
    explains    the same from the other side, for a cause that its effects need not know of
    """

    def wrap(detect: Detect) -> Detector:
        return Detector(
            pattern=detect.__module__.rpartition(".")[2].replace("_", "-"),
            title=title,
            kind=kind,
            card=sys.modules[detect.__module__].__doc__ or "",
            needs=dict(needs),
            thresholds=thresholds,
            remedies=tuple(remedies),
            examples=tuple(examples),
            yields_to=tuple(yields_to),
            explains=tuple(explains),
            detect=detect,
        )

    return wrap
