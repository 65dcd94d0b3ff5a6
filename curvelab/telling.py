"""Who is told what of an audit: each audience what is new and worse in its own runs, and nobody without any.

A target that could not be told is told the next time: what it missed is kept under a hash of its address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from curvelab.auditing.policies import Policy, audiences
from curvelab.model.audit import AuditResult, Departure, TrackedFinding
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.notify import Failure, send

MOST_MISSED = 1000  # findings that are kept for a target


def tell(
    result: AuditResult, policy: Policy, least: Severity, link: str = "", missed: Mapping[str, Sequence[str]] | None = None
) -> tuple[list[Failure], dict[str, list[str]]]:
    """Send what is new and worse to everybody whom the rules name.

    least    the severity from which on people are told
    link     address of the audit's pages
    missed   what targets were not told of before: key -> fingerprints; see `left`

    Returns the targets that could not be told, and what they have missed by now.
    """
    rule_of = {run.key: run.rule for run in result.runs}
    wanted = [one for one in news(result) if SEVERITIES.index(one.severity) >= SEVERITIES.index(least)]
    unread = any(error.new for error in result.errors)
    rules = {rule_of.get(one.run, "") for one in wanted} | ({""} if unread else set())
    theirs: dict[str, list[str]] = {}
    for targets, names in audiences(policy, rules | ({rule.name for rule in policy.rules} | {""} if missed else set())).items():
        own = [one.fingerprint for one in wanted if rule_of.get(one.run, "") in names]
        for target in targets:
            theirs.setdefault(target, []).extend(own)
    there = {one.fingerprint for one in _all(result) if one.state not in ("fixed", "muted")}
    failures: list[Failure] = []
    left: dict[str, list[str]] = {}
    for target, own in theirs.items():
        late = [name for name in (missed or {}).get(key_of(target), ()) if name in there and name not in own]
        general = unread and target in policy.notify
        if not own and not late and not general:
            continue
        failed = _sent(result, target, [*own, *late], link, general)
        failures += failed
        if failed:
            left[key_of(target)] = [*own, *late][-MOST_MISSED:]
    return failures, left


def news(result: AuditResult) -> list[TrackedFinding | Departure]:
    """What people are told of: findings that count, and departures that are new."""
    return [*result.told, *(one for one in result.departures if one.new and not result.accepted)]


def key_of(target: str) -> str:
    """What stands for a target in the history, which holds no address."""
    return hashlib.sha256(target.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _all(result: AuditResult) -> list[TrackedFinding | Departure]:
    return [*result.findings, *result.departures]


def _sent(result: AuditResult, target: str, names: Sequence[str], link: str, unread: bool) -> list[Failure]:
    from curvelab.report.audited.markdown import markdown

    told = set(names)
    some = [one for one in _all(result) if one.fingerprint in told]
    body = markdown(result, link, only=list(names), unread=unread)
    return send(_title(result, some), body, [target], _worst(some))


def _title(result: AuditResult, some: Sequence[TrackedFinding | Departure]) -> str:
    findings = [one for one in some if isinstance(one, TrackedFinding)]
    critical = sum(one.severity == "critical" for one in findings)
    project = result.project or result.root.rstrip("/").rpartition("/")[2] or result.root
    if findings:
        what = f"{len(findings)} new or worse finding{'s' if len(findings) != 1 else ''}"
        return f"curvelab: {what} in {project}" + (f", {critical} critical" if critical else "")
    return f"curvelab: {'unusual runs' if some else 'inputs that cannot be read'} in {project}"


def _worst(some: Sequence[TrackedFinding | Departure]) -> Severity:
    return max((one.severity for one in some), key=SEVERITIES.index, default="warning")
