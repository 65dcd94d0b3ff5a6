"""mute: what may be muted, for how long, in which history."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nights import NOW, everything, found, record, tonight

from curvelab.history import DEFAULT, History

DAY = timedelta(days=1)


def in_days(days):
    return (datetime.now(UTC) + days * DAY).date().isoformat()


@pytest.fixture
def history(empty_folder):
    """A history of one project with two runs, at the default place of the test's folder."""
    with History.open(DEFAULT) as opened:
        opened.keep("p", [record("outputs/a"), record("outputs/b[1]", name="bert [1]")])
        opened.settle("p", [tonight(found(pattern="my-plugin"), key="outputs/a")], now=NOW, tree="", wanted=everything)
        yield opened


def only(history, project="p"):
    (one,) = history.mutes(project)
    return one


@pytest.mark.parametrize(
    ("run", "pattern", "fits"),
    [
        ("outputs/a", "spikes", 1), ("a", "spikes", 1), ("outputs/*", "spi*", 2), ("bert [1]", "spikes", 1),
        ("outputs/b[1]", "plateau", 1), ("*", "*", 2), ("a", "my-plugin", 1),
    ],
)  # fmt: skip
def test_what_can_be_muted(call, history, run, pattern, fits):
    answer = call("mute", run, pattern, "--until", in_days(30), "--reason", "a known disk")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"muted 1  {pattern} of {run} until {in_days(30)}: a known disk; fits {fits} run{'s' * (fits > 1)}: outputs/")
    one = only(history)
    assert (one.run, one.pattern, one.until, one.reason) == (run, pattern, in_days(30), "a known disk")
    assert abs(one.made - time.time()) < 3600


def test_a_mute_reaches_the_next_audit(call, history):
    call("mute", "a", "my-plugin")
    settled = history.settle("p", [tonight(found(pattern="my-plugin"), key="outputs/a")], now=NOW + 1, tree="", wanted=everything)
    assert [one.state for one in settled.findings] == ["muted"]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("2190-02-03", "2190-02-03"), ("21900203", "2190-02-03"), ("2190-02-03T04:05", "2190-02-03T04:05:00+00:00"),
        ("2190-02-03T04:05:06+02:00", "2190-02-03T02:05:06+00:00"), (" 2190-02-03 ", "2190-02-03"),
    ],
)  # fmt: skip
def test_dates(call, history, word, kept):
    assert call("mute", "a", "spikes", "--until", word).code == 0
    assert only(history).until == kept
    assert only(history).ends > time.time()


@pytest.mark.parametrize(("word", "days"), [("0d", 0), ("14d", 14), ("2w", 14), ("1w", 7)])
def test_days_and_weeks(call, history, word, days):
    before = in_days(days)
    assert call("mute", "a", "spikes", "--until", word).code == 0
    assert only(history).until in (before, in_days(days))


def test_a_mute_of_today_holds_today(call, history):
    assert call("mute", "a", "spikes", "--until", in_days(0)).code == 0
    assert time.time() < only(history).ends <= time.time() + 2 * DAY.total_seconds()


@pytest.mark.parametrize("word", ["soon", "", "14", "d", "-3d", "2027-02-30", "14 d", "999999w", "99999999d", "٣d", "2027-01-31T25:00"])
def test_what_is_no_date(call, history, word):
    answer = call("mute", "a", "spikes", "--until", word)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f'curvelab: --until takes a date such as 2027-01-31, 14d or 2w, not "{word}"\n'
    assert history.mutes("p") == []


