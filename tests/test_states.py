"""States of findings: whatever comes in which order, nothing is told twice and nothing is lost."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nights import DAY, NOW, found, tonight

from curvelab.matching import matched
from curvelab.model.finding import SEVERITIES
from curvelab.model.tracking import Mute
from curvelab.states import fingerprint, followed, in_order, unread

CHANGED = "its log has changed"


class Nights:
    """One run, night after night."""

    def __init__(self, *mutes):
        self.stored, self.day, self.mutes = [], 0, mutes

    def __call__(self, *findings, days=1, **options):
        """Tonight's (state, start step) and what is told."""
        self.day += days
        accept, length = options.pop("accept", False), options.pop("length", 1000)
        after = followed(
            tonight(*findings, **{"renewed": CHANGED} | options), self.stored, self.mutes, now=NOW + self.day * DAY,
            length=length, accept=accept,
        )  # fmt: skip
        self.stored = [one.stored for one in after]
        self.listed = [one.listed for one in after if one.listed]
        self.told = [one.listed for one in after if one.telling]
        return [one.state for one in self.listed]


def test_new_is_told_once():
    night = Nights()
    assert night(found()) == ["new"]
    assert [one.start_step for one in night.told] == [100]
    assert night(found()) == night(found(), renewed="") == ["known"]
    assert night.told == []


def test_the_wording_makes_nothing_new():
    night = Nights()
    night(found(headline="eval/loss rose 8 %", confidence=0.5, fix="a"))
    assert night(found(headline="eval/loss rose 9 %", confidence=0.9, fix="b")) == ["known"]
    assert night.listed[0].headline == "eval/loss rose 9 %"


@pytest.mark.parametrize(("metric", "pattern"), [("eval/loss", "spikes"), ("train/loss", "plateau")])
def test_another_metric_or_pattern_is_another_finding(metric, pattern):
    night = Nights()
    night(found())
    assert sorted(night(found(), found(metric=metric, pattern=pattern))) == ["known", "new"]


@pytest.mark.parametrize(
    ("before", "after", "state", "was"),
    [
        ({"severity": "info"}, {"severity": "warning"}, "worse", "info"),
        ({"severity": "warning"}, {"severity": "critical"}, "worse", "warning"),
        ({"severity": "critical"}, {"severity": "warning"}, "known", ""),
        ({"excess": 0.5}, {"excess": 1.0}, "worse", "50 % beyond its threshold"),
        ({"excess": 0.5}, {"excess": 0.99}, "known", ""),
        ({"excess": 0.1}, {"excess": 0.3}, "known", ""),
        ({"excess": 0.1}, {"excess": 0.36}, "worse", "10 % beyond its threshold"),
        ({"excess": 0.0}, {"excess": 0.25}, "worse", "0 % beyond its threshold"),
        ({"excess": -0.5}, {"excess": -0.1}, "known", ""),
        ({"excess": 30.0}, {"excess": 60.0}, "worse", "3,000 % beyond its threshold"),
        ({"excess": 0.5}, {"excess": math.inf}, "worse", "50 % beyond its threshold"),
        ({"excess": math.inf}, {"excess": math.inf}, "known", ""),
        ({"excess": math.nan}, {"excess": 5.0}, "known", ""),
        ({"excess": 0.5}, {"excess": math.nan}, "known", ""),
        ({"excess": None}, {"excess": 5.0}, "known", ""),
        ({"excess": 0.5}, {"excess": None}, "known", ""),
    ],
)  # fmt: skip
def test_worse(before, after, state, was):
    night = Nights()
    night(found(**before))
    assert night(found(**after)) == [state]
    assert night.listed[0].was == was
    assert night.listed[0].was_excess == (before["excess"] if "beyond" in was else None)
    assert bool(night.told) is (state == "worse")


def test_slow_growth_is_held_against_what_was_told():
    night = Nights()
    night(found(excess=0.5))
    assert [night(found(excess=x))[0] for x in (0.7, 0.9, 1.1, 1.5, 2.1, 2.3)] == ["known", "known", "worse", "known", "known", "worse"]


def test_a_severity_that_wavers_is_told_once():
    night = Nights()
    night(found())
    assert [night(found(severity=x))[0] for x in ("critical", "warning", "critical", "info", "critical")] == ["worse", *["known"] * 4]


