"""A page in a reader's hands: crosshair, zoom, axes, toggles; policy, accessibility and print, in a real browser."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from curvelab.diagnosis import diagnose
from curvelab.ingest import load
from curvelab.model.result import Diagnosis, Landmarks, SeamMark, Thinned
from curvelab.report import numerals
from curvelab.report.page import index, page

from . import diagnoses as made
from .axe import axe_script
from .browser import PROGRAM, Browser
from .test_browser import CUT_OFF

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed")

SAMPLE = Path(__file__).parents[2] / "sample_runs" / "overfitting"
CHART = "document.querySelector('figure > svg:not(.narrow)')"
LABELS = f"[...{CHART}.querySelectorAll('.live text[text-anchor=middle]:not(.number, .axis)')].map(e => e.textContent)"
READOUT = "document.querySelector('.readout').textContent"


def clocked() -> Diagnosis:
    """An overfitting run that knows its epochs, tokens and times; it was restarted once and warmed up."""
    series = {}
    for name, one in made.series().items():
        epoch = [step / 250 for step in one.step]
        tokens = [4096.0 * step for step in one.step]
        wall = [1.7e9 + 9 * step + (3600 if step > 600 else 0) for step in one.step]
        series[name] = msgspec.structs.replace(one, epoch=epoch, tokens=tokens, wall_time=wall)
    return made.diagnosis(
        [made.overfitting(), made.exploding()],
        series=series,
        seams=(SeamMark(step=600, reached=640),),
        landmarks=Landmarks(warmup_end=50, epoch_ends=(250, 500, 750, 1000)),
    )


PAGES = {
    "clocked": lambda: page(clocked()),
    "ten findings": lambda: page(made.ten_findings()),
    "healthy": lambda: page(made.diagnosis()),
    "patch": lambda: page(diagnose(load(SAMPLE))),
    "hostile": lambda: page(made.hostile(made.HOSTILE[0])),
    "index": lambda: index([(made.ten_findings(), "a.html"), (made.diagnosis(), "b.html")]),
}


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Browser:
    """The browser with the page of `clocked`."""
    file = tmp_path / "page.html"
    file.write_text(page(clocked()), encoding="utf-8")
    browser.open(file.as_uri(), 1100)
    return browser


def place(browser: Browser, share: float) -> tuple[float, float]:
    """A point of the main plot: so far from its left to its right end, half way up."""
    box = browser.value(f"(() => {{ const b = {CHART}.getBoundingClientRect(); return [b.x, b.y, b.width]; }})()")
    left, top, width, height = map(float, browser.value(f"{CHART}.dataset.box").split())
    scale = box[2] / browser.value(f"{CHART}.viewBox.baseVal.width")
    return box[0] + scale * (left + share * width), box[1] + scale * (top + height / 2)


def drag(browser: Browser, first: float, last: float) -> None:
    a, b = place(browser, first), place(browser, last)
    middle = ((a[0] + b[0]) / 2, a[1])
    browser.mouse(("Moved", *a), ("Pressed", *a), ("Moved", *middle), ("Moved", *b), ("Released", *b))


def test_without_a_wish_the_still_picture_stands(shown: Browser) -> None:
    assert shown.value("document.querySelectorAll('.is-live, .live, .cross').length") == 0
    assert shown.value("getComputedStyle(document.querySelector('.tools')).display") == "flex"


def test_the_crosshair_shows_values_in_all_pictures(shown: Browser) -> None:
    shown.mouse(("Moved", *place(shown, 0.5)))
    train, evals = (numerals.value(clocked().series[m].value[i]) for m, i in (("train/loss", 99), ("eval/loss", 9)))
    assert shown.value(READOUT) == f"step 500, epoch 2: train/loss {train}, eval/loss {evals}"
    told = shown.value("[...document.querySelectorAll('.readout')].map(e => e.textContent)")
    assert all(text.startswith("step 500") for text in told)
    crosses = "[...document.querySelectorAll('figure > svg')].filter(e => e.getClientRects().length).map(e => e.querySelectorAll('.cross').length)"
    assert set(shown.value(crosses)) == {1}
    shown.mouse(("Moved", 5, 5))
    assert shown.value("document.querySelectorAll('.cross').length") == 0


def test_dragging_zooms_and_escape_or_a_double_click_shows_all_again(shown: Browser) -> None:
    drag(shown, 0.2, 0.4)
    assert shown.value(LABELS)[0] == "200" and shown.value(LABELS)[-1] == "400"
    everywhere = "[...document.querySelectorAll('figure > svg')].filter(e => e.getClientRects().length).every(e => e.classList.contains('is-live'))"
    assert shown.value(everywhere)
    shown.press("Escape")
    assert shown.value("document.querySelectorAll('.live').length") == 0
    drag(shown, 0.5, 0.9)
    assert shown.value(LABELS)[0] == "500"
    at = place(shown, 0.5)
    shown.mouse(("Pressed", *at), ("Released", *at))
    shown.mouse(("Pressed", *at), ("Released", *at), clicks=2)
    assert shown.value("document.querySelectorAll('.live').length") == 0


def test_a_zoomed_picture_has_the_marks_of_the_still_one(shown: Browser) -> None:
    drag(shown, 0.001, 0.999)
    for mark in ("grid", "warmup", "span", "edge", "train", "eval-0", "seam", "epoch", "best", "lane", "number"):
        assert shown.value(f"{CHART}.querySelectorAll('.live .{mark}').length") > 0, mark
    assert shown.value(f"{CHART}.querySelector('.live a').getAttribute('aria-label')") == "Finding 1: Overfitting"


def test_a_zoomed_curve_lies_where_the_still_one_does(shown: Browser) -> None:
    box = "(e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round); })"
    still = shown.value(f"{box}({CHART}.querySelector('.raw path'))")
    shown.value("document.querySelector('li[data-series=\"1\"] button').click()")
    shown.settle()
    drawn = shown.value(f"{box}({CHART}.querySelector('.live .train'))")
    assert all(abs(a - b) <= 1 for a, b in zip(still, drawn, strict=True))


def test_keys_move_the_crosshair_and_zoom(shown: Browser) -> None:
    shown.value(f"{CHART}.focus()")
    assert shown.value(f"{CHART}.matches(':focus')")
    shown.press("ArrowRight", "ArrowRight")
    assert shown.value(READOUT).startswith("step 10,")
    assert shown.value("document.querySelector('[role=status]').textContent").startswith("step 10,")
    shown.press("End", "ArrowLeft")
    assert shown.value(READOUT).startswith("step 995,")
    shown.press("+")
    assert shown.value(f"{CHART}.classList.contains('is-live')")
    shown.press("-")
    assert not shown.value(f"{CHART}.classList.contains('is-live')")


def test_other_axes(shown: Browser) -> None:
    assert shown.value("[...document.querySelectorAll('[name=axis]')].map(e => e.value)") == ["step", "epoch", "tokens", "time"]
    for axis, first, last in (("epoch", "0", "4.0"), ("tokens", "0", "4M"), ("time", "0 h", "3.0 h")):
        shown.value(f"document.querySelector('[value={axis}]').click()")
        shown.settle()
        labels = shown.value(LABELS)
        assert (labels[0], labels[-1]) == (first, last)
    shown.value("document.querySelector('[data-zoom=reset]').click()")
    shown.settle()
    assert shown.value("document.querySelectorAll('.live').length") == 0


def test_smoothing_and_hiding_of_curves(shown: Browser) -> None:
    found = []
    for percent in (5, 20):
        change = f"e.value = {percent}; e.dispatchEvent(new Event('input', {{bubbles: true}}))"
        shown.value(f"(e => {{ {change} }})(document.querySelector('[type=range]'))")
        shown.settle()
        found.append(shown.value("[...document.querySelectorAll('.live .trend')].map(e => e.getAttribute('d'))"))
    assert found[0] and len(found[0]) == len(found[1])
    assert found[0] != found[1]
    # What was logged and its running median are switched apart, each by its own entry, in every picture.
    for what, left in (("0", ["trend train"]), ("0t", [])):
        shown.value(f"document.querySelector('li[data-series=\"{what}\"] button').click()")
        shown.settle()
        assert shown.value(f"[...{CHART}.querySelectorAll('.live .train')].map(e => e.getAttribute('class'))") == left
        pressed = f"[...document.querySelectorAll('li[data-series=\"{what}\"] button')].map(e => e.getAttribute('aria-pressed'))"
        assert set(shown.value(pressed)) == {"false"}
    assert shown.value(f"{CHART}.querySelectorAll('.live .eval-0').length") > 0


def test_a_telephone_has_the_same(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(clocked()), encoding="utf-8")
    browser.open(file.as_uri(), 360)
    browser.value("document.querySelector('[data-zoom=in]').click()")
    browser.settle()
    assert browser.value("document.querySelector('svg.narrow').classList.contains('is-live')")
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.value(CUT_OFF) == []


@pytest.mark.parametrize("values", [[1e308, -1e308, 1.7e308, 0.0], [5e-324] * 5, [math.nan] * 5, [2.0], [10.0**-k for k in range(99)]])
def test_any_values_can_be_drawn_again(values: list[float], browser: Browser, tmp_path: Path) -> None:
    at = [10 * (i + 1) for i in range(len(values))]
    curves = {name: made.thinned(at, values) for name in ("train/loss", "eval/loss", "train/grad_norm")}
    file = tmp_path / "page.html"
    file.write_text(page(made.diagnosis([made.overfitting()], series=curves, first_step=10, last_step=at[-1])), encoding="utf-8")
    browser.open(file.as_uri(), 1100)
    browser.value("document.querySelector('[data-zoom=in]').click()")
    browser.value("document.querySelectorAll('li[data-series] button')[1].click()")
    browser.mouse(("Moved", *place(browser, 0.5)))
    assert browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    assert not browser.value("/NaN|Infinity|undefined/.test([...document.querySelectorAll('.live, .cross')].map(e => e.outerHTML).join(''))")


def test_the_policy_blocks_every_load_and_every_other_script(shown: Browser) -> None:
    told = shown.value("""new Promise(done => {
        const blocked = [];
        document.addEventListener('securitypolicyviolation', e => blocked.push(e.effectiveDirective));
        const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
        add('img', {src: 'http://127.0.0.1:9/a.png'});
        add('script', {src: 'http://127.0.0.1:9/a.js'});
        add('script', {textContent: 'window.broken = true'});
        add('link', {rel: 'stylesheet', href: 'http://127.0.0.1:9/a.css'});
        add('iframe', {src: 'http://127.0.0.1:9/'});
        add('div', {innerHTML: '<img src=x onerror="window.broken = true">'});
        const gone = Promise.allSettled([fetch('http://127.0.0.1:9/a'), fetch('data:,a')]);
        gone.then(() => setTimeout(() => done([...new Set(blocked)].sort()), 300));
    })""")
    assert told == ["connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem", "style-src-elem"]
    assert shown.value("window.broken") is None
    answered = shown.told("Network.responseReceived")
    assert [one for one in answered if one["response"]["url"].startswith("http")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, scheme: str, browser: Browser, tmp_path: Path) -> None:
    script = axe_script()
    if script is None:
        pytest.skip("axe-core is not here: npm install axe-core, or name its axe.min.js in CURVELAB_AXE")
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    browser.prefer(prefers_color_scheme=scheme)
    browser.open(file.as_uri(), 1100)
    browser.value(script + ";0")
    found = browser.value(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]))"
    )
    assert found == []


def test_print_has_the_still_pictures_and_no_controls(shown: Browser) -> None:
    drag(shown, 0.2, 0.4)
    shown.mouse(("Moved", *place(shown, 0.3)))
    shown.prefer("print")
    visible = "[...document.querySelectorAll('.tools, .live, .cross, .readout')].filter(e => getComputedStyle(e).display !== 'none').length"
    assert shown.value(visible) == 0
    assert shown.value(f"getComputedStyle({CHART}.querySelector('.raw')).display") != "none"
    shown.ask("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)
    assert shown.value(CUT_OFF) == []
    assert shown.value("document.documentElement.scrollWidth") <= 718


FOLDED = """[...document.querySelectorAll('main details:not(.how)')].filter(e => {
    const box = e.lastElementChild.getBoundingClientRect();
    return !e.open && !(box.height > 0 && e.lastElementChild.checkVisibility({contentVisibilityAuto: true}));
}).length"""


@pytest.mark.parametrize("scripts", [True, False])
def test_on_paper_everything_is_unfolded(scripts: bool, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(clocked()), encoding="utf-8")
    browser.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
    try:
        browser.open(file.as_uri(), 1100)
        assert browser.value(FOLDED) > 2
        browser.prefer("print")
        assert browser.value(FOLDED) == 0
        browser.prefer()
        if scripts:
            browser.value("dispatchEvent(new Event('beforeprint'))")
            assert browser.value("document.querySelectorAll('details:not([open])').length") == 0
            browser.value("dispatchEvent(new Event('afterprint'))")
            assert browser.value(FOLDED) > 2
    finally:
        browser.prefer()
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def thinned_run() -> Diagnosis:
    """A loss of a million points, of which 1,600 are in the JSON."""
    curve = msgspec.structs.replace(made.thinned(made.steps(1600, 625), made.noisy(1600, 3, 1, 0.5)), points=1_000_000)
    return made.diagnosis(series={"train/loss": curve}, first_step=625, last_step=1_000_000, planned_steps=None, best_step=None)


def test_a_zoomed_curve_that_was_thinned_says_so(browser: Browser, tmp_path: Path) -> None:
    for diagnosis, told in ((thinned_run(), "step (thinned: least and greatest of every 1,250 points)"), (clocked(), "step")):
        (tmp_path / "page.html").write_text(page(diagnosis), encoding="utf-8")
        browser.open((tmp_path / "page.html").as_uri(), 1100)
        drag(browser, 0.4, 0.45)
        assert browser.value(f"{CHART}.querySelector('.live .axis').textContent") == told
        joined = browser.value(f"{CHART}.querySelector('.live .train').getAttribute('d').includes('L')")
        assert joined == (told == "step")


def test_labels_of_a_zoomed_picture_never_lie_on_the_curves(shown: Browser) -> None:
    drag(shown, 0.60, 0.62)
    ends = shown.value(f"[...{CHART}.querySelectorAll('.live text[text-anchor=end]')].map(e => +e.getAttribute('x'))")
    assert ends and shown.value(f"+{CHART}.querySelector('.live svg').getAttribute('x')") > max(ends)


def test_without_scripts_everything_still_stands(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(clocked()), encoding="utf-8")
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(file.as_uri(), 1100)
        assert browser.value("getComputedStyle(document.querySelector('.tools')).display") == "none"
        assert browser.value("document.querySelectorAll('.js, .readout, .keys button').length") == 0
        assert browser.value(f"{CHART}.getAttribute('role')") == "group"
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_a_reader_who_wants_less_motion_gets_none(shown: Browser) -> None:
    shown.prefer(prefers_reduced_motion="reduce")
    moving = """[...document.querySelectorAll('*')].filter(e => {
        const s = getComputedStyle(e);
        return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0 || s.scrollBehavior === 'smooth';
    }).length"""
    assert shown.value(moving) == 0


def test_links_lead_both_ways(shown: Browser) -> None:
    assert shown.value(f"[...{CHART}.querySelectorAll('a')].map(e => e.getAttribute('href'))") == ["#finding-1", "#finding-2"]
    shown.value("document.querySelector('#finding-2 a.badge').click()")
    assert shown.value("location.hash") == "#overview"


def long_run() -> Diagnosis:
    """What is left of a million points in the JSON, for every metric that a page draws."""
    n = 1600
    at = made.steps(n, 625)
    names = ("train/loss", "train/grad_norm", "train/learning_rate", "train/tokens_per_second", "gpu/0/memory_gb", "train/reward")
    clock = {"epoch": [s / 1e5 for s in at], "tokens": [s * 4096.0 for s in at], "wall_time": [1.7e9 + s + i % 7 for i, s in enumerate(at)]}
    curves = {
        name: Thinned(points=1_000_000, step=at, value=[float(f"{v:.7g}") for v in made.noisy(n, 3, 1, 0.5, seed)], **clock)
        for seed, name in enumerate(names)
    }
    return made.diagnosis([made.overfitting(), made.spikes(), made.exploding()], series=curves, last_step=at[-1], planned_steps=None)


def test_a_page_of_a_million_points_is_small_and_the_same_every_time() -> None:
    text = page(long_run())
    assert len(text.encode()) < 250_000
    assert text == page(Diagnosis.from_json(long_run().to_json()))
