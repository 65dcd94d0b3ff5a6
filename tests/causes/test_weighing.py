"""The arithmetic of weighing, the steering of remedies, and what the engine does with a weighing that fails."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType

import pytest

from curvelab import cards, catalogue, diagnosis, synth
from curvelab.catalogue import causes, detector, detectors
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.model.finding import Cause, Finding
from curvelab.report import text
from curvelab.report.markdown import markdown
from curvelab.report.page import page
from curvelab.rules import Remedy
from curvelab.steering import steered
from curvelab.weighing import (
    CLEAR,
    COUNTED,
    LEAST_ELSE,
    RULED_OUT,
    SLIGHT,
    STRONG,
    Candidate,
    Sign,
    coincidence,
    unseen,
    weighing,
)

RUN = synth.run_of(synth.decay(300) + synth.noise(300, 0.02), every=1, rate=synth.cosine(300))
FINDING = Finding(severity="warning", confidence=0.9, metric="train/loss", headline="x", start_step=1, end_step=9)
TWO = (Candidate("one", "the one", 0.4, "a"), Candidate("other", "the other", 0.4, "b"))


def weigh(*signs: Sign) -> dict[str, Cause]:
    made = weighing(*TWO)(lambda facts, finding: signs)
    return {cause.name: cause for cause in made.weigh(Facts(RUN), FINDING)}


def spiky() -> synth.run_of:
    loss = synth.decay(300) + synth.noise(300, 0.02)
    loss[[100, 170, 240]] += [4.0, 3.0, 2.5]
    return synth.run_of(loss, every=1, rate=synth.cosine(300))


def test_without_signs_the_priors_are_the_weights():
    assert {name: cause.weight for name, cause in weigh().items()} == {"one": 0.4, "other": 0.4}


def test_a_sign_multiplies_the_odds_and_stands_on_its_side():
    told = weigh(Sign("it climbed", {"one": CLEAR, "other": 1 / SLIGHT}), *unseen("nobody knows", "one"))
    odds = (0.4 * CLEAR, 0.4 / SLIGHT)
    assert told["one"].weight == pytest.approx(odds[0] / (0.2 + sum(odds)), abs=1e-3)
    assert (told["one"].for_, told["one"].against) == (("it climbed",), ("nobody knows",))
    assert (told["other"].for_, told["other"].against) == ((), ("it climbed",))


def test_the_strongest_evidence_comes_first():
    told = weigh(Sign("a hint", {"one": SLIGHT}), Sign("a proof", {"one": STRONG}))
    assert told["one"].for_ == ("a proof", "a hint")


def test_what_is_ruled_out_is_not_listed_and_something_else_keeps_its_share():
    told = weigh(Sign("never", {"other": RULED_OUT}), *(Sign("yes", {"one": STRONG}) for _ in range(9)))
    assert list(told) == ["one"]
    assert told["one"].weight <= 1 - LEAST_ELSE
    assert weigh(Sign("never", {"one": RULED_OUT, "other": RULED_OUT})) == {}


def test_a_sign_for_a_cause_that_is_not_weighed_is_an_error():
    with pytest.raises(KeyError):
        weigh(Sign("typing error", {"onee": CLEAR}))


def test_priors_must_leave_room_for_something_else_and_names_are_unique():
    with pytest.raises(ValueError, match="less than 1"):
        weighing(Candidate("a", "a", 0.6, "a"), Candidate("b", "b", 0.4, "b"))
    with pytest.raises(ValueError, match="twice"):
        weighing(TWO[0], TWO[0])


def test_a_coincidence_is_worth_the_more_the_smaller_the_zone():
    assert coincidence(3, 3, 0.02) == pytest.approx(COUNTED)
    assert coincidence(0, 3, 0.02) == pytest.approx(1 / COUNTED)
    assert 1 < coincidence(1, 1, 0.5) < coincidence(1, 1, 0.1) < COUNTED
    assert coincidence(1, 2, 0.8) < 1
    assert coincidence(1, 2, 0.99) == 1
    assert math.isfinite(coincidence(1, 1, 0.0)) and math.isfinite(coincidence(0, 1, 1.0))


def remedy(title: str, *names: str) -> Remedy:
    return Remedy(title=title, why="w", when_not="n", cost="none", source="s", causes=names)


def test_the_likeliest_cause_steers_the_remedies():
    weighed = (Cause(name="a", title="a", weight=0.7), Cause(name="b", title="b", weight=0.2), Cause(name="c", title="c", weight=0.01))
    given = [remedy("for c", "c"), remedy("for b", "b"), remedy("for any"), remedy("for a", "a", "b")]
    assert [r.title for r in steered(given, weighed)] == ["for any", "for a", "for b"]
    assert [r.title for r in steered(given, ())] == ["for c", "for b", "for any", "for a"]
    assert [r.title for r in steered([given[0]], weighed)] == ["for c"], "better than to say nothing"


def test_a_weighing_that_fails_costs_no_finding_and_is_seen(monkeypatch):
    def broken(facts, finding):
        raise ZeroDivisionError("by hand")

    failing = {"spikes": dataclasses.replace(causes()["spikes"], signs=broken)}
    monkeypatch.setattr(diagnosis, "weighings", lambda: failing)
    result = diagnose(spiky())
    (found,) = (f for f in result.findings if f.pattern == "spikes")
    outcome = next(o for o in result.outcomes if o.pattern == "spikes")
    assert found.causes == () and found.fixes
    assert (outcome.status, outcome.reason) == ("found", "its causes could not be weighed: ZeroDivisionError: by hand")
    for told in (text.plain([result], 100), markdown([result]), page(result)):
        assert "ZeroDivisionError: by hand" in told


def test_a_broken_plugin_costs_no_finding(monkeypatch):
    def broken():
        raise ImportError("no such module")

    monkeypatch.setattr(diagnosis, "weighings", broken)
    assert "spikes" in {f.pattern for f in diagnose(spiky()).findings}


def test_a_plugin_brings_the_causes_of_its_own_detector(monkeypatch):
    made = dataclasses.replace(causes()["spikes"], pattern="of-a-plugin")
    module = ModuleType("of_a_plugin")
    module.CAUSES = made

    class Plugin:
        load = staticmethod(lambda: module)

    monkeypatch.setattr(catalogue, "entry_points", lambda group: [Plugin] if group == "curvelab.causes.v1" else [])
    causes.cache_clear()
    try:
        assert causes()["of-a-plugin"] is made
    finally:
        causes.cache_clear()


def test_the_causes_are_in_every_output_and_survive_json():
    result = diagnose(spiky())
    (found,) = (f for f in result.findings if f.pattern == "spikes")
    first = found.causes[0]
    assert [c.weight for c in found.causes] == sorted((c.weight for c in found.causes), reverse=True)
    assert type(result).from_json(result.to_json()).findings == result.findings
    for told in (text.plain([result], 100), markdown([result]), page(result)):
        assert " ".join(first.title.split()[:3]) in " ".join(told.lower().split())
        assert " ".join(first.for_[0].split()[:3]) in " ".join(told.split())


# what holds for every file of the shelf


@pytest.mark.parametrize("pattern", sorted(causes()))
def test_a_weighing_is_complete(pattern: str):
    one = causes()[pattern]
    assert one.pattern == pattern == detector(pattern).pattern
    assert one.card.strip()
    assert 2 <= len(one.candidates) <= 8
    for candidate in one.candidates:
        assert candidate.name == candidate.name.lower() and " " not in candidate.name
        assert 0 < candidate.prior < 1
        for told in (candidate.title, candidate.tells):
            assert told and told == told.strip() and not told.endswith(".") and "\n" not in told
    for card in (cards.card_text(detector(pattern)), cards.card_markdown(detector(pattern))):
        assert all(candidate.name in card for candidate in one.candidates)


@pytest.mark.parametrize("one", detectors(), ids=lambda one: one.pattern)
def test_remedies_name_causes_that_are_weighed(one):
    weighed = causes().get(one.pattern)
    known = {candidate.name for candidate in weighed.candidates} if weighed else set()
    assert {name for remedy in one.remedies for name in remedy.causes} <= known


@pytest.mark.parametrize("pattern", ["non-finite", "spikes", "plateau", "sawtooth", "clip-saturation"])
def test_every_remedy_of_these_that_is_not_for_all_serves_a_cause(pattern: str):
    assert sum(bool(remedy.causes) for remedy in detector(pattern).remedies) >= 2
