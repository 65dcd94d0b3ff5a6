"""Diagnosis -> Markdown for an issue or a chat. Texts from a log are escaped: no links, no mentions, no HTML."""

from __future__ import annotations

import re

from curvelab.model.finding import Finding, Samples
from curvelab.model.result import Diagnosis
from curvelab.report import numerals, places, wording
from curvelab.report.plain import clean

MOST_NOTES = 10
LANGUAGES = {"Python": "python", "Command line": "sh", "YAML": "yaml"}
MOST_CAUSES = 4
# A word joiner: invisible, and what follows the sign is no mention and no issue number any more.
_JOINER = "\u2060"


def markdown(diagnoses: list[Diagnosis]) -> str:
    """One section for each run, after a table of them when there are several."""
    sections = [_section(diagnosis) for diagnosis in diagnoses]
    if len(diagnoses) != 1:
        sections.insert(0, _table(diagnoses))
    return "\n\n".join(sections) + "\n"


def escaped(text: object, most: int = 600) -> str:
    """A text that Markdown shows as it is, in a paragraph or in a table's cell."""
    plain = re.sub(r"([\\`*\[\]<>|~$&])", r"\\\1", clean(text, most))
    plain = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", plain)
    plain = re.sub(r"^(\s*)([-+#=]|\d+[.)](?=\s|$))", lambda m: m[1] + m[2][:-1] + "\\" + m[2][-1], plain)
    plain = plain.replace("://", ":\\//").replace("www.", "www\\.")
    return re.sub(r"([@#])(?=\w)", rf"\1{_JOINER}", plain)


def code(text: object, most: int = 200) -> str:
    """A code span of any text: fenced by more backticks than it holds."""
    plain = clean(text, most).replace("|", "¦").strip() or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if "`" in plain[:1] + plain[-1:] else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _table(diagnoses: list[Diagnosis]) -> str:
    if not diagnoses:
        return "No run was found."
    rows = ["| Run | Verdict | Severity | Points |", "|---|---|---|---:|"]
    for diagnosis in diagnoses:
        verdict = wording.verdict(diagnosis)
        name = code(diagnosis.name, 80)
        points = numerals.count(diagnosis.points)
        rows.append(f"| {name} | {escaped(verdict.title)} | {verdict.severity or '–'} | {points} |")
    return "\n".join(rows)


def _section(diagnosis: Diagnosis) -> str:
    verdict = wording.verdict(diagnosis)
    lines = [f"## {escaped(verdict.title)}: {code(diagnosis.name, 100)}", ""]
    if verdict.lead:  # what was measured follows with the finding
        lines += [f"**{escaped(verdict.lead, 1200)}**{f' *{verdict.severity}*' if verdict.severity else ''}", ""]
    lines.append(
        f"{wording.STATES[diagnosis.state].capitalize()}; {wording.progress(diagnosis)}; "
        f"{numerals.plural(diagnosis.points, 'train-loss point')}."
    )
    if restarts := wording.restarts(diagnosis):
        lines[-1] += f" {restarts.capitalize()}; the later attempt counts."
    told = (
        ("Wasted", wording.wasted(diagnosis)),
        ("Early stopping", wording.early_stopping(diagnosis)),
        ("Checkpoint", wording.checkpoint(diagnosis)),
    )
    lines += ["", *(f"- {label}: {escaped(words)}." for label, words in told if words)] if any(w for _, w in told) else []
    for number, finding in enumerate(wording.ranked(diagnosis), start=1):
        lines += ["", *_finding(number, finding)]
    lines += [*_patch(diagnosis), "", *_checks(diagnosis)]
    notes = sorted(diagnosis.notes, key=lambda note: note.level != "warning")
    lines += [f"- {note.level}: {escaped(places.note(diagnosis, note))}" for note in notes[:MOST_NOTES]]
    if len(notes) > MOST_NOTES:
        lines.append(f"- and {numerals.count(len(notes) - MOST_NOTES)} more notes")
    return "\n".join(lines)


