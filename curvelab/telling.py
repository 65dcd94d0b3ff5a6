"""Who is told what of an audit: each audience the new and worse findings of its own runs, and nobody without any."""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.auditing.policies import Policy, audiences
from curvelab.model.audit import AuditResult, TrackedFinding
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.notify import Failure, send


def tell(result: AuditResult, policy: Policy, least: Severity, link: str = "") -> list[Failure]:
    """Send what is new and worse to everybody whom the rules name. Returns the targets that could not be told.

    least   the severity from which on people are told
    link    address of the audit's pages
    """
    from curvelab.report.audited.markdown import markdown

    rule_of = {run.key: run.rule for run in result.runs}
    wanted = [one for one in result.told if SEVERITIES.index(one.severity) >= SEVERITIES.index(least)]
    failures: list[Failure] = []
    for targets, rules in audiences(policy, {rule_of.get(one.run, "") for one in wanted}).items():
        theirs = [one for one in wanted if rule_of.get(one.run, "") in rules]
        body = markdown(result, link, only=[one.fingerprint for one in theirs])
        failures += send(_title(result, theirs), body, targets, _worst(theirs))
    return failures


def _title(result: AuditResult, findings: Sequence[TrackedFinding]) -> str:
    count = len(findings)
    critical = sum(one.severity == "critical" for one in findings)
    what = f"{count} new or worse finding{'s' if count != 1 else ''}"
    project = result.root.rstrip("/").rpartition("/")[2] or result.root
    return f"curvelab: {what} in {project}" + (f", {critical} critical" if critical else "")


def _worst(findings: Sequence[TrackedFinding]) -> Severity:
    return max((one.severity for one in findings), key=SEVERITIES.index)
