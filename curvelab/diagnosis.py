"""diagnose(): a run -> its Diagnosis. The engine hands each detector what it needs and owns what goes wrong with it.

A detector that lacks a metric or has too few points is not-applicable with the reason; one that raises is failed with
the error, and the others go on. Then the findings become a story: what explains what, and the one pattern that names
the run.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from curvelab.catalogue import causes as weighings
from curvelab.catalogue import detector as detector_of
from curvelab.catalogue import detectors
from curvelab.checkpoints import checkpoint_advice
from curvelab.confidence import calibrated
from curvelab.cost import tariff_of, wasted
from curvelab.dialects import Spoken
from curvelab.facts import Facts
from curvelab.fingerprint import fingerprint
from curvelab.knowledge.merging import DOUBTED
from curvelab.model.finding import CHEAPEST_FIRST, SEVERITIES, Finding, Fix, Severity
from curvelab.model.note import Note
from curvelab.model.options import Options
from curvelab.model.percent import percent
from curvelab.model.result import Diagnosis, Landmarks, Outcome, SeamMark, Thinned
from curvelab.model.run import Curve, Run
from curvelab.patch import patch_of
from curvelab.prose import in_print
from curvelab.rules import FLAG, Detector, NotApplicable, Remedy
from curvelab.samples import samples_of
from curvelab.signals.thinning import min_max_rows
from curvelab.steering import doubted, steered, weight_of
from curvelab.stopping import early_stopping
from curvelab.toll import toll_of

MOST_FIXES = 3
MOST_POINTS = 1600  # of a thinned series: two per pixel column of the page's figures
MOST_SERIES = 60
MOST_EPOCHS = 200  # that are told; ticks of more would be a grey band
ENOUGH_POINTS = 12  # train points without which nothing is called healthy (judgement)
ENOUGH_CHECKS = 4  # patterns of what was learned that must have been looked for (judgement)
NEEDED = (("divergence", "overfitting"), ("plateau", "underfitting"))  # was it lost again? was anything learned? one of each
BREAKS = ("divergence", "non-finite")  # with these the training itself broke
CLOSE = 0.05  # share of the run within which two findings may be one story even when the effect is seen first


def diagnose(run: Run, settings: Options | None = None) -> Diagnosis:
    """Look at one run with every detector.

    Raises UsageError for an unknown pattern or threshold in `settings`; a detector's own failure is an outcome.
    """
    options = Options.of(settings)
    for pattern in (*options.select, *options.ignore, *options.thresholds):
        detector_of(pattern)
    facts = Facts(run, options)
    outcomes: list[Outcome] = []
    findings: list[Finding] = []
    for one in detectors():
        if options.wants(one.pattern):
            outcome, found = look(one, facts, one.limits(options.thresholds.get(one.pattern)))
            outcomes.append(outcome)
            findings += found
    facts.broke_at = _broke_at(findings)
    outcomes, findings = _all_advised(facts, outcomes, findings)
    story = tuple(in_print(finding) for finding in _story(findings))
    told, failures = _advice(facts, story, options)
    return Diagnosis(
        id=run.id,
        name=run.name,
        path=run.path,
        format=run.format,
        state=run.state,
        first_step=run.first_step,
        last_step=run.last_step,
        planned_steps=run.planned_steps,
        points=run.points,
        metrics={metric: len(run.logged[metric]) for metric in run.metrics},
        verdict=_verdict(story, outcomes, facts),
        best_step=_best_step(facts),
        notes=(*run.notes, *failures),
        outcomes=tuple(outcomes),
        findings=story,
        config={name: {"value": s.value, "from": s.origin} for name, s in run.config.items()},
        **told,
        seams=tuple(SeamMark(step=s.step, reached=s.reached) for s in run.seams),
        landmarks=_landmarks(facts),
        series=_series(run, story),
        provenance=_provenance(run, options),
    )


def _advice(facts: Facts, story: Sequence[Finding], options: Options) -> tuple[dict[str, Any], list[Note]]:
    """What follows from the findings, by field of Diagnosis; a part that fails costs a note and nothing else."""
    parts: dict[str, Callable[[], Any]] = {
        "patch": lambda: patch_of(story, facts.spoken, options),
        "wasted": lambda: wasted(facts, story, tariff_of(facts, options)),
        "toll": lambda: toll_of(facts, story, tariff_of(facts, options)),
        "early_stopping": lambda: early_stopping(facts, options, tariff_of(facts, options)),
        "checkpoint": lambda: checkpoint_advice(facts, story),
    }
    told: dict[str, Any] = {}
    failures = []
    for name, part in parts.items():
        try:
            with np.errstate(all="ignore"):
                told[name] = part()
        except Exception as error:
            told[name] = None
            text = f"{name.replace('_', ' ')} could not be told ({type(error).__name__}: {error}); please report it"
            failures.append(Note(level="warning", text=text))
    return told, failures


def look(one: Detector, facts: Facts, limits: Any) -> tuple[Outcome, list[Finding]]:
    reason = _missing(one, facts)
    if reason:
        return Outcome(pattern=one.pattern, status="not-applicable", reason=reason), []
    try:
        with np.errstate(all="ignore"):
            told = [_weighed(_named(one, facts, finding), facts) for finding in one.detect(facts, limits)]
            found = [finding for finding, _ in told]
    except NotApplicable as why:
        return Outcome(pattern=one.pattern, status="not-applicable", reason=str(why)), []
    except Exception as error:
        return Outcome(pattern=one.pattern, status="failed", reason=f"{type(error).__name__}: {error}"), []
    reason = next((why for _, why in told if why), "")
    return Outcome(pattern=one.pattern, status="found" if found else "clear", reason=reason), found


def _missing(one: Detector, facts: Facts) -> str:
    """Why a detector cannot look, or an empty string."""
    for metric, fewest in one.needs.items():
        if not facts.has(metric):
            return f"{metric} was not logged"
        points = len(facts.finite(metric)) if fewest > 1 else len(facts.curve(metric))
        if points < fewest:
            return f"{metric} has {points} {'point' if points == 1 else 'points'}, {fewest} are needed"
    return ""


def _named(one: Detector, facts: Facts, finding: Finding) -> Finding:
    """A detector's finding with plain numbers, its pattern, and a confidence that means what it says."""
    plain = msgspec.to_builtins(finding, enc_hook=_python_number)
    plain |= {"pattern": one.pattern, "confidence": round(calibrated(plain["confidence"], one, facts), 3)}
    return msgspec.convert(plain, Finding)


