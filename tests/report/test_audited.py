"""The page of an audit: what it tells and in which order, from the result alone, small at any number of runs, harmless."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import pytest

from curvelab.model.audit import AuditedRun, AuditResult, Departure, TrackedState, Unread, Week
from curvelab.report import inlined
from curvelab.report.audited import telling
from curvelab.report.audited.page import page
from curvelab.report.audited.rows import table
from curvelab.report.audited.sparks import spark
from curvelab.report.audited.trend import trend
from curvelab.report.page import safe_address

from . import audited_results as made
from . import diagnoses as made_up
from .test_page import FORBIDDEN_TAGS, Collector

MEGABYTE = 1_000_000


def texts(shown: str) -> str:
    """What a reader sees, in one line."""
    return Collector(re.sub(r"<(style|script)>.*?</\1>", "", shown, flags=re.S)).text()


def title(result: AuditResult) -> str:
    found = re.search(r"<title>(.*?)</title>", page(result), re.S)
    assert found is not None
    answer, project = found[1].rsplit(" · ", 1)
    assert project == "outputs"
    return answer


@pytest.fixture(scope="module")
def thousand() -> AuditResult:
    return made.result(1000, news=9)


def test_the_page_is_drawn_from_the_json_alone_and_the_same_every_time() -> None:
    result = made.result(30)
    again = AuditResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert page(again) == page(result) == page(result)


@pytest.mark.parametrize(("count", "most"), [(3, 80_000), (1000, 1.2 * MEGABYTE), (5000, 6 * MEGABYTE)])
def test_the_page_stays_small_and_has_every_run(count: int, most: float) -> None:
    result = made.result(count)
    shown = page(result)
    assert len(shown.encode()) < most
    assert shown.count('<tr data-v="') == count
    assert shown.count('<svg class="spark"') == count


def test_what_is_new_stands_before_what_is_known() -> None:
    shown = page(made.result(300))
    names = ("New and worse", "Fixed", "Unlike the runs before", "Could not be read", "All runs", "Week by week", "Muted", "Known findings", "This audit")
    places = [shown.index(f"<h2>{name}</h2>") for name in names]
    assert places == sorted(places)


def test_a_new_finding_is_told_with_run_place_fix_and_history(thousand: AuditResult) -> None:
    one = next(one for one in thousand.told if one.state == "worse" and one.severity == "critical")
    shown = page(thousand)
    assert f'<a href="{one.page}"><bdi>{one.run_name}</bdi></a>' in shown
    words = texts(shown)
    for expected in (f"step {one.start_step:,}", "worse, was warning", "fails the audit", one.headline[1:], one.fix[1:]):
        assert expected in words, expected


def test_more_findings_than_fit_are_a_line_each() -> None:
    shown = page(made.first(300))
    assert shown.count('<li class="told">') == 12
    assert shown.count("<h2>What was found</h2>") == 1
    assert re.search(r"\d+ more findings, in a line each", shown)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (made.result(1000, news=9), "1 new warning and 8 that became worse (4 critical) in 995 runs since last night"),
        (made.first(300), "First audit: 124 findings in 300 runs, 47 critical"),
        (made.first(300, accepted=True), "124 findings in 300 runs accepted as the state to start from"),
        (made.quiet(300), "Nothing new in 298 runs since last night"),
        (made.result(30, news=0, errors=(), departures=(), previous=made.TONIGHT - 3 * made.DAY), "Nothing new in 29 runs since the audit 3 d before"),
        (made.empty(), "No run was found"),
    ],
)  # fmt: skip
def test_the_title_is_the_answer(result: AuditResult, expected: str) -> None:
    assert title(result) == expected


def test_new_findings_are_counted_by_severity() -> None:
    base = made.result(1, news=0)
    kinds = [made.KINDS[1], made.KINDS[3], made.KINDS[0]]
    new = tuple(made.tracked(kind, base.runs[0].key, base.runs[0].name, "new", 10, False, None) for kind in kinds)
    worse = made.tracked(made.KINDS[5], base.runs[0].key, base.runs[0].name, "worse", 10, False, None)
    result = msgspec.structs.replace(base, findings=(*new, worse))
    assert title(result) == "2 new critical findings, 1 new warning and 1 that became worse in 1 run since last night"


def test_provisional_findings_stand_aside_and_do_not_alarm() -> None:
    base = made.result(6, news=0)
    live = base.runs[5]
    assert live.live
    one = made.tracked(made.KINDS[0], live.key, live.name, "new", 10, True, None)
    result = msgspec.structs.replace(base, findings=(one,), errors=(), departures=())
    words = texts(page(result))
    assert "Nothing new in 6 runs since last night" in words
    assert "1 run is still training, with 1 provisional finding" in words
    assert "<h2>Provisional</h2>" in page(result)


def test_findings_that_a_rule_leaves_out_are_there_but_not_told() -> None:
    base = made.result(1, news=0, errors=(), departures=())
    one = made.tracked(made.KINDS[1], base.runs[0].key, base.runs[0].name, "new", 10, False, None)
    result = msgspec.structs.replace(base, findings=(msgspec.structs.replace(one, counts=False, fails=False),))
    assert "1 new finding that a rule does not ask for" in texts(page(result))
    assert "Nothing new in 1 run since last night Nothing to do today." in texts(page(result))


def test_muted_findings_tell_until_when_and_why(thousand: AuditResult) -> None:
    words = texts(page(thousand))
    assert "(until 2026-12-01). The smaller batch is meant, see the plan of the ablation." in words


def test_runs_that_are_gone_stay_in_the_table_and_out_of_the_count() -> None:
    result = made.result(30)
    words = texts(page(result))
    assert "30 runs, 1 of them gone; findings first, then the newest" in words
    assert "in 29 runs" in words


def test_runs_of_one_name_are_told_apart() -> None:
    base = made.result(2)
    runs = tuple(msgspec.structs.replace(one, name="run") for one in base.runs)
    finding = made.tracked(made.KINDS[1], runs[1].key, "run", "new", 10, False, None)
    shown = page(msgspec.structs.replace(base, runs=runs, findings=(finding,)))
    assert f"<bdi>{runs[1].key}</bdi></a></b>" in shown


def test_only_columns_that_some_run_has_are_there() -> None:
    bare = AuditedRun(key="a", name="a", path="/a", format="csv")
    shown = page(made.result(0, runs=(bare,), departures=(), weeks=()))
    heads = re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", shown)
    assert heads == ["Run", "Curve", "Verdict", "Findings", "State"]
    assert "Not assessed" in shown


def test_numbers_that_are_none_do_no_harm() -> None:
    base = made.result(1).runs[0]
    strange = msgspec.structs.replace(
        base, ended=math.inf, began=math.nan, best=math.nan, gpu_hours=math.inf, money=math.nan, wasted_hours=math.nan,
        spark=(math.nan,) * 48, planned_steps=0, last_step=-5,
    )  # fmt: skip
    shown = page(made.result(0, runs=(strange,), started=math.nan, finished=math.inf, previous=1e300, weeks=(Week(week="x", runs=0, flagged=9),)))
    assert "<svg class=\"spark\"" not in shown
    assert "No run" not in shown


@pytest.mark.parametrize("text", made_up.HOSTILE)
def test_texts_of_a_log_do_no_harm(text: str) -> None:
    parsed = Collector(page(made.hostile(text)))
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in parsed.tags if tag == "script"] == ["script"]
    for tag, attributes in parsed.tags:
        assert tag not in FORBIDDEN_TAGS - {"form"}
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "action")]
        assert re.fullmatch(r"data:,|[\w./#~%-]+", attributes.get("href", "data:,"))
        assert not attributes.get("href", "").startswith("//")
        assert "\x1b" not in "".join(attributes.values())
    assert not re.search("[\x00-\x08\x1b\u202a-\u202e\u2066-\u2069]", page(made.hostile(text)))


def test_only_the_script_of_the_page_may_run(thousand: AuditResult) -> None:
    shown = page(thousand)
    (script,) = re.findall(r"<script>(.*?)</script>", shown, flags=re.S)
    assert f"script-src '{inlined.allowed(script)}'" in shown.replace("&#43;", "+")
    assert "default-src 'none'" in shown


def test_an_address_names_neither_a_scheme_nor_a_host() -> None:
    assert safe_address("javascript:alert(1)") == "javascript%3Aalert%281%29"
    assert safe_address("//example.com/a") == "/example.com/a"
    assert safe_address("../runs/a b.html#finding-2") == "../runs/a%20b.html#finding-2"


def test_a_sparkline_breaks_where_the_loss_is_not_finite() -> None:
    assert spark([]) == ""
    assert spark([math.nan, math.inf]) == ""
    whole = spark([3.0, 2.0, 1.0])
    assert 'aria-label="3 to 1"' in whole
    assert whole.count("M") == 2  # the curve and its end
    broken = spark([3.0, 2.0, math.nan, 1.0, math.nan])
    assert 'aria-label="3 to NaN"' in broken
    assert re.search(r'd="M0 \d+l2 \d+M6 \d+"', broken)
    assert 'class="lost"' in broken


def test_weeks_without_runs_are_gaps_and_few_runs_are_pale() -> None:
    weeks = (Week(week="2026-W52", runs=20, flagged=4), Week(week="2027-W02", runs=2, flagged=1, patterns={"spikes": 1}))
    drawn = trend(weeks)
    assert drawn is not None
    assert [row[0] for row in drawn.rows] == ["2027-W02", "2027-W01", "2026-W53", "2026-W52"]
    assert drawn.wide.count('class="bar"') == 1
    assert drawn.wide.count('class="bar few"') == 1
    assert drawn.sentence == "In week 2, 50\u202f% of 2 runs had findings; in the week before, 20\u202f% of 20 runs."
    assert drawn.titles == ["Loss spikes"]
    assert trend(()) is None
    assert trend((Week(week="2026-W01", runs=0, flagged=0),)) is None


def only_new(result: AuditResult, **changes: Any) -> AuditResult:
    """A night without a finding, an unread input or a departure, but those in the changes."""
    plain: dict[str, Any] = {"findings": (), "errors": (), "departures": ()}
    return msgspec.structs.replace(result, **(plain | changes))


def departed(run: AuditedRun, state: TrackedState, **changes: Any) -> Departure:
    (one, *_) = made.departures([run] * 8)
    return msgspec.structs.replace(one, run=run.key, run_name=run.name, state=state, **changes)


LOST = Unread(path="/srv/training/outputs/old/log.json", message="is empty")
LOST_BEFORE = Unread(path="/srv/training/outputs/older/log.json", message="is empty", new=False)


@pytest.mark.parametrize(
    ("changes", "expected", "mark"),
    [
        ({"departures": "new"}, "No new finding in 2 runs since last night, but 1 run is unlike those before", "warning"),
        ({"errors": (LOST,)}, "No new finding in 2 runs since last night, but 1 input can no longer be read", "warning"),
        (
            {"departures": "new", "errors": (LOST, LOST_BEFORE)},
            "No new finding in 2 runs since last night, but 1 run is unlike those before and 1 input can no longer be read", "warning",
        ),
        ({"departures": "muted"}, "Nothing new in 2 runs since last night", None),
        ({"departures": "known"}, "Nothing new in 2 runs since last night", None),
        ({"errors": (LOST_BEFORE,)}, "Nothing new in 2 runs since last night", None),
        ({"previous": None, "errors": (LOST,)}, "First audit: nothing found in 2 runs, but 1 input could not be read", "warning"),
    ],
)  # fmt: skip
def test_departures_and_inputs_that_can_no_longer_be_read_are_news(changes: dict[str, Any], expected: str, mark: str | None) -> None:
    base = made.result(2)
    if "departures" in changes:
        changes = changes | {"departures": (departed(base.runs[0], changes["departures"]),)}
    answer = telling.answer(only_new(base, **changes))
    assert (answer.title, answer.severity) == (expected, mark)
    assert ("othing to do today" in answer.sentence) is (mark is None and "errors" not in changes)


def test_a_departure_weighs_in_the_mark_of_minor_findings() -> None:
    base = made.result(2)
    minor = made.tracked(made.KINDS[4], base.runs[1].key, base.runs[1].name, "new", 10, False, None)
    answer = telling.answer(only_new(base, findings=(minor,), departures=(departed(base.runs[0], "new"),)))
    assert answer.severity == "warning"
    assert "1 run is unlike those before" in answer.sentence


def test_known_unreadable_inputs_are_one_folded_line() -> None:
    shown = page(only_new(made.result(2), errors=(LOST_BEFORE, LOST)))
    assert "<summary>1 input that could not be read before either</summary>" in shown
    assert shown.index(LOST.path) < shown.index("<summary>1 input that") < shown.index(LOST_BEFORE.path)
    assert "1 input still cannot be read" in texts(shown)


def test_a_run_that_could_not_be_read_says_how_old_its_row_is() -> None:
    base = made.result(2)
    one = msgspec.structs.replace(base.runs[0], unread=True)
    lost = msgspec.structs.replace(LOST, path=one.path)
    shown = texts(page(only_new(base, runs=(one, base.runs[1]), errors=(lost,))))
    assert "could not be read tonight, as of 2026-11-11" in shown
    lost = msgspec.structs.replace(LOST, path=f"/srv/training/outputs/{one.key}/log.json")
    logged = msgspec.structs.replace(one, log=f"{one.key}/log.json")
    assert "as of 2026-11-11" in texts(page(only_new(base, runs=(logged,), errors=(lost,))))
    shown = texts(page(only_new(base, runs=(one, base.runs[1]), errors=(LOST_BEFORE,))))
    assert "could not be read tonight, as last seen" in shown


def test_muted_departures_stand_with_muted_findings() -> None:
    base = made.result(2)
    one = departed(base.runs[0], "muted", muted_until="2026-12-24", mute_reason="an older card")
    shown = page(only_new(base, departures=(one,)))
    muted = texts(shown[shown.index('<section id="muted">') : shown.index('<section id="about">')])
    assert "below the median of the last 12 runs like it" in muted
    assert "(until 2026-12-24) An older card." in muted
    assert 'id="unusual"' not in shown


def test_a_mute_that_has_ended_is_told() -> None:
    base = made.result(2)
    one = made.tracked(made.KINDS[0], base.runs[0].key, base.runs[0].name, "new", 10, False, None)
    back = msgspec.structs.replace(one, muted_until="2026-11-11", mute_reason="bad shard")
    result = only_new(base, findings=(back,), departures=(departed(base.runs[1], "new", muted_until="2026-11-11"),))
    assert telling.history(back) == "new: its mute until 2026-11-11 (bad shard) has ended"
    assert "new: its mute until 2026-11-11 (bad shard) has ended" in texts(page(result))
    assert "New again: its mute until 2026-11-11 has ended." in texts(page(result))


def test_worse_by_its_distance_has_both_numbers_on_one_scale() -> None:
    base = made.result(1)
    one = made.tracked(made.KINDS[0], base.runs[0].key, base.runs[0].name, "worse", 10, False, None)
    farther = msgspec.structs.replace(one, was="27 % beyond its threshold", was_excess=0.27, excess=0.6)
    assert telling.history(farther) == "worse: 60\u202f% beyond its threshold, was 27\u202f% when last told"
    assert telling.history(one) == "worse, was info"


def test_a_lost_log_is_told_without_a_step() -> None:
    base = made.result(1)
    one = made.tracked(made.KINDS[0], base.runs[0].key, base.runs[0].name, "new", 0, False, None)
    lost = msgspec.structs.replace(one, pattern="log-lost", metric="", start_step=0, end_step=0)
    assert telling.title(lost) == "Log lost"


def test_the_project_is_named_as_people_name_it() -> None:
    shown = page(made.result(3, project="chat"))
    assert "<bdi>chat</bdi> · audit of" in shown
    assert " · chat</title>" in shown
    assert "/srv/training/outputs" in texts(shown)


def test_a_look_says_that_nothing_was_written_down() -> None:
    assert "only a look: the next audit tells the same" in telling.answer(made.result(3, rehearsed=True)).sentence
    first = telling.answer(msgspec.structs.replace(made.first(30), rehearsed=True)).sentence
    assert "only a look" in first and "from the next audit on" not in first.lower()


def test_news_stand_first_then_known_findings_then_the_newest(thousand: AuditResult) -> None:
    rows = table(thousand).rows
    places = {run.name: place for place, run in enumerate(rows)}
    assert {rows[place].name for place in range(9)} >= {one.run_name for one in thousand.told[:9] if one.severity == "critical"}
    news = [places[one.run_name] for one in thousand.of("new", "worse")]
    known = [places[one.run_name] for one in thousand.of("known") if places[one.run_name] not in news]
    assert max(news) < len(news) + len(thousand.departures)
    keys = [row.findings_key for row in rows if row.state != "gone"]
    assert keys == sorted(keys)
    assert [row.state for row in rows[-5:]] == ["gone"] * 5
    assert known


def test_a_run_without_a_report_leads_to_its_row() -> None:
    base = made.result(60, news=0)
    bare = next(run for run in base.runs if not run.page)
    shown = page(msgspec.structs.replace(base, departures=(departed(bare, "new"),)))
    (anchor,) = re.findall(rf'<a href="#(run-\d+)"><bdi>{bare.name}</bdi></a>', shown)
    row = shown[shown.index(f'id="{anchor}"') :].partition("</tr>")[0]
    assert bare.name in row


def test_a_column_that_nearly_all_rows_leave_empty_is_not_there() -> None:
    base = made.result(40)
    runs = tuple(msgspec.structs.replace(run, gpu_hours=run.gpu_hours if i == 0 else None) for i, run in enumerate(base.runs))
    assert "GPU-hours" not in page(msgspec.structs.replace(base, runs=runs))


def test_the_project_filter_is_there_only_where_it_tells_runs_apart() -> None:
    base = made.result(40)
    assert '<select name="folder">' in page(base)
    assert '<select name="project">' not in page(base)  # each project is a folder
    one = tuple(msgspec.structs.replace(run, project="chat") for run in base.runs)
    assert '<select name="project">' not in page(msgspec.structs.replace(base, runs=one))
    two = tuple(msgspec.structs.replace(run, project=("chat", "code")[i % 2]) for i, run in enumerate(base.runs))
    assert '<select name="project">' in page(msgspec.structs.replace(base, runs=two))
