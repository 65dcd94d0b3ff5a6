"""The page of a comparison: from the JSON alone, small at any number of runs, harmless, and alive in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from comparing.made import broken, made

import curvelab
from curvelab.model.comparison import Comparison
from curvelab.model.result import SeamMark
from curvelab.model.run import Run
from curvelab.report.compared import cells, paragraphs, prices
from curvelab.report.compared.gaps import gaps
from curvelab.report.compared.markdown import markdown
from curvelab.report.compared.page import page
from curvelab.report.compared.paper import telling_scale, ticks
from curvelab.report.compared.text import by_rank, plain
from curvelab.report.compared.tracks import band_of, outliers, tracks

from . import diagnoses as made_up
from .axe import axe_script
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


def search(browser: Browser, words: str) -> list[str]:
    """Rows of the runs that a search finds."""
    browser.value(
        f"(() => {{const f = document.getElementById('find'); f.value = '{words}'; f.dispatchEvent(new Event('input'))}})()"
    )
    return browser.value("[...document.querySelectorAll('#runs tr.hit')].map(e => e.dataset.run).sort((a, b) => a - b)")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("learning_rate=2e-4", ["1"]), ("learning_rate = 0.0002", ["1"]), ("0.0002", ["1"]), ("learning_rate=0.0001", ["0"]),
        ("learning_rate>=2.8e-3", ["27", "28", "29"]), ("rate<2e-4", ["0"]), ("learning_rate>2.5e-3 learning_rate<2.8e-3", ["25", "26"]),
        ("non-finite", ["9", "19"]), ("sweep-7", ["7"]), ("learning_rate=0.000", []),
    ],
)  # fmt: skip
def test_numbers_are_searched_as_numbers(words, found, browser, thirty, tmp_path):
    opened(browser, page(thirty), tmp_path, 1100)
    assert search(browser, words) == found
    assert browser.value("document.getElementById('hits').textContent") == f"{len(found)} of 30 runs"
    first = browser.value("[...document.querySelectorAll('#runs tbody tr')].map(e => e.dataset.run)")
    assert sorted(first[: len(found)], key=int) == found
    search(browser, "")
    assert browser.value("[...document.querySelectorAll('#runs tbody tr')].map(e => e.dataset.run)") == [str(n) for n in by_rank(thirty)]


def test_a_found_run_is_named_in_the_plot(browser, thirty, tmp_path):
    opened(browser, page(thirty), tmp_path, 1100)
    assert search(browser, "learning_rate=0.0008") == ["7"]
    names = "[...document.querySelectorAll('.axis-step svg.wide')].map(s => [...s.querySelectorAll('text.label.hit')].map(t => t.textContent))"
    assert browser.value(names) == [["sweep-7"]] * 3
    search(browser, "")
    assert browser.value("document.querySelectorAll('text.found').length") == 0


def test_what_is_empty_stays_last_either_way(browser, thirty, tmp_path):
    opened(browser, page(thirty), tmp_path, 1100)
    last = "[...document.querySelectorAll('#runs tbody tr')].slice(-2).map(e => e.dataset.run).sort()"
    heads = browser.value("[...document.querySelectorAll('#runs thead th')].map(e => e.textContent)")
    for _ in range(2):
        browser.value(f"document.querySelectorAll('#runs thead button')[{heads.index('Rank')}].click()")
        assert browser.value(last) == ["19", "9"]


OUTSIDE = """[...document.querySelectorAll('svg.wide, svg.narrow')].filter(s => s.getBoundingClientRect().width > 100).flatMap(s => {
    const box = s.getBoundingClientRect(), foot = Math.max(...[...s.querySelectorAll('text.x')].map(t => t.getBoundingClientRect().top), 0);
    return [...s.querySelectorAll('text.label')].map(t => [t.textContent, t.getBoundingClientRect()])
        .filter(([, r]) => r.right > box.right + 0.5 || r.left < box.left || r.bottom > foot + 4).map(([text]) => text);
})"""


@pytest.mark.parametrize("width", [360, 1100])
def test_names_at_curves_lie_inside_the_picture(width, browser, tmp_path):
    names = ("gemma-2b-cosine-warmup-lr-2e-4-bs81", "WWWWWWWWWWMMMMMMMMMMWWWWW", "模型训练学习率预热余弦退火第一次实验", "a", "b", "c", "d", "e")
    runs = [made(name, 1.8 + 0.001 * n, learning_rate=1e-4 * (n + 1)) for n, name in enumerate(names)]
    opened(browser, page(curvelab.compare(runs)), tmp_path, width)
    assert browser.value(OUTSIDE) == []
    drawn = "[...document.querySelectorAll('.axis-step svg')].filter(s => s.getBoundingClientRect().width > 100)"
    for what, least in (("text.label", 8), ("text.x", 3)):
        assert min(browser.value(f"{drawn}.map(s => s.querySelectorAll('{what}').length)")) >= least


def test_a_run_that_ended_early_is_named_where_it_ended():
    comparison = curvelab.compare([made("a"), made("b", 1.9), cut_short("c", 40)])
    text = page(comparison).split('class="wide"')[1].split("</svg>")[0]
    ended, beside = (float(re.search(rf'<text class="label r\d" data-run="{n}" x="([\d.]+)"', text)[1]) for n in (2, 0))
    assert ended < beside - 200
    assert text.count('<path class="ended') == 1


def cut_short(name: str, points: int) -> Run:
    """A run that broke off after so many of its 100 points."""
    run = made(name, 1.95)
    last = run.curve("train/loss").step[points]
    kept = {m: curve.take(curve.step <= last) for m, curve in run.logged.items()}
    return replace(run, logged=kept, state="crashed")


def test_late_differences_are_seen_and_drawn_by_themselves():
    """Two curves that fall from 5 to 2 and end 0.05 apart: not one line."""
    comparison = curvelab.compare([made("a", 1.8), made("b", 1.85), made("c", 2.1)], baseline="b")
    mine = tracks(comparison, "eval/loss", "step", 300)
    scale, cut = telling_scale(mine)
    assert float(np.ptp(scale.place(np.array([t.y[-1] for t in mine])))) > 0.15
    assert cut < 130
    held, found = gaps(comparison, mine)
    assert held is not None and held.name == "b"
    assert [(t.name, bool(t.y[-1] > 0)) for t in found] == [("a", False), ("c", True)]
    text = page(comparison)
    assert "eval/loss minus that of the baseline b" in text
    assert re.search(r'<text class="label base" data-run="1"[^>]*>b<', text)
    assert '<circle class="parts' in text


def test_runs_that_must_not_be_ranked_have_no_picture_of_differences():
    assert "minus that of" not in page(curvelab.compare([made("a"), made("b", vocab_size=32000)]))


def test_a_resume_is_marked_on_its_curve(three):
    resumed = msgspec.structs.replace(three.runs[1], seams=(SeamMark(step=250, reached=300),))
    comparison = msgspec.structs.replace(three, runs=(three.runs[0], resumed, three.runs[2]))
    text = page(comparison)
    assert text.count('<path class="seam') == 2 * 2 * len(three.axis.possible)
    assert "where a run was resumed" in text
    assert '<path class="seam' not in page(three)


def test_seeds_have_a_table_of_their_settings_and_share_no_rank_in_that_of_the_runs():
    runs = [made(f"{n}-seed{s}", f + 0.02 * s, seed=s, learning_rate=r) for n, f, r in (("a", 1.8, 1e-4), ("b", 2.1, 1e-3)) for s in range(3)]
    comparison = curvelab.compare(runs, baseline="a-seed0")
    (setting, rank, *_, against) = cells.groups(comparison)
    assert [cell.text for cell in setting[1]] == ["a (3 seeds)", "b (3 seeds)"]
    assert [cell.text for cell in rank[1]] == ["1", "2"]
    assert [cell.text for cell in against[1]] == ["the baseline", "worse"]
    assert "Rank" not in [one.title for one in cells.columns(comparison)]
    assert [comparison.rows[n].group for n in by_rank(comparison)] == [0, 0, 0, 1, 1, 1]
    for text in (page(comparison), plain(comparison, 120), markdown(comparison)):
        assert "Standard deviation" in text


def test_twice_the_time_is_told_beside_a_loss_that_is_as_good(three):
    rows = [msgspec.structs.replace(row, seconds=float(s), throughput=32.0 / s) for row, s in zip(three.rows, (20, 10, 10.5), strict=True)]
    comparison = msgspec.structs.replace(three, rows=tuple(rows))
    (against,) = [one for one in cells.columns(comparison) if one.title == "Against the baseline"]
    assert [cell.below for cell in against.cells] == ["2 times the time", "", ""]
    assert "at 2 times the time" in dict(paragraphs.paragraphs(comparison))["Against the baseline"][0]


def test_a_throughput_that_the_time_does_not_tell_is_told(three):
    rows = [msgspec.structs.replace(row, seconds=10.0, throughput=t) for row, t in zip(three.rows, (10.0, 40.0, 41.0), strict=True)]
    comparison = msgspec.structs.replace(three, rows=tuple(rows))
    assert prices.price(comparison, comparison.baseline.standings[0]) == "0.25 times the throughput"


def test_findings_are_listed_for_the_runs_that_have_them(thirty):
    text = page(thirty).split('<section id="patterns">')[1]
    assert text.count("<tr data-run=") == len({one.id for one in thirty.runs if one.findings})
    assert re.search(r"In the other \d+ runs none of these was found", text)


def test_runs_without_a_place_are_told_by_their_reason(thirty):
    told = dict(paragraphs.paragraphs(thirty))
    assert len(told["Not ranked"]) == 1
    assert told["Not ranked"][0].startswith("2 runs, ")
    assert not any("ot ranked" in line for line in told["Keep in mind"])


def test_the_terminal_lists_the_first_of_many_and_the_baseline():
    text = plain(several(40), 120)
    table = text.split("more runs")[0].split("Aligned by")[1]
    assert sum(line.startswith("sweep-") for line in table.splitlines()) in (15, 16)
    assert re.search(r"and 2[45] more runs: \d+ of rank \d+ to \d+, 3 not ranked", text)
    assert "learning_rate: 0.0001 to 0.004 (40 values)" in text


def test_axes_that_are_not_offered_say_why(three):
    assert three.axis.withheld == {"tokens": "no log tells it", "time": "no log tells it"}
    assert "Not offered: tokens: no log tells it" in page(three)


def test_endless_names_do_not_fill_the_sentences():
    comparison = hostile("n" * 10_000)
    for text in (page(comparison), plain(comparison, 100), markdown(comparison)):
        assert "n" * 400 not in text.replace("\n", "")


def test_ticks_of_less_than_one_epoch():
    assert [text for _, text in ticks(0.1, 0.9, 4, whole=False)] == ["0.2", "0.4", "0.6", "0.8"]
    assert [place for place, _ in ticks(0.0, 2.0, 8, whole=True)] == [0, 1, 2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["three", "thirty", "odd"])
def test_axe_finds_nothing(name, scheme, browser, request, tmp_path):
    script = axe_script()
    if script is None:
        pytest.skip("axe-core is not here: npm install axe-core, or name its axe.min.js in CURVELAB_AXE")
    browser.prefer(prefers_color_scheme=scheme)
    opened(browser, page(request.getfixturevalue(name)), tmp_path, 1100)
    browser.value(script + ";0")
    found = browser.value(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]))"
    )
    browser.prefer()
    assert found == []
