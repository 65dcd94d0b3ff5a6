"""Diagnosis -> one self-contained HTML page; several of them -> an index. Nothing is loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from curvelab.model.finding import Finding
from curvelab.model.result import Diagnosis
from curvelab.report import inlined, masked, numerals, places, wording
from curvelab.report.drawn import Figure, drawn
from curvelab.report.pictures import LOSS
from curvelab.report.plain import MOST_CHARACTERS, clean, shortened
from curvelab.report.svg import sparkline

MOST_NOTES = 60
MOST_FILES = 40
MOST_MEASURED = 12


@dataclass(frozen=True)
class FindingView:
    """A finding with its number, its pictures and the words of its card."""

    number: int
    finding: Finding
    title: str
    why: str
    wrong: str
    figures: Sequence[Figure]
    cause: int | None


def page(diagnosis: Diagnosis) -> str:
    """The page of one run."""
    findings = wording.ranked(diagnosis)
    pictures = drawn(diagnosis, findings)
    numbers = {f.pattern: number for number, f in reversed(list(enumerate(findings, start=1)))}
    views = []
    for number, (finding, figures) in enumerate(zip(findings, pictures.evidence, strict=True), start=1):
        card = wording.card_of(finding.pattern)
        views.append(
            FindingView(
                number=number,
                finding=finding,
                title=wording.title_of(finding.pattern),
                why=card.get("Why", ""),
                wrong=card.get("When it is wrong", ""),
                figures=figures,
                cause=numbers.get(finding.explained_by or ""),
            )
        )
    text: str = (
        templates()
        .get_template("page.html")
        .render(
            d=diagnosis,
            verdict=wording.verdict(diagnosis),
            wasted=wording.wasted(diagnosis),
            stopping=wording.early_stopping(diagnosis),
            checkpoint=wording.checkpoint(diagnosis),
            patch=wording.patch_of(diagnosis),
            patch_remarks=wording.remarks(diagnosis),
            patch_by_hand=wording.by_hand(diagnosis),
            pictures=pictures,
            main=pictures.main,
            findings=views,
            in_order=findings == wording.by_severity(findings),
            curves=pictures.curves,
            clear=[o.pattern for o in diagnosis.outcomes if o.status == "clear"],
            blind=wording.by_reason(diagnosis.outcomes, "not-applicable"),
            failed=wording.by_reason(diagnosis.outcomes, "failed"),
            to_log=wording.to_log(diagnosis),
            config=sorted(diagnosis.config.items()),
            files=_files(diagnosis),
            path=places.run(diagnosis),
            notes=[(note.level, places.note(diagnosis, note)) for note in diagnosis.notes],
            changed=wording.changed(diagnosis),
            left_out=wording.left_out(diagnosis),
        )
    )
    return text


def index(entries: list[tuple[Diagnosis, str]]) -> str:
    """A table of runs: (diagnosis, address of its page relative to this one)."""
    rows = [
        {
            "d": diagnosis,
            "href": safe_address(href),
            "verdict": wording.verdict(diagnosis),
            "others": max(0, len(diagnosis.findings) - (wording.verdict(diagnosis).severity is not None)),
            "spark": sparkline(masked.curve(diagnosis, LOSS), f"{LOSS} over the steps"),
        }
        for diagnosis, href in entries
    ]
    faulty = sum(row["verdict"].severity is not None for row in rows)  # type: ignore[attr-defined]
    text: str = templates().get_template("index.html").render(rows=rows, faulty=faulty)
    return text


def _files(diagnosis: Diagnosis) -> list[tuple[str, str, str]]:
    """(path, format, size and hash) of every file that was read."""
    files = diagnosis.provenance.get("files")
    known = [f for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    return [(places.file(diagnosis, str(f.get("path", ""))), str(f.get("format", "")), _hash_of(f)) for f in known]


def _hash_of(file: dict[str, Any]) -> str:
    size, digest = file.get("size"), file.get("sha256")
    if not isinstance(size, int) or not isinstance(digest, str):
        return ""
    return f"{numerals.plural(size, 'byte')}, SHA-256{' of the ' + str(file['hashed']) if 'hashed' in file else ''} {digest}"


def safe_address(href: str) -> str:
    """A relative address: percent-encoded, so that it can name a file but neither a scheme nor another host."""
    encoded = quote(re.sub("^/{2,}", "/", href).encode("utf-8", "replace"), safe="/._-~#")
    return encoded if len(encoded) <= MOST_CHARACTERS else ""  # a shortened one would lead elsewhere


def _setting_row(entry: Any) -> tuple[str, str]:
    """(value, where it was read) of an entry of `config`."""
    if isinstance(entry, dict) and "value" in entry:
        return numerals.setting(entry["value"]), str(entry.get("from", ""))
    return numerals.setting(entry), ""


def _finalize(value: Any) -> Any:
    """What every expression of a template goes through: markup of ours as it is, all else cleaned, then escaped."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else clean(value)


def as_style(sheet: str) -> Markup:
    """A style sheet for inlining, without its comments and line ends."""
    return Markup(re.sub(r"\s*\n\s*", " ", re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)).strip())


@cache
def templates() -> Environment:
    """The templates with what all of them need: words, numbers, style, and the cleaning of every value."""
    environment = Environment(
        loader=PackageLoader("curvelab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = inlined.script(environment, *(name for name in sorted(environment.list_templates(["js"])) if name.startswith("live/")))
    environment.globals.update(
        style=as_style(inlined.source(environment, "style.css")),
        as_style=as_style,
        script=script,
        script_hash=inlined.allowed(script),
        words=wording,
        numbers=numerals,
        setting_row=_setting_row,
        as_written=escape,  # several lines, cleaned one by one
        shortened=shortened,
        most_notes=MOST_NOTES,
        most_files=MOST_FILES,
        most_measured=MOST_MEASURED,
    )
    return environment
