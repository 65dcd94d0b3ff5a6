"""AuditResult -> SARIF 2.1.0: what the viewers of static analysis, and GitHub's code scanning, read.

A pattern is a rule, with its card as help; a finding is a result at the place of its run, with a fingerprint that stays
the same from night to night; an input that could not be read is a notification of the run of the tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from curvelab.model.audit import AuditResult, TrackedFinding, TrackedState, Unread
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.strict_json import strict
from curvelab.report.audited.places import below, place_of, project_name, runs_by_key
from curvelab.report.plain import clean

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
BASE = "AUDITED"  # the name of the audited folder in `uriBaseId`
LEVELS: dict[Severity, str] = {"info": "note", "warning": "warning", "critical": "error"}
STATES: dict[TrackedState, str] = {
    "new": "new", "worse": "updated", "known": "unchanged", "muted": "unchanged", "fixed": "absent"
}  # fmt: skip


def sarif(result: AuditResult, *, only_open: bool = False) -> dict[str, Any]:
    """The SARIF log as plain values for strict JSON.

    only_open   leave out what was fixed or is muted: GitHub's code scanning knows neither `baselineState` nor
                `suppressions` and would open an alert for each
    """
    findings = [one for one in result.findings if not only_open or one.state not in ("fixed", "muted")]
    rules = _rules(findings)
    places = {pattern: number for number, pattern in enumerate(rules)}
    runs = runs_by_key(result)
    run = {
        "tool": {"driver": {"name": "curvelab", **({"version": result.version} if result.version else {}), "rules": list(rules.values())}},
        "automationDetails": {"id": f"curvelab-audit/{clean(project_name(result), 200)}"},
        "originalUriBaseIds": {BASE: {"uri": _folder(result.root)}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(result)],
        "results": [_result(one, place_of(result, one.run, runs.get(one.run)), places[one.pattern]) for one in findings],
    }
    log: dict[str, Any] = strict({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})
    return log


def _rules(findings: Iterable[TrackedFinding]) -> dict[str, dict[str, Any]]:
    """Every pattern there is, and those of findings whose plugin is gone. Its level is the worst that it was found with."""
    from curvelab.cards import card_markdown, card_text
    from curvelab.catalogue import detectors

    worst: dict[str, Severity] = {}
    for finding in findings:
        worst[finding.pattern] = max(worst.get(finding.pattern, "info"), finding.severity, key=SEVERITIES.index)
    rules = {}
    for one in detectors():
        told = one.sections()
        rules[one.pattern] = {
            "id": one.pattern,
            "name": "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", one.pattern)),
            "shortDescription": {"text": one.title},
            "fullDescription": {"text": " ".join(told[""].split())},
            "help": {"text": card_text(one), "markdown": card_markdown(one)},
            "defaultConfiguration": {"level": LEVELS[worst.get(one.pattern, "warning")]},
            "properties": {"tags": ["training", one.kind]},
        }
    for pattern in worst.keys() - rules.keys():
        rules[pattern] = {"id": clean(pattern, 100), "defaultConfiguration": {"level": LEVELS[worst[pattern]]}}
    return dict(sorted(rules.items()))


def _result(finding: TrackedFinding, place: str, rule: int) -> dict[str, Any]:
    facts = {
        "state": finding.state, "severity": finding.severity, "metric": clean(finding.metric, 200),
        "startStep": finding.start_step, "endStep": finding.end_step, "provisional": finding.provisional,
        "fails": finding.fails, "firstSeen": _instant(finding.first_seen), "lastSeen": _instant(finding.last_seen),
        "was": clean(finding.was, 200), "fix": clean(finding.fix, 500), "page": clean(finding.page or "", 500), "excess": finding.excess,
    }  # fmt: skip
    plain: dict[str, Any] = {
        "ruleId": clean(finding.pattern, 100),
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "rank": round(100 * min(max(finding.confidence, 0.0), 1.0), 1),
        "message": {"text": _message(f"{finding.run_name}: {finding.headline}")},
        "locations": [
            {
                "physicalLocation": _location(place),
                "logicalLocations": [{"name": clean(finding.run_name, 200), "fullyQualifiedName": clean(finding.run, 500)}],
            }
        ],
        # GitHub knows an alert again by the first of these, and would compute it from the text of the log without it.
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1", "curvelab/v1": finding.fingerprint},
        "baselineState": STATES[finding.state],
        "properties": {name: value for name, value in facts.items() if value not in (None, "")},
    }
    if finding.state == "muted":
        until = f" (until {finding.muted_until})" if finding.muted_until else ""
        reason = clean(f"{finding.mute_reason or 'muted without a reason'}{until}", 500)
        plain["suppressions"] = [{"kind": "external", "justification": reason}]
    return plain


def _invocation(result: AuditResult) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "executionSuccessful": not result.errors,
        "startTimeUtc": _instant(result.started),
        "endTimeUtc": _instant(max(result.started, result.finished)),
    }
    if result.errors:
        plain["toolExecutionNotifications"] = [_notification(one, result) for one in result.errors]
    return plain


def _notification(unread: Unread, result: AuditResult) -> dict[str, Any]:
    plain: dict[str, Any] = {"level": "error", "message": {"text": _message(f"{unread.path}: {unread.message}")}}
    place = below(unread.path, result.root)
    if place is not None:
        plain["locations"] = [{"physicalLocation": _location(place)}]
    return plain


def _location(place: str) -> dict[str, Any]:
    # A log is no text with lines, but code scanning asks for one.
    return {"artifactLocation": {"uri": _quoted(place, "/"), "uriBaseId": BASE}, "region": {"startLine": 1}}


def _folder(root: str) -> str:
    """A folder as a file URI, with the slash that a base needs."""
    path = _quoted(PurePath(root).as_posix().strip("/"), "/:")
    return f"file:///{path}/" if path else "file:///"


def _quoted(path: str, safe: str) -> str:
    try:
        return quote(path.encode("utf-8", "surrogateescape"), safe=safe)  # the bytes that the file system has
    except UnicodeEncodeError:  # no path of a file system
        return quote(path.encode("utf-8", "replace"), safe=safe)


def _message(text: str) -> str:
    """A message that holds no link and no placeholder, whatever its words are."""
    return clean(text, 1000).replace("](", "] (").replace("{", "(").replace("}", ")") or "(no words)"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