def _finding(number: int, finding: Finding) -> list[str]:
    where = numerals.steps(finding.start_step, finding.end_step)
    about = ", ".join(part for part in (finding.severity, where, wording.sure(finding.confidence)) if part)
    lines = [f"### {number}. {escaped(wording.title_of(finding.pattern))} ({about})", ""]
    lines.append(escaped(wording.sentence(finding.headline)))
    if finding.explained_by:
        lines.append(f"A consequence of {code(finding.explained_by)}: treat that first.")
    if finding.measured:
        lines += ["", "| Measured | Value | It takes |", "|---|---:|---:|"]
        for one in finding.measured[:12]:
            value, unit, threshold = numerals.measured(one)
            cells = (
                escaped(one.name.replace("_", " "), 80),
                escaped(f"{value} {unit}".strip()),
                escaped(threshold) or "–",
            )
            lines.append(f"| {' | '.join(cells)} |")
    told = wording.causes(finding, MOST_CAUSES)
    if told:
        lines += ["", "What may lie behind it:", ""]
    lines += [f"- **{escaped(wording.cause(cause))}.** {escaped(wording.evidence(cause), 2000)}" for cause in told]
    if finding.samples is not None:
        lines += ["", *_samples(finding.samples)]
    if finding.fixes:
        lines.append("")
    for order, fix in enumerate(finding.fixes, start=1):
        lines.append(f"{order}. **{escaped(wording.sentence(fix.title))}** {escaped(fix.why)}")
        for change in fix.changes:
            if change.to is not None:
                now = numerals.UNKNOWN if change.from_ is None else code(numerals.setting(change.from_))
                ground = f" ({escaped(wording.ground(change))})" if change.because else ""
                lines.append(f"   - {code(change.setting)}: {now} → {code(numerals.setting(change.to))}{ground}")
        not_when = f"Not when: {escaped(wording.sentence(fix.when_not))} " if fix.when_not else ""
        lines.append(f"   - {not_when}Cost: {wording.COSTS[fix.cost]}. Source: {escaped(wording.sentence(fix.source))}")
    return lines


def _patch(diagnosis: Diagnosis) -> list[str]:
    whose, texts = wording.patch_of(diagnosis)
    lines = ["", "### The patch", "", f"{escaped(whose)}:"] if texts else []
    for title, text in texts:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        lines += ["", f"{fence}{LANGUAGES.get(title, '')}", text, fence]
    remarks = [f"- {code(setting)}: {escaped(remark)}" for setting, remark in wording.remarks(diagnosis)] if texts else []
    return [*lines, *([""] if remarks else []), *remarks]


def _samples(samples: Samples) -> list[str]:
    """Which data to look at, with the snippet. It stands in a fence of its own, so what it holds is shown as it is."""
    lines = [f"Look at {escaped('; '.join(wording.sample_ranges(samples)), 1200)}."]
    told = [one for one in (wording.sample_basis(samples), *samples.doubts) if one]
    if told:
        lines[-1] += f" {escaped('; '.join(told), 1200)}."
    if samples.logged:
        lines += ["", *(f"- {code(line, 300)}" for line in samples.logged)]
    if samples.snippet:
        program = (clean(line, 200).replace("```", "") for line in samples.snippet.splitlines())
        lines += ["", "```python", *program, "```"]
    return lines


def _checks(diagnosis: Diagnosis) -> list[str]:
    clear = [code(o.pattern) for o in diagnosis.outcomes if o.status == "clear"]
    lines = [f"- Found nothing: {', '.join(clear)}" if clear else "- Found nothing: none of the checks"]
    for label, status in (("Could not look", "not-applicable"), ("Failed", "failed")):
        groups = wording.by_reason(diagnosis.outcomes, status)
        told = "; ".join(f"{', '.join(code(p) for p in patterns)} ({escaped(reason)})" for reason, patterns in groups)
        lines += [f"- {label}: {told}"] if told else []
    for reason, patterns in wording.unweighed(diagnosis):
        lines.append(f"- Causes not weighed: {', '.join(code(p) for p in patterns)} ({escaped(reason)})")
    if left := wording.left_out(diagnosis):
        lines.append(f"- Not asked for: {', '.join(code(p) for p in left)}")
    if changed := wording.changed(diagnosis):
        lines.append(f"- Thresholds changed: {', '.join(code(one) for one in changed)}")
    if diagnosis.verdict in ("healthy", "not-assessed"):
        lines += [f"- To log next time: {code(m)}, {escaped(how)}" for m, how, _ in wording.to_log(diagnosis)[:4]]
    return lines