def _weighed(finding: Finding, facts: Facts) -> tuple[Finding, str]:
    """A finding with its causes and its samples, and what went wrong with them: neither costs the finding."""
    failures = []
    try:
        if weighing := weighings().get(finding.pattern):
            finding = msgspec.structs.replace(finding, causes=weighing.weigh(facts, finding))
    except Exception as error:
        failures.append(f"its causes could not be weighed: {type(error).__name__}: {error}")
    try:
        finding = msgspec.structs.replace(finding, samples=samples_of(facts, finding))
    except Exception as error:
        failures.append(f"its samples could not be counted: {type(error).__name__}: {error}")
    return finding, "; ".join(failures)


def _broke_at(findings: Iterable[Finding]) -> int | None:
    """The first step at which training broke by the findings, whichever saw it first: so that all advise one learning rate."""
    return min((f.start_step for f in findings if f.start_step is not None and _breaks(f)), default=None)


def _breaks(finding: Finding) -> bool:
    if finding.pattern == "exploding-gradients":  # not when norms are far out now and then around a level that stays
        return any(m.name == "level_rise" and m.value >= (m.threshold or 0.0) for m in finding.measured)
    return finding.pattern in BREAKS and finding.severity != "info"


def _all_advised(facts: Facts, outcomes: Sequence[Outcome], findings: Sequence[Finding]) -> tuple[list[Outcome], list[Finding]]:
    """The findings with their fixes; a detector whose remedies fail is a `failed` outcome, and the others go on."""
    told, kept = [], []
    for outcome in outcomes:
        one, found = detector_of(outcome.pattern), [f for f in findings if f.pattern == outcome.pattern]
        try:
            with np.errstate(all="ignore"):
                kept += [_advised(one, facts, finding) for finding in found]
            told.append(outcome)
        except Exception as error:
            told.append(Outcome(pattern=one.pattern, status="failed", reason=f"{type(error).__name__}: {error}"))
    return told, kept


