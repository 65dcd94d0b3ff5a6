"""The audit's page in a real browser: filters, search, sorting and address work together; nothing is fetched; it fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from curvelab.model.audit import AuditResult
from curvelab.report.audited.page import page

from . import audited_results as made
from . import diagnoses as made_up
from .axe import axe_script
from .browser import PROGRAM, Browser
from .test_browser import CUT_OFF

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed")

PAGES = {
    "3": lambda: made.result(3), "30": lambda: made.result(30), "first": lambda: made.first(60), "accepted": lambda: made.first(30, True),
    "quiet": lambda: made.quiet(30), "empty": made.empty,
}  # fmt: skip
MATCHES = "document.getElementById('matches').textContent"
SHOWN = "[...document.querySelectorAll('.all-runs tbody tr')].filter(e => e.offsetHeight > 0)"
NAMES = f"{SHOWN}.map(e => e.querySelector('bdi').textContent)"


def opened(browser: Browser, result: AuditResult, folder: Path, width: int = 1200, view: str = "") -> Path:
    """Open a page and see that it asked for nothing, said nothing and fits."""
    file = folder / "index.html"
    file.write_text(page(result), encoding="utf-8")
    browser.open("about:blank", width)
    browser.open(file.as_uri() + view, width)
    requests = {told["request"]["url"].split("#")[0] for told in browser.told("Network.requestWillBeSent")}
    assert requests <= {file.as_uri(), "data:,"}
    assert browser.told("Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Page.windowOpen") == []
    said = browser.told("Runtime.consoleAPICalled", "Log.entryAdded")
    assert [entry for entry in said if entry.get("entry", {}).get("level", "error") in ("error", "warning")] == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(CUT_OFF) == []
    return file


def choose(browser: Browser, **values: str) -> None:
    """Set filters as a reader does."""
    for name, value in values.items():
        browser.value(
            f"(() => {{ const e = document.querySelector('#filters [name={name}]'); e.value = {value!r};"
            " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )


@pytest.mark.parametrize("width", [360, 800, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fetches_nothing_logs_no_error_and_fits_the_view(name: str, width: int, browser: Browser, tmp_path: Path) -> None:
    opened(browser, PAGES[name](), tmp_path, width)


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_a_hostile_page_does_nothing_in_a_browser(text: str, browser: Browser, tmp_path: Path) -> None:
    opened(browser, made.hostile(text), tmp_path, 360)
    assert browser.value(f"{SHOWN}.length") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, scheme: str, browser: Browser, tmp_path: Path) -> None:
    script = axe_script()
    if script is None:
        pytest.skip("axe-core is not here: npm install axe-core, or name its axe.min.js in CURVELAB_AXE")
    browser.prefer(prefers_color_scheme=scheme)
    for width in (1200, 360):
        opened(browser, PAGES[name](), tmp_path, width)
        browser.value("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        browser.value(script + ";0")
        found = browser.value(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]))"
        )
        assert found == []


def expected(result: AuditResult, **wanted: Any) -> int:
    """How many runs have a finding that is all that is wanted at once."""
    fits = [one for one in result.findings if all(getattr(one, name) in values for name, values in wanted.items())]
    return len({one.run for one in fits})


def test_filters_work_together_on_the_same_finding(browser: Browser, tmp_path: Path) -> None:
    result = made.result(1000)
    opened(browser, result, tmp_path)
    assert browser.value(MATCHES) == "1,000 runs, 5 of them gone"
    assert browser.value(f"{SHOWN}.length") == 100
    choose(browser, state="fresh")
    assert browser.value(MATCHES) == f"{expected(result, state=('new', 'worse'))} of 1,000 runs"
    choose(browser, severity="critical")
    both = expected(result, state=("new", "worse"), severity=("critical",))
    assert browser.value(MATCHES) == f"{both} of 1,000 runs"
    choose(browser, pattern="divergence")
    three = expected(result, state=("new", "worse"), severity=("critical",), pattern=("divergence",))
    assert 0 < three < both
    assert browser.value(MATCHES) == f"{three} of 1,000 runs"
    assert browser.value(f"{SHOWN}.length") == three
    choose(browser, state="", severity="", pattern="", run="live")
    assert browser.value(MATCHES) == f"{sum(run.live for run in result.runs)} of 1,000 runs"
    choose(browser, run="", rule="release", folder="dpo")
    both = sum(run.rule == "release" and run.project == "dpo" for run in result.runs)
    assert browser.value(MATCHES) == f"{both} of 1,000 runs"
    browser.value("document.querySelector('#filters [type=reset]').click()")
    browser.value("new Promise(done => setTimeout(done, 20))")
    assert browser.value(MATCHES) == "1,000 runs, 5 of them gone"


def test_runs_unlike_those_before_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    result = made.result(400)
    opened(browser, result, tmp_path)
    choose(browser, state="unusual")
    odd = {one.run for one in result.departures if one.state != "muted"}
    assert browser.value(MATCHES) == f"{len(odd)} of 400 runs"
    choose(browser, severity="critical")
    both = odd & {one.run for one in result.findings if one.severity == "critical"}
    assert browser.value(MATCHES) == f"{len(both)} of 400 runs"


def test_a_link_leads_to_a_row_wherever_it_is(browser: Browser, tmp_path: Path) -> None:
    base = made.result(600, news=0)
    bare = max((run for run in base.runs if not run.page and run.seen != "gone"), key=lambda run: -(run.ended or 0))
    departure = msgspec.structs.replace(base.departures[0], run=bare.key, run_name=bare.name, state="known")
    file = opened(browser, msgspec.structs.replace(base, departures=(departure,)), tmp_path, view="#q=nothing")
    anchor = browser.value("document.querySelector('#unusual a').hash")
    row = f"document.querySelector('{anchor}')"
    assert browser.value(f"{row}.offsetHeight") == 0
    browser.value(f"location.hash = '{anchor}'; new Promise(done => setTimeout(done, 50))")
    assert browser.value(f"{row}.querySelector('bdi').textContent") == bare.name
    assert browser.value(f"{row}.getBoundingClientRect().top > 0 && {row}.getBoundingClientRect().bottom < innerHeight") is True
    browser.open("about:blank", 1200)
    browser.open(file.as_uri() + anchor, 1200)
    assert browser.value(f"{row}.offsetHeight") > 0


def test_verdicts_without_a_finding_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    result = made.result(200)
    opened(browser, result, tmp_path)
    choose(browser, pattern="healthy")
    assert browser.value(MATCHES) == f"{sum(run.verdict == 'healthy' for run in result.runs)} of 200 runs"
    choose(browser, state="fixed")
    both = {one.run for one in result.of("fixed")} & {run.key for run in result.runs if run.verdict == "healthy"}
    assert both
    assert browser.value(MATCHES) == f"{len(both)} of 200 runs"
    choose(browser, state="none", pattern="")
    assert browser.value(MATCHES) == f"{200 - len({one.run for one in result.findings})} of 200 runs"


def test_search_finds_names_settings_and_verdicts(browser: Browser, tmp_path: Path) -> None:
    result = made.result(200)
    opened(browser, result, tmp_path)
    for words, number in (
        ("0042", 1),
        ("model_type=qwen3-4b", sum(run.settings["model_type"] == "qwen3-4b" for run in result.runs)),
        ("QWEN3 dpo-", sum("qwen3" in run.name and run.name.startswith("dpo-") for run in result.runs)),
        ("dpo/", sum(run.key.startswith("dpo/") for run in result.runs)),
        (result.runs[7].key, 1),
        ("nothing-of-the-kind", 0),
    ):
        choose(browser, q=words)
        assert browser.value(MATCHES) == f"{number} of 200 runs", words


def test_every_column_of_numbers_sorts_both_ways(browser: Browser, tmp_path: Path) -> None:
    result = made.result(120)
    opened(browser, result, tmp_path)
    browser.value("document.querySelector('#rest button').click()")
    assert browser.value(f"{SHOWN}.length") == 120
    heads = browser.value("[...document.querySelectorAll('.all-runs thead th')].map(e => e.textContent)")
    assert heads == ["Run", "Curve", "Verdict", "Findings", "State", "Steps", "Age", "Best eval/loss", "GPU-hours", "Cost", "Wasted"]
    by_cost = [one.name for one in sorted(result.runs, key=lambda one: one.gpu_hours or 0)]
    head = "[...document.querySelectorAll('.all-runs thead button')].find(e => e.textContent === 'GPU-hours')"
    browser.value(f"{head}.click()")
    assert browser.value(NAMES) == by_cost
    browser.value(f"{head}.click()")
    assert browser.value(NAMES) == by_cost[::-1]
    assert browser.value("document.querySelectorAll('.all-runs [aria-sort]').length") == 1
    assert browser.value("location.hash") == "#sort=GPU-hours-"


def test_a_view_can_be_sent(browser: Browser, tmp_path: Path) -> None:
    result = made.result(600)
    file = opened(browser, result, tmp_path)
    choose(browser, state="known", pattern="spikes", q="llama")
    browser.value("[...document.querySelectorAll('.all-runs thead button')].find(e => e.textContent === 'Steps').click()")
    view, told, names = browser.value("location.hash"), browser.value(MATCHES), browser.value(NAMES)
    assert view == "#q=llama&state=known&pattern=spikes&sort=Steps"
    assert len(names) > 1
    opened(browser, result, tmp_path, view=view)
    assert (browser.value(MATCHES), browser.value(NAMES)) == (told, names)
    browser.open("about:blank", 1200)
    browser.open(file.as_uri() + "#pattern=not-there-any-more", 1200)
    assert browser.value(MATCHES) == "0 of 600 runs"
    opened(browser, result, tmp_path, view="#weeks")
    assert browser.value(f"{SHOWN}.length") == 100
    browser.value("location.hash = '#state=fixed'; new Promise(done => setTimeout(done, 50))")
    assert browser.value(MATCHES) == f"{expected(result, state=('fixed',))} of 600 runs"


def test_the_counts_on_top_lead_to_their_runs(browser: Browser, tmp_path: Path) -> None:
    result = made.result(60)
    opened(browser, result, tmp_path)
    browser.value("document.querySelector('[data-view=\"state=known\"] a').click(); new Promise(done => setTimeout(done, 50))")
    assert browser.value(MATCHES) == f"{expected(result, state=('known',))} of 60 runs"
    assert browser.value("document.getElementById('runs').getBoundingClientRect().top < 40")


def test_the_table_is_usable_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    opened(browser, made.result(30), tmp_path)
    browser.value("document.querySelector('#filters [name=q]').focus()")
    browser.press(*"0012")
    assert browser.value(MATCHES) == "1 of 30 runs"
    reached = browser.value("""(() => {
        const wanted = [...document.querySelectorAll('#filters select, #filters button, .all-runs thead button, .all-runs tbody a')];
        return wanted.length > 10 && wanted.every(e => e.tabIndex === 0);
    })()""")
    assert reached is True


@pytest.mark.parametrize(("count", "most"), [(1000, 400), (5000, 1500)])
def test_the_filter_answers_at_once(count: int, most: int, browser: Browser, tmp_path: Path) -> None:
    opened(browser, made.result(count), tmp_path)
    spent = browser.value("""(() => {
        const field = document.querySelector('#filters [name=q]'), began = performance.now();
        for (const text of ['l', 'll', 'llama']) {
            field.value = text;
            field.dispatchEvent(new Event('input', {bubbles: true}));
            document.body.getBoundingClientRect();
        }
        return (performance.now() - began) / 3;
    })()""")
    assert spent < most  # ms; a fifth of it on a machine that has nothing else to do


def test_without_scripts_the_whole_table_is_there(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page(made.result(300)), encoding="utf-8")
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for width in (360, 1200):
            browser.open(file.as_uri(), width)
            assert browser.value(f"{SHOWN}.length") == 300
            assert browser.value("document.getElementById('filters').offsetHeight") == 0
            assert browser.value("document.documentElement.scrollWidth") <= width
            assert browser.value("document.querySelectorAll('.facts a').length") == 0
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_print_has_all_that_was_chosen_and_no_controls(browser: Browser, tmp_path: Path) -> None:
    opened(browser, made.result(300), tmp_path)
    browser.prefer("print")
    assert browser.value(f"{SHOWN}.length") == 300
    assert browser.value("[...document.querySelectorAll('.filters, #rest, .stale')].filter(e => e.offsetHeight > 0).length") == 0


def test_an_old_page_says_so(browser: Browser, tmp_path: Path) -> None:
    result = made.result(3)
    opened(browser, result, tmp_path)
    now = browser.value("Date.now() / 1000")
    for age, shown in ((3600.0, False), (30 * 3600.0, False), (4 * made.DAY, True)):
        opened(browser, msgspec.structs.replace(result, finished=now - age), tmp_path)
        assert browser.value("document.getElementById('stale').offsetHeight > 0") is shown
    assert browser.value("document.getElementById('stale').textContent").startswith("This audit is 4 days old")


def test_a_reader_who_wants_less_motion_gets_none(browser: Browser, tmp_path: Path) -> None:
    opened(browser, made.result(3), tmp_path)
    assert browser.value("[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length") == 0
