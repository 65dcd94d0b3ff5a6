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
from curvelab.report import masked, numerals, places, wording
from curvelab.report.keys import Key
from curvelab.report.pictures import LOSS, Panel, curve_panel, evidence_panels, is_loss, loss_panel
from curvelab.report.plain import clean, shortened
from curvelab.report.svg import sparkline

WIDE, NARROW, HALF = 960, 350, 466  # px: pictures of a wide page, of a telephone, and of two side by side
MAIN_POINTS, EVIDENCE_POINTS, CURVE_POINTS, NARROW_POINTS = 1600, 700, 400, 240
ALL_EVIDENCE_POINTS = 3600  # in all pictures of findings: a page of many findings stays small
MOST_EVIDENCE = 12  # pictures of findings in all; the main picture shows every finding
MOST_CURVES = 8
MOST_NOTES = 60
MOST_FILES = 40
MOST_MEASURED = 12
FIRST_CURVES = ("train/grad_norm", "train/learning_rate")
# Metrics of the machinery, and how long the evals took: at most one is drawn beside better ones.
_LAST_CURVES = re.compile(r"(runtime|total_flos|num_input_tokens_seen|epoch|^(eval|test|validation)/.*_per_second)$")


@dataclass(frozen=True)
class Figure:
    """A picture in its two widths, with caption and key. `narrow` is empty where the wide one serves both."""

    wide: Markup
    narrow: Markup
    caption: str
    points: int
    keys: Sequence[Key]
    note: str


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
    main, pictures, curves = _draw(diagnosis, findings)
    numbers = {f.pattern: number for number, f in reversed(list(enumerate(findings, start=1)))}
    views = []
    for number, (finding, figures) in enumerate(zip(findings, pictures, strict=True), start=1):
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
            main=main,
            findings=views,
            in_order=findings == wording.by_severity(findings),
            curves=curves,
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
            "href": _safe_address(href),
            "verdict": wording.verdict(diagnosis),
            "others": max(0, len(diagnosis.findings) - (wording.verdict(diagnosis).severity is not None)),
            "spark": sparkline(masked.curve(diagnosis, LOSS), f"{LOSS} over the steps"),
        }
        for diagnosis, href in entries
    ]
    faulty = sum(row["verdict"].severity is not None for row in rows)  # type: ignore[attr-defined]
    text: str = templates().get_template("index.html").render(rows=rows, faulty=faulty)
    return text


def _draw(diagnosis: Diagnosis, findings: Sequence[Finding]) -> tuple[Figure | None, list[list[Figure]], list[Figure]]:
    """(main picture, pictures of each finding, other curves). matplotlib is imported here: 0.4 s."""
    from curvelab.report.figures import draw, drawing, scale_of

    number = iter(range(1000))

    def figure(wide: Panel, narrow: Panel | None, width: int, height: int) -> Figure:
        return Figure(
            wide=draw(wide, width, height, f"f{next(number)}-", "wide" if narrow else "any"),
            narrow=draw(narrow, NARROW, round(0.75 * height), f"f{next(number)}-", "narrow") if narrow else Markup(""),
            caption=wide.metrics + wide.about + _axis_words(wide, scale_of(wide).log),
            note=wide.note,
            points=sum(one.points for one in wide.lines),
            keys=wide.keys,
        )

    with drawing():
        wide, narrow = (loss_panel(diagnosis, findings, most) for most in (MAIN_POINTS, NARROW_POINTS))
        main = figure(wide, narrow, WIDE, 340) if wide else None
        left = MOST_EVIDENCE
        share = max(NARROW_POINTS, min(EVIDENCE_POINTS, ALL_EVIDENCE_POINTS // max(1, len(findings))))
        pictures = []
        for finding in findings:
            pairs = zip(
                evidence_panels(diagnosis, finding, share),
                evidence_panels(diagnosis, finding, NARROW_POINTS),
                strict=True,
            )
            pictures.append([figure(a, b, WIDE, 230) for a, b in list(pairs)[:left]])
            left -= len(pictures[-1])
        curves = [
            figure(curve_panel(diagnosis, metric, CURVE_POINTS), None, HALF, 190) for metric in _other_curves(diagnosis)
        ]
    return main, pictures, curves


def _axis_words(panel: Panel, log: bool) -> str:
    if not log:
        return ""
    zeros = any((one.value == 0).any() for one in panel.lines)
    return " (logarithmic; 0 stands at the foot)" if zeros else " (logarithmic)"


def _other_curves(diagnosis: Diagnosis) -> list[str]:
    """Metrics for the small pictures: gradient norm and learning rate first, then those in the order of the series."""
    shown = {LOSS} if LOSS in diagnosis.series else set(list(diagnosis.series)[:1])
    rest = [m for m in diagnosis.series if not is_loss(m) and m not in FIRST_CURVES and m not in shown]
    better = [*(m for m in FIRST_CURVES if m in diagnosis.series), *(m for m in rest if not _LAST_CURVES.search(m))]
    last = [m for m in rest if _LAST_CURVES.search(m)]
    return [*better, *(last[:1] if better else last)][:MOST_CURVES]


def _files(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    files = diagnosis.provenance.get("files")
    known = [f for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    return [(places.file(diagnosis, str(f.get("path", ""))), str(f.get("format", ""))) for f in known]


def _safe_address(href: str) -> str:
    """A relative address: percent-encoded, so that it can name a file but no scheme."""
    return quote(href.encode("utf-8", "replace"), safe="/._-~#")


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
    style, _, _ = environment.loader.get_source(environment, "style.css")  # type: ignore[union-attr]
    environment.globals.update(
        style=Markup(re.sub(r"\s*\n\s*", " ", re.sub(r"/\*.*?\*/", "", style, flags=re.S)).strip()),
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
