"""Scoring: findings against labels. Counts per pattern, their means with an interval, false alarms, onsets, confidence.

A finding of a curve pattern counts from severity warning on, one of a run pattern always. Means over patterns:
micro F1 pools the counts of all curve patterns, macro F1 is the mean over the patterns with ENOUGH cases.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from curvelab.catalogue import detectors
from curvelab.labels import Case
from curvelab.model.result import Diagnosis
from curvelab.reliability import Bin, bins_of, calibration_error
from curvelab.rules import Kind

ENOUGH = 3  # cases of a pattern without which its F1 is no part of a mean
DRAWS = 400  # of the bootstrap
INTERVAL = 0.95


@dataclass(frozen=True)
class Answer:
    """What was said of one case: patterns that count, with the step each began at and how sure it was."""

    confidence: Mapping[str, float]
    onset: Mapping[str, int]
    last_step: int

    @property
    def patterns(self) -> frozenset[str]:
        return frozenset(self.confidence)


class PatternScore(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one pattern over the definite labels. The shares are None where they have no denominator."""

    pattern: str
    kind: Kind
    hits: int
    false: int
    missed: int

    @property
    def cases(self) -> int:
        return self.hits + self.missed

    @property
    def precision(self) -> float | None:
        return self.hits / (self.hits + self.false) if self.hits + self.false else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.cases if self.cases else None

    @property
    def f1(self) -> float | None:
        return 2 * self.hits / (2 * self.hits + self.false + self.missed) if self.cases else None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a set of cases. `onset_errors` are shares of the run's length, 1 where no onset was named."""

    cases: int
    answered: int
    patterns: tuple[PatternScore, ...]
    micro_f1: float
    interval: tuple[float, float]
    curve_macro_f1: float | None
    macro_f1: float | None
    healthy: int
    false_alarms: tuple[str, ...]
    onset_errors: tuple[float, ...]
    reliability: tuple[Bin, ...]

    @property
    def false_alarm_rate(self) -> float | None:
        return len(self.false_alarms) / self.healthy if self.healthy else None

    @property
    def median_onset_error(self) -> float | None:
        return statistics.median(self.onset_errors) if self.onset_errors else None

    @property
    def calibration_error(self) -> float | None:
        return calibration_error(self.reliability)


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of several sets of labelled runs, by name, and of all of them together."""

    sets: dict[str, Score]
    together: Score

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the shares and means that follow from the counts included."""
        return {"sets": {name: _plain(one) for name, one in self.sets.items()}, "together": _plain(self.together)}


def _plain(one: Score) -> dict[str, Any]:
    rows = [
        msgspec.to_builtins(row) | {"precision": row.precision, "recall": row.recall, "f1": row.f1} for row in one.patterns
    ]
    more = ("false_alarm_rate", "median_onset_error", "calibration_error")
    return {**msgspec.to_builtins(one), "patterns": rows, **{name: getattr(one, name) for name in more}}


