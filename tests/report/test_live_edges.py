"""The zoomed picture at its edges: NaN that come late, thresholds far away, curves of zeros, steps of many digits."""

from __future__ import annotations

import math
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from curvelab.model.finding import Level
from curvelab.model.result import Diagnosis, SeamMark, Thinned
from curvelab.report.page import page
from curvelab.signals.thinning import min_max_rows

from . import diagnoses as made
from .browser import PROGRAM, Browser
from .test_live import CHART, READOUT, drag, place

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed")


def of_loss(step: list[int], value: list[float], **fields: object) -> Diagnosis:
    """A run of one curve, in the JSON as it is when it was logged."""
    kept = min_max_rows(np.array(value), 1600)
    curve = Thinned(points=len(value), step=[step[i] for i in kept], value=[value[i] for i in kept])
    return made.diagnosis(series={"train/loss": curve}, first_step=step[0], last_step=step[-1], best_step=None, planned_steps=None, **fields)


def with_late_nan() -> Diagnosis:
    """200 NaN at the beginning, one late: more turns than points that are kept of them."""
    n = 100_000
    value = made.noisy(n, 3, 2, 0.05)
    value[5:40_000:200] = math.nan
    value[80_000] = math.nan
    return of_loss(list(range(n)), value.tolist())


def shown(diagnosis: Diagnosis, browser: Browser, tmp_path: Path, width: int = 1100) -> Browser:
    file = tmp_path / "page.html"
    file.write_text(page(diagnosis), encoding="utf-8")
    browser.open(file.as_uri(), width)
    return browser


def test_a_late_nan_stays_marked_in_both_widths() -> None:
    pictures = re.findall(r"<svg[^>]*data-box=.*?</svg>", page(with_late_nan()), re.S)
    assert len(pictures) == 2
    for svg in pictures:
        left, _, width, _ = map(float, re.search(r'data-box="([^"]+)"', svg)[1].split())  # type: ignore[index]
        rugs = [float(x) for x in re.findall(r'class="spoilt"><path d="M([\d.]+)', svg)]
        assert any(abs((x - left) / width - 0.8) < 0.01 for x in rugs)
        assert len(rugs) < width / 2


@needs_browser
def test_a_late_nan_is_marked_when_zoomed(browser: Browser, tmp_path: Path) -> None:
    drag(shown(with_late_nan(), browser, tmp_path), 0.7, 0.9)
    marks = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", browser.value(f"{CHART}.querySelector('.live .rug').getAttribute('d')"))
    left, _, width, _ = map(float, browser.value(f"{CHART}.dataset.box").split())
    assert [True for a, b in marks if abs(((float(a) + float(b)) / 2 - left) / width - 0.5) < 0.03] == [True]


@needs_browser
@pytest.mark.parametrize("far", [1.0, 1e300, -1e300])
def test_a_curve_of_zeros_and_a_threshold_far_away(far: float, browser: Browser, tmp_path: Path) -> None:
    level = Level(metric="train/grad_norm", value=far, start_step=None, end_step=None, label="limit")
    finding = msgspec.structs.replace(made.exploding(), evidence=(level,))
    curves = made.series() | {"train/grad_norm": made.thinned(made.steps(), [0.0] * 200)}
    shown(made.diagnosis([finding], series=curves), browser, tmp_path)
    browser.value("document.querySelector('[data-zoom=in]').click()")
    browser.settle()
    assert browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    paths = browser.value("[...document.querySelectorAll('.live path')].map(e => e.getAttribute('d')).join(' ')")
    assert not re.search(r"NaN|Infinity|e[+-]?\d", paths)


@needs_browser
def test_steps_of_many_digits_are_written_out(browser: Browser, tmp_path: Path) -> None:
    step = [40_000_000 + 5000 * i for i in range(1001)]
    shown(of_loss(step, made.noisy(1001, 3, 2, 0.05).tolist()), browser, tmp_path)
    browser.mouse(("Moved", *place(browser, 0.5)))
    assert browser.value(READOUT).startswith("step 42,500,000")


def test_of_many_restarts_some_are_drawn_over_the_whole_run_and_it_is_said() -> None:
    seams = tuple(SeamMark(step=3 * i, reached=3 * i + 2) for i in range(1, 301))
    text = page(made.diagnosis(seams=seams))
    drawn = [int(step) for step in re.search(r'"seams":\[([\d,]+)\]', text)[1].split(",")]  # type: ignore[index]
    assert len(drawn) <= 40 and drawn[0] == 3 and drawn[-1] > 850
    assert "and 297 more; every 8th is drawn" in text
    assert "is drawn" not in page(made.diagnosis(seams=seams[:40]))