@pytest.mark.parametrize("word", ["2020-01-31", "2020-01-31T04:05", "0001-01-01"])
def test_a_date_that_is_over(call, history, word):
    answer = call("mute", "a", "spikes", "--until", word)
    assert (answer.code, answer.err) == (2, f"curvelab: --until {word}: is over\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["outputs/aa", "spikes"], 'no run is called "outputs/aa"; did you mean "outputs/a"?'),
        (["OUTPUTS/A", "spikes"], 'no run is called "OUTPUTS/A"'),
        (["a", "spike"], 'no pattern is called "spike"; did you mean "spikes"?'),
        (["a", "Spikes"], 'no pattern is called "Spikes"; did you mean "spikes"?'),
        (["a", "zzz"], 'no pattern is called "zzz"; known: abrupt-end, '),
        (["a", "my-plugn"], 'no pattern is called "my-plugn"; did you mean "my-plugin"?'),
        (["a"], "mute: takes RUN PATTERN"),
        ([], "mute: takes RUN PATTERN"),
        (["", "spikes"], "mute: takes RUN PATTERN"),
        (["a", "spikes", "--list"], "mute: either RUN PATTERN, or --list, or --remove ID"),
        (["--list", "--remove", "1"], "mute: either RUN PATTERN, or --list, or --remove ID"),
        (["--remove", "7"], "--remove 7: no mute of p has this id; known: none"),
        (["--list", "--project", "q"], 'no project is called "q"; known: p'),
        (["--list", "--history", "absent.db"], "history absent.db: there is none yet; curvelab audit makes it"),
        (["--list", "--history", "mysql://u:secret@h/d"], 'history mysql://u:***@h/d: no database is of the kind "mysql"'),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(call, history, arguments, told):
    answer = call("mute", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"curvelab: {told}")
    assert answer.err.count("\n") == 1
    assert history.mutes("p") == []


def test_a_glob_may_come_before_its_runs(call, history):
    answer = call("mute", "sweeps/*", "new-pattern-?")
    assert answer.code == 0
    assert answer.err == 'mute: no run fits "sweeps/*" yet\n'
    assert only(history).until is None
    assert "until it is removed; fits 0 runs" in answer.out


def test_list_and_remove(call, history):
    assert call("mute", "--list").out == "no mutes\n"
    call("mute", "a", "spikes", "--until", "3d", "--reason", "one\nline \x1b[31m" + "x" * 9999)
    call("mute", "*", "plateau")
    first, second = call("mute", "--list").out.splitlines()
    assert first.startswith(f"1  spikes of a until {in_days(3)}: one line [31mxxx")
    assert first.endswith("; fits 1 run: outputs/a")
    assert len(first) < 330
    assert second == "2  plateau of * until it is removed; fits 2 runs: outputs/a, outputs/b[1]"
    assert call("mute", "--remove", "2").out == "removed 2  plateau of * until it is removed\n"
    assert only(history).id == 1
    assert call("mute", "--remove", "2").err == "curvelab: --remove 2: no mute of p has this id; known: 1\n"


def test_an_ended_mute_is_listed_as_such(call, history):
    from curvelab.history import Mute

    history.mute(Mute(project="p", run="a", pattern="b", until="2020-01-31"))
    assert call("mute", "--list").out == "1  b of a until 2020-01-31 (ended); fits 1 run: outputs/a\n"


def test_a_mute_takes_the_place_of_the_one_before(call, history):
    call("mute", "a", "spikes", "--until", "3d", "--reason", "one")
    call("mute", "a", "plateau")
    answer = call("mute", "a", "spikes", "--until", "9d", "--reason", "two")
    assert answer.out == f"muted 3  spikes of a until {in_days(9)}: two; fits 1 run: outputs/a, instead of 1\n"
    assert [(one.id, one.pattern, one.reason) for one in history.mutes("p")] == [(2, "plateau", ""), (3, "spikes", "two")]


def test_the_list_names_a_few_of_many_runs(call, history):
    history.keep("p", [record(f"sweep/{n}") for n in range(9)])
    call("mute", "sweep/*", "spikes")
    call("mute", "later/*", "spikes")
    first, second = call("mute", "--list").out.splitlines()
    assert first.split("; ")[1].startswith("fits 9 runs: sweep/") and first.endswith(", …")
    assert second.endswith("; fits 0 runs")


def test_which_project(call, history):
    history.keep("other", [record("x")])
    answer = call("mute", "a", "spikes")
    assert answer.code == 2
    assert "history reports/audit/curvelab.db: has 2 projects; say which, with --project (p, other)" in answer.err
    assert call("mute", "a", "spikes", "--project", "othr").err == 'curvelab: no project is called "othr"; did you mean "other"?\n'
    assert call("mute", "x", "spikes", "--project", "other").code == 0
    assert only(history, "other").run == "x"
    assert call("mute", "--remove", "1", "--project", "p").code == 2
    assert call("mute", "--remove", "1", "--project", "other").code == 0


def test_history_from_flag_and_environment(call, monkeypatch, tmp_path):
    for name in ("flag", "environment"):
        with History.open(tmp_path / f"{name}.db") as opened:
            opened.keep(name, [record("a")])
    monkeypatch.setenv("CURVELAB_HISTORY", "environment.db")
    assert call("mute", "a", "spikes").code == 0
    assert call("mute", "a", "plateau", "--history", f"sqlite:///{tmp_path}/flag.db").code == 0
    with History.open("flag.db") as flag, History.open("environment.db") as environment:
        assert (only(flag, "flag").pattern, only(environment, "environment").pattern) == ("plateau", "spikes")


def test_a_history_without_an_audit(call):
    History.open("empty.db").close()
    answer = call("mute", "a", "spikes", "--history", "empty.db")
    assert (answer.code, answer.err) == (2, "curvelab: history empty.db: no audit has been here yet\n")
    assert not Path("reports").exists()


def test_names_that_are_no_text(call, history):
    history.keep("p", [record("caf\udce9")])
    answer = call("mute", "caf\udce9", "spikes")
    assert answer.code == 0
    assert "of caf� until" in answer.out
    assert only(history).run == "caf\udce9"
