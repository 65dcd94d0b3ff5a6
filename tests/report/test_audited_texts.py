"""An audit on the terminal and as a digest: short whatever was found, in its order, and harmless."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from curvelab.model.audit import AuditResult, Unread
from curvelab.report.audited.markdown import markdown
from curvelab.report.audited.text import plain, show

from . import audited_results as made
from . import diagnoses as made_up
from .test_text import CONTROL

RESULTS = {
    "3": made.result(3), "30": made.result(30), "1000": made.result(1000), "first": made.first(300),
    "accepted": made.first(30, accepted=True), "quiet": made.quiet(30), "empty": made.empty(),
}  # fmt: skip


@pytest.mark.parametrize("width", [50, 80, 100, 200])
@pytest.mark.parametrize("name", RESULTS)
def test_a_summary_fits_a_screen(name: str, width: int) -> None:
    lines = plain(RESULTS[name], width).splitlines()
    assert len(lines) <= (42 if width > 60 else 48)
    assert max(cell_len(line) for line in lines) <= width
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_texts_of_a_log_do_no_harm_on_a_terminal(text: str) -> None:
    shown = plain(made.hostile(text), 60)
    assert not CONTROL.search(shown)
    assert max(cell_len(line) for line in shown.splitlines()) <= 60
    assert len(shown.splitlines()) <= 60


def test_the_summary_has_the_answer_first_then_what_is_new() -> None:
    shown = plain(made.result(1000, news=9), 100)
    answer = "■ 1 new warning and 8 that became worse (4 critical) in 995 runs"
    order = (answer, "New and worse", "and 4 more", "Fixed", "Unlike the runs before", "Could not be read", "995 runs · ")
    places = [shown.index(words) for words in order]
    assert places == sorted(places)
    assert "(worse, was warning)" in shown
    assert "fix  " in shown


def test_colour_is_for_terminals_only() -> None:
    terminal, piped = io.StringIO(), io.StringIO()
    show(made.result(30), Console(file=terminal, width=100, force_terminal=True, color_system="standard", legacy_windows=False))
    show(made.result(30), Console(file=piped, width=100))
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b" not in piped.getvalue()


def test_a_first_audit_says_how_to_start_from_today() -> None:
    first = RESULTS["first"]
    for told in (plain(first, 100), markdown(first)):
        assert "First audit: " in told
        assert "--accept-current" in " ".join(told.split()).replace("\\", "")
        assert "What was found" in told


@pytest.mark.parametrize("limit", [0, 1, 40, 150, 600, 4000, 20_000])
@pytest.mark.parametrize("name", RESULTS)
def test_a_digest_keeps_its_limit(name: str, limit: int) -> None:
    told = markdown(RESULTS[name], "https://ci.example/audit/", limit)
    assert len(told) <= limit
    assert limit < 150 or told.startswith("**")


def test_a_digest_tells_the_worst_first_and_how_many_are_left() -> None:
    result = RESULTS["1000"]
    told = markdown(result)
    marks = re.findall(r"^- ([■▲●])", told, re.M)
    assert marks == sorted(marks, key="■▲●".index)
    left = re.search(r"^- and (\d+) more$", told, re.M)
    assert left is not None
    assert int(left[1]) + len(marks) == len(result.told)
    assert len(markdown(made.result(1000, news=9))) <= 4000
    for title in ("New and worse", "Fixed", "Unlike the runs before", "Could not be read"):
        assert f"**{title}**" in markdown(made.result(1000, news=4))


def test_runs_are_links_where_the_page_is() -> None:
    result = made.result(1000, news=3)
    one = result.told[0]
    page = "https://ci.example/a%20b/index.html"
    assert one.page is not None
    assert f"[`{one.run_name}`](https://ci.example/a%20b/{one.page})" in markdown(result, page)
    assert f"[All runs]({page})" in markdown(result, page)
    assert f"](https://ci.example/audit/{one.page})" in markdown(result, "https://ci.example/audit")
    assert "](" not in markdown(result)
    hostile = made.hostile("//evil.example/x) <a>")
    assert re.findall(r"\]\((.*?)\)", markdown(hostile, "https://ci.example/a)/")) != []
    assert all(
        address.startswith("https://ci.example/") for address in re.findall(r"\]\((.*?)\)", markdown(hostile, "https://ci.example/a)/"))
    )


def test_one_audience_is_told_of_its_findings_only() -> None:
    result = made.result(1000)
    mine = result.told[3]
    told = markdown(result, only=[mine.fingerprint])
    assert "1 finding became worse" in told or "1 new" in told
    assert mine.run_name in told
    assert told.count("\n- ") == 1 + told.count("median of the last")
    assert "Could not be read" not in told
    assert "Nothing new" in markdown(result, only=[])


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_texts_of_a_log_do_no_harm_in_markdown(text: str) -> None:
    told = markdown(made.hostile(text))
    bare = re.sub(r"`+[^`]*`+|\\[<>\[\]`@*]", "", told)
    assert "<" not in bare
    assert "](" not in bare
    assert not re.search(r"@\w", bare)
    assert "://" not in bare
    assert not CONTROL.search(told)
    assert len(told) <= 4000


def test_the_forms_are_the_same_every_time() -> None:
    result = made.result(30)
    again = AuditResult.from_dict(result.to_dict())
    assert plain(again, 80) == plain(result, 80)
    assert markdown(again) == markdown(result)


def test_each_audience_is_told_its_kind_of_news() -> None:
    result = made.result(100, news=0)
    departure = next(one for one in result.departures if one.state == "new")
    told = markdown(result, only=[departure.fingerprint])
    assert "1 run is unlike those before" in told
    assert "can no longer be read" not in told
    assert "Could not be read" not in told
    told = markdown(result, only=[], unread=True)
    assert "1 input can no longer be read" in told
    assert "unlike" not in told


def test_what_could_not_be_told_before_is_told_late() -> None:
    result = made.result(100, news=0)
    late = result.of("known")[0]
    told = markdown(result, only=[late.fingerprint])
    assert "1 finding told late in" in told
    assert late.run_name in told


def test_known_unreadable_inputs_are_one_line() -> None:
    before = Unread(path="/srv/a", message="is empty", new=False)
    result = made.result(30, errors=(before, before))
    told = markdown(result)
    assert "- 2 inputs that could not be read before either" in told
    assert "/srv/a" not in told
    assert "2 inputs still cannot be read" in " ".join(plain(result, 100).split())
    assert "/srv/a" not in plain(result, 100)


def test_a_digest_names_its_project() -> None:
    assert markdown(made.quiet(3)).startswith("**outputs: Nothing new in 3 runs")
    assert markdown(made.result(3, project="chat")).splitlines()[0].count("chat: ") == 1
