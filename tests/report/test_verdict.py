"""The verdict in words: what, since when, how sure, at what cost; and why a run is believed healthy."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from states import SAMPLES

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.ingest import gather
from curvelab.model.finding import Measured
from curvelab.model.result import Diagnosis, Toll, Waste
from curvelab.report import numerals, wording
from curvelab.report.markdown import markdown
from curvelab.report.text import plain

from . import diagnoses as made


def lead(diagnosis: Diagnosis) -> str:
    return wording.verdict(diagnosis).lead.replace("\u202f", " ")


def with_cost(**fields: object) -> Diagnosis:
    return msgspec.structs.replace(made.diagnosis([made.overfitting()], wasted=None), **fields)


def test_it_says_what_since_when_how_sure_and_at_what_cost() -> None:
    waste = Waste(since_step=350, steps=650, share=0.65, seconds=7.0, why="overfitting")
    told = with_cost(wasted=waste)
    assert lead(told) == (
        "Overfitting since step 350, very likely (93 %); the 650 steps after it (65 % of the run, 7 s) were wasted."
    )
    assert wording.verdict(told).sentence.startswith(wording.verdict(told).lead + " eval/loss rose")
    assert markdown([told]).count("eval/loss rose 22") == 1  # the lead is not the finding once more
    shown = plain([told], 200).replace("\u202f", " ")
    assert "warning, very likely (93 %); the 650 steps after it" in shown


@pytest.mark.parametrize(
    ("toll", "told"),
    [
        (Toll(pattern="resume-seam", kind="repeated", steps=46, seconds=3.0), "46 steps were done twice (3 s)."),
        (Toll(pattern="abrupt-end", kind="lost", steps=1, since_step=1450), "the 1 step after the last checkpoint (step 1,450) was lost."),
        (Toll(pattern="abrupt-end", kind="lost", steps=474), "nothing was saved, so all 474 steps were lost."),
        (Toll(pattern="throughput-drop", kind="slowed", seconds=7380.0), "it took 2 h 3 min more than at the speed before."),
        (None, "what it cost is not known."),
    ],
)  # fmt: skip
def test_every_kind_of_cost(toll: Toll | None, told: str) -> None:
    assert lead(with_cost(toll=toll)).endswith(f"; {told}")


def test_a_waste_of_next_to_nothing_is_not_told() -> None:
    waste = Waste(since_step=20_700, steps=10, share=0.0005, seconds=3.0, why="divergence")
    assert wording.wasted(with_cost(wasted=waste)) == ""
    assert "wasted" not in lead(with_cost(wasted=waste))


def test_a_doubted_finding_is_a_perhaps_and_the_first_log_is_the_start() -> None:
    finding = msgspec.structs.replace(made.overfitting(), confidence=0.5, start_step=0)
    diagnosis = msgspec.structs.replace(made.diagnosis([finding]), first_step=0)
    assert wording.verdict(diagnosis).title == "Perhaps overfitting from the start"


@pytest.mark.parametrize(("name", "kind"), [("more/resumed", "repeated"), ("killed", "lost")])
def test_the_toll_of_a_sample_run(name: str, kind: str) -> None:
    (run,) = gather([SAMPLES / name]).runs
    toll = diagnose(run).toll
    assert toll is not None and toll.kind == kind and (toll.steps or 0) > 0


def test_a_healthy_run_says_why_and_what_could_not_be_seen() -> None:
    loss = synth.decay(200, 3.0, 2.0, 2.0) + synth.noise(200, 0.02)
    norms = 1 + np.abs(synth.noise(200, 0.1, seed=1))
    run = synth.run_of(loss, norms=norms, rate=synth.cosine(200), config={"max_grad_norm": 4.0})
    told = lead(diagnose(run))
    assert "train/loss fell from" in told
    assert "no gradient norm is above max_grad_norm 4" in told
    assert "How sure: " in told and "overfitting could not be seen: eval/loss was not logged" in told
    assert "Next time log eval/loss: evaluate every" in told


def test_steps_from_0_and_more_than_planned() -> None:
    run = synth.run_of(synth.decay(50))
    diagnosis = diagnose(run)
    from_0 = msgspec.structs.replace(diagnosis, first_step=0, last_step=49, points=50, planned_steps=None)
    assert wording.progress(from_0).startswith("50 steps, counted from 0")
    over = msgspec.structs.replace(diagnosis, last_step=23_260, planned_steps=23_259)
    assert wording.progress(over) == "23,260 steps (23,259 were planned)"


@pytest.mark.parametrize(
    ("one", "cells"),
    [
        (Measured(name="n", value=1, unit="evals", threshold=4, fires="below"), ("1", "eval", "<\u202f4")),
        (Measured(name="n", value=5, unit="out of 6 epoch boundaries"), ("5", "out of 6 epoch boundaries", "")),
        (Measured(name="n", value=0.98, unit="times", threshold=4, fires="above"), ("0.98", "times", "≥\u202f4")),
        (Measured(name="n", value=-1e-9, unit="of the level"), ("0\u202f%", "of the level", "")),
        (Measured(name="n", value=-0.0055, unit="of the level"), ("−0.55\u202f%", "of the level", "")),
    ],
)
def test_what_a_number_takes_to_make_a_finding(one: Measured, cells: tuple[str, str, str]) -> None:
    assert numerals.measured(one) == cells