def test_a_live_run_is_told_when_it_rests():
    night = Nights()
    assert night(found(), live=True) == night(found(), live=True) == ["new"]
    assert night.told == []
    assert night.listed[0].provisional
    assert night(found(), renewed="") == ["new"]  # it rests: nothing but the clock has changed
    assert len(night.told) == 1
    assert not night.listed[0].provisional
    assert night(found()) == ["known"]


def test_a_critical_finding_of_a_live_run_is_told_at_once():
    night = Nights()
    night(found(), live=True)
    assert night(found(severity="critical"), live=True) == ["new"]
    assert len(night.told) == 1
    assert night(found(severity="critical")) == ["known"]


def test_worse_in_a_live_run_waits_too():
    night = Nights()
    night(found(severity="info"))
    assert night(found(severity="warning"), live=True) == ["worse"]
    assert night.told == []
    assert night(found(severity="warning")) == ["worse"]
    assert len(night.told) == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [("clear", "fixed"), ("found", "fixed"), ("not-applicable", "fixed"), ("failed", "known"), (None, "known")],
)
def test_fixed_where_it_was_looked_for(status, state):
    night = Nights()
    night(found())
    checked = {"spikes": status} if status else {}
    assert night(checked=checked) == [state]
    assert night.listed[0].was == (CHANGED if state == "fixed" else "")
    assert night.listed[0].last_seen == NOW + DAY
    assert night.told == []


def test_a_pattern_that_cannot_look_answers_only_for_a_log_that_has_changed():
    night = Nights()
    night(found())
    assert night(checked={"spikes": "not-applicable"}, renewed="curvelab has changed") == ["known"]
    assert sorted(night(found(pattern="log-lost"), checked={"spikes": "not-applicable"})) == ["known", "new"]


def test_fixed_is_listed_once_and_new_when_it_is_back():
    night = Nights()
    night(found())
    name = night.listed[0].fingerprint
    assert night() == ["fixed"]
    assert night.stored[0].fixed == NOW + 2 * DAY
    assert night() == []
    assert night(found(120, 220)) == ["new"]
    assert (night.listed[0].fingerprint, night.listed[0].first_seen) == (name, NOW + DAY)
    assert night.stored[0].fixed is None
    assert night(found()) == ["known"]


def test_a_run_that_was_not_looked_at_keeps_everything():
    night = Nights()
    night(found())
    before = night.stored
    assert night(renewed="", checked={"spikes": "clear"}) == ["known"]
    assert [msgspec.structs.replace(one, state="new") for one in night.stored] == before


def test_accept():
    night = Nights()
    assert night(found(), found(500, 600, severity="critical"), accept=True, live=True) == ["known", "known"]
    assert night.told == []
    assert night(found(), found(500, 600, severity="critical")) == ["known", "known"]
    assert night(found(), found(500, 600, severity="critical"), found(800, 900)) == ["known", "known", "new"]
    assert night(found(severity="critical"), accept=True)[0] == "known"
    assert night(found(severity="critical"))[0] == "known"


def mute(run="*", pattern="*", **fields):
    return Mute(project="p", run=run, pattern=pattern, **fields)


@pytest.mark.parametrize(
    ("run", "pattern", "fits"),
    [
        ("*", "*", True), ("runs/a", "spikes", True), ("a", "spikes", True), ("runs/*", "s?ikes", True), ("A", "spikes", False),
        ("a", "Spikes", False), ("runs", "spikes", False), ("a", "plateau", False), ("[ab]", "spik[a-f]s", True), ("", "*", False),
        ("[", "*", False),
    ],
)  # fmt: skip
def test_what_a_mute_fits(run, pattern, fits):
    night = Nights(mute(run, pattern))
    assert night(found()) == (["muted"] if fits else ["new"])
    assert bool(night.told) is not fits


@pytest.mark.parametrize("name", ["run[1]", "[", "a*b?", "[!a]", "x]["])
def test_names_with_brackets_can_be_named(name):
    night = Nights(mute(name, "spikes"))
    assert night(found(), key=f"runs/{name}", name=name) == ["muted"]


def test_a_mute_that_ends_makes_new():
    """From NOW (2026-09-21) on: it holds for the whole of its last day."""
    night = Nights(mute(until="2026-09-23", reason="why"))
    night.mutes, muted = (), night.mutes
    assert night(found(), days=0) == ["new"]
    night.mutes = muted
    assert night(found()) == night(found(severity="critical")) == ["muted"]
    assert (night.listed[0].muted_until, night.listed[0].mute_reason, night.told) == ("2026-09-23", "why", [])
    assert night(found()) == ["new"]
    assert len(night.told) == 1
    assert night(found()) == ["known"]


