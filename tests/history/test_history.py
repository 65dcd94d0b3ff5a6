"""What a history keeps, in a SQLite file and in a PostgreSQL server."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nights import DAY, NOW, everything, found, record, tonight

from curvelab.history import History, Mute
from curvelab.model.errors import UsageError


def settle(history, *runs, day=0, project="p", **options):
    return history.settle(project, runs, **{"now": NOW + day * DAY, "tree": f"tree {day}", "wanted": everything} | options)


def states(settled):
    return [(one.run, one.state) for one in settled.findings]


def same(one, other):
    """Equal, and NaN is NaN."""

    def plain(record):
        return repr([bytes(getattr(record, name)) if name == "diagnosis" else getattr(record, name) for name in record.__struct_fields__])

    return plain(one) == plain(other)


HOSTILE = [
    "outputs/a", "", "run[1]", "caf\udce9\udcff", "nul\0inside", "\ue000escaped", "\ue000", "<b>&amp;\"'", "'; DROP TABLE x; --",
    "\x1b[31mred\u202e", "läuf ✓ 👩‍🔬", "x" * 10_000, "%s %(a)s :a {0}", "a\nb\r\n", "\\u0000", "\ud83d",
]  # fmt: skip


def test_records_come_back_as_they_were(where):
    records = [
        record(key, [found(headline=key, metric=key)], diagnosis=key.encode("utf-8", "surrogatepass"), verdict=key, rule=key)
        for key in HOSTILE
    ]
    with History.open(where) as history:
        history.keep("p", records)
    with History.open(where) as history:
        kept = history.records("p")
        assert sorted(kept) == sorted(HOSTILE)
        assert all(same(kept[one.run.key], one) for one in records)
        assert history.names("p") == {one.run.key: one.run.name for one in records}


@pytest.mark.parametrize("project", HOSTILE)
def test_any_project_name(tmp_path, project):
    with History.open(tmp_path / "h.db") as history:
        history.keep(project, [record()])
        assert history.projects() == [project]
        assert settle(history, tonight(found()), project=project).number == 1
        assert history.tree(project) == "tree 0"
        assert list(history.records(project)) == ["runs/a"]


def test_numbers_that_no_database_takes_come_back(where):
    odd = record(
        best=math.nan, final=-math.inf, gpu_hours=math.inf, last_step=2**70, summary={"nan": math.nan, "inf": math.inf, "x" * 9999: 0.1},
        settings={"big": 2**80, "text": "NaN", "nan": math.nan, "yes": True, "one": 1, "float": 1.0}, spark=(math.nan,) * 48,
        findings=(found(-5, 2**63 - 1, confidence=math.nan, excess=math.inf), found(2**70, 2**71)),
    )  # fmt: skip
    with History.open(where) as history:
        history.keep("p", [odd])
        assert same(history.records("p")["runs/a"], odd)
        first = settle(history, tonight(*odd.findings))
        again = settle(history, tonight(*odd.findings), day=1)
        assert [one.state for one in first.findings + again.findings] == ["new", "new", "known", "known"]
        assert again.findings[0].excess == math.inf


def test_huge_texts(where):
    long = "é" * 200_000
    with History.open(where) as history:
        history.keep("p", [record("k", [found(headline=long)], diagnosis=b"x" * 5_000_000, settings={"prompt": long})])
        assert len(bytes(history.records("p")["k"].diagnosis)) == 5_000_000
        assert settle(history, tonight(found(headline=long), key="k", name=long)).findings[0].headline == long
        (muted,) = [history.mute(Mute(project="p", run=long, pattern="*", reason=long))]
        assert history.mutes("p") == [muted]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=()), max_size=30), st.binary(max_size=50), st.floats())
def test_any_text_and_number(tmp_path, text, diagnosis, number):
    with History.open(tmp_path / "h.db") as history:
        one = record(text, diagnosis=diagnosis, name=text, metric=text, best=number, settings={text: number})
        history.keep(text, [one])
        assert same(history.records(text)[text], one)


def test_keep_replaces_the_record_and_its_summary(where):
    with History.open(where) as history:
        history.keep("p", [record("a", summary={"x": 1.0, "y": 2.0}), record("b")])
        history.keep("p", [record("a", log="2", summary={"y": 3.0}), record("a", log="3", summary={"z": 4.0})])
        assert history.records("p")["a"].causes["log"] == "3"
        with history._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, value FROM curvelab_summaries ORDER BY name").all()
        assert [*map(tuple, rows)] == [("seconds", 12.5), ("z", 4.0)]


def test_keep_of_nothing_is_nothing(where):
    with History.open(where) as history:
        history.keep("p", [])
        assert (history.projects(), history.records("p"), history.tree("p"), history.audits("p")) == ([], {}, None, [])


def test_projects_do_not_see_each_other(where):
    with History.open(where) as history:
        history.keep("p", [record()])
        settle(history, tonight(found()))
        history.mute(Mute(project="p", run="*", pattern="*"))
        assert states(settle(history, tonight(found()), project="q")) == [("runs/a", "new")]
        assert (history.records("q"), history.mutes("q")) == ({}, [])
        assert history.projects() == ["p", "q"]


def test_nights_of_one_finding(where):
    with History.open(where) as history:
        nights = [
            settle(history, tonight(found())),
            settle(history, tonight(found(110, 210)), day=1),
            settle(history, tonight(found(severity="critical")), day=2),
            settle(history, tonight(renewed="the settings have changed"), day=3),
            settle(history, tonight(), day=4),
            settle(history, tonight(found()), day=5),
        ]
        assert [[one.state for one in night.findings] for night in nights] == [["new"], ["known"], ["worse"], ["fixed"], [], ["new"]]
        assert len({one.fingerprint for night in nights for one in night.findings}) == 1
        assert nights[2].findings[0].was == "warning"
        assert nights[3].findings[0].was == "the settings have changed"
        assert [night.previous for night in nights] == [None, *(NOW + day * DAY for day in range(5))]
        past = history.audits("p")
        assert [one.number for one in past] == [night.number for night in nights] == [1, 2, 3, 4, 5, 6]
        assert [one.counts["known"] for one in past] == [0, 1, 0, 0, 0, 0]
        assert [one.told for one in past] == [1, 0, 1, 0, 0, 1]
        assert past[0].counts == {"new": 1, "worse": 0, "known": 0, "fixed": 0, "muted": 0}
        assert history.tree("p") == "tree 5"


def test_begin_and_end_of_an_audit(where):
    with History.open(where) as history:
        settle(history, started=NOW - 60)
        assert [(one.started, one.finished, one.runs) for one in history.audits("p")] == [(NOW - 60, NOW, 0)]
        assert settle(history, day=1).previous == NOW


def test_wanted_is_asked_of_what_is_told_only(where):
    asked = []

    def wanted(one):
        asked.append((one.pattern, one.state))
        return one.severity == "critical", False

    live = tonight(found(pattern="plateau"), found(severity="critical"), live=True)
    with History.open(where) as history:
        first = settle(history, live, wanted=wanted)
        assert asked == [("spikes", "new")]
        assert [(one.pattern, one.counts, one.fails) for one in first.findings] == [("spikes", True, False), ("plateau", False, False)]
        second = settle(history, tonight(*live.findings), day=1, wanted=wanted)
        assert asked[1:] == [("plateau", "new")]
        assert [(one.pattern, one.state, one.counts) for one in second.findings] == [("plateau", "new", False), ("spikes", "known", False)]


def test_an_error_while_settling_leaves_everything_as_it_was(where):
    def fail(_):
        raise RuntimeError("a rule that cannot be judged")

    with History.open(where) as history:
        with pytest.raises(RuntimeError):
            settle(history, tonight(found()), wanted=fail)
        assert history.audits("p") == []
        assert states(settle(history, tonight(found()))) == [("runs/a", "new")]


def test_two_runs_of_one_key_are_refused(where):
    with History.open(where) as history, pytest.raises(ValueError, match="same key"):
        settle(history, tonight(), tonight())


def test_accept_begins_from_today(where):
    with History.open(where) as history:
        first = settle(history, tonight(found(), live=True), accept=True)
        assert [(one.state, one.counts) for one in first.findings] == [("known", False)]
        assert states(settle(history, tonight(found()), day=1)) == [("runs/a", "known")]


def test_gone_runs_are_kept_and_not_listed(where):
    with History.open(where) as history:
        history.keep("p", [record("a"), record("b")])
        both = [tonight(found(), key=key) for key in "ab"]
        settle(history, *both)
        assert states(settle(history, both[0], day=1, gone={"b"})) == [("a", "known")]
        assert {key: one.run.seen for key, one in history.records("p").items()} == {"a": "new", "b": "gone"}
        assert states(settle(history, both[0], day=2)) == [("a", "known")]
        assert states(settle(history, *both, day=3)) == [("a", "known"), ("b", "known")]
        assert history.records("p")["b"].run.seen == "unchanged"


def test_unreadable_runs_keep_what_was_told(where):
    with History.open(where) as history:
        history.keep("p", [record("a"), record("b")])
        settle(history, tonight(found(), key="a"), tonight(found(), key="b", live=True))
        assert states(settle(history, day=1)) == [("a", "known")]
        history.mute(Mute(project="p", run="a", pattern="*", reason="disk"))
        (one,) = settle(history, day=2).findings
        assert (one.state, one.mute_reason, one.last_seen) == ("muted", "disk", NOW)
        assert states(settle(history, tonight(found(), key="b"), day=3))[0] == ("b", "new")


def test_a_run_that_moved_takes_its_findings_along(where):
    with History.open(where) as history:
        history.keep("p", [record("old")])
        before = settle(history, tonight(found(), key="old"))
        history.keep("p", [record("new")])
        moved = tonight(found(), key="new", was_key="old")
        after = settle(history, moved, day=1, gone={"old"})
        assert states(after) == [("new", "known")]
        assert after.findings[0].fingerprint == before.findings[0].fingerprint
        assert list(history.records("p")) == ["new"]
        assert states(settle(history, moved, day=2)) == [("new", "known")]  # said once more: no harm


def test_a_moved_run_whose_record_was_not_kept_again(where):
    with History.open(where) as history:
        history.keep("p", [record("old")])
        settle(history, tonight(found(), key="old"))
        settle(history, tonight(found(), key="new", was_key="old"), day=1)
        assert [one.run.key for one in history.records("p").values()] == ["new"]


def test_runs_that_changed_places(where):
    with History.open(where) as history:
        settle(history, tonight(found(), key="a"), tonight(found(pattern="plateau"), key="b"))
        swapped = [tonight(found(), key="b", was_key="a"), tonight(found(pattern="plateau"), key="a", was_key="b")]
        after = settle(history, *swapped, day=1)
        assert [(one.run, one.pattern, one.state) for one in after.findings] == [("a", "plateau", "known"), ("b", "spikes", "known")]


def test_a_copy_has_not_moved_and_a_successor_is_new(where):
    with History.open(where) as history:
        settle(history, tonight(found(), key="a"))
        assert states(settle(history, tonight(found(), key="a"), tonight(found(), key="b", was_key="a"), day=1)) == [
            ("b", "new"), ("a", "known"),
        ]  # fmt: skip
    with History.open(where) as history:
        settle(history, tonight(found(), key="x"), project="q")
        after = settle(
            history, tonight(found(), key="y", was_key="x"), tonight(found(), key="x", was_key="z"), day=1, project="q"
        )
        assert states(after) == [("x", "new"), ("y", "known")]
        assert len({one.fingerprint for one in after.findings}) == 2


def test_what_a_killed_audit_looked_at_is_still_told(where):
    with History.open(where) as history:
        history.keep("p", [record()])
        settle(history, tonight(found(), found(700, 800)))
        history.keep("p", [record(log="2")])  # and then it was killed
    with History.open(where) as history:
        (fixed, still) = sorted(settle(history, tonight(found()), day=1).findings, key=lambda one: one.state)
        assert (fixed.state, fixed.was, still.state) == ("fixed", "its log has changed", "known")
        assert states(settle(history, tonight(), day=2)) == [("runs/a", "known")]  # now it was not looked at again


def test_mutes(where):
    with History.open(where) as history:
        one = history.mute(Mute(project="p", run="runs/*", pattern="spi*", until="2026-09-22", reason="a bad disk", made=NOW))
        other = history.mute(Mute(project="p", run="b", pattern="plateau"))
        assert history.mutes("p") == [one, other]
        assert one.id != other.id
        (muted,) = settle(history, tonight(found()), day=0).findings
        assert (muted.state, muted.muted_until, muted.mute_reason, muted.counts) == ("muted", "2026-09-22", "a bad disk", False)
        assert states(settle(history, tonight(found()), day=3)) == [("runs/a", "new")]
        assert history.unmute(one.id)
        assert not history.unmute(one.id)
        assert history.mutes("p") == [other]
        with pytest.raises(UsageError, match='no date: "soon"'):
            history.mute(Mute(project="p", run="a", pattern="b", until="soon"))


def test_the_id_of_a_removed_mute_is_not_given_again(where):
    with History.open(where) as history:
        first = history.mute(Mute(project="p", run="a", pattern="b"))
        history.unmute(first.id)
        assert history.mute(Mute(project="p", run="a", pattern="b")).id > first.id


def test_a_record_that_this_version_cannot_read_is_looked_at_again(where):
    with History.open(where) as history:
        history.keep("p", [record("a"), record("b"), record("c")])
        settle(history, *(tonight(found(), key=key) for key in "abc"))
        with history._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE curvelab_runs SET body = '{\"run\": {}}' WHERE name = 'a'")
            connection.exec_driver_sql("UPDATE curvelab_runs SET body = '[' WHERE name = 'b'")
            connection.exec_driver_sql("UPDATE curvelab_findings SET body = '{\"pattern\": 1}' WHERE run = 'a'")
        assert list(history.records("p")) == ["c"]
        assert states(settle(history, *(tonight(found(), key=key) for key in "abc"), day=1)) == [("a", "new"), ("b", "known"), ("c", "known")]


def test_memos(where):
    with History.open(where) as history:
        assert history.memo("p", "undelivered") is None
        history.remember("p", "undelivered", lambda before: f"{before} one")
        history.remember("p", "undelivered", lambda before: f"{before} two")
        history.remember("q", "undelivered", lambda before: "other")
        assert (history.memo("p", "undelivered"), history.memo("p", "else")) == ("None one two", None)


def test_a_rehearsal_writes_nothing(where):
    with History.open(where) as history:
        told = [history.settle("p", [tonight(found(), key="a")], now=NOW, tree="x", wanted=everything, rehearsed=True) for _ in "12"]
        assert [[one.state for one in night.findings] for night in told] == [["new"], ["new"]]
        assert (history.audits("p"), history.tree("p"), history.patterns("p")) == ([], None, [])


def test_what_nobody_heard_of_is_new_again(where):
    with History.open(where) as history:
        memo = ("m", lambda old, new: f"{old} {len(new.findings)}")
        first = history.settle("p", [tonight(found(), key="a")], now=NOW, tree="x", wanted=everything, memo=memo)
        names = [one.fingerprint for one in first.findings]
        again = history.settle("p", [tonight(found(), key="a")], now=NOW + DAY, tree="x", wanted=everything, again=names)
        assert [one.state for one in again.findings] == ["new"]
        assert history.memo("p", "m") == "None 1"
        later = history.settle("p", [tonight(found(), key="a")], now=NOW + 2 * DAY, tree="x", wanted=everything)
        assert [one.state for one in later.findings] == ["known"]
