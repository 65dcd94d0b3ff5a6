"""Real runs side by side: the sample runs and the labelled corpus."""

from __future__ import annotations

import pytest
from states import SAMPLES

import curvelab


def test_the_sample_runs_are_aligned_by_samples_and_the_broken_one_is_not_ranked():
    told = curvelab.compare([SAMPLES / name for name in ("healthy", "spikes", "plateau", "overfitting", "non-finite")])
    assert told.axis.name == "samples"
    rank = {row.name: row.rank for row in told.rows}
    assert (rank["spikes"], rank["healthy"], rank["non-finite"]) == (1, 2, None)
    assert rank["plateau"] == 4
    assert "became NaN" in next(row.unranked for row in told.rows if row.name == "non-finite")


def test_a_resumed_run_is_one_line(corpus):
    runs = corpus / "trained" / "runs"
    told = curvelab.compare([runs / "cut-and-resumed", runs / "clip-tight"])
    line = next(one for one in told.aligned if one.run == told.rows[0].run and one.metric == "train/loss")
    assert line.along["step"] == sorted(set(line.along["step"]))
    assert told.rows[0].steps == 480


def test_clipping_levels_of_one_recipe_are_told_by_the_one_setting(corpus):
    runs = corpus / "trained" / "runs"
    told = curvelab.compare([runs / "clipsat-mild", runs / "clip-half"])
    assert [one.setting for one in told.effects] == ["max_grad_norm"]
    assert told.rows[0].rank == told.rows[1].rank == 1
    assert "within noise" in told.sentence


def test_the_whole_corpus_is_refused_with_every_reason(corpus):
    told = curvelab.compare([corpus / "trained" / "runs"])
    kinds = {one.kind for one in told.ranking.refusals}
    assert {"no-cross-entropy", "other-objective", "other-vocabulary", "other-eval-set"} <= kinds
    assert len(told.rows) > 60


@pytest.mark.parametrize("name", ["grpo-healthy", "dpo-healthy"])
def test_policies_are_not_ranked_by_their_loss_against_supervised_runs(name):
    told = curvelab.compare([SAMPLES / "healthy", SAMPLES / "more" / name])
    assert told.refused
