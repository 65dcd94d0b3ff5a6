"""Sample ranges: the arithmetic of epochs and steps, which steps are suspect, what is said when something is not known."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import SAMPLES, state_of

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.ingest import load
from curvelab.model.finding import Finding, Point, SampleRange
from curvelab.model.result import Diagnosis
from curvelab.model.run import Seam, Setting
from curvelab.report import wording
from curvelab.report.markdown import markdown
from curvelab.report.page import page
from curvelab.report.text import plain
from curvelab.samples import samples_of
from curvelab.samples.counts import Counted, counted
from curvelab.samples.order import Order, order_of, ranges_of
from curvelab.samples.suspects import suspects
from curvelab.signals.epoch_length import EpochLength, epoch_lengths

lengths = st.builds(EpochLength, st.integers(2, 150), st.integers(1, 8), st.booleans())


def read_by(length: EpochLength, steps: int) -> list[list[tuple[int, int]]]:
    """(epoch, batch) that each optimizer step takes, in order: the Trainer's loop, batch by batch."""
    taken: list[list[tuple[int, int]]] = [[]]
    epoch = 0
    while len(taken) <= steps:
        for batch in range(length.batches):
            taken[-1].append((epoch, batch))
            if len(taken[-1]) == length.accumulated or (batch == length.batches - 1 and not length.carried):
                taken.append([])
        epoch += 1
    return taken[:steps]


@given(lengths, st.integers(1, 16), st.integers(1, 30), st.integers(1, 25))
@settings(deadline=None)
def test_ranges_are_what_the_loop_reads(length, at_once, every, logs):
    steps = every * logs
    truth = read_by(length, steps)
    one = Counted(at_once, length.accumulated, 1, "")
    windows = [(step - every + 1, step) for step in range(every, steps + 1, every)]
    found = ranges_of(windows, one, Order((length,), True, True, True))
    read = [
        (r.epoch, place // at_once) for r in found for place in range(r.first, r.end, at_once)
    ]  # consecutive windows neither overlap nor leave anything out
    assert read == [batch for step in truth for batch in step]
    for each in found:
        assert 0 <= each.first < each.end <= length.batches * at_once
        assert 1 <= each.step <= each.end_step <= steps
    clock = length.clock(np.arange(1, steps + 1))
    np.testing.assert_allclose(clock, [step[-1][0] + (step[-1][1] + 1) / length.batches for step in truth])


@given(lengths, st.integers(1, 40), st.integers(8, 60), st.sampled_from([None, 4, 2]))
@settings(deadline=None, max_examples=60)
def test_the_length_of_an_epoch_is_found_in_the_epoch_column(length, every, logs, digits):
    step = np.arange(1, logs + 1) * every
    clock = length.clock(step)
    found = epoch_lengths(step, clock if digits is None else np.round(clock, digits), length.accumulated, digits is not None)
    same = [one for one in found if np.allclose(one.clock(step), clock)]
    assert same
    if digits is None:
        windows = [(a - every + 1, a) for a in step.tolist()]
        one = Counted(2, length.accumulated, 1, "")
        for window in windows[:-1]:  # the last point may end where only a longer log would tell
            told = ranges_of([window], one, Order(tuple(found), True, True, True))
            truth = ranges_of([window], one, Order((length,), True, True, True))
            assert [(r.epoch, r.step, r.first) for r in told] == [(r.epoch, r.step, r.first) for r in truth]
            assert all(a.end >= b.end for a, b in zip(told, truth, strict=True))


def test_a_column_that_follows_no_clock_tells_nothing():
    step = np.arange(1, 50)
    assert epoch_lengths(step, np.where(step < 25, step / 10, step / 30), 1) == []
    assert epoch_lengths(step, np.full(49, np.nan), 1) == []
    assert epoch_lengths(step, np.full(49, 1e-300), 2**31) == []


def test_the_sample_run_of_three_poisoned_batches():
    expected = tomllib.loads((SAMPLES / "spikes" / "expected.toml").read_text())
    steps = expected["findings"]["spikes"]["at"]
    for path in (SAMPLES / "spikes", SAMPLES / "spikes" / "trainer_state.json"):
        samples = next(f for f in diagnose(load(path)).findings if f.pattern == "spikes").samples
        assert len(samples.ranges) == len(steps)
        for poisoned, one in zip(steps, samples.ranges, strict=True):
            assert one.step <= poisoned <= one.end_step == one.step + 1
            assert one.first <= (poisoned - 1) * 16 and poisoned * 16 <= one.end == one.first + 32
            assert one.epoch == 0
        assert (samples.per_step, samples.shuffled) == (16, True)


def test_the_sample_run_of_a_bad_token():
    samples = diagnose(load(SAMPLES / "non-finite")).findings[0].samples
    assert [(one.step, one.end_step) for one in samples.ranges] == [(441, 445)]
    assert samples.ranges[0].first <= 442 * 16 < 443 * 16 <= samples.ranges[0].end
    assert samples.seed == 7


def test_a_diagnosis_with_samples_survives_json_and_every_report_shows_them():
    diagnosis = diagnose(load(SAMPLES / "spikes"))
    assert Diagnosis.from_json(diagnosis.to_json()) == diagnosis
    assert "samples 2,080–2,111 of the 1st epoch" in " ".join(plain([diagnosis], 200).split())
    assert "```python\n# Prints" in markdown([diagnosis])
    assert '<pre class="snippet">' in page(diagnosis)


def test_every_snippet_is_python():
    for folder in ("spikes", "non-finite"):
        for path in (SAMPLES / folder, SAMPLES / folder / "trainer_state.json"):
            for finding in diagnose(load(path)).findings:
                compile(finding.samples.snippet, "snippet", "exec")


SETTINGS = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 2, "seed": 3}