def test_a_mute_that_has_ended_is_named_once():
    night = Nights(mute(until="2026-09-23", reason="bad shard"))
    told = []
    for _ in range(5):
        (state,) = night(found())
        told.append((state, bool(night.listed[0].muted_until), night.listed[0].mute_reason))
    at = [state for state, *_ in told].index("new")
    assert {state for state, *_ in told[:at]} == {"muted"}
    assert told[at] == ("new", True, "bad shard")
    assert told[at + 1] == ("known", False, "")


def test_a_mute_that_was_taken_away_is_not_named():
    night = Nights(mute(reason="why"))
    assert night(found()) == ["muted"]
    night.mutes = ()
    assert night(found()) == ["new"]
    assert night.listed[0].muted_until is None


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        (None, math.inf), ("1970-01-01", 86400), ("1970-01-01T12:00", 43200), ("1970-01-01T12:00+02:00", 36000),
        ("19700102", 2 * 86400),
    ],
)  # fmt: skip
def test_end_of_a_mute(until, ends):
    assert mute(until=until).ends == ends


def test_of_several_mutes_the_longest_is_named():
    night = Nights(mute(until="2099-01-01", id=1), mute(reason="forever", id=2), mute(until="2098-01-01", id=3))
    night(found())
    assert (night.listed[0].muted_until, night.listed[0].mute_reason) == (None, "forever")


def test_muted_findings_can_be_fixed():
    night = Nights(mute())
    night(found())
    assert night() == ["fixed"]


def test_unread_runs():
    night = Nights()
    night(found(), found(500, 600))
    night(found(), found(500, 600), found(800, 900), live=True)
    night(found(), found(800, 900), live=True)
    assert night.told == []
    listed = unread(night.stored, [mute(pattern="plateau")], NOW + 9 * DAY)
    assert [(one.start_step, one.state, one.last_seen) for one in listed] == [(100, "known", NOW + 3 * DAY)]
    assert [one.state for one in unread(night.stored, [mute()], NOW)] == ["muted", "muted"]


def test_drift_keeps_the_name():
    night = Nights()
    night(found(100, 400))
    name = night.listed[0].fingerprint
    for start in range(120, 400, 40):
        assert night(found(start, start + 300)) == ["known"]
        assert night.listed[0].fingerprint == name
    assert night(found(100, 120)) == ["new", "fixed"]  # the old name is taken by what has drifted away
    assert night.listed[0].fingerprint != name


def test_without_a_length_the_findings_say_how_long_the_run_is():
    night = Nights()
    night(found(100, 100), found(1000, 1000), length=None)
    assert night(found(190, 190), found(1000, 1000), length=None) == ["known", "known"]


def test_what_is_there_comes_before_what_was_fixed():
    night = Nights()
    night(found(100, 200), found(210, 300))
    night(found(210, 300))
    assert night(found(150, 300)) == ["known"]


def test_two_findings_at_one_step_have_two_names():
    night = Nights()
    assert night(found(100, 200), found(100, 900)) == ["new", "new"]
    assert len({one.fingerprint for one in night.stored}) == 2
    assert night(found(100, 900), found(100, 200)) == ["known", "known"]


def test_a_taken_fingerprint_is_not_given_again():
    name = fingerprint("runs/a", "spikes", "train/loss", 100)
    (one,) = followed(tonight(found()), [], now=NOW, taken={name})
    assert one.stored.fingerprint == fingerprint("runs/a", "spikes", "train/loss", 100, 1) != name
    assert len(name) == 16
    assert int(name, 16) >= 0
    assert len(fingerprint("\udcff\0", "", "", -1)) == 16


