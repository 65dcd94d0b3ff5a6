"""What a fault cost where no step came after the last useful one: steps done twice, steps lost, time lost to slowness.

resume-seam       the steps that the attempts before had done already
abrupt-end        the steps after the last checkpoint that is known: a resume does them again. All of them where the run
                  saved nothing; not told where nothing is known of its checkpoints
throughput-drop   the time from the drop on, less what the same steps would have taken at the speed before it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from curvelab.cost import Tariff
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.model.result import Toll
from curvelab.saved import saved


def toll_of(facts: Facts, story: Sequence[Finding], tariff: Tariff) -> Toll | None:
    """The toll of the first finding of the story that took one; None where none did, or it is not known."""
    for finding in story:
        if finding.pattern in _TOLLS and finding.explained_by is None:
            told = _TOLLS[finding.pattern](facts, finding, tariff)
            if told is not None:
                return told
    return None


def _repeated(facts: Facts, finding: Finding, tariff: Tariff) -> Toll | None:
    steps = round(_measured(finding, "repeated"))
    if steps <= 0:
        return None
    return _toll(finding, tariff, "repeated", steps, None if tariff.clock is None else tariff.clock.pace * steps, None)


def _lost(facts: Facts, finding: Finding, tariff: Tariff) -> Toll | None:
    last, left = finding.start_step or 0, saved(facts)
    kept = left.steps[left.steps <= last]
    if not len(kept) and not left.off:
        return None
    since = int(kept[-1]) if len(kept) else facts.run.first_step or 0
    if since >= last:
        return None
    return _toll(finding, tariff, "lost", last - since, None if tariff.clock is None else tariff.clock.after(since), since if len(kept) else None)


def _slowed(facts: Facts, finding: Finding, tariff: Tariff) -> Toll | None:
    before, after = _measured(finding, "before"), _measured(finding, "after")
    if tariff.clock is None or not 0 < after < before:
        return None
    return _toll(finding, tariff, "slowed", None, tariff.clock.after(finding.start_step or 0) * (1 - after / before), finding.start_step)


def _toll(finding: Finding, tariff: Tariff, kind: str, steps: int | None, seconds: float | None, since: int | None) -> Toll:
    hours = None if seconds is None or tariff.gpus is None else float(f"{seconds * tariff.gpus / 3600:.6g}")
    return Toll(
        pattern=finding.pattern,
        kind=kind,  # type: ignore[arg-type]
        steps=steps,
        since_step=since,
        seconds=None if seconds is None else round(seconds, 1),
        gpu_hours=hours,
        money=None if hours is None or tariff.price is None else float(f"{hours * tariff.price:.6g}"),
    )


def _measured(finding: Finding, name: str) -> float:
    return next((one.value for one in finding.measured if one.name == name), 0.0)


_TOLLS: Mapping[str, Callable[[Facts, Finding, Tariff], Toll | None]] = {
    "resume-seam": _repeated,
    "abrupt-end": _lost,
    "throughput-drop": _slowed,
}