def spiky(config=None, *, every=5, epochs=2.0, format="trainer-state", at=(100, 220)):
    """A run of 300 logs with jumps at some of them."""
    loss = synth.decay(300) + synth.noise(300, 0.05, seed=6)
    loss[list(at)] += 4.0
    return synth.run_of(
        loss, every=every, epoch=np.arange(1, 301) / 300 * epochs, config=SETTINGS if config is None else config, format=format
    )


def samples_in(run):
    return next(f for f in diagnose(run).findings if f.pattern == "spikes").samples


def test_batch_times_accumulation_times_world():
    samples = samples_in(spiky())
    assert samples.because == "4 samples x 2 accumulated x 2 GPUs a step" and samples.per_step == 16
    assert samples.ranges == (
        SampleRange(step=501, end_step=505, epoch=0, first=8000, end=8080),
        SampleRange(step=1101, end_step=1105, epoch=1, first=5600, end=5680),
    )
    assert samples.doubts == ()


def test_a_window_over_the_end_of_an_epoch_is_two_ranges():
    samples = samples_in(spiky(epochs=1500 / 1103, every=5, at=(220,)))
    assert [(one.epoch, one.step, one.end_step) for one in samples.ranges] == [(0, 1101, 1103), (1, 1104, 1105)]
    assert samples.ranges[1].first == 0 and samples.ranges[0].end == 1103 * 16
    assert any(one.startswith("the last batch of an epoch may be shorter; with several GPUs") for one in samples.doubts)


@pytest.mark.parametrize(
    ("config", "doubt"),
    [
        ({}, "the batch size is not in the log"),
        ({"train_batch_size": 8}, "the batch size is not in the log"),
        ({**SETTINGS, "world_size": None}, "the number of GPUs is not in the log"),
        ({"per_device_train_batch_size": 4, "world_size": 1}, "gradient_accumulation_steps is not in the settings"),
    ],
)
def test_what_is_not_known_is_said(config, doubt):
    run = spiky({name: value for name, value in config.items() if value is not None})
    samples = samples_in(run)
    assert any(doubt in one for one in samples.doubts)
    if not config or "train_batch_size" in config:
        assert samples.per_step is None and all(one.first is None for one in samples.ranges)
    compile(samples.snippet, "snippet", "exec")


