"""Which rule holds for a run: what is looked for in it, by which thresholds, what makes the audit fail, and who is told.

Of the `[[audit.rules]]` the first that fits a run holds for it, as in a firewall; for the others the general settings do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from curvelab.model.audit import NEWS, TrackedFinding
from curvelab.model.finding import SEVERITIES
from curvelab.model.options import Options
from curvelab.model.run import Run

FAIL_ON = ("never", "info", "warning", "critical", "new-warning", "new-critical")
DEFAULT_FAIL_ON = "new-critical"
OWN_WORDS = ("project", "format", "state", "name")  # of a run, that a rule may ask for like a setting


@dataclass(frozen=True)
class Rule:
    """What holds for a group of runs.

    runs        globs of names or keys, of which one must fit; empty: all
    where       setting (or project, format, state, name) -> values or globs of which one must fit
    select, ignore, thresholds   as in Options; they come on top of the general ones
    fail_on     None: the general one; fail   the only patterns that make the audit fail, empty: all
    notify      targets that are told of these runs instead of the general ones; None: those
    """

    name: str
    runs: tuple[str, ...] = ()
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fail_on: str | None = None
    fail: tuple[str, ...] = ()
    notify: tuple[str, ...] | None = None

    def fits(self, run: Run, key: str) -> bool:
        """Whether the rule holds for a run."""
        named = not self.runs or any(_alike(one, glob) for glob in self.runs for one in (key, run.name))
        return named and all(any(_equal(_word(run, name), value) for value in values) for name, values in self.where.items())


@dataclass(frozen=True)
class Policy:
    """All rules of a project, and what holds where none fits; `overruled`: fail_on holds whatever a rule says."""

    options: Options = field(default_factory=Options)
    rules: tuple[Rule, ...] = ()
    fail_on: str = DEFAULT_FAIL_ON
    notify: tuple[str, ...] = ()
    overruled: bool = False

    def rule_for(self, run: Run, key: str) -> Rule | None:
        """The first rule that fits the run."""
        return next((rule for rule in self.rules if rule.fits(run, key)), None)

    def named(self, name: str) -> Rule | None:
        """The rule of a name, None for an empty one."""
        return next((rule for rule in self.rules if rule.name == name), None) if name else None

    def options_for(self, rule: Rule | None) -> Options:
        """What to look for in the runs of a rule."""
        if rule is None:
            return self.options
        thresholds = {pattern: dict(values) for pattern, values in self.options.thresholds.items()}
        for pattern, values in rule.thresholds.items():
            thresholds.setdefault(pattern, {}).update(values)
        ignore = tuple(dict.fromkeys((*self.options.ignore, *rule.ignore)))
        return replace(self.options, select=rule.select or self.options.select, ignore=ignore, thresholds=thresholds)

    def targets(self, rule: Rule | None) -> tuple[str, ...]:
        """Who is told of the runs of a rule."""
        return self.notify if rule is None or rule.notify is None else rule.notify

    def fails(self, finding: TrackedFinding, rule: Rule | None) -> bool:
        """Whether a finding makes the audit fail: it is there, not muted, and not merely provisional."""
        level = self.fail_on if rule is None or rule.fail_on is None or self.overruled else rule.fail_on
        if level == "never" or finding.state in ("fixed", "muted") or not firm(finding):
            return False
        if rule is not None and rule.fail and finding.pattern not in rule.fail:
            return False
        fresh, severity = level.startswith("new-"), level.removeprefix("new-")
        bad = SEVERITIES.index(finding.severity) >= [*SEVERITIES].index(severity)  # type: ignore[arg-type]
        return bad and (finding.counts or not fresh)


def counts(finding: TrackedFinding) -> bool:
    """Whether people are told of a finding: it is new or worse, and firm."""
    return finding.state in NEWS and firm(finding)


def firm(finding: TrackedFinding) -> bool:
    """Whether a finding will not go away by itself: the run is over, or the finding is critical (a NaN stays one)."""
    return not finding.provisional or finding.severity == "critical"


def _word(run: Run, name: str) -> Any:
    return getattr(run, name) if name in OWN_WORDS else run.setting(name)


def _equal(value: Any, wanted: Any) -> bool:
    """Whether a setting is what a rule asks for: equal, or fitting a glob."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, int | float):
        return isinstance(value, int | float) and float(value) == float(wanted)
    return value is not None and _alike(str(value), str(wanted))


def _alike(word: str, glob: str) -> bool:
    """Whether a name fits a glob; a name with brackets fits itself."""
    return word == glob or fnmatchcase(word, glob)


def audiences(policy: Policy, rules: Iterable[str]) -> dict[tuple[str, ...], set[str]]:
    """Targets -> names of the rules whose findings they are told of (an empty name: where no rule fits)."""
    found: dict[tuple[str, ...], set[str]] = {}
    for name in rules:
        targets = policy.targets(policy.named(name))
        if targets:
            found.setdefault(targets, set()).add(name)
    return found
