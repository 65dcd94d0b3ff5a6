"""Diagnosis -> one self-contained HTML page; several of them -> an index. Nothing is loaded from anywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from curvelab.model.finding import SEVERITIES, Finding, Measured
from curvelab.model.result import Diagnosis
from curvelab.report import inlined, masked, numerals, places, wording
from curvelab.report.drawn import Figure, drawn
from curvelab.report.next_time import could_not_look, next_time
from curvelab.report.other_curves import MOST_NAMES
from curvelab.report.pictures import LOSS
from curvelab.report.plain import MOST_CHARACTERS, clean, shortened
from curvelab.report.shrinking import small_script, used_style
from curvelab.report.svg import sparkline
from curvelab.report.top import naming

LEAD_STEPS = 3  # of a longer list that a lead names
_LISTED = re.compile(r"\b(\d(?:[\d,]*\d)?(?:, \d(?:[\d,]*\d)?){4,})(?: and (\d[\d,]*) more)?")
_AFTER_PUNCTUATION = re.compile(r"(?<=[/\\_=:;])(?=[^\s/\\_=:;])|(?<=[.,+(-])(?=[A-Za-z_])")
MOST_FINDINGS = 40  # of a hand-made JSON: no run has had more than a dozen
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
    on_top: bool


def page(diagnosis: Diagnosis) -> str:
    """The page of one run."""
    ranked = wording.ranked(diagnosis)
    findings = ranked[:MOST_FINDINGS]
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
                on_top=pictures.told and finding is naming(diagnosis, findings),
            )
        )
    verdict = wording.verdict(diagnosis)
    blind, elsewhere = could_not_look(diagnosis)
    text: str = (
        templates()
        .get_template("page.html")
        .render(
            d=diagnosis,
            verdict=verdict,
            lead=_lead(verdict.headline or verdict.sentence),
            wasted=wording.wasted(diagnosis),
            stopping=wording.early_stopping(diagnosis),
            checkpoint=wording.checkpoint(diagnosis),
            patch=wording.patch_of(diagnosis),
            patch_remarks=wording.remarks(diagnosis),
            patch_by_hand=wording.by_hand(diagnosis),
            pictures=pictures,
            top=pictures.top,
            not_drawn=pictures.not_drawn,
            findings=views,
            more_findings=len(ranked) - len(findings),
            in_order=ranked == wording.by_severity(ranked),
            curves=pictures.curves,
            clear=[o.pattern for o in diagnosis.outcomes if o.status == "clear"],
            blind=blind,
            elsewhere=elsewhere,
            failed=wording.by_reason(diagnosis.outcomes, "failed"),
            to_log=next_time(diagnosis),
            config=_settings(diagnosis),
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
        for diagnosis, href in sorted(entries, key=lambda entry: _worst_first(entry[0]))
    ]
    faulty = sum(row["verdict"].severity is not None for row in rows)  # type: ignore[attr-defined]
    text: str = templates().get_template("index.html").render(rows=rows, faulty=faulty)
    return text


def _worst_first(diagnosis: Diagnosis) -> tuple[int, float]:
    """Where a run stands in the index: by its verdict, the surest first; what could not be assessed before the healthy."""
    root = next((f for f in diagnosis.findings if f.pattern == diagnosis.verdict), None)
    if root is not None:
        return -SEVERITIES.index(root.severity), -root.confidence
    return 1 + (diagnosis.verdict == "healthy"), 0.0


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


def _settings(diagnosis: Diagnosis) -> list[tuple[str, list[tuple[str, str]]]]:
    """The settings by where they were read: (source, (name, value) of each), the source of the most settings first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, entry in sorted(diagnosis.config.items()):
        known = isinstance(entry, dict) and "value" in entry
        source = str(entry.get("from", "")) if known else ""
        found.setdefault(source, []).append((name, numerals.setting(entry["value"] if known else entry)))
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _lead(sentence: str) -> str:
    """A verdict's sentence without a long list of steps, which the finding below has in full."""
    return _LISTED.sub(_few, sentence)


def _few(found: re.Match[str]) -> str:
    steps = found[1].split(", ")
    more = len(steps) - LEAD_STEPS + int((found[2] or "0").replace(",", ""))
    return f"{', '.join(steps[:LEAD_STEPS])} and {numerals.count(more)} more"


def breakable(text: str) -> Markup:
    """A text that may be wrapped after its punctuation: names and values have no blanks."""
    return Markup("<wbr>").join(escape(part) for part in _AFTER_PUNCTUATION.split(clean(text)))


def _against(one: Measured, threshold: str) -> str:
    """The threshold with the side of it on which the finding is made, or else on which the value lies."""
    if one.threshold is None or not math.isfinite(one.value) or threshold.startswith(("≥", "≤", "<", ">")):
        return threshold
    fires = getattr(one, "fires", "")
    if fires:
        return f"{'≥' if fires == 'above' else '≤'} {threshold}"
    return f"{'≥' if one.value >= one.threshold else '<'} {threshold}"


def _decided(one: Measured) -> bool:
    """Whether a number is known to have made the finding: it lies where it does so."""
    fires = getattr(one, "fires", "")
    if one.threshold is None or not fires:
        return False
    return one.value >= one.threshold if fires == "above" else one.value <= one.threshold


def _finalize(value: Any) -> Any:
    """What every expression of a template goes through: markup of ours as it is, all else cleaned, then escaped."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else clean(value)


def as_style(sheet: str, body: str) -> Markup:
    """What a page uses of a style sheet, for inlining."""
    return Markup(used_style(sheet, body))


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
    parts = [name for name in sorted(environment.list_templates(["js"])) if name.startswith("live/")]
    script = Markup(small_script(inlined.source(environment, name) for name in parts))
    environment.globals.update(
        style=inlined.source(environment, "style.css"),
        as_style=as_style,
        script=script,
        script_hash=inlined.allowed(script),
        words=wording,
        numbers=numerals,
        breakable=breakable,
        against=_against,
        decided=_decided,
        most_names=MOST_NAMES,
        as_written=escape,  # several lines, cleaned one by one
        shortened=shortened,
        most_notes=MOST_NOTES,
        most_files=MOST_FILES,
        most_measured=MOST_MEASURED,
    )
    return environment
