"""Numbers in the sentences of a diagnosis: how they are printed, and what keeps its own form."""

from __future__ import annotations

import pytest

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.prose import printed


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("step 4240 rose from 2.109e+04 to 7.633e+05", "step 4,240 rose from 21,090 to 763,300"),
        ("a rate of 1e-05, then 9.96e+14", "a rate of 1e-5, then 9.96e14"),
        ("from -17 to -83.3", "from −17 to −83.3"),
        ("steps 2660–4240; ln(32000)", "steps 2,660–4,240; ln(32,000)"),
        ("within 1 epochs, every 1 steps, 1 batches", "within 1 epoch, every step, 1 batch"),
        # these are copied or looked up
        ("labels that are not -100", "labels that are not -100"),
        ("eval_steps 1000, max_steps is -1", "eval_steps 1000, max_steps is -1"),
        ("checkpoint-2000, arXiv 2309.14322, eval/2000", "checkpoint-2000, arXiv 2309.14322, eval/2000"),
    ],
)
def test_numbers_in_print(written: str, told: str):
    assert printed(written) == told
    assert printed(told) == told


def test_a_diagnosis_is_in_print():
    loss = synth.decay(800, 3.0, 2.0, 2.0) + synth.noise(800, 0.02)
    loss[500:] += 2.0
    finding = next(f for f in diagnose(synth.run_of(loss)).findings if f.pattern == "divergence")
    assert "after step 2,5" in finding.headline or "after step 2,4" in finding.headline
    assert any("2,5" in fix.title or "2,4" in fix.title for fix in finding.fixes)
