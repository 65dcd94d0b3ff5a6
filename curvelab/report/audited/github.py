"""AuditResult -> what GitHub Actions shows of a job: the step's summary, and annotations by workflow commands.

`annotations` is a function here: the file does without the import of that name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from curvelab.model.audit import AuditedRun, AuditResult
from curvelab.report import wording
from curvelab.report.audited import telling
from curvelab.report.audited.places import below, place_of, runs_by_key
from curvelab.report.plain import clean

SUMMARY_BYTES = 1024 * 1024  # of one step, by GitHub's documentation; a larger one is refused as a whole
MOST_ANNOTATIONS = 10  # of one level in one step, by GitHub's documentation; it drops the others without a word
LONGEST_PATH = 1000
CUT = "\n\n… cut: GitHub shows at most 1 MiB here.\n"


def summary(result: AuditResult, link: str = "") -> str:
    """The step's summary as Markdown, at most 1 MiB in UTF-8; `link` is the address of the audit's page."""
    from curvelab.report.audited.markdown import markdown

    return _cut(markdown(result, link=link, limit=SUMMARY_BYTES), SUMMARY_BYTES)


def append_summary(text: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Append to the file of GITHUB_STEP_SUMMARY, as much as still fits; why that was not possible, or None."""
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return "GITHUB_STEP_SUMMARY is not set: this is no job of GitHub Actions"
    try:
        with Path(name).open("ab") as file:
            file.write(_cut(text, SUMMARY_BYTES - file.tell()).encode())
    except OSError as error:
        return f"{clean(name, 300)}: the summary cannot be written ({error.strerror or error})"
    return None


def annotations(result: AuditResult, workspace: str | None = None) -> list[str]:
    """Workflow commands, one a line for stdout: what is told of; errors are what makes the audit fail, and nothing else.

    workspace   the checked-out repository, to which the files are relative; the job's own unless given
    """
    base = workspace or os.environ.get("GITHUB_WORKSPACE") or str(Path.cwd())
    runs = runs_by_key(result)
    errors, warnings, notices = [], [], 0
    for one in result.told:
        file = _file(result, one.run, runs, base)
        line = (f"{one.pattern}: {one.run_name}", one.headline + (f" Fix: {one.fix}." if one.fix else ""), file)
        if one.fails:
            errors.append(_command("error", *line))
        elif one.severity != "info":
            warnings.append(_command("warning", *line))
        else:
            notices += 1
    for odd in telling.unusual(result, new=True):
        if odd.severity == "info":
            notices += 1
            continue
        line = (f"{odd.pattern}: {odd.run_name}", wording.sentence(odd.sentence), _file(result, odd.run, runs, base))
        warnings.append(_command("warning", *line))
    warnings += [
        _command("warning", "cannot be read", f"{unread.path}: {unread.message}", below(unread.path, base))
        for unread in telling.unread(result)[0]
    ]
    more = _more(errors, warnings, notices)
    return errors[:MOST_ANNOTATIONS] + warnings[:MOST_ANNOTATIONS] + more


def _file(result: AuditResult, key: str, runs: Mapping[str, AuditedRun], base: str) -> str | None:
    """The log of a run, relative to the repository: GitHub shows an annotation at a file, not at a folder."""
    run = runs.get(key)
    return None if run is None else below(str(PurePath(result.root, place_of(result, key, run))), base)


def _more(errors: Sequence[str], warnings: Sequence[str], notices: int) -> list[str]:
    left = {
        "error": max(0, len(errors) - MOST_ANNOTATIONS),
        "warning": max(0, len(warnings) - MOST_ANNOTATIONS),
        "notice": notices,
    }
    told = [f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in left.items() if count]
    return [_command("notice", "curvelab audit", f"and {', '.join(told)} more: see the summary", None)] if told else []


def _command(level: str, title: str, message: str, file: str | None) -> str:
    """One workflow command. GitHub takes only what is escaped as it says; a property has two characters more."""
    properties = {"title": clean(title, 150), **({"file": clean(file, LONGEST_PATH)} if file else {})}
    shown = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{level} {shown}::{_escaped(clean(message, 1000))}"


def _escaped(text: str, more: str = "") -> str:
    plain = text.encode("utf-8", "replace").decode()
    for character in "%\r\n" + more:
        plain = plain.replace(character, f"%{ord(character):02X}")
    return plain


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8: whole lines, and a word that some are missing."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    room = most - len(CUT.encode())
    if room <= 0:
        return ""
    return encoded[:room].rpartition(b"\n")[0].decode("utf-8", "ignore") + CUT
