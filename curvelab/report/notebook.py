"""Diagnosis -> HTML for a notebook's cell: verdict, findings with their first fix, and the main picture."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from markupsafe import Markup

from curvelab.model.result import Diagnosis
from curvelab.report import wording
from curvelab.report.gallery import MAIN_POINTS
from curvelab.report.page import templates
from curvelab.report.top import top_panels

WIDTH, HEIGHT = 760, 260  # px


def notebook(diagnosis: Diagnosis) -> str:
    """A fragment without scripts or styles of its own; its colours hold on light and dark grounds."""
    from curvelab.report.canvas import COLOURS

    findings = wording.ranked(diagnosis)
    picture, caption = _picture(diagnosis)
    text: str = (
        templates()
        .get_template("notebook.html")
        .render(
            d=diagnosis,
            verdict=wording.verdict(diagnosis),
            findings=findings,
            picture=picture,
            caption=caption,
            width=WIDTH,
            colours=";".join(f"--{name}:{code}" for name, code in COLOURS.items()),
        )
    )
    return text


def _picture(diagnosis: Diagnosis) -> tuple[Markup, str]:
    """The main picture without its numbers, which lead to a list that a cell does not have."""
    from curvelab.report.figures import draw, drawing

    panel = next(iter(top_panels(diagnosis, wording.ranked(diagnosis), MAIN_POINTS)), None)
    if panel is None:
        return Markup(""), ""
    # Cells of one notebook are one document: ids must differ from run to run.
    prefix = "c" + hashlib.sha256(f"{diagnosis.path}\0{diagnosis.id}".encode("utf-8", "replace")).hexdigest()[:8] + "-"
    with drawing():
        caption = "; ".join(key.text for key in panel.keys)
        return draw(replace(panel, lanes=()), WIDTH, HEIGHT, prefix, "curvelab"), caption