def _advised(one: Detector, facts: Facts, finding: Finding) -> Finding:
    """A finding with its fixes: the most useful for the likeliest causes; of those of equal weight the cheapest first."""
    meant = steered([remedy for remedy in one.remedies if remedy.applies(facts, finding)], finding.causes)
    chosen = sorted(meant[:MOST_FIXES], key=lambda remedy: (-weight_of(remedy, finding.causes), CHEAPEST_FIRST.index(remedy.cost)))
    return msgspec.structs.replace(finding, fixes=tuple(_fix(remedy, facts, finding) for remedy in chosen))


def _python_number(value: Any) -> Any:
    """A numpy scalar as a Python number: detectors compute with numpy, results hold plain values."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a finding cannot hold a {type(value).__name__}")


class _Lenient(string.Formatter):
    """Fills {flag_<setting>} with the trainer's own name; leaves a placeholder without a value out of the sentence as "?"."""

    def __init__(self, trainer: Spoken) -> None:
        self.trainer = trainer

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Any) -> Any:
        if isinstance(key, str) and key.startswith(FLAG):
            return self.trainer.flag(key.removeprefix(FLAG))
        value = kwargs.get(key)
        return "?" if value is None else value

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, str):
            return value
        return percent(value, format_spec) if format_spec.endswith("%") else str(super().format_field(value, format_spec))


def _fix(remedy: Remedy, facts: Facts, finding: Finding) -> Fix:
    words: dict[str, Any] = {m.name: m.value for m in finding.measured} | finding.also
    words |= {name: setting.value for name, setting in facts.run.config.items()}
    words |= {"start_step": finding.start_step, "end_step": finding.end_step}
    words |= {"patience": facts.options.patience, "min_gain": facts.options.min_gain}
    formatter = _Lenient(facts.spoken)
    return Fix(
        title=formatter.vformat(remedy.title, (), words),
        why=formatter.vformat(remedy.why, (), words),
        when_not=formatter.vformat(remedy.when_not, (), words),
        changes=facts.spoken.said(remedy.propose(facts, finding)),
        cost=remedy.cost,
        source=remedy.citation,
        alternative=remedy.alternative,
        doubted=doubted(remedy, finding.causes),
        conditional=remedy.conditional and not _likeliest(remedy, finding),
    )


def _likeliest(remedy: Remedy, finding: Finding) -> bool:
    """Whether a remedy serves the cause that weighs most."""
    first = max(finding.causes, key=lambda cause: cause.weight, default=None)
    return first is not None and first.name in remedy.causes