class Wrong(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One label that the answer contradicts: missed, or a false alarm."""

    what: str
    pattern: str
    case: str
    path: str


def answer_of(diagnoses: Sequence[Diagnosis]) -> Answer:
    """What the diagnoses of one case say together."""
    kinds = {one.pattern: one.kind for one in detectors()}
    sure: dict[str, float] = {}
    onset: dict[str, int] = {}
    for finding in (finding for diagnosis in diagnoses for finding in diagnosis.findings):
        name = finding.pattern
        if finding.severity == "info" and kinds[name] == "curve":
            continue
        sure[name] = max(finding.confidence, sure.get(name, 0.0))
        if finding.start_step is not None:
            onset.setdefault(name, finding.start_step)
    return Answer(sure, onset, max((diagnosis.last_step or 0 for diagnosis in diagnoses), default=0))


def score(cases: Sequence[Case], answers: Mapping[Case, Answer], patterns: Iterable[str] | None = None) -> Score:
    """Hold answers against labels; a case without an answer has missed all that it has.

    patterns  the patterns to score; without them all that have a detector
    """
    wanted = None if patterns is None else set(patterns)
    kinds: dict[str, Kind] = {one.pattern: one.kind for one in detectors() if wanted is None or one.pattern in wanted}
    table = [PatternScore(pattern=name, kind=kind, **_counts(cases, answers, name)) for name, kind in kinds.items()]
    curves = frozenset(name for name, kind in kinds.items() if kind == "curve")
    healthy = [case for case in cases if case.is_healthy]
    return Score(
        cases=len(cases),
        answered=sum(case in answers for case in cases),
        patterns=tuple(table),
        micro_f1=_micro_f1([row for row in table if row.kind == "curve"]),
        interval=_interval(cases, answers, curves),
        curve_macro_f1=_macro_f1([row for row in table if row.kind == "curve"]),
        macro_f1=_macro_f1(table),
        healthy=len(healthy),
        false_alarms=tuple(c.id for c in healthy if c not in answers or answers[c].patterns & curves),
        onset_errors=tuple(_onset_errors(cases, answers, frozenset(kinds))),
        reliability=bins_of(_certainties(cases, answers, frozenset(kinds))),
    )


def wrong(cases: Iterable[Case], answers: Mapping[Case, Answer], patterns: Iterable[str]) -> list[Wrong]:
    """Every definite label that its answer contradicts, sorted."""
    names = list(patterns)
    rows = []
    for case in cases:
        said = answers[case].patterns if case in answers else frozenset()
        for name in names:
            what = {("yes", False): "missed", ("no", True): "false"}.get((case.labels.get(name, ""), name in said))
            if what:
                rows.append(Wrong(what=what, pattern=name, case=case.id, path=str(case.path)))
    return sorted(rows)


def _counts(cases: Iterable[Case], answers: Mapping[Case, Answer], pattern: str) -> dict[str, int]:
    count = {"hits": 0, "false": 0, "missed": 0}
    for case in cases:
        said = case in answers and pattern in answers[case].patterns
        label = case.labels.get(pattern)
        count["hits"] += label == "yes" and said
        count["missed"] += label == "yes" and not said
        count["false"] += label == "no" and said
    return count


def _micro_f1(rows: Iterable[PatternScore]) -> float:
    rows = list(rows)
    hits, others = sum(row.hits for row in rows), sum(row.false + row.missed for row in rows)
    return 2 * hits / (2 * hits + others) if sum(row.cases for row in rows) else 0.0


def _macro_f1(rows: Iterable[PatternScore]) -> float | None:
    enough = [row.f1 for row in rows if row.cases >= ENOUGH and row.f1 is not None]
    return statistics.mean(enough) if enough else None


def _interval(cases: Sequence[Case], answers: Mapping[Case, Answer], curves: frozenset[str]) -> tuple[float, float]:
    """Bootstrap interval of micro F1: draws whole sources, with replacement."""
    by_source: dict[str, list[Case]] = {}
    for case in cases:
        by_source.setdefault(case.source, []).append(case)
    if not by_source:
        return 0.0, 0.0
    counts = []  # hits, false, missed of each source
    for source in sorted(by_source):
        rows = [_counts(by_source[source], answers, pattern) for pattern in curves]
        counts.append([sum(row[what] for row in rows) for what in ("hits", "false", "missed")])
    dice = random.Random(0)
    draws = []
    for _ in range(DRAWS):
        hits, false, missed = map(sum, zip(*dice.choices(counts, k=len(counts)), strict=True))
        draws.append(2 * hits / (2 * hits + false + missed) if hits + missed else 0.0)
    draws.sort()
    tail = (1 - INTERVAL) / 2
    return draws[int(tail * DRAWS)], draws[int((1 - tail) * (DRAWS - 1))]


def _onset_errors(cases: Iterable[Case], answers: Mapping[Case, Answer], patterns: frozenset[str]) -> Iterable[float]:
    """Distance of each named onset from the right steps, as a share of the run's length."""
    for case in cases:
        for pattern, (first, last) in case.onset.items():
            answer = answers.get(case)
            if answer is None or case.labels.get(pattern) != "yes" or pattern not in answer.patterns & patterns:
                continue
            step = answer.onset.get(pattern)
            yield 1.0 if step is None or not answer.last_step else max(first - step, step - last, 0) / answer.last_step


def _certainties(
    cases: Iterable[Case], answers: Mapping[Case, Answer], patterns: frozenset[str]
) -> Iterable[tuple[float, bool]]:
    """(confidence, whether it was right) of every finding that has a definite label."""
    for case in cases:
        for pattern, sure in answers[case].confidence.items() if case in answers else ():
            label = case.labels.get(pattern)
            if pattern in patterns and label in ("yes", "no"):
                yield sure, label == "yes"
