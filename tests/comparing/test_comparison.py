"""compare(): who is ranked, by what, what the noise says, and when it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparing.made import broken, made, renamed, with_metric
from hypothesis import given, settings
from hypothesis import strategies as st

import curvelab
from curvelab.model.comparison import Comparison


def kinds(comparison: Comparison) -> list[str]:
    return [one.kind for one in comparison.ranking.refusals]


def test_the_better_run_is_named_with_how_much_and_what_differs():
    told = curvelab.compare([made("a", 1.8), made("b", 2.1, learning_rate=1e-5)])
    assert told.sentence.startswith("a is the best of 2, one seed each: eval/loss 1.8")
    assert "better than b by 0.29" in told.sentence
    assert "times the noise to expect of another seed" in told.sentence
    assert told.sentence.endswith("They differ in learning_rate 0.0001 against 1e-05.")
    assert [row.rank for row in told.rows] == [1, 2]
    assert told.ranking.leads[0].real


def test_runs_that_differ_by_less_than_their_noise_share_a_rank():
    told = curvelab.compare([made("a", 1.8, noise=0.05), made("b", 1.81, noise=0.05, learning_rate=1e-5)])
    assert [row.rank for row in told.rows] == [1, 1]
    assert told.sentence.startswith("No clear winner")
    assert "within noise" in told.ranking.leads[0].sentence


def test_seeds_of_one_setting_are_one_group_and_their_spread_is_the_noise():
    runs = [made(f"low-{s}", 1.8 + 0.02 * s, noise=0.001, seed=s) for s in range(4)]
    runs += [made(f"high-{s}", 2.2 + 0.02 * s, noise=0.001, seed=s, learning_rate=1e-5) for s in range(4)]
    told = curvelab.compare(runs)
    assert [group.seeds for group in told.groups] == [(0, 1, 2, 3), (0, 1, 2, 3)]
    assert [group.rank for group in told.groups] == [1, 2]
    assert told.groups[0].spread == pytest.approx(0.026, abs=0.003)
    assert told.ranking.noise_from == "seed noise"
    (lead,) = told.ranking.leads
    assert lead.noise == pytest.approx(0.026 / np.sqrt(2), rel=0.1)
    assert lead.needed > 2 * lead.noise  # Student's t of six degrees of freedom
    assert lead.real
    (effect,) = told.effects
    assert (effect.setting, effect.from_, effect.to, effect.runs) == ("learning_rate", 1e-5, 1e-4, 8)
    assert effect.low < -0.4 < effect.high < 0


def test_a_difference_within_the_seed_spread_is_not_believed():
    runs = [made(f"{name}-{s}", 1.8 + 0.2 * s, seed=s, learning_rate=rate) for name, rate in (("a", 1e-4), ("b", 2e-4)) for s in (1, 2)]
    told = curvelab.compare(runs)
    assert {row.rank for row in told.rows} == {1}
    assert "within noise" in told.sentence


@pytest.mark.parametrize("config", [{"seed": None}, {"seed": 1}, {"seed": 2, "weight_decay": 0.1}])
def test_runs_are_no_seeds_of_one_setting_without_known_different_seeds_and_equal_settings(config):
    told = curvelab.compare([made("a"), made("b", **config)])
    assert len(told.groups) == 2


def test_a_seed_may_stand_in_the_name():
    told = curvelab.compare([made("lr1-seed1", seed=None), made("lr1-seed2", seed=None)])
    assert [group.seeds for group in told.groups] == [(1, 2)]


def test_a_run_that_became_nan_or_ended_early_has_no_rank():
    nan = broken("nan")
    cut = replace(made("cut", 1.0), planned_steps=5000, state="crashed")
    told = curvelab.compare([made("a", 1.8), made("b", 2.1), nan, cut])
    why = {row.name: row.unranked for row in told.rows}
    assert why["nan"].startswith("became NaN at step")
    assert "of 5,000" in why["cut"]
    assert told.sentence.startswith("a is the best of 2, one seed each")
    assert {row.name: row.rank for row in told.rows} == {"a": 1, "b": 2, "nan": None, "cut": None}


def test_equal_batches_are_aligned_by_step_and_others_by_samples_or_tokens():
    same = curvelab.compare([made("a"), made("b")])
    assert (same.axis.name, same.axis.possible) == ("step", ("step", "epoch", "samples"))
    other = [made("a"), made("b", gradient_accumulation_steps=4)]
    by_samples = curvelab.compare(other)
    assert by_samples.axis.name == "samples"
    assert "8, 32 samples a step" in by_samples.axis.reason
    counted = [with_metric(run, "train/num_input_tokens_seen", list(np.linspace(100, 10_000, 50))) for run in other]
    assert curvelab.compare(counted).axis.name == "tokens"
    unknown = [made("a"), made("b", per_device_train_batch_size=None)]
    assert curvelab.compare(unknown).axis.name == "epoch"


def test_the_axis_may_be_chosen_and_must_be_possible():
    runs = [made("a"), made("b", gradient_accumulation_steps=4)]
    assert curvelab.compare(runs, by="step").axis.reason == "by step, as asked for"
    with pytest.raises(curvelab.UsageError, match="--align tokens: the log of a does not tell it; possible: step"):
        curvelab.compare(runs, by="tokens")
    with pytest.raises(curvelab.UsageError, match='not "setp"; did you mean "step"'):
        curvelab.compare(runs, by="setp")


@pytest.mark.parametrize(
    ("second", "kind", "fair"),
    [
        (made("b", vocab_size=32000), "other-vocabulary", "bits per byte"),
        (made("b", vocab_size=None, model_type="llama"), "other-vocabulary", "bits per byte"),
        (made("b", label_smoothing_factor=0.1), "other-definition", "a task metric"),  # the other tells none in the same kind of file
        (renamed(made("b"), "eval/loss", "eval/other/loss"), "other-eval-set", "one set"),
        (with_metric(made("b"), "eval/samples", [640.0] * 10), "other-eval-set", "one set"),
        (with_metric(made("b"), "train/reward", [0.1] * 50), "no-cross-entropy", "a reward or a task metric"),
        (made("b", evals=2), "too-few-points", "other seeds"),
    ],
)
def test_runs_that_cannot_be_compared_are_not_ranked(second, kind, fair):
    told = curvelab.compare([with_metric(made("a"), "eval/samples", [500.0] * 10), second])
    assert kinds(told)[:1] == ([kind] if kind else [])
    if kind:
        assert {row.rank for row in told.rows} == {None}
        assert told.sentence.startswith("No ranking of these 2 runs by eval/loss")
        assert fair in told.ranking.refusals[0].alternative
        assert not told.ranking.order


def test_a_task_metric_is_fair_between_vocabularies():
    runs = [
        with_metric(made("a"), "eval/exact_match", [0.1, 0.4, 0.6, 0.6]),
        with_metric(made("b", vocab_size=32000), "eval/exact_match", [0.1, 0.2, 0.2, 0.3]),
        ]
    runs = [with_metric(run, "train/num_tokens", list(np.linspace(1, 1e6, 20))) for run in runs]
    assert "--rank-by eval/exact_match" in curvelab.compare(runs).ranking.refusals[0].alternative
    told = curvelab.compare(runs, rank_by="eval/exact_match")
    assert (kinds(told), told.ranking.goal, told.rows[0].rank) == ([], "max", 1)


def test_a_train_loss_that_is_a_sum_is_not_ranked():
    summed = made("b", gradient_accumulation_steps=2, evals=0)
    loss = summed.logged["train/loss"]
    summed = replace(summed, logged={**summed.logged, "train/loss": replace(loss, value=2 * loss.value)})
    summed = with_metric(summed, "eval/loss", [3.0 - 0.12 * i for i in range(10)])
    summed = replace(summed, logged={**summed.logged, "eval/loss": made("x").logged["eval/loss"]})
    told = curvelab.compare([made("a"), summed], rank_by="train/loss")
    assert kinds(told) == ["scaled-loss"]
    assert told.ranking.refusals[0].alternative == "--rank-by eval/loss"
    assert any("sum over its accumulation steps" in one for one in curvelab.compare([made("a"), summed]).caveats)


def test_without_evals_the_train_loss_ranks_with_a_warning():
    told = curvelab.compare([made("a", 1.8, evals=0), made("b", 2.2, evals=0)])
    assert told.ranking.metric == "train/loss"
    assert "for want of evals" in told.caveats[0]
    assert [row.rank for row in told.rows] == [1, 2]


def test_metric_for_best_model_ranks_where_all_agree():
    runs = [
        with_metric(made(name, metric_for_best_model="accuracy"), "eval/accuracy", values)
        for name, values in (("a", [0.1, 0.2, 0.3, 0.3]), ("b", [0.4, 0.7, 0.9, 0.9]))
    ]
    told = curvelab.compare(runs)
    assert (told.ranking.metric, told.ranking.goal, told.rows[1].rank) == ("eval/accuracy", "max", 1)
    with pytest.raises(curvelab.UsageError, match="--goal takes min or max"):
        curvelab.compare(runs, goal="least")
    with pytest.raises(curvelab.UsageError, match='did you mean "eval/accuracy"'):
        curvelab.compare(runs, rank_by="eval/acuracy")


def test_where_runs_part_is_found_with_the_settings_that_differ():
    same = made("a").logged["train/loss"]
    rest = made("b", learning_rate=2e-4)
    value = same.value + np.where(same.step > 300, 0.5, 0.0) + 0.001 * np.sin(same.step)
    told = curvelab.compare([made("a"), replace(rest, logged={**rest.logged, "train/loss": replace(same, value=value)})])
    (parting,) = told.partings
    assert parting.steps is not None
    assert 285 <= parting.steps[0] <= 320
    assert parting.settings == ("learning_rate",)
    assert abs(parting.gap or 0) == pytest.approx(0.5, rel=0.2)


def test_runs_that_do_not_part_are_said_so():
    (parting,) = curvelab.compare([made("a"), made("b", weight_decay=0.1)]).partings
    assert (parting.at, parting.steps) == (None, None)
    assert "cannot be told from that of b: too noisy to see a gap below" in parting.sentence


def test_settings_that_go_with_the_metric_are_told_with_counts_and_no_cause():
    rates = [1e-5 * 2**i for i in range(10)]
    runs = [made(f"r{i}", 2.0 - 0.03 * i, learning_rate=rate, weight_decay=float(i % 2)) for i, rate in enumerate(rates)]
    told = curvelab.compare(runs)
    first = told.associations[0]
    assert (first.setting, first.count, first.values) == ("learning_rate", 10, 10)
    assert first.rho < -0.9
    assert first.low <= first.rho < first.high
    assert first.p <= first.q < 0.01
    assert "goes with lower eval/loss" in first.sentence
    assert not any(word in one.sentence for one in told.associations for word in ("cause", "because", "improve", "lead"))
    assert curvelab.compare(runs[:7]).associations == ()


def test_a_baseline_divides_better_worse_noise_and_failed():
    nan = broken("nan")
    told = curvelab.compare([made("base"), made("same", 1.801), made("worse", 2.2), made("better", 1.5), nan], baseline="base")
    assert told.baseline is not None
    assert {one.run: one.against for one in told.baseline.standings} == {
        "same": "within-noise", "worse": "worse", "better": "better", "nan": "failed",
    }  # fmt: skip
    assert told.baseline.regressed == ("worse", "nan")
    assert "Worse than the baseline base: worse and nan." in told.sentence
    with pytest.raises(curvelab.UsageError, match='is none of the runs; did you mean "better"'):
        curvelab.compare([made("base"), made("better")], baseline="beter")


def test_a_refused_comparison_calls_no_run_worse():
    told = curvelab.compare([made("a"), made("b", 2.4, vocab_size=32000)], baseline="a")
    assert told.baseline is not None
    assert (told.baseline.regressed, told.baseline.standings[0].against) == ((), "not-comparable")


def test_one_run_is_no_comparison():
    with pytest.raises(curvelab.UsageError, match="takes two runs or more, and there is one"):
        curvelab.compare([made("a")])


def test_json_goes_both_ways_and_dataframes_come_from_it():
    told = curvelab.compare([made("a"), made("b", 2.0, learning_rate=2e-4)], baseline="a")
    again = Comparison.from_json(told.to_json())
    assert again.to_json() == told.to_json()
    assert list(told.to_dict()) == ["schema", "curvelab", "runs", "errors", "comparison"]
    assert list(again.table.index) == ["a", "b"]
    assert {"rank", "best", "verdict", "throughput"} <= set(again.table.columns)
    assert list(again.settings.columns) == ["learning_rate"]
    assert list(again.curves.columns) == ["run", "metric", "step", "epoch", "samples", "value"]
    assert set(again.curves["run"]) == {"a", "b"}
    assert "<table>" in again._repr_html_()


def test_two_runs_of_one_name_stay_two():
    told = curvelab.compare([made("a"), made("a", 2.2)])
    assert len({row.run for row in told.rows}) == len({row.name for row in told.rows}) == 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1.0, 3.0), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_runs_changes_nothing(floors, random):
    runs = [made(f"run{i}", floor, learning_rate=1e-4 * (i + 1)) for i, floor in enumerate(floors)]
    shuffled = list(runs)
    random.shuffle(shuffled)
    first, second = (curvelab.compare(some) for some in (runs, shuffled))
    assert {r.name: r.rank for r in first.rows} == {r.name: r.rank for r in second.rows}
    ranked = sorted(first.rows, key=lambda row: row.value)
    assert [row.rank for row in ranked] == sorted(row.rank for row in ranked)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 100))
def test_another_unit_of_loss_changes_no_rank(scale):
    def scaled(run):
        return replace(run, logged={m: replace(c, value=scale * c.value) for m, c in run.logged.items()})

    runs = [made("a", 1.8), made("b", 1.82, learning_rate=1e-5), made("c", 2.3, learning_rate=1e-6)]
    plain, other = curvelab.compare(runs), curvelab.compare([scaled(run) for run in runs])
    assert [row.rank for row in plain.rows] == [row.rank for row in other.rows]
