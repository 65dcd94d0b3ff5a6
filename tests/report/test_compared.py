"""The page of a comparison: from the JSON alone, small at any number of runs, harmless, and alive in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparing.made import broken, made

import curvelab
from curvelab.model.comparison import Comparison
from curvelab.report.compared.markdown import markdown
from curvelab.report.compared.page import page
from curvelab.report.compared.text import plain
from curvelab.report.compared.tracks import band_of, outliers, tracks

from . import diagnoses as made_up
from .browser import PROGRAM, Browser
from .test_browser import CUT_OFF

MEGABYTE = 1_000_000


def several(count: int, points: int = 100) -> Comparison:
    """So many runs of a sweep, every tenth broken, one far off."""
    rng = np.random.default_rng(0)
    floors = 1.8 + rng.normal(0, 0.05, count)
    floors[-1] = 2.8
    runs = [
        broken(f"sweep-{i}", learning_rate=1e-4 * (1 + i)) if i % 10 == 9 and i < count - 1
        else made(f"sweep-{i}", float(floor), points=points, learning_rate=1e-4 * (1 + i))
        for i, floor in enumerate(floors)
    ]  # fmt: skip
    return curvelab.compare(runs, baseline="sweep-1")


@pytest.fixture(scope="module")
def three() -> Comparison:
    return several(3)


@pytest.fixture(scope="module")
def thirty() -> Comparison:
    return several(30)


@pytest.fixture(scope="module")
def odd() -> Comparison:
    """Twelve runs of a sweep and two of another vocabulary, with groups of settings that only some logs tell."""
    rng = np.random.default_rng(1)
    runs = [made(f"sweep-{i}", 1.8 + rng.normal(0, 0.05), learning_rate=1e-4 * (1 + i), weight_decay=0.01 * (i % 5 + 1)) for i in range(12)]
    return curvelab.compare([*runs, *(made(f"odd-{i}", 1.5, vocab_size=9, learning_rate=1e-4 * (1 + i)) for i in range(2))], baseline="sweep-1")


def hostile(text: str) -> Comparison:
    """Runs whose names and settings hold a text that means harm."""
    runs = [replace(made("a", optim=text), name=text), replace(made("b", 2.2, optim="sgd"), name=text + "2")]
    return curvelab.compare(runs)


def test_the_page_is_drawn_from_the_json_alone(three):
    assert page(Comparison.from_json(three.to_json())) == page(three)


def test_few_runs_are_named_at_their_curves(three):
    text = page(three)
    assert len(re.findall(r'<text class="label', text)) == 3 * 2 * 3 * len(three.axis.possible)  # pictures, widths
    assert "multiples" not in text.split("</style>")[-1].split("<script>")[0]


def test_some_runs_have_a_small_picture_each_and_the_outlier_is_named(thirty):
    text = page(thirty)
    assert text.count('class="mini"') == 30 * len(thirty.axis.possible)
    mine = tracks(thirty, "eval/loss", "step", 100)
    band = band_of(mine)
    assert band is not None
    assert outliers(mine, band)[0].name == "sweep-29"
    assert re.search(r'<text class="label r\d" data-run="29"[^>]*>sweep-29', text)


@pytest.mark.parametrize(("count", "points", "most"), [(20, 3000, 2 * MEGABYTE), (300, 200, 5 * MEGABYTE)])
def test_the_page_stays_small(count, points, most):
    comparison = several(count, points)
    text = page(comparison)
    assert len(text.encode()) < most
    assert text.count("<tr data-run=") >= 2 * count


def test_seeds_are_drawn_as_mean_and_band():
    runs = [made(f"{n}-seed{s}", f + 0.02 * s, seed=s, learning_rate=r) for n, f, r in (("a", 1.8, 1e-4), ("b", 2.1, 1e-3)) for s in range(6)]
    comparison = curvelab.compare(runs)
    text = page(comparison)
    assert text.count('<path class="spread') == 2 * 2 * 2 * len(comparison.axis.possible)  # settings, metrics, widths
    assert "a (6 seeds) is the best" in text
    assert len(comparison.partings) == 1


def test_a_refusal_stands_before_the_curves():
    text = page(curvelab.compare([made("a"), made("b", vocab_size=32000)]))
    assert "These runs must not be ranked" in text
    assert text.index("Why there is no ranking") < text.index("<figure")
    assert "bits per byte" in text


def test_the_comparable_rest_is_ranked_on_the_page_and_the_odd_runs_are_named(odd):
    text = page(odd)
    assert "Why not all runs are ranked" in text
    assert "must not be ranked" not in text
    assert "curvelab compare runs/odd-0 runs/odd-1" in text
    assert text.count('<svg class="dots"') == 2
    assert page(Comparison.from_json(odd.to_json())) == text
    assert "Why not all runs are ranked" in plain(odd, 100)
    assert "Why not all runs are ranked" in markdown(odd)


def test_only_the_script_of_the_page_may_run(three):
    text = page(three)
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    allowed = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src '{allowed}'" in text.replace("&#39;", "'").replace("&#43;", "+")
    assert "unsafe-inline'" not in text.split("script-src")[1][:80]


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_texts_of_a_log_do_no_harm(text):
    comparison = hostile(text)
    drawn = page(comparison)
    assert drawn.count("<script") == 1
    assert "<img" not in drawn
    assert "<img" not in re.sub(r"`+[^`]*`+|\\<", "", markdown(comparison))
    for told in (drawn, markdown(comparison), plain(comparison, 80)):
        assert "\x1b" not in told
        assert "\u202e" not in told


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no chromium is installed")
    try:
        with Browser(tmp_path_factory.mktemp("profile")) as one:
            yield one
    except (TimeoutError, BrokenPipeError) as error:
        pytest.skip(f"chromium does not start here: {error}")


def opened(browser: Browser, text: str, folder: Path, width: int) -> None:
    """Open a page and see that it asked for nothing, said nothing and fits."""
    file = folder / "compare.html"
    file.write_text(text, encoding="utf-8")
    browser.open(file.as_uri(), width)
    assert {told["request"]["url"] for told in browser.told("Network.requestWillBeSent")} <= {file.as_uri(), "data:,"}
    assert browser.told("Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Page.windowOpen") == []
    said = browser.told("Runtime.consoleAPICalled", "Log.entryAdded")
    assert [entry for entry in said if entry.get("entry", {}).get("level", "error") in ("error", "warning")] == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(CUT_OFF) == []


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("name", ["three", "thirty", "odd"])
def test_a_page_fetches_nothing_logs_no_error_and_fits_the_view(name, width, browser, request, tmp_path):
    opened(browser, page(request.getfixturevalue(name)), tmp_path, width)


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_a_hostile_page_does_nothing_in_a_browser(text, browser, tmp_path):
    opened(browser, page(hostile(text)), tmp_path, 360)


def test_the_axis_changes_without_a_script_and_the_table_sorts(browser, three, tmp_path):
    opened(browser, page(three), tmp_path, 1100)
    shown = "[...document.querySelectorAll('.by-axis')].filter(e => e.offsetHeight > 0).map(e => e.className)"
    assert browser.value(shown) == ["by-axis axis-step"]
    browser.value("document.querySelector('label[for=axis-epoch]').click()")
    assert browser.value(shown) == ["by-axis axis-epoch"]
    names = "[...document.querySelectorAll('#runs tbody th')].map(e => e.textContent)"
    best = browser.value(names)
    browser.value("document.querySelectorAll('#runs thead button')[3].click()")
    assert sorted(browser.value(names)) == sorted(best)
    browser.value("document.querySelectorAll('#runs thead button')[3].click()")
    assert browser.value("document.querySelectorAll('#runs [aria-sort=descending]').length") == 1


def test_runs_are_highlighted_by_name_setting_or_finding(browser, three, tmp_path):
    opened(browser, page(three), tmp_path, 1100)
    for words, expected in (("sweep-2", ["2"]), ("learning_rate=0.0002", ["1"]), ("nothing-of-the-kind", [])):
        browser.value(
            f"(() => {{const f = document.getElementById('find'); f.value = '{words}'; f.dispatchEvent(new Event('input'))}})()"
        )
        assert browser.value("[...new Set([...document.querySelectorAll('.hit')].map(e => e.dataset.run))]") == expected
