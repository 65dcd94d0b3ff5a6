"""Pages in a real browser: nothing is fetched, nothing fails, and a telephone shows them without scrolling sideways."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvelab.report.page import index, page

from . import diagnoses as made
from .browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed")

PAGES = {
    "healthy": lambda: page(made.diagnosis()),
    "ten findings": lambda: page(made.ten_findings()),
    "index": lambda: index([(made.ten_findings(), "a.html"), (made.diagnosis(), "b.html")]),
    **{f"hostile {i}": lambda text=text: page(made.hostile(text)) for i, text in enumerate(made.HOSTILE)},
}
# Elements that reach beyond the view and can be scrolled nowhere: their text is cut off.
CUT_OFF = """[...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 1 && box.right > innerWidth + 1 && !e.closest('.scroll') && !e.closest('svg');
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fetches_nothing_logs_no_error_and_fits_the_view(
    name: str, width: int, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    browser.open(file.as_uri(), width)
    requests = {told["request"]["url"] for told in browser.told("Network.requestWillBeSent")}
    assert requests <= {file.as_uri(), "data:,"}
    assert browser.told("Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Page.windowOpen") == []
    said = browser.told("Runtime.consoleAPICalled", "Log.entryAdded")
    assert [entry for entry in said if entry.get("entry", {}).get("level", "error") in ("error", "warning")] == []
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(CUT_OFF) == []
    assert browser.value("document.querySelectorAll('script').length") == (0 if name == "index" else 2)


def test_a_telephone_shows_the_setting_of_every_threshold(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(made.diagnosis([made.overfitting()])), encoding="utf-8")
    for width in (360, 500):
        browser.open(file.as_uri(), width)
        ends = browser.value(
            "[...document.querySelectorAll('.measured code')].map(e => e.getBoundingClientRect().right)"
        )
        assert len(ends) == 2
        assert all(0 < end <= width for end in ends)


def test_the_browser_would_notice(browser: Browser, tmp_path: Path) -> None:
    """A page that does all that ours must not: the checks above are not blind."""
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><main><img src='http://127.0.0.1:9/a.png'><div style='width: 900px'>wide</div></main>"
        "<script>console.error('no')</script>"
    )
    browser.open(file.as_uri(), 360)
    assert "http://127.0.0.1:9/a.png" in {told["request"]["url"] for told in browser.told("Network.requestWillBeSent")}
    assert browser.told("Runtime.consoleAPICalled")
    assert browser.value("document.documentElement.scrollWidth") > 360
    assert browser.value(CUT_OFF) != []
