"""What stands beside the losses: which curves in what order, the setting that bounds them, warm-up and epochs."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from curvelab.model.finding import Level
from curvelab.model.result import Diagnosis, Landmarks
from curvelab.report import live, wording
from curvelab.report.means import with_means
from curvelab.report.other_curves import curve_panel, other_curves
from curvelab.report.page import page
from curvelab.report.pictures import Panel
from curvelab.report.top import top_panels

from . import diagnoses as made


def norm_panel(clip: Any) -> Panel:
    return curve_panel(made.diagnosis(config={"max_grad_norm": {"value": clip, "from": "a.json"}}), "train/grad_norm", 400)


def texts(panel: Panel) -> list[str]:
    return [key.text for key in panel.keys]


def chosen(*names: str, **fields: Any) -> list[str]:
    """What is drawn of metrics of these names."""
    curve = made.series()["train/loss"]
    return other_curves(with_means(made.diagnosis(series=dict.fromkeys(("train/loss", *names), curve), **fields)))


def test_a_policy_is_judged_by_its_reward_first() -> None:
    assert chosen(
        "train/clip_ratio/high_mean", "train/clip_ratio/region_mean", "train/completions/max_length", "train/completions/mean_length",
        "train/entropy", "train/grad_norm", "train/kl", "train/learning_rate", "train/num_tokens", "train/reward", "train/step_time",
    ) == [
        "train/reward", "train/kl", "train/entropy", "train/completions/mean_length", "train/clip_ratio/region_mean", "train/grad_norm",
        "train/learning_rate", "train/step_time",
    ]  # fmt: skip


def test_preferences_are_judged_by_their_margins_first() -> None:
    found = chosen("eval/rewards/margins", "train/grad_norm", "train/logits/chosen", "train/rewards/accuracies", "train/rewards/chosen",
                   "train/rewards/margins", "train/rewards/rejected")  # fmt: skip
    assert found[:5] == ["train/rewards/margins", "train/rewards/accuracies", "train/rewards/chosen", "train/rewards/rejected", "train/grad_norm"]


def test_a_supervised_run_shows_what_was_learned_between_rate_and_machine() -> None:
    found = chosen("eval/accuracy", "eval/runtime", "gpu/0/memory_gb", "train/accuracy", "train/grad_norm", "train/learning_rate",
                   "train/tokens_per_second", "train/num_tokens", "epoch")  # fmt: skip
    assert found == ["train/grad_norm", "train/learning_rate", "train/tokens_per_second", "gpu/0/memory_gb", "train/accuracy", "eval/accuracy"]


def test_throughput_and_memory_are_not_crowded_out() -> None:
    found = chosen("train/grad_norm", *(f"train/score/{i}" for i in range(20)), "train/tokens_per_second", "gpu/0/memory_gb")
    assert len(found) == 8
    assert {"train/tokens_per_second", "gpu/0/memory_gb"} <= {*found}


def test_of_many_gpus_and_cpus_there_is_one_mean_each() -> None:
    names = [f"gpu/{i}/{what}" for i in range(4) for what in ("memory_gb", "utilization")]
    names += [f"system.cpu.{i}.cpu_percent" for i in range(128)]
    assert chosen(*names) == ["gpu/*/memory_gb, mean of 4", "gpu/*/utilization, mean of 4"]
    one, other = made.thinned([1, 2, 3], [0.0, 2.0, 4.0]), made.thinned([1, 3], [2.0, float("nan")])
    series = with_means(made.diagnosis(series={"gpu/0/utilization": one, "gpu/1/utilization": other})).series
    assert series["gpu/*/utilization, mean of 2"].value == [1.0, 2.0, 3.0]


def test_a_curve_of_a_finding_comes_once_and_a_single_dot_never() -> None:
    dot = made.thinned([500, 600], [1.0, float("nan")])
    text = page(made.diagnosis([made.exploding()], series=made.series() | {"eval/accuracy": dot}))
    captions = re.findall(r"<figcaption><bdi>(.*?)</bdi>", text)
    assert [name.partition(" (")[0] for name in captions].count("train/grad_norm") == 1
    assert "eval/accuracy" not in captions
    assert "1 more curve was logged: eval/<wbr>accuracy" in text.replace("<bdi>", "").replace("</bdi>", "")


def test_the_clip_threshold_is_a_line() -> None:
    panel = norm_panel(1.5)
    assert panel.marks == (Level(metric="train/grad_norm", value=1.5, label="max_grad_norm 1.5"),)
    assert "max_grad_norm 1.5" in texts(panel)


def test_a_threshold_far_away_is_named_and_flattens_nothing() -> None:
    panel = norm_panel(1000)
    assert panel.marks == ()
    assert "max_grad_norm 1,000 (outside the picture)" in texts(panel)


@pytest.mark.parametrize("clip", [0, None, True, "1.0", float("nan"), float("inf"), -1])
def test_what_clips_nothing_is_no_threshold(clip: Any) -> None:
    assert norm_panel(clip).marks == ()
    assert not any("max_grad_norm" in text for text in texts(norm_panel(clip)))


def test_alt_text_tells_the_course() -> None:
    alt = norm_panel(None).alt
    assert alt.startswith("train/grad_norm over the steps: from ")
    assert ", between " in alt


def main_of(landmarks: Landmarks) -> Panel:
    diagnosis = made.diagnosis(landmarks=landmarks)
    return top_panels(diagnosis, wording.ranked(diagnosis), 400)[0]


def test_warm_up_and_epochs_in_the_main_picture() -> None:
    panel = main_of(Landmarks(warmup_end=60, epoch_ends=(333, 667, 1000)))
    assert (panel.warmup, panel.epochs) == (60, (333, 667, 1000))
    assert {"warm-up, up to step 60", "end of an epoch"} <= {*texts(panel)}


def test_a_warm_up_too_short_to_be_seen_and_many_epochs() -> None:
    panel = main_of(Landmarks(warmup_end=2, epoch_ends=tuple(range(10, 1001, 10))))
    assert panel.warmup is None
    assert panel.epochs == tuple(range(50, 1001, 50))
    assert "end of every 5th epoch" in texts(panel)


def test_axes_are_told_by_their_bends() -> None:
    curve = made.series()["train/loss"]
    clock = [1.7e9 + 2 * s + (5000 if s > 500 else 0) for s in curve.step]
    known = msgspec.structs.replace(curve, epoch=[s / 300 for s in curve.step], wall_time=clock)
    axes = live.axes(made.diagnosis(series={"train/loss": known}))
    assert axes["epoch"] == [[5, 1000], [0.01666667, 3.333333]]
    assert axes["time"] == [[5, 500, 505, 1000], [0, 990, 6000, 6990]]


def test_a_clock_of_whole_seconds_is_spread_over_its_steps() -> None:
    curve = made.series()["train/loss"]
    known = msgspec.structs.replace(curve, wall_time=[1.7e9 + s // 100 for s in curve.step])
    step, seconds = live.axes(made.diagnosis(series={"train/loss": known}))["time"]
    assert (step[0], step[-1], seconds[0], seconds[-1]) == (5, 1000, 0, 10)
    assert len(set(seconds)) == len(seconds)


@pytest.mark.parametrize("column", [[1.0] * 200, [float(i % 50) for i in range(200)], [float("nan")] * 200])
def test_an_axis_that_stands_still_or_goes_back_is_not_offered(column: list[float]) -> None:
    known = msgspec.structs.replace(made.series()["train/loss"], epoch=column)
    assert live.axes(made.diagnosis(series={"train/loss": known})) == {}


def test_landmarks_survive_the_json() -> None:
    diagnosis = made.diagnosis(landmarks=Landmarks(warmup_end=60, epoch_ends=(500, 1000)))
    assert Diagnosis.from_json(diagnosis.to_json()).landmarks == diagnosis.landmarks