@pytest.mark.parametrize(
    ("raw", "doubt", "positions"),
    [
        ({"num_train_epochs": 2**63 - 1}, "streamed", False),
        ({"sample_packing": True}, "packed into batches", False),
        ({"accelerator_config": {"use_seedable_sampler": False}}, "use_seedable_sampler is off", True),
    ],
)
def test_orders_that_nobody_can_draw_again_have_no_snippet(raw, doubt, positions):
    samples = samples_in(replace(spiky(), raw_config={"config": raw}))
    assert any(doubt in one for one in samples.doubts) and samples.snippet == ""
    assert all((one.first is not None) == positions for one in samples.ranges)


def test_grouping_by_length_and_packing_and_sequential():
    grouped = samples_in(spiky({**SETTINGS, "group_by_length": True}))
    assert grouped.snippet == "" and any("grouped by length" in one for one in grouped.doubts)
    packed = samples_in(spiky({**SETTINGS, "packing": True}))
    assert packed.snippet and any("packing is on" in one for one in packed.doubts)
    assert samples_in(spiky({**SETTINGS, "train_sampling_strategy": "sequential"})).shuffled is False


def test_a_resumed_run_says_so_and_skipped_data_costs_the_positions():
    seam = (Seam(segment=1, step=700, reached=720),)
    kept = samples_in(replace(spiky(), seams=seam))
    assert any("resumed" in one for one in kept.doubts) and kept.ranges[0].first == 8000
    skipped = samples_in(replace(spiky(), seams=seam, raw_config={"args": {"ignore_data_skip": True}}))
    assert skipped.ranges[0].first is None and skipped.snippet == ""


def test_logs_of_other_trainers_tell_steps_only():
    samples = samples_in(spiky(format="lightning-csv"))
    assert samples.per_step is None and samples.snippet == "" and samples.shuffled is None
    assert [(one.step, one.end_step, one.epoch) for one in samples.ranges] == [(501, 505, None), (1101, 1105, None)]
    assert any("not a log of the Transformers Trainer" in one for one in samples.doubts)


def test_a_rounded_epoch_column_leaves_a_later_epoch_open():
    run = spiky(every=100)
    curve = run.logged["train/loss"]
    clock = EpochLength(20_701, 2, carried=False).clock(curve.step)
    clock[:-3] = np.nan  # three rounded points leave some hundred lengths
    run = replace(run, logged={"train/loss": replace(curve, epoch=np.round(clock, 2))}, planned_steps=None)
    first, second = samples_in(run).ranges
    assert first.epoch == 0 and first.first == (first.step - 1) * 16
    assert second.first is None
    assert any("rounded" in one for one in samples_in(run).doubts)


def test_versions_that_do_not_round_leave_nothing_open():
    run = spiky(SETTINGS | {"gradient_accumulation_steps": 1}, every=100)
    curve = run.logged["train/loss"]
    clock = EpochLength(10_000, 1, carried=False).clock(curve.step)  # two digits each, and yet not rounded
    run = replace(run, logged={"train/loss": replace(curve, epoch=clock)}, planned_steps=None)
    assert samples_in(run).ranges[1].first is None
    run = replace(run, config={**run.config, "transformers_version": Setting("4.57.1", "model_config")})
    assert samples_in(run).ranges[1].first == 2000 * 8


def test_the_plan_settles_a_rounded_epoch_column():
    run = spiky({**SETTINGS, "num_train_epochs": 3.0, "gradient_accumulation_steps": 1}, every=7, epochs=2.8)
    curve = run.logged["train/loss"]
    run = replace(run, logged={"train/loss": replace(curve, epoch=np.round(curve.epoch, 2))}, planned_steps=2250)
    assert [one.epoch for one in samples_in(run).ranges] == [0, 2]
    assert samples_in(run).ranges[1].first == (samples_in(run).ranges[1].step - 1 - 1500) * 8