def _story(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Say which finding explains which, worst first.

    A finding yields to another one of the patterns that its detector names, or whose detector names it, when that began
    before it, or close to it.
    """
    found = list(findings)
    span = max((f.end_step or 0 for f in found), default=0)
    told = []
    for one in found:
        causes = [
            other
            for other in found
            if _may_explain(other, one)
            and (other.start_step or 0) <= (one.start_step or 0) + CLOSE * span
            and not (_may_explain(one, other) and _begins(one) < _begins(other))
        ]
        first = min(causes, key=_begins, default=None)
        told.append(one if first is None else msgspec.structs.replace(one, explained_by=first.pattern))
    told = [msgspec.structs.replace(f, severity=_worst(f, told)) for f in told]
    return tuple(sorted(told, key=lambda f: (f.explained_by is not None, -SEVERITIES.index(f.severity), _begins(f))))


def _may_explain(cause: Finding, effect: Finding) -> bool:
    return cause.pattern in detector_of(effect.pattern).yields_to or effect.pattern in detector_of(cause.pattern).explains


def _worst(one: Finding, told: Sequence[Finding]) -> Severity:
    """A cause is as severe as the worst that it leads to."""
    effects = [f.severity for f in told if f.explained_by == one.pattern]
    return max((one.severity, *effects), key=SEVERITIES.index)


def _begins(finding: Finding) -> tuple[int, str]:
    return (finding.start_step or 0, finding.pattern)


def _verdict(story: Sequence[Finding], outcomes: Sequence[Outcome], facts: Facts) -> str:
    """The pattern that names the run: the root curve pattern, else the worst run pattern, else healthy or not-assessed.

    A doubted one (confidence DOUBTED or less), such as clipping by a threshold that was assumed, gives way to any that is
    not. A run is not healthy while what matters most could not be looked for: for a policy, whose loss says little, that is
    left to its metrics.
    """
    roots = [f for f in story if f.severity != "info" and f.explained_by is None]
    if roots:  # the first of the story, which is told worst first
        return min(roots, key=lambda f: (f.confidence <= DOUBTED, detector_of(f.pattern).kind != "curve")).pattern
    asked = [o for o in outcomes if _judges_learning(detector_of(o.pattern))]
    looked = [o for o in asked if o.status in ("clear", "found")]
    enough = facts.run.points >= ENOUGH_POINTS and len(looked) >= (min(ENOUGH_CHECKS, len(asked)) or 1)
    return "healthy" if enough and (facts.reinforced or _looked_for(asked)) else "not-assessed"


def _looked_for(asked: Sequence[Outcome]) -> bool:
    """Whether of every kind of NEEDED patterns, as far as they were asked for, one could look."""
    kinds = ([o.status for o in asked if o.pattern in kind] for kind in NEEDED)
    return all(not kind or "clear" in kind or "found" in kind for kind in kinds)


def _judges_learning(one: Detector) -> bool:
    """Whether a detector looks at what was learned: the curve patterns, and those that need a metric of the policy.

    The loss of a policy gradient says little: such a run is judged by its reward, KL, entropy and completions.
    """
    return one.kind == "curve" or not any(metric.endswith("/loss") for metric in one.needs)


def _best_step(facts: Facts) -> int | None:
    curve = facts.eval_loss
    return int(curve.step[np.argmin(curve.value)]) if len(curve) else None


def _landmarks(facts: Facts) -> Landmarks:
    ends = np.unique(np.round(facts.epoch_ends).astype(np.int64)).tolist()
    return Landmarks(warmup_end=facts.warmup_end or None, epoch_ends=tuple(ends) if len(ends) <= MOST_EPOCHS else ())


def _series(run: Run, story: Sequence[Finding]) -> dict[str, Thinned]:
    """Thinned curves for the page: those that findings point at first, then the usual ones, then the rest by name."""
    pointed = [e.metric for f in story for e in f.evidence] + [f.metric for f in story]
    usual = ["train/loss", "eval/loss", "train/grad_norm", "train/learning_rate"]
    names = [m for m in dict.fromkeys((*usual, *pointed, *run.metrics)) if m in run.logged and len(run.logged[m])]
    return {metric: _thinned(run.curve(metric)) for metric in names[:MOST_SERIES] if not metric.startswith("final/")}


def _thinned(curve: Curve) -> Thinned:
    rows = min_max_rows(curve.value, MOST_POINTS)

    def column(values: Any) -> list[float] | None:
        return [float(f"{v:.13g}") for v in values[rows]] if np.isfinite(values).any() else None

    return Thinned(
        points=len(curve),
        step=curve.step[rows].tolist(),
        value=[float(f"{v:.7g}") if math.isfinite(v) else float(v) for v in curve.value[rows]],
        epoch=column(curve.epoch),
        tokens=column(curve.tokens),
        wall_time=column(curve.wall_time),
    )


def _provenance(run: Run, options: Options) -> dict[str, Any]:
    from curvelab import __version__

    return {
        "curvelab": __version__,
        "left_out": [one.pattern for one in detectors() if not options.wants(one.pattern)],
        "thresholds_changed": {pattern: dict(values) for pattern, values in options.thresholds.items()},
        "files": [{"path": str(log.path), "format": log.format, **fingerprint(log.path)} for log in run.logs],
    }
