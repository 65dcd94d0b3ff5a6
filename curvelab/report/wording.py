"""The sentences that page, terminal and Markdown share: the verdict, how sure, what was wasted, what to log next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curvelab.knowledge.merging import DOUBTED
from curvelab.model.finding import SEVERITIES, Cause, Cost, Finding, Gap, Samples, Severity
from curvelab.model.result import Diagnosis, Outcome
from curvelab.report import costs, health, numerals
from curvelab.report.changes import by_hand, change, copied, ground, patch_of, remarks
from curvelab.report.numerals import count, percent, plural
from curvelab.report.plain import clean
from curvelab.report.sentences import sentence, unbroken

__all__ = ["by_hand", "change", "copied", "ground", "patch_of", "remarks", "sentence", "unbroken"]  # what the templates find here

SHAPES: dict[Severity, str] = {"critical": "■", "warning": "▲", "info": "●"}
COSTS: dict[Cost, str] = {
    "none": "no training",
    "resume": "a resume from a checkpoint",
    "rerun": "a rerun",
}
STATES = {
    "finished": "finished",
    "crashed": "crashed",
    "running": "still running",
    "unknown": "the log does not say how the run ended",
}
_SURE = (
    (0.95, "almost certain"),
    (0.85, "very likely"),
    (0.7, "likely"),
    (0.51, "more likely than not"),
    (0.45, "as likely as not"),
    (0.25, "possible"),
    (0.0, "a weak hint"),
)
HEALTHY = "Looks healthy"
_MOMENTS = frozenset(("resume-seam", "abrupt-end"))  # patterns that happen at one step
_EPISODES = frozenset(("spikes",))  # and those that come and go
LEAST_CAUSE = 0.08  # of the belief: a cause of less is left to the JSON
_HOW_TO_LOG = {
    "train/loss": "log it every few steps (logging_steps)",
    "eval/loss": "evaluate every 5–10 % of the steps (eval_strategy=steps, eval_steps)",
    "train/grad_norm": "log the norm before clipping (recent versions of Transformers do)",
    "train/learning_rate": "log it with the loss",
    "train/tokens_per_second": "count tokens (include_num_input_tokens_seen)",
}
_OF_REWARDS = re.compile(r"train/(reward|kl$|entropy$|logps|completions|frac_reward)")


@dataclass(frozen=True)
class Verdict:
    """The first thing that a reader sees. `severity` is None for a run without a fault.

    title     the pattern and its step: "Overfitting since step 30"
    lead      what, since when, how sure, what it cost: "Overfitting since step 30, almost certainly (99 %); the 570 steps
              after it (95 % of the run, 7 s) were wasted."
    sentence  the lead, and what was measured
    headline  what was measured alone
    """

    title: str
    sentence: str
    sure: str
    severity: Severity | None
    lead: str = ""
    headline: str = ""

    @property
    def rest(self) -> str:
        """The lead behind the title: ", almost certainly (99 %); the 570 steps after it were wasted."; else empty."""
        return self.lead.removeprefix(self.title) if self.lead.startswith(self.title) else ""


def verdict(diagnosis: Diagnosis) -> Verdict:
    """One sentence on the run: what, since which step, how sure, what it cost."""
    if diagnosis.verdict in ("healthy", "not-assessed"):
        return _without_fault(diagnosis)
    root = next((f for f in diagnosis.findings if f.pattern == diagnosis.verdict), None)
    title = title_of(diagnosis.verdict)
    if root is None:
        return Verdict(title, "", "", "warning")
    title = f"{_perhaps(title) if root.confidence <= DOUBTED else title}{_since(diagnosis, root)}"
    lead = unbroken(f"{title}, {surely(root.confidence)}; {costs.in_short(diagnosis, root.start_step)}.")
    headline = sentence(root.headline)
    return Verdict(title, f"{lead} {headline}", sure(root.confidence), root.severity, lead, headline)


def _perhaps(title: str) -> str:
    """A title as a doubt; "KL blow-up" keeps its capitals."""
    return f"Perhaps {title if title[1:2].isupper() else title[:1].lower() + title[1:]}"


def _since(diagnosis: Diagnosis, root: Finding) -> str:
    """Where a finding begins: " since step 30", " at step 474", " from the start"; empty where no step is known."""
    start, end = root.start_step, root.end_step
    if start is None:
        return ""
    if start == end or root.pattern in _MOMENTS or any(isinstance(mark, Gap) for mark in root.evidence):
        return f" at step {count(start)}"
    if root.pattern in _EPISODES and end is not None:
        return f" between steps {count(start)} and {count(end)}"
    if diagnosis.first_step is not None and start <= diagnosis.first_step:
        return " from the start"
    return f" since step {count(start)}"


def _without_fault(diagnosis: Diagnosis) -> Verdict:
    clear = sum(o.status == "clear" for o in diagnosis.outcomes)
    points = plural(diagnosis.points, "train point")
    asked, left = len(diagnosis.outcomes), len(left_out(diagnosis))
    if left and clear == asked and (diagnosis.verdict != "healthy" or left > asked):
        which = "The one check that was" if asked == 1 else f"The {count(asked)} checks that were"
        told = (
            f"{which} asked for looked at {points} and found nothing; {count(left)} {_were(left)} left out, "
            "so this says nothing on the run as a whole."
        )
        return Verdict("Nothing found of what was asked for", told, "", None, told)
    if diagnosis.verdict == "healthy":
        told = _healthy(diagnosis, f"{plural(clear, 'check')} looked at {points} and found no fault")
        return Verdict(HEALTHY, told, "", None, told)
    of = f"{plural(asked, 'check')} {'that was' if asked == 1 else 'that were'} asked for" if left else plural(asked, "check")
    few = f"Only {count(clear)}" if clear else "Not one"
    told = f"{few} of {of} could look, at {points}: too little to call this run healthy or faulty."
    return Verdict("Not assessed", told, "", None, told)


def _healthy(diagnosis: Diagnosis, found: str) -> str:
    """That nothing was found, what speaks for the run, how much could be seen, what could not, what to log next time."""
    minor, left = len(diagnosis.findings), len(left_out(diagnosis))
    rest = f"; {plural(minor, 'finding')} of minor weight below" if minor else ""
    rest += f"; {plural(left, 'check')} {_were(left)} not asked for" if left else ""
    told = [f"{found}{rest}."]
    if reasons := health.evidence(diagnosis):
        told.append(sentence("; ".join(reasons)))
    blind = health.unseen(diagnosis)
    told.append(f"How sure: {health.seen(diagnosis)}{', but ' + '; '.join(blind) if blind else ''}.")
    if blind and (wanted := to_log(diagnosis)):
        told.append(f"Next time log {wanted[0][0]}: {wanted[0][1]}.")
    return unbroken(" ".join(told))


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def left_out(diagnosis: Diagnosis) -> list[str]:
    """The patterns that the user did not ask for (`--select`, `--ignore`)."""
    names = diagnosis.provenance.get("left_out")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def changed(diagnosis: Diagnosis) -> list[str]:
    """Thresholds that the user changed, as `pattern.name = value`."""
    given = diagnosis.provenance.get("thresholds_changed")
    if not isinstance(given, dict):
        return []
    return [
        f"{clean(pattern, 80)}.{clean(name, 80)} = {numerals.setting(value)}"
        for pattern, values in given.items()
        for name, value in (values.items() if isinstance(values, dict) else ())
    ]


def sure(confidence: float) -> str:
    """0.9 -> "very likely (90 %)"."""
    words = next((text for least, text in _SURE if confidence >= least), "a weak hint")
    return f"{words} ({percent(min(round(confidence, 2), 0.99) if confidence < 1 else 1.0)})"


def surely(confidence: float) -> str:
    """0.99 -> "almost certainly (99 %)", as an adverb."""
    told = sure(confidence)
    for adjective, adverb in (("almost certain", "almost certainly"), ("possible", "possibly"), ("a weak hint", "though it is a weak hint")):
        if told.startswith(adjective):
            return told.replace(adjective, adverb, 1)
    return told


def causes(finding: Finding, most: int) -> list[Cause]:
    """The causes worth telling, the likeliest first: those of LEAST_CAUSE or more, and the first in any case."""
    return [one for rank, one in enumerate(finding.causes[:most]) if not rank or one.weight >= LEAST_CAUSE]


def cause(one: Cause) -> str:
    """A cause in a line: "likely (74 %): one batch cannot be trained on"."""
    return f"{sure(one.weight)}: {unbroken(clean(one.title, 200))}"


def evidence(one: Cause, most: int | None = None) -> str:
    """What in the log speaks for and against a cause, `most` of each: "For: …; … Against: …"."""
    sides = (("For", one.for_), ("Against or not known", one.against))
    told = [f"{side}: {'; '.join(unbroken(clean(text, 300)) for text in texts[:most])}." for side, texts in sides if texts]
    return " ".join(told) or "Nothing in the log speaks for or against it."


def unweighed(diagnosis: Diagnosis) -> list[tuple[str, list[str]]]:
    """(reason, patterns) of findings whose causes could not be weighed."""
    return by_reason([o for o in diagnosis.outcomes if o.reason], "found")


def title_of(pattern: str) -> str:
    """The title of a pattern; the pattern's own words where no detector of that name is installed."""
    from curvelab.catalogue import detectors

    title = next((d.title for d in detectors() if d.pattern == pattern), "")
    return title or clean(pattern, 80).replace("-", " ").capitalize() or "Unnamed pattern"