def speeds(tmp_path, samples: float, steps: float, **facts):
    state = state_of([3.0 / (1 + i / 10) for i in range(40)])
    state["log_history"][-1] |= {"train_samples_per_second": samples, "train_steps_per_second": steps}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state | facts))
    return counted(Facts(load(tmp_path)))


def test_logged_speeds_tell_the_samples_of_a_step(tmp_path):
    assert speeds(tmp_path, 319.6, 10.0).per_step == 32
    assert speeds(tmp_path, 79.9, 10.0).per_step == 8
    assert speeds(tmp_path, 4.0, 10.0).per_step is None  # fewer than one batch
    assert speeds(tmp_path, 10.0 * 8 * 500.4, 10.0).per_step is None  # 500 or 501 passes: the speeds do not decide


def marks(*steps: int) -> Finding:
    points = tuple(Point(metric="train/loss", step=step, value=1.0) for step in steps)
    return Finding(pattern="spikes", severity="warning", confidence=1, metric="train/loss", headline="", start_step=1, end_step=1, evidence=points)  # fmt: skip


def test_windows_begin_after_the_last_log_and_where_the_rise_begins():
    loss = np.ones(40)
    loss[10], loss[19], loss[20] = 5.0, 4.0, 5.0
    facts = Facts(synth.run_of(loss, every=10))
    assert suspects(facts, marks(110, 210)) == [(101, 110), (191, 210)]
    assert suspects(facts, marks(10)) == [(1, 10)]
    assert suspects(facts, marks(10_000)) == []


def holes(metric: str, start: int) -> Finding:
    return Finding(pattern="non-finite", severity="warning", confidence=1, metric=metric, headline="", start_step=start, end_step=400)  # fmt: skip


def test_windows_of_values_that_are_not_finite():
    loss, norms = np.ones(40), np.ones(40)
    loss[[10, 11, 25]], norms[30], norms[39] = np.nan, np.inf, np.nan
    facts = Facts(synth.run_of(loss, every=10, norms=norms))
    assert suspects(facts, holes("train/loss", 110)) == [(101, 110), (251, 260)]
    assert suspects(facts, holes("train/grad_norm", 310)) == [(310, 310), (391, 400)]
    assert suspects(facts, holes("eval/loss", 310)) == []


def test_many_episodes_are_shortened_and_wide_windows_doubted():
    loss = np.ones(400)
    loss[::20] = 5.0
    facts = Facts(synth.run_of(loss, every=100, format="trainer-state"))
    told = samples_of(facts, marks(*(2000 * i + 100 for i in range(20))))
    assert len(told.ranges) == 12
    assert "8 more episodes" in told.doubts[0] and "stands for up to 100 steps" in told.doubts[1]


@given(
    epoch=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=30, max_size=30),
    config=st.dictionaries(
        st.sampled_from([*SETTINGS, "train_batch_size", "n_gpu", "num_train_epochs", "packing", "data_seed"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)),
    ),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_no_settings_and_no_epochs_do_harm(epoch, config):
    run = synth.run_of(np.ones(30), epoch=np.array(epoch), format="trainer-state")
    run = replace(run, config={name: Setting(value, "trainer_state.json") for name, value in config.items()})
    samples = samples_of(Facts(run), marks(50, 100))
    assert msgspec.json.decode(msgspec.json.encode(samples), type=type(samples)) == samples
    assert len(wording.sample_ranges(samples)) == len(samples.ranges) >= 2


def test_order_of_an_old_trainer_goes_on_over_the_end_of_an_epoch():
    length = EpochLength(13, 3, carried=True)
    step = np.arange(1, 41)
    run = synth.run_of(np.ones(40), every=1, epoch=length.clock(step), config=SETTINGS | {"gradient_accumulation_steps": 3})
    one = Counted(4, 3, 1, "")
    order = order_of(Facts(run), one)
    assert order.lengths == (length,)
    assert ranges_of([(5, 5)], one, order) == [
        SampleRange(step=5, end_step=5, epoch=0, first=48, end=52),
        SampleRange(step=5, end_step=5, epoch=1, first=0, end=8),
    ]
