"""What could not be seen, and what to log next time so that it can be."""

from __future__ import annotations

from curvelab.model.result import Outcome
from curvelab.report.next_time import could_not_look, next_time
from curvelab.report.page import page

from . import diagnoses as made
from .test_page import Collector

BLIND = (
    Outcome(pattern="kl-blowup", status="not-applicable", reason="train/kl was not logged"),
    Outcome(pattern="low-utilization", status="not-applicable", reason="neither GPU utilisation nor MFU was logged"),
    Outcome(pattern="memory-leak", status="not-applicable", reason="no memory metric with 20 points or more was logged"),
    Outcome(pattern="spikes", status="clear"),
)


def test_checks_of_another_kind_of_training_stand_apart() -> None:
    supervised = made.diagnosis(outcomes=BLIND)
    blind, elsewhere = could_not_look(supervised)
    assert elsewhere == ["kl-blowup"]
    assert [names for _, names in blind] == [["low-utilization"], ["memory-leak"]]
    rewarded = made.diagnosis(outcomes=BLIND, metrics={"train/loss": 200, "train/reward": 200})
    assert could_not_look(rewarded)[1] == []


def test_there_is_advice_whenever_the_machine_could_not_be_seen() -> None:
    curve = {"train/loss": made.series()["train/loss"]}
    diagnosis = made.diagnosis(outcomes=BLIND, series=curve)
    assert [(metric, patterns) for metric, _, patterns in next_time(diagnosis)][-2:] == [
        ("gpu/0/utilization", ["low-utilization"]), ("gpu/0/memory_gb", ["memory-leak"]),
    ]  # fmt: skip
    words = Collector(page(diagnosis)).text()
    assert "What to log next time" in words
    assert words.count("Low utilisation") == 2  # once as not seen, once in the advice: by its title, in no second list
    assert "low-utilization" not in words
