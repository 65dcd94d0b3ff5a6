"""Causes steer the advice: what comes first, what stays out of the patch, and that advice and causes say the same."""

from __future__ import annotations

import numpy as np
import pytest

from curvelab import synth
from curvelab.causes._log import had_peaked, rate_share
from curvelab.detectors.underfitting import _too_short
from curvelab.diagnosis import diagnose
from curvelab.dialects import spoken
from curvelab.facts import Facts
from curvelab.model.finding import Cause, Change, Finding, Fix, Point
from curvelab.patch import patch_of
from curvelab.rules import Remedy
from curvelab.samples.suspects import suspects
from curvelab.steering import doubted, steered

N = 120
A_FINDING = Finding(severity="warning", confidence=0.8, metric="train/loss", headline="x", start_step=5, end_step=600)


def remedy(*causes: str) -> Remedy:
    return Remedy(title="Log it", why="so", when_not="never", cost="none", source="judgement", causes=causes)


def test_what_serves_causes_that_are_clearly_outweighed_is_doubted_and_no_part_of_the_patch():
    causes = (Cause(name="a", title="a", weight=0.7), Cause(name="b", title="b", weight=0.1), Cause(name="c", title="c", weight=0.05))
    remedies = [remedy("b"), remedy("a"), remedy("c"), remedy()]
    assert [r.causes for r in steered(remedies, causes)] == [("a",), (), ("b",)]
    assert [doubted(r, causes) for r in remedies] == [True, False, True, False]
    assert steered([remedy("c")], causes) == [remedy("c")]
    change = Change(setting="learning_rate", from_=1e-4, to=5e-5, canonical="learning_rate")
    for doubt in (False, True):
        fix = Fix(title="Lower it", why="so", when_not="never", changes=(change,), doubted=doubt)
        patch = patch_of([Finding(pattern="sawtooth", severity="warning", confidence=0.9, metric="train/loss", headline="x",
                                  start_step=1, end_step=2, fixes=(fix,))], spoken(synth.run_of(synth.decay(N))))  # fmt: skip
        assert (patch is None) == doubt


@pytest.mark.parametrize(
    ("loss", "planned", "longer"),
    [
        (4 - 0.2 * (np.arange(N) / N) ** 2, 600, True),
        (4 - 0.2 * (np.arange(N) / N) ** 2, 6000, False),  # the plan was not carried out
        (1.3 + 0.1 * np.arange(N) / N, 600, False),
        (np.full(N, 4.0), 600, False),
    ],
)
def test_more_steps_are_advised_only_where_the_cause_says_that_the_loss_still_fell(loss, planned, longer):
    facts = Facts(synth.run_of(loss + synth.noise(N, 0.002), planned=planned, config={"max_steps": planned}))
    assert _too_short(facts, A_FINDING) == longer
    assert not longer or facts.falling is not None


def test_a_rate_that_only_rose_had_not_fallen_and_no_share_is_above_all():
    rising = Facts(synth.run_of(synth.decay(N), rate=np.linspace(1e-6, 1e-3, N)))
    assert not had_peaked(rising, 100)
    falling = np.linspace(1e-3, 1e-6, N)
    falling[60] = 0.4
    facts = Facts(synth.run_of(synth.decay(N), rate=falling))
    assert had_peaked(facts, 500)
    assert max(rate_share(facts, step) or 0.0 for step in range(5, 600, 5)) == 1.0


@pytest.mark.parametrize(("every", "told"), [(1, False), (5, True)])
def test_the_steps_of_a_hidden_nan_are_in_doubt_only_when_there_are_several(every: int, told: bool):
    loss, norms = synth.decay(N), np.ones(N)
    loss[80:], norms[80:] = 0.0, np.nan
    (finding,) = (f for f in diagnose(synth.run_of(loss, norms=norms, every=every)).findings if f.pattern == "non-finite")
    assert any("cannot be told" in text for cause in finding.causes for text in cause.against) == told


def test_the_samples_of_a_spike_reach_to_its_last_high_point():
    loss = synth.decay(N) + synth.noise(N, 0.01)
    loss[[58, 59]] = 9.0
    loss[60] = 3.0
    finding = Finding(pattern="spikes", severity="warning", confidence=0.9, metric="train/loss", headline="x", start_step=59, end_step=60,
                      evidence=(Point(metric="train/loss", step=59, value=9.0),))  # fmt: skip
    assert suspects(Facts(synth.run_of(loss, every=1)), finding) == [(59, 60)]
