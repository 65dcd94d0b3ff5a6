"""The pictures at the top: the finding's own metric first, the losses below, and no picture twice."""

from __future__ import annotations

import re

import msgspec
import pytest

from curvelab.model.finding import Finding, Measured
from curvelab.report import wording
from curvelab.report.gallery import Gallery, gallery
from curvelab.report.page import index, page

from . import diagnoses as made
from .test_page import Collector


def gallery_of(*findings: Finding, **fields: object) -> Gallery:
    diagnosis = made.diagnosis(findings, **fields)
    return gallery(diagnosis, wording.ranked(diagnosis))


def curves(one: Gallery) -> list[str]:
    return [picture.wide.metrics for picture in one.top]


def test_the_metric_of_the_finding_stands_above_the_losses_over_the_same_steps() -> None:
    one = gallery_of(made.exploding(), made.spikes())
    assert curves(one) == ["train/grad_norm", "train/loss, eval/loss"]
    upper, lower = (picture.wide for picture in one.top)
    assert [lane.number for lane in upper.lanes] == [1, 2]
    assert (upper.first, upper.last, lower.lanes) == (lower.first, lower.last, ())
    boxes = re.findall(r'data-box="(\S+) \S+ (\S+) ', page(made.diagnosis([made.exploding(), made.spikes()])))
    assert boxes[0] == boxes[2] and boxes[1] == boxes[3]  # wide and narrow: the same left end and width


def test_a_finding_of_the_loss_is_drawn_once() -> None:
    one = gallery_of(made.overfitting())
    assert curves(one) == ["train/loss, eval/loss"]
    assert [*one.evidence] == [[]] and one.told
    text = page(made.diagnosis([made.overfitting()]))
    assert len(re.findall("<figcaption><bdi>train/loss", text)) == 1
    assert "picture at the top</a> shows it." in text


def test_a_second_finding_that_only_marks_steps_of_the_loss_has_no_picture_of_its_own() -> None:
    assert [len(several) for several in gallery_of(made.exploding(), made.divergence()).evidence][1] == sum(
        not all(type(mark).__name__ == "Span" for mark in picture.wide.marks)
        for picture in gallery_of(made.exploding(), made.divergence()).evidence[1]
    )


def test_a_healthy_run_shows_the_losses_unshaded() -> None:
    (picture,) = gallery_of(made.spikes(), verdict="healthy").top
    assert picture.wide.metrics == "train/loss, eval/loss"
    assert picture.wide.marks == ()


def test_a_healthy_policy_shows_its_reward_above_its_loss() -> None:
    series = made.series() | {"train/reward": made.thinned(made.steps(), made.noisy(200, 0.1, 0.9, 0.02))}
    assert curves(gallery_of(series=series)) == ["train/reward", "train/loss, eval/loss"]


def test_what_holds_from_end_to_end_is_not_shaded() -> None:
    whole = msgspec.structs.replace(made.exploding(), start_step=5, end_step=1000, evidence=())
    upper, lower = gallery_of(whole).top
    assert (upper.wide.marks, lower.wide.marks) == ((), ())
    assert [lane.start for lane in upper.wide.lanes] == [5]


def test_a_finding_with_marks_on_the_loss_too_brings_them_to_the_top() -> None:
    metric = "train/learning_rate"
    one = gallery_of(msgspec.structs.replace(made.spikes(), metric=metric))
    assert curves(one) == [metric, "train/loss, eval/loss"]
    assert one.top[1].wide.marks == made.spikes().evidence
    assert [*one.evidence] == [[]]


@pytest.mark.parametrize("last", [350, 1000])
def test_dots_are_named_only_where_there_are_any(last: int) -> None:
    series = {name: msgspec.structs.replace(one, step=[s for s in one.step if s <= last]) for name, one in made.series().items()}
    text = page(made.diagnosis(series=series, last_step=last))
    assert "best eval: " in text
    assert ("(dotted: its level)" in text) == (last > 350)


def test_the_lead_leaves_long_lists_to_the_finding() -> None:
    listed = "train/loss jumped 9 times: at step 1,049, 2,199, 3,199, 4,649, 5,599 and 4 more; the highest to 3 times its level"
    text = Collector(page(made.diagnosis([msgspec.structs.replace(made.spikes(), headline=listed)])))
    assert "at step 1,049, 2,199, 3,199 and 6 more; the highest" in text.text()
    assert "4,649, 5,599 and 4 more" in text.text()


def test_settings_name_their_source_once() -> None:
    source = "a-very-long-name-of-a-run-2026-11-21-0123456789.json"
    config = {f"setting_{i}": {"value": i, "from": source} for i in range(20)} | {"bare": 1}
    text = page(made.diagnosis(config=config))
    table = text[text.index('class="settings"') :].partition("</table>")[0]
    assert table.replace("<wbr>", "").count(source) == 1
    assert table.count("<td") == 21


def test_a_threshold_says_its_side() -> None:
    numbers = (Measured(name="high", value=12_345.0, threshold=4.0), Measured(name="low", value=1.0, threshold=4.0))
    words = Collector(page(made.diagnosis([msgspec.structs.replace(made.spikes(), measured=numbers)]))).text()
    assert "12,345 ≥ 4" in re.sub(r"\s+", " ", words)
    assert "low1 < 4" in re.sub(r"\s+", " ", words).replace("low 1", "low1")


def test_the_index_has_the_worst_run_first() -> None:
    runs = [made.diagnosis(name="good"), made.diagnosis([made.spikes()], name="bad"), made.diagnosis([made.divergence()], name="worst"),
            made.diagnosis(name="unknown", verdict="not-assessed")]  # fmt: skip
    text = index([(one, f"{one.name}.html") for one in runs])
    assert re.findall(r'href="(\w+)\.html"', text) == ["worst", "bad", "unknown", "good"]


def test_a_doubted_fix_and_what_is_to_be_done_by_hand_are_folded_away() -> None:
    sure, doubted = made.fix("Lower it"), msgspec.structs.replace(made.fix("Raise it"), doubted=True)
    text = page(made.diagnosis([msgspec.structs.replace(made.spikes(), fixes=(sure, doubted))]))
    article = text[text.index("<article") : text.index("</article>")]
    assert article.index("Lower it") < article.index("One more fix, whose cause the log speaks against") < article.index("Raise it")
    assert article.index("<details>", article.index("Lower it")) < article.index("Raise it")


def test_a_cost_is_in_the_title_only_where_there_is_one() -> None:
    assert "What it cost" not in page(made.diagnosis(wasted=None))
