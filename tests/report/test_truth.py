"""What a page must not hide or invent: masked NaN, plans, teeth, healthy steps, what was not asked for, folders."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest

from curvelab.model.finding import Finding, Gap, Measured, Point, Span
from curvelab.model.note import Note
from curvelab.model.result import Outcome, SeamMark, Thinned
from curvelab.report import masked, numerals, places, wording
from curvelab.report.figures import scale_of
from curvelab.report.markdown import markdown
from curvelab.report.page import index, page
from curvelab.report.pictures import Panel, evidence_panels
from curvelab.report.scale import rises_far
from curvelab.report.text import plain
from curvelab.report.top import top_panels

from . import diagnoses as made
from .test_page import Collector


def words_of(text: str) -> str:
    return Collector(text).text()


def filtered() -> Any:
    """A run whose loss a filter logged as 0.0 from step 800 on."""
    curves = made.series()
    curves["train/loss"] = made.thinned(
        made.steps(), [0.0 if i >= 160 else v for i, v in enumerate(made.noisy(200, 3.2, 1.1, 0.05))]
    )
    return made.diagnosis([made.non_finite()], series=curves)


def panels(finding: Finding, **fields: Any) -> list[Panel]:
    return evidence_panels(made.diagnosis([finding], **fields), finding, 700)


def main_panel(diagnosis: Any) -> Panel:
    return top_panels(diagnosis, wording.ranked(diagnosis), 1600)[0]


# What a filter hid


def test_zeros_of_a_filter_are_drawn_as_nan() -> None:
    diagnosis = filtered()
    (loss,) = (one for one in main_panel(diagnosis).lines if one.metric == "train/loss")
    assert loss.spoilt == ((800.0 + 5, 1000.0),)
    assert np.nanmin(loss.value) > 0.5
    assert "train/loss is NaN (a filter logged it as 0)" in words_of(page(diagnosis))


def test_sparklines_stop_where_the_nan_begins() -> None:
    diagnosis = filtered()
    assert re.search(r"train/loss 3\.\d+ [▁-█]+×+ NaN\n", plain([diagnosis], 100))
    text = index([(diagnosis, "a.html")])
    assert ">NaN</text>" in text
    last = float(re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="2"/>', text)[0])
    assert last < 100


def test_a_zero_that_is_real_stays() -> None:
    curves = made.series()
    curves["train/loss"] = made.thinned(made.steps(), [0.0] * 200)
    diagnosis = made.diagnosis(series=curves)
    assert masked.curve(diagnosis, "train/loss") is curves["train/loss"]
    assert not masked.hides(diagnosis, "train/loss")
    elsewhere = masked.curve(filtered(), "eval/loss")
    assert elsewhere is not None
    assert all(math.isfinite(v) for v in elsewhere.value)


# Axes


def test_a_loss_that_stays_far_above_its_beginning_is_drawn_on_a_logarithmic_axis() -> None:
    values = [2.0 - 0.01 * i for i in range(40)] + [5e5] * 160
    curves = {"train/loss": made.thinned(made.steps(), values)}
    scale = scale_of(main_panel(made.diagnosis([made.divergence()], series=curves)))
    assert scale.log
    assert scale.place(2.0) - scale.place(1.6) > 0.01
    assert not rises_far(made.noisy(200, 3.2, 0.1, 0.01))
    assert not rises_far(np.array([]))
    assert not rises_far(np.array([-1.0, 2.0, 900.0]))


@pytest.mark.parametrize("planned", [1500, 5000, 400_000])
def test_an_abrupt_end_shows_the_plan(planned: int) -> None:
    finding = made.abrupt_end()
    gap = Gap(metric="train/loss", start_step=1000, end_step=planned, label="planned, never logged")
    finding = msgspec.structs.replace(finding, end_step=planned, evidence=(gap,))
    (own,) = panels(finding, planned_steps=planned)
    assert gap in own.marks
    diagnosis = made.diagnosis([finding], planned_steps=planned)
    main = main_panel(diagnosis)
    assert gap in main.marks
    assert not any(isinstance(mark, Span) for mark in main.marks)  # the gap is its mark
    assert any(f"{planned:,}" in key.text for key in main.keys)
    far = planned > 1500
    for panel in (own, main):  # a plan far away takes a quarter of the picture, and is named in it
        assert panel.last == (pytest.approx(1333, abs=1) if far else planned)
    assert (f"to step {planned:,} →" in page(diagnosis)) == far


# Teeth


def sawtooth(start: int, end: int, period: float) -> Finding:
    return Finding(
        pattern="sawtooth", severity="warning", confidence=0.8, metric="train/loss", headline="teeth",
        start_step=start, end_step=end,
        measured=(Measured(name="period", value=period, unit="steps"),),
        evidence=(Span(metric="train/loss", start_step=start, end_step=end, label="period"),),
    )  # fmt: skip


def teeth(points: int, kept: int) -> dict[str, Thinned]:
    at = np.linspace(10, 10 * points, kept).astype(int)
    value = 2 + 0.5 * ((at / 10) % 5)
    return {"train/loss": Thinned(points=points, step=at.tolist(), value=value.tolist())}


def test_a_sawtooth_is_shown_close_up() -> None:
    finding = sawtooth(10, 10_000, 50.0)
    whole, close = panels(finding, series=teeth(1000, 1000), last_step=10_000)
    assert (whole.first, whole.last) == (0, 10_000)
    assert 250 <= close.last - close.first <= 300
    assert 4500 < close.first < 5500
    assert close.lines[0].points >= 25
    assert close.lines[0].trend is None
    assert "close-up of steps" in words_of(page(made.diagnosis([finding], series=teeth(1000, 1000), last_step=10_000)))


def test_teeth_that_thinning_lost_are_said_to_be_lost() -> None:
    finding = sawtooth(10, 1_000_000, 50.0)
    (whole,) = panels(finding, series=teeth(100_000, 1600), last_step=1_000_000)
    assert whole.note == "Drawn from 1,600 of 100,000 logged points: too few to show single teeth."
    diagnosis = made.diagnosis([finding], series=teeth(100_000, 1600), last_step=1_000_000)
    assert whole.note in words_of(page(diagnosis))


def test_waves_without_a_period_have_no_close_up() -> None:
    finding = msgspec.structs.replace(sawtooth(10, 1000, 50.0), measured=())
    assert len(panels(finding)) == 1


# Healthy steps stay unmarked


def test_spikes_are_marked_as_points_and_not_as_a_span() -> None:
    spikes = made.spikes()
    main = main_panel(made.diagnosis([spikes]))
    assert [type(mark) for mark in main.marks] == [Point] * len(spikes.evidence)
    (lane,) = main.lanes
    assert lane.moments == tuple(float(mark.step) for mark in spikes.evidence if isinstance(mark, Point))
    text = page(made.diagnosis([spikes]))
    picture = text[text.index("<figure") : text.index("</figure>")]
    classes = set(re.findall(r'class="(\w+)"', picture))
    assert {"badge", "moment", "point"} <= classes
    assert not {"lane", "span"} & classes


def test_the_finding_that_names_the_run_comes_first_and_is_shaded() -> None:
    diagnosis = made.diagnosis([made.divergence(), made.exploding()], verdict="exploding-gradients")
    assert [f.pattern for f in wording.ranked(diagnosis)] == ["exploding-gradients", "divergence"]
    main = main_panel(diagnosis)
    assert main.severity == "warning"
    assert [(mark.start_step, mark.end_step) for mark in main.marks if isinstance(mark, Span)] == [(640, 980)]
    assert "The 2 findings, the one that names the run first" in words_of(page(diagnosis))


# What was asked for


def selected(*patterns: str, verdict: str, left: int = 29) -> Any:
    return made.diagnosis(
        verdict=verdict,
        outcomes=tuple(Outcome(pattern=one, status="clear") for one in patterns),
        provenance={
            "left_out": [f"pattern-{i}" for i in range(left)],
            "thresholds_changed": {"overfitting": {"rise": 0.1}},
        },
    )


@pytest.mark.parametrize("verdict", ["healthy", "not-assessed"])
def test_what_was_left_out_and_changed_is_in_every_format(verdict: str) -> None:
    diagnosis = selected("spikes", verdict=verdict)
    html, text, marked = words_of(page(diagnosis)), plain([diagnosis], 100), markdown([diagnosis])
    for shown in (html, text, marked):
        assert "ot asked for" in shown
        assert ("Pattern 28" if shown is html else "pattern-28") in shown
        assert "overfitting.rise = 0.1" in shown
        assert "too little" not in shown
        assert "ooks healthy" not in shown
        told = re.sub(r"\s+", " ", shown)
        assert "The one check that was asked for looked at 200 train points and found nothing; 29 were left out" in told


def test_a_healthy_run_says_that_a_check_was_left_out() -> None:
    diagnosis = made.diagnosis(provenance={"left_out": ["spikes"]})
    assert "found no fault; 1 check was not asked for." in wording.verdict(diagnosis).sentence


# Numbers


def test_a_share_has_one_form_for_value_and_threshold() -> None:
    lost = Measured(name="lost", value=79.4, unit="of what was learned", threshold=0.3)
    assert numerals.measured(lost) == ("7,940\u202f%", "of what was learned", "≥\u202f30\u202f%")
    assert numerals.percent(97.7654) == "9,777\u202f%"
    assert numerals.percent(1e5) == "1e7\u202f%"
    assert numerals.percent(math.inf) == "Inf\u202f%"


def test_one_point_is_no_points() -> None:
    diagnosis = made.diagnosis(points=1)
    for shown in (words_of(page(diagnosis)), plain([diagnosis], 100), markdown([diagnosis])):
        assert not re.search(r"\b1 (train|train-loss) points", shown)
    blind = (Outcome(pattern="clip-saturation", status="not-applicable", reason="too few"),)
    advice = wording.to_log(made.diagnosis(outcomes=blind, metrics={"train/grad_norm": 1}))
    assert any(how.endswith("1 point was too few") for _, how, _ in advice)


# Restarts and folders


def test_a_restart_is_told_in_text_and_markdown() -> None:
    diagnosis = made.diagnosis(seams=(SeamMark(step=420, reached=1500),))
    assert "restart at step 420 (after reaching 1,500); the later attempt counts" in plain([diagnosis], 100)
    assert "Restart at step 420 (after reaching 1,500); the later attempt counts." in markdown([diagnosis])


def test_a_page_names_no_folder_above_the_run() -> None:
    home = "/home/someone/secret-project/outputs/run-7"
    notes = (
        Note(level="info", text=f"joined {home}/a.json with {home}/b.json", file=f"{home}/logs/a.json", line=3),
        Note(level="info", text="older than the others", file="/mnt/elsewhere/b.json"),
    )
    diagnosis = made.diagnosis(
        path=home, notes=notes,
        provenance={"files": [{"path": f"{home}/logs/a.json", "format": "x"}, {"path": "/mnt/elsewhere/b.json"}]},
    )  # fmt: skip
    for shown in (page(diagnosis), markdown([diagnosis])):
        assert "someone" not in shown
        assert "/mnt" not in shown
        assert "logs/a.json:3: joined a.json with b.json" in shown
    assert "run-7" in words_of(page(diagnosis))
    assert diagnosis.to_dict()["path"] == home


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("outputs/run-7", "outputs/run-7"), ("/a/b/run-7/", "run-7"), ("C:\\runs\\run-7", "run-7"), ("/", "/"),
        ("s3://bucket/run-7", "s3://bucket/run-7"), ("~/run-7", "run-7"), ("", ""),
    ],
)  # fmt: skip
def test_paths_on_a_page(path: str, shown: str) -> None:
    assert places.run(made.diagnosis(path=path)) == shown


# Other curves


def test_how_long_evals_took_is_named_and_not_drawn() -> None:
    timing = ("eval/runtime", "eval/samples_per_second", "eval/steps_per_second")
    curves = made.series() | {name: made.thinned([100, 200], [1.0, 2.0]) for name in timing}
    text = page(made.diagnosis(series=curves))
    captions = re.findall(r"<figcaption><bdi>(.*?)</bdi>", text)
    assert [name for name in captions if name.startswith("eval/") and "loss" not in name] == []
    assert "train/tokens_per_second" in captions
    assert "3 more curves were logged: eval/runtime, eval/samples_per_second, eval/steps_per_second." in words_of(text)
