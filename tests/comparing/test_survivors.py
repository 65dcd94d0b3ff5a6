"""Runs and seeds that failed, or that hold nothing: what is said of the others, and that they have no say in the choice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparing.made import broken, made

import curvelab
from curvelab.model.run import Run


def seeds(name: str, floor: float, rate: float, count: int = 3) -> list[Run]:
    return [made(f"{name}-seed{s}", floor + 0.003 * s, noise=0.002, seed=s, learning_rate=rate) for s in range(1, count + 1)]


def test_a_run_that_cannot_be_ranked_is_no_seed_of_the_one_setting_that_is():
    told = curvelab.compare([*seeds("x", 1.8, 1e-4), broken("bad", learning_rate=0.1)])
    assert told.sentence.startswith("Only x (3 seeds) can be ranked: eval/loss")
    assert "Not ranked: bad (became NaN at step" in told.sentence
    one = curvelab.compare([*seeds("x", 1.8, 1e-4), made("few", evals=1, learning_rate=0.1)])
    assert one.sentence.startswith("Only x (3 seeds) can be ranked") or "is the best" in one.sentence


def test_a_setting_that_lost_seeds_is_no_plain_winner():
    hot = [made("hot-seed1", 1.6, noise=0.002, seed=1, learning_rate=2e-4)]
    hot += [broken(f"hot-seed{s}", seed=s, learning_rate=2e-4) for s in (2, 3)]
    told = curvelab.compare([*seeds("cool", 1.9, 1e-4), *hot])
    assert "is the best of" not in told.sentence
    assert "1 of its 3 seeds is ranked, 2 failed (became NaN at step" in told.sentence


def test_the_only_survivor_is_named():
    told = curvelab.compare([made("ok"), broken("n1", learning_rate=3e-4), broken("n2", learning_rate=5e-4)])
    assert told.sentence.startswith("ok is the only one of 3 runs that did not fail: n1 became NaN at step")
    assert [one.kind for one in told.ranking.refusals] == ["failed"]
    none = curvelab.compare([broken("n1"), broken("n2", learning_rate=5e-4)])
    assert "evaluate more often" not in none.sentence
    assert "curvelab postmortem" in none.sentence


def test_runs_that_failed_do_not_keep_two_good_ones_from_being_ranked():
    other = [broken(f"n{i}", vocab_size=32000, learning_rate=1e-3 * i) for i in (1, 2, 3)]
    told = curvelab.compare([made("a", 1.5), made("b", 2.0, learning_rate=1e-5), *other])
    assert told.sentence.startswith("a is the best of 2")
    assert [row.rank for row in told.rows] == [1, 2, None, None, None]


def test_a_run_without_points_chooses_neither_metric_nor_axis():
    empty = replace(made("empty", evals=0, per_device_train_batch_size=None), logged={})
    told = curvelab.compare([made("a", 1.5), made("b", 2.0, learning_rate=1e-5), empty, replace(empty, id="e2", name="e2")])
    assert (told.ranking.metric, told.axis.name) == ("eval/loss", "step")
    assert told.sentence.startswith("a is the best of 2")


def test_three_train_losses_are_too_few():
    told = curvelab.compare([made(n, evals=0, points=3) for n in ("a", "b")])
    assert [one.kind for one in told.ranking.refusals] == ["too-few-points"]
    assert "6 are needed" in told.sentence


@pytest.mark.parametrize("words", ["data_seed", "name"])
def test_seeds_of_other_names_are_seeds(words):
    numbers = (1, 2, 3)
    runs = [made(f"x-seed{n}" if words == "name" else f"x-{n}", 1.8, seed=42, **({"data_seed": n} if words == "data_seed" else {})) for n in numbers]
    (group,) = curvelab.compare(runs).groups
    assert group.seeds == numbers


@pytest.mark.parametrize("key", ["slurm_job", "experiment", "exp", "random_state", "launcher_pid", "start", "train_runtime"])
def test_what_names_a_launch_breaks_no_group(key):
    runs = [replace(made(f"x-{s}", seed=s), raw_config={"config.json": {key: f"{key}-{s}"}}) for s in (1, 2)]
    assert len(curvelab.compare(runs).groups) == 1


def test_devices_that_only_one_log_tells_make_no_other_batch():
    told = curvelab.compare([made("a"), made("b", world_size=8)])
    assert told.axis.name == "epoch"
    assert "number of devices" in told.axis.reason
    assert "samples_per_step" not in told.sentence


def test_other_lengths_of_text_without_tokens_are_said():
    told = curvelab.compare([made("a", max_length=512), made("b", max_length=4096)])
    assert "no log counts tokens" in told.axis.reason
    assert any("cut at other lengths (4096 and 512)" in one for one in told.caveats)


def test_runs_of_one_name_can_be_told_apart_and_odd_bytes_can_be_written():
    one, two = made("run"), replace(made("run", 2.0), id="other", path="runs/x/run")
    from curvelab.comparison import compared
    from curvelab.diagnosis import diagnose
    from curvelab.model.options import Options

    told = compared([(run, diagnose(run)) for run in (one, two)], Options())
    assert set(told.curves["run"]) == {"run (run)", "run (other)"}
    odd = curvelab.compare([made("caf\udce9"), made("b", 2.0)])
    assert "caf\ufffd" in odd.to_json()


def test_a_very_long_name_leaves_room_for_the_answer():
    long = replace(made("a"), name="x" * 10_000)
    assert len(curvelab.compare([long, made("b", 2.0)]).sentence) < 1000


def test_a_tie_is_not_ahead_by_minus_nothing():
    from comparing.made import with_metric

    values = [0.5, 0.8, 0.9, 0.9, 0.9, 0.9]
    told = curvelab.compare([with_metric(made(n), "eval/accuracy", values) for n in ("a", "b")], rank_by="eval/accuracy")
    assert "-0" not in told.sentence
