"""AuditResult -> JUnit XML, as Jenkins and GitLab show it: a suite per project, a test per run and finding.

Only what makes the audit fail is a failure. What is known, muted or provisional is skipped, with the reason; what was
fixed passes, under the name under which it failed before; a run without findings is one test that passes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree import ElementTree

from curvelab.model.audit import AuditedRun, AuditResult, TrackedFinding, Unread
from curvelab.report.audited.places import project_name, runs_by_key
from curvelab.report.plain import clean

MOST_OF_A_NAME = 250  # characters
NOT_SURE = "not-assessed"

# What XML 1.0 cannot hold, not even as a character reference.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: AuditResult) -> str:
    """The whole document, with its XML declaration."""
    runs, suites = runs_by_key(result), _suites(result)
    root = ElementTree.Element("testsuites", name=_text("curvelab audit"))
    for name, (found, clear, unread) in sorted(suites.items()):
        cases = [_finding(name, one, result, runs.get(one.run)) for one in found]
        cases += [_clear(name, run) for run in clear]
        cases += [_unread(name, one) for one in unread]
        root.append(_suite(name, cases, result))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", _seconds(result))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


_Suite = tuple[list[TrackedFinding], list[AuditedRun], list[Unread]]


def _suites(result: AuditResult) -> dict[str, _Suite]:
    """By project: its findings, its runs without one, and what could not be read, which belongs to the folder."""
    suites: dict[str, _Suite] = defaultdict(lambda: ([], [], []))
    runs, whole = runs_by_key(result), project_name(result)
    for finding in result.findings:
        run = runs.get(finding.run)
        suites[(run and run.project) or whole][0].append(finding)
    troubled = {finding.run for finding in result.findings if finding.state != "fixed"}
    for run in result.runs:
        if run.key not in troubled and run.seen != "gone":
            suites[run.project or whole][1].append(run)
    if result.errors or not suites:
        suites[whole][2].extend(result.errors)
    return suites


def _suite(name: str, cases: list[ElementTree.Element], result: AuditResult) -> ElementTree.Element:
    def having(tag: str) -> str:
        return str(sum(case.find(tag) is not None for case in cases))

    suite = ElementTree.Element(
        "testsuite", name=_text(name), tests=str(len(cases)), failures=having("failure"), errors=having("error"),
        skipped=having("skipped"), time=_seconds(result), timestamp=_instant(result.started),
    )  # fmt: skip
    suite.extend(cases)
    return suite


def _finding(suite: str, finding: TrackedFinding, result: AuditResult, run: AuditedRun | None) -> ElementTree.Element:
    # The fingerprint tells two findings of one pattern apart and stays the same, so that a server knows the test again.
    case = _case(suite, finding.run, f"{finding.pattern}{f' in {finding.metric}' if finding.metric else ''} ({finding.fingerprint[:8]})")
    facts = "\n".join(_facts(finding, run))
    headline = _text(finding.headline, 1000)
    if finding.state == "fixed":
        _body(case, "system-out", f"Fixed: {finding.was or 'it is not found any more'}.\n{facts}")
    elif finding.fails:
        failure = ElementTree.SubElement(case, "failure", message=headline, type=_text(f"{finding.severity}.{finding.pattern}"))
        failure.text = f"{headline}\n{facts}"
    else:
        skipped = ElementTree.SubElement(case, "skipped", message=f"{_why_skipped(finding, result)}: {headline}")
        skipped.text = facts
    return case


def _why_skipped(finding: TrackedFinding, result: AuditResult) -> str:
    if finding.state == "muted":
        until = f" until {finding.muted_until}" if finding.muted_until else ""
        reason = f" ({finding.mute_reason})" if finding.mute_reason else ""
        return _text(f"muted{until}{reason}", 400)
    if finding.state == "known":
        return f"known since {_instant(finding.first_seen)[:10]}"
    if finding.provisional:
        return "provisional, its run is still being written"
    return _text(f"{finding.state} {finding.severity}, which does not fail the audit (--fail-on {result.fail_on})")


def _facts(finding: TrackedFinding, run: AuditedRun | None) -> Iterable[str]:
    yield f"Run: {_text(finding.run, 500)}"
    yield f"Steps: {finding.start_step} to {finding.end_step}"
    yield f"State: {finding.state}, {finding.severity}, first seen {_instant(finding.first_seen)} UTC"
    if finding.was and finding.state == "worse":
        yield f"It was: {_text(finding.was)}"
    if finding.fix:
        yield f"Fix: {_text(finding.fix, 500)}"
    page = finding.page or (run and run.page)
    if page:
        yield f"Page: {_text(page, 500)}"


def _clear(suite: str, run: AuditedRun) -> ElementTree.Element:
    case = _case(suite, run.key, "no findings")
    if run.verdict == NOT_SURE:
        ElementTree.SubElement(case, "skipped", message="not assessed: its log is too short or holds no loss")
    return case


def _unread(suite: str, unread: Unread) -> ElementTree.Element:
    case = _case(suite, unread.path, "can be read")
    error = ElementTree.SubElement(case, "error", message=_text(unread.message, 1000), type="unreadable")
    error.text = f"{_text(unread.path, 1000)}: {_text(unread.message, 1000)}"
    return case


def _case(suite: str, where: str, name: str) -> ElementTree.Element:
    # A dot would be a package to Jenkins: "lr0.1" is no package.
    place = ".".join(part.replace(".", "_") for part in (suite, where))
    return ElementTree.Element("testcase", classname=_text(place), name=_text(name), time="0")


def _body(case: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(case, tag).text = _FORBIDDEN.sub("\ufffd", text)


def _text(text: str, most: int = MOST_OF_A_NAME) -> str:
    return clean(_FORBIDDEN.sub("\ufffd", text), most)


def _seconds(result: AuditResult) -> str:
    return f"{max(0.0, result.finished - result.started):.3f}"


def _instant(seconds: float) -> str:
    """ISO 8601 in UTC without a zone, as JUnit has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