def card_of(pattern: str) -> dict[str, str]:
    """The sections of a pattern's card, empty where no detector of that name is installed."""
    from curvelab.catalogue import detectors

    return next((d.sections() for d in detectors() if d.pattern == pattern), {})


def ranked(diagnosis: Diagnosis) -> list[Finding]:
    """The finding that names the run, then the others from worst to least; equal ones in the order of the story."""
    return sorted(by_severity(diagnosis.findings), key=lambda f: f.pattern != diagnosis.verdict)


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Findings from worst to least; equal ones stay in their order."""
    return sorted(findings, key=lambda f: -SEVERITIES.index(f.severity))


def progress(diagnosis: Diagnosis) -> str:
    """ "1,000 of 1,000 planned steps", "4,000 steps"; steps that are counted from 0 are one more than the last."""
    last, planned = diagnosis.last_step, diagnosis.planned_steps
    if last is None:
        return "no step was logged"
    if planned and last > planned:
        return f"{plural(last, 'step')} ({count(planned)} {_were(planned)} planned)"
    if planned:
        return f"{count(last)} of {plural(planned, 'planned step')}"
    if diagnosis.first_step == 0 and diagnosis.points == last + 1:
        return f"{plural(last + 1, 'step')}, counted from 0 (the plan is not in the log)"
    return f"{plural(last, 'step')} (the plan is not in the log)"


def restarts(diagnosis: Diagnosis) -> str:
    """ "restart at step 164 (after reaching 228)", or an empty string."""
    if not diagnosis.seams:
        return ""
    first = diagnosis.first_step
    if first is not None and all(s.step <= first for s in diagnosis.seams):
        again = "a second training" if len(diagnosis.seams) == 1 else f"{plural(len(diagnosis.seams), 'more training')}"
        reached = ", ".join(count(s.reached) for s in diagnosis.seams[:3])
        return f"{again} in the same log, from step {count(first)} again (after reaching {reached})"
    places = ", ".join(f"step {count(s.step)} (after reaching {count(s.reached)})" for s in diagnosis.seams[:3])
    more = f" and {count(len(diagnosis.seams) - 3)} more" if len(diagnosis.seams) > 3 else ""
    return f"restart at {places}{more}"


def wasted(diagnosis: Diagnosis) -> str:
    """What came after the last useful step and what it cost; else the steps done twice or lost; else an empty string."""
    told = costs.wasted(diagnosis)
    return told if told or diagnosis.toll is None else costs.toll(diagnosis.toll)


def early_stopping(diagnosis: Diagnosis) -> str:
    """Where early stopping would have ended the run, what it would have kept and saved, or an empty string."""
    one = diagnosis.early_stopping
    if one is None:
        return ""
    rule = f"patience {count(one.patience)}, least gain {numerals.value(one.threshold)}"
    metric = clean(one.metric, 80)
    if one.stop_step is not None and one.saved_steps <= 0:
        return ""  # it would have stopped at the end
    if one.stop_step is None:
        return f"would not have stopped this run ({rule} on {metric}, {plural(one.evals, 'eval')})"
    kept = f"step {count(one.kept_step)} kept ({metric} {numerals.value(one.kept_value)})"
    gain = ", ".join([plural(one.saved_steps, "step"), *costs.spent(one.saved_seconds, one.saved_gpu_hours, one.saved_money)])
    told = f"would have stopped at step {count(one.stop_step)} with {kept}, {gain} saved ({rule})"
    if one.later_step is None or one.later_value is None:
        return told
    return f"{told}; it would have missed a better eval at step {count(one.later_step)} ({numerals.value(one.later_value)})"


def checkpoint(diagnosis: Diagnosis) -> str:
    """Which checkpoint to use, and how the saved ones are known, or an empty string."""
    advice = diagnosis.checkpoint
    if advice is None or not advice.sentence:
        return ""
    known = clean(advice.known_from, 120) if advice.nearest_step is not None else ""
    return f"{unbroken(clean(advice.sentence, 600))}{f' (known from {known})' if known else ''}"


def sample_ranges(samples: Samples) -> list[str]:
    """ "steps 131–132: samples 2,080–2,111 of the 1st epoch", one a range; steps alone where no positions are known."""
    told = []
    for one in samples.ranges:
        where = numerals.steps(one.step, one.end_step)
        if one.epoch is not None and one.first is not None and one.end is not None:
            where += f": samples {count(one.first)}–{count(one.end - 1)} of the {numerals.ordinal(one.epoch + 1)} epoch"
        told.append(where)
    return told


def sample_basis(samples: Samples) -> str:
    """How the positions were counted: "16 samples x 4 accumulated a step, counted from 0 in the epoch's shuffled order"."""
    if not any(one.epoch is not None for one in samples.ranges):
        return clean(samples.because, 200)
    kind = {True: "shuffled order", False: "own order", None: "order"}[samples.shuffled]
    return f"{clean(samples.because, 200)}, counted from 0 in the {kind} of the epoch"


def by_reason(outcomes: Sequence[Outcome], status: str) -> list[tuple[str, list[str]]]:
    """The outcomes of a status, grouped by their reason: (reason, patterns), the most frequent reason first."""
    groups: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == status:
            groups.setdefault(clean(outcome.reason, 400) or "no reason given", []).append(outcome.pattern)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def to_log(diagnosis: Diagnosis) -> list[tuple[str, str, list[str]]]:
    """What to log next time: (metric, how, the checks that it would enable), the most useful first."""
    from curvelab.catalogue import detectors

    needs = {d.pattern: d.needs for d in detectors()}
    wanted: dict[str, list[str]] = {}
    for outcome in diagnosis.outcomes:
        if outcome.status == "not-applicable":
            for metric, fewest in needs.get(outcome.pattern, {}).items():
                if diagnosis.metrics.get(metric, 0) < fewest:
                    wanted.setdefault(metric, []).append(outcome.pattern)
    advice = []
    rewarded = any(_OF_REWARDS.match(metric) for metric in diagnosis.metrics)
    for metric, patterns in sorted(wanted.items(), key=lambda item: -len(item[1])):
        if _OF_REWARDS.match(metric) and not rewarded:
            continue  # a supervised run has neither rewards nor a policy to log
        how = _HOW_TO_LOG.get(metric, "log it at regular steps")
        have = diagnosis.metrics.get(metric, 0)
        few = f"; {plural(have, 'point')} {'was' if have == 1 else 'were'} too few" if have else ""
        advice.append((metric, how + few, patterns))
    return advice

