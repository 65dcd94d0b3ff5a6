"""AuditResult: what a night's pass over a project found, and what of it is new. The audit's page is drawn from it.

Times are Unix seconds (UTC). A run is named by its key: its path below the audited folder, and the id of its log where
one file holds several ("outputs/a", "mlflow.db#3f2a"); it is the same on every night and on every machine.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from curvelab.model.finding import Severity
from curvelab.model.log import State
from curvelab.model.note import Note
from curvelab.model.result import SCHEMA
from curvelab.model.strict_json import strict

TrackedState = Literal["new", "worse", "known", "fixed", "muted"]
NEWS: tuple[TrackedState, ...] = ("new", "worse")  # what people are told of
Seen = Literal["new", "changed", "unchanged", "gone"]


class FoundTonight(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as one night sees it, before it is known whether it is new.

    excess   how far the first measured value is beyond its threshold, as a multiple of the threshold (0.5: half as much
             again); None where there is no number to say so
    fix      title of the first fix, empty without one
    """

    pattern: str
    severity: Severity
    confidence: float
    metric: str
    headline: str
    start_step: int
    end_step: int
    excess: float | None = None
    fix: str = ""


class AuditedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the project, as the table of the page shows it.

    key, name, path   path is absolute; for people are `name` and `key`
    live              still being written: its findings are provisional
    seen              new, changed or unchanged since the last audit; gone: its files are no longer there
    began, ended      first and last wall time of the run (else the time of its newest file for `ended`); None: not known
    metric, best, best_step, final   the metric that says how good the run is (eval/loss, else train/loss)
    summary           numbers that runs are held against each other by: "train/samples_per_second", "seconds", …
    settings          the settings that tell which runs are alike
    wasted_hours      wall time after the last useful step
    spark             the main curve for a sparkline, at most 48 values, NaN where it is not finite
    page              link to the run's own report, relative to the audit's page; None: there is none
    rule              name of the rule of curvelab.toml that holds for it, empty without one
    log               its main log, below the audited folder
    most_points       the most points that an audit has seen of it: a log that has none now was lost
    unread            it could not be read tonight: everything else is as it was when last seen
    """

    key: str
    name: str
    path: str
    format: str
    project: str | None = None
    state: State = "unknown"
    live: bool = False
    seen: Seen = "new"
    verdict: str = "not-assessed"
    last_step: int | None = None
    planned_steps: int | None = None
    points: int = 0
    began: float | None = None
    ended: float | None = None
    metric: str = ""
    best: float | None = None
    best_step: int | None = None
    final: float | None = None
    gpu_hours: float | None = None
    money: float | None = None
    wasted_hours: float | None = None
    summary: dict[str, float] = {}
    settings: dict[str, bool | int | float | str] = {}
    spark: tuple[float, ...] = ()
    page: str | None = None
    rule: str = ""
    damage: tuple[str, ...] = ()
    log: str = ""
    most_points: int = 0
    unread: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the history keeps of a run, so that it need not be looked at again while nothing has changed.

    signature   digest of everything that its diagnosis depends on: its files, the versions of curvelab and of plugins, the
                settings; `causes` are its parts by what they stand for ("log", "curvelab", "settings"), to say why it changed
    files       its log files, below the audited folder: a run whose place has changed is known by them
    checked     pattern -> status of its outcome: a finding is fixed only where its pattern could look
    diagnosis   the diagnosis as JSON, without curves
    quiet_after a live run counts as over from this time on, if nothing more is written
    """

    run: AuditedRun
    signature: str
    causes: dict[str, str]
    files: tuple[str, ...]
    findings: tuple[FoundTonight, ...]
    checked: dict[str, str]
    diagnosis: msgspec.Raw
    quiet_after: float | None = None


class TrackedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with its history.

    fingerprint   16 hex digits that stay the same from night to night: run, pattern, place; never the wording
    state         new, worse, known, fixed or muted
    was           worse: what it was ("warning"); fixed: why it is gone ("its log has changed")
    was_excess    worse because it is farther beyond its threshold: its `excess` when it was told last
    provisional   of a live run: it may go away by itself
    first_seen, last_seen   times of the first and the last audit that found it
    muted_until, mute_reason   of the mute; where the state is new: of one that has ended since the last audit
    counts        whether it is to be told and may fail the audit: new or worse, not muted, wanted by its rule, and either
                  final or critical
    fails         whether it makes the audit fail, by --fail-on or by its rule
    """

    fingerprint: str
    run: str
    run_name: str
    pattern: str
    severity: Severity
    confidence: float
    metric: str
    headline: str
    start_step: int
    end_step: int
    state: TrackedState
    first_seen: float
    last_seen: float
    was: str = ""
    provisional: bool = False
    muted_until: str | None = None
    mute_reason: str = ""
    counts: bool = False
    fails: bool = False
    excess: float | None = None
    was_excess: float | None = None
    fix: str = ""
    page: str | None = None


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is unlike the runs before it: one number against the median of the last `among` runs of its kind.

    share   (value - median) / median
    pattern, state   "unusual:throughput", for mutes; new, worse, known or muted, as for findings
    alike   what these runs have in common, as a text ("model_type llama, per_device_train_batch_size 8")
    muted_until, mute_reason   as of findings
    """

    run: str
    run_name: str
    what: str
    value: float
    median: float
    share: float
    among: int
    alike: str
    sentence: str
    pattern: str
    severity: Severity = "info"
    unit: str = ""
    state: TrackedState = "new"
    fingerprint: str = ""
    muted_until: str | None = None
    mute_reason: str = ""

    @property
    def new(self) -> bool:
        """Whether it is to be told tonight."""
        return self.state in NEWS


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """One calendar week (ISO, UTC): how many runs ended in it, how many of them had findings, and of which pattern."""

    week: str
    runs: int
    flagged: int
    patterns: dict[str, int] = {}


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """An input that could not be read; `new`: the audit before could read it, or did not see it."""

    path: str
    message: str
    new: bool = True


class AuditResult(msgspec.Struct, frozen=True, kw_only=True):
    """A night's result.

    root        the audited folder; `project` is its name in the history and in messages
    number      which audit of this project it is, from 1; `previous` is the time of the one before
    findings    every finding that is there tonight, and those that were fixed since the last audit
    diagnosed   how many runs were looked at tonight; the others had not changed
    diagnoses   run key -> its diagnosis as JSON (the `runs` of the JSON contract, without the curves)
    accepted    whether everything found tonight was accepted as the state to start from
    rehearsed   it was only looked, nothing was written down: the next audit tells the same
    """

    root: str
    project: str = ""
    number: int
    started: float
    finished: float
    previous: float | None
    runs: tuple[AuditedRun, ...]
    findings: tuple[TrackedFinding, ...]
    departures: tuple[Departure, ...] = ()
    weeks: tuple[Week, ...] = ()
    errors: tuple[Unread, ...] = ()
    remarks: tuple[Note, ...] = ()
    fail_on: str = "new-critical"
    diagnosed: int = 0
    accepted: bool = False
    rehearsed: bool = False
    version: str = ""
    diagnoses: dict[str, msgspec.Raw] = {}

    def of(self, *states: TrackedState) -> tuple[TrackedFinding, ...]:
        """The findings in these states, in their order."""
        return tuple(one for one in self.findings if one.state in states)

    @property
    def failing(self) -> tuple[TrackedFinding, ...]:
        """The findings that make the audit fail."""
        return tuple(one for one in self.findings if one.fails)

    @property
    def told(self) -> tuple[TrackedFinding, ...]:
        """The findings that people are told of: new or worse, not muted, wanted, and not merely provisional."""
        return tuple(one for one in self.findings if one.counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON, without the diagnoses."""
        plain = msgspec.to_builtins(msgspec.structs.replace(self, diagnoses={}))
        del plain["diagnoses"]
        result: dict[str, Any] = strict(plain)
        return result

    def document(self) -> dict[str, Any]:
        """The JSON contract: schema, curvelab, runs, errors, audit. `audit` has the findings by their states."""
        audit = self.to_dict()
        findings = audit.pop("findings")
        states: dict[str, Any] = {state: [] for state in get_args(TrackedState)}
        for one in findings:
            states[one["state"]].append(one)
        keys = {seen: [run.key for run in self.runs if run.seen == seen] for seen in get_args(Seen)}
        told = {f"{seen}_runs": keys[seen] for seen in ("new", "changed", "gone")}
        running = [run.key for run in self.runs if run.live]
        errors = audit.pop("errors")
        return {
            "schema": SCHEMA,
            "curvelab": self.version,
            "runs": [msgspec.json.decode(diagnosis) for diagnosis in self.diagnoses.values()],
            "errors": errors,
            "audit": {**states, **told, "running_runs": running, "unreadable": errors, **audit},
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> AuditResult:
        """The result of a `document`, without the diagnoses: the page is drawn from it."""
        audit = dict(document["audit"])
        findings = [one for state in get_args(TrackedState) for one in audit.pop(state, ())]
        return cls.from_dict({**audit, "findings": findings, "errors": document.get("errors", ())})

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> AuditResult:
        """The inverse of `to_dict`. Raises msgspec.ValidationError where a field does not fit."""
        return msgspec.convert(plain, cls, strict=False)

    def __repr__(self) -> str:
        new, worse = len(self.of("new")), len(self.of("worse"))
        return f"<AuditResult of {self.root}: {len(self.runs)} runs, {new} new and {worse} worse findings>"