def test_order_of_the_list():
    night = Nights()
    night(found(1, 2, severity="critical"), found(500, 501))
    night(found(1, 2, severity="critical"), found(500, 501, severity="critical"), found(800, 801), found(900, 901, severity="critical"))
    assert [(one.state, one.severity) for one in in_order(night.listed)] == [
        ("new", "critical"), ("new", "warning"), ("worse", "critical"), ("known", "critical"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "tonight_", "pairs"),
    [
        ([(0, 10)], [(0, 10)], {0: 0}),
        ([(0, 10)], [(10, 20)], {0: 0}),  # one step in common
        ([(0, 10)], [(111, 120)], {}),
        ([(0, 10)], [(100, 120)], {0: 0}),  # a tenth of 1000 steps away
        ([(0, 10)], [(101, 120)], {}),
        ([(0, 100), (100, 200), (200, 300)], [(60, 160), (160, 260), (260, 360)], {0: 0, 1: 1, 2: 2}),  # all have moved
        ([(0, 1000), (900, 910)], [(900, 912)], {0: 1}),  # the short one, and not the long one around it
        ([(0, 10), (20, 30)], [(0, 30)], {0: 0}),
        ([(0, 30)], [(0, 10), (12, 30)], {1: 0}),
        ([(5, 5), (5, 5)], [(5, 5), (5, 5), (5, 5)], {0: 0, 1: 1, 2: 2}),
        ([(50, 20)], [(50, 50)], {0: 0}),  # an end before its start
    ],
)  # fmt: skip
def test_matching(known, tonight_, pairs):
    found_ = matched(known, tonight_, 1000)
    assert found_ == {j: i for j, i in pairs.items() if i < len(known)}


def test_thousands_of_findings_are_matched_in_their_order():
    known = [(10 * i, 10 * i + 5) for i in range(3000)]
    moved = [(start + 1, end + 1) for start, end in known]
    assert matched(known, moved, 30_000) == {i: i for i in range(3000)}
    assert matched(known, [(start + 7, start + 8) for start, _ in known], 30_000) == {i: i for i in range(3000)}


spans = st.lists(st.tuples(st.integers(-5, 60), st.integers(-5, 60)), max_size=8)


@given(spans, spans, st.integers(0, 100))
def test_matching_is_one_to_one_and_near(known, tonight_, length):
    pairs = matched(known, tonight_, length)
    assert len(set(pairs.values())) == len(pairs)
    for j, i in pairs.items():
        (start, end), (other, other_end) = known[i], tonight_[j]
        overlap = max(start, other) <= min(max(start, end), max(other, other_end))
        assert overlap or abs(start - other) <= 0.1 * length


@given(spans, st.randoms())
def test_what_has_not_moved_is_matched_whatever_its_place_in_the_list(known, random):
    shuffled = random.sample(known, len(known))
    pairs = matched(known, shuffled, 0)
    assert [(known[i][0], max(known[i])) for _, i in sorted(pairs.items())] == [(one[0], max(one)) for one in shuffled]


findings = st.builds(
    found, st.integers(0, 900), st.integers(0, 1000), severity=st.sampled_from(SEVERITIES),
    pattern=st.sampled_from(["spikes", "plateau"]), excess=st.none() | st.floats(),
)  # fmt: skip
nights = st.lists(
    st.tuples(
        st.lists(findings, max_size=4),
        st.sampled_from(["", CHANGED]),
        st.booleans(),
        st.dictionaries(st.sampled_from(["spikes", "plateau"]), st.sampled_from(["clear", "found", "failed"])),
        st.sampled_from([(), (mute("*", "spikes"),), (mute("runs/a", "*", until="2026-09-25"),)]),
        st.booleans(),
    ),
    max_size=8,
)


@given(nights)
def test_whatever_comes(history):
    """Names are never shared, what is found is listed, telling follows the rules, and a quiet night after it is all known."""
    night = Nights()
    for found_, renewed, live, checked, mutes, accept in history:
        night.mutes = mutes
        before = {one.fingerprint: one for one in night.stored}
        night(*found_, renewed=renewed, live=live, checked=checked, accept=accept)
        after = {one.fingerprint: one for one in night.stored}
        assert len(after) == len(night.stored)
        assert before.keys() <= after.keys()
        assert len(night.listed) >= len(found_)
        for one in night.told:
            assert one.state in ("new", "worse")
            assert not live or one.severity == "critical"
        assert not (accept and night.told)
        for one in night.listed:
            old = before.get(one.fingerprint)
            assert (one.state == "known") <= (accept or (old is not None and old.told is not None))
            assert (one.state == "fixed") <= (renewed != "" and checked.get(one.pattern) in ("clear", "found"))
            assert (one.state == "muted") <= bool(mutes)
            assert one.first_seen <= one.last_seen <= NOW + night.day * DAY
            assert (after[one.fingerprint].fixed is not None) == (one.state == "fixed")
    night.mutes = ()
    there = [one.found for one in night.stored if one.fixed is None]
    night(*there, renewed="")
    assert set(night(*there, renewed="")) <= {"known"}
