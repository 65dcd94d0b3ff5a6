"""What must not be ranked, or only in part: summed losses without evals, other tokenizers, models and eval data, odd ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparing.made import made, with_metric

import curvelab
from curvelab.comparing.identity import eval_sets
from curvelab.model.run import Curve, Run


def telling(run: Run, **words: object) -> Run:
    """The run whose log tells these settings in the trainer's own words as well."""
    return replace(run, raw_config={"training_args.json": words})


def of_samples(name: str, accumulation: int, scale: float) -> Run:
    """A run without evals of 12,800 samples, whose train loss is logged `scale` times."""
    samples = np.arange(1, 101) * 128
    rng = np.random.default_rng(accumulation)
    loss = scale * (2 + 3 * np.exp(-samples / 2000) + rng.normal(0, 0.02, 100))
    run = made(name, evals=0, gradient_accumulation_steps=accumulation, max_steps=1600 // accumulation)
    return replace(run, logged={"train/loss": Curve.of("train/loss", samples // (8 * accumulation), loss)})


@pytest.mark.parametrize("accumulation", [2, 8])
def test_a_summed_train_loss_is_seen_without_evals(accumulation):
    told = curvelab.compare([of_samples("one", 1, 1.0), of_samples("many", accumulation, float(accumulation))])
    assert [one.kind for one in told.ranking.refusals] == ["scaled-loss"]
    assert told.refused
    assert told.partings == ()


def test_other_accumulation_of_an_averaged_train_loss_is_ranked():
    told = curvelab.compare([of_samples("one", 1, 1.0), of_samples("many", 8, 1.0)])
    assert told.ranking.refusals == ()
    assert {row.rank for row in told.rows} == {1}


@pytest.mark.parametrize(
    ("name", "first", "second", "kind"),
    [
        ("tokenizer_name", "gpt2", "bpe-8k", "other-vocabulary"),
        ("tokenizer_name", "gpt2", "hub/gpt2", None),
        ("model_name_or_path", "meta-llama/Llama-3-8B", "Qwen/Qwen2-7B", "other-vocabulary"),
        ("model_name_or_path", "/a/Qwen2-7B", "Qwen/Qwen2-7B/", None),
        ("model_name_or_path", "out/checkpoint-500", "out/checkpoint-900", None),
        ("model", "{'class': 'LlamaForCausalLM'}", "{'class': 'PlainDeep'}", None),
        ("eval_dataset", "wikitext", "c4", "other-eval-set"),
        ("validation_file", "/a/val.jsonl", "/b/val.jsonl", None),
    ],
)
def test_other_tokenizers_models_and_eval_data_by_name_are_refused(name, first, second, kind):
    runs = [telling(made(n, vocab_size=None), **{name: word}) for n, word in (("a", first), ("b", second))]
    told = curvelab.compare(runs)
    assert [one.kind for one in told.ranking.refusals] == ([kind] if kind else [])
    if kind:
        assert [one.setting for one in told.differences] == [name]
        assert set(told.differences[0].values.values()) == {first, second}


def test_other_models_of_one_known_vocabulary_are_ranked():
    runs = [telling(made(n), model_name_or_path=n) for n in ("gpt2", "distilgpt2")]
    assert not curvelab.compare(runs).refused


def test_eval_data_are_compared_by_what_all_logs_tell():
    runs = [telling(made("a"), eval_dataset="c4", eval_split="test"), telling(made("b"), eval_dataset="c4")]
    from curvelab.comparing.entrants import Entrant
    from curvelab.diagnosis import diagnose
    from curvelab.facts import Facts

    assert len(set(eval_sets([Entrant(run, Facts(run), diagnose(run)) for run in runs]))) == 1


def test_the_comparable_runs_are_ranked_and_the_odd_one_is_named():
    runs = [with_metric(made(f"r{i}", 1.8 + 0.2 * i, learning_rate=1e-4 * (i + 1)), "eval/samples", [500.0] * 10) for i in range(4)]
    odd = with_metric(made("odd", 1.0, learning_rate=1e-3), "eval/samples", [2000.0] * 10)
    told = curvelab.compare([*runs, odd])
    assert not told.refused
    assert [row.rank for row in told.rows] == [1, 2, 3, 4, None]
    assert told.rows[-1].unranked == "not comparable: another eval set"
    assert "Not comparable with these: odd" in told.sentence
    ranked, alone = told.ranking.classes
    assert (ranked.ranked, ranked.label, alone.ranked) == (True, "about 500 examples", False)
    assert ranked.command == "curvelab compare runs/r0 runs/r1 runs/r2 runs/r3"
    assert all("odd" not in one.runs for one in told.partings)


def test_two_classes_of_equal_size_are_told_one_by_one():
    runs = [made(f"{size}-{i}", 1.8 + 0.2 * i, vocab_size=size, learning_rate=1e-4 * (i + 1)) for size in (100, 200) for i in range(2)]
    told = curvelab.compare(runs)
    assert told.refused
    assert [one.sentence.split(":")[0] for one in told.ranking.classes] == [f"{size}-0 is the best of 2, one seed each" for size in (100, 200)]
    assert told.partings[0].runs == ("100-0", "100-1")


def test_other_training_data_of_an_unnamed_eval_set_are_a_caveat():
    told = curvelab.compare([telling(made(n), dataset=n) for n in ("alpaca", "dolly")])
    assert not told.refused
    assert any(one.startswith("Trained on different data (alpaca and dolly)") for one in told.caveats)


def test_a_command_names_no_folder_above_the_runs(tmp_path):
    runs = [replace(made(f"{size}-{i}", vocab_size=size), path=f"{tmp_path}/runs/{size}-{i}") for size in (100, 200) for i in range(2)]
    told = curvelab.compare(runs)
    assert [one.command for one in told.ranking.classes] == ["curvelab compare 100-0 100-1", "curvelab compare 200-0 200-1"]


def kinds(*runs: Run, **wishes: str) -> list[str]:
    return [one.kind for one in curvelab.compare(list(runs), **wishes).ranking.refusals]


def times(run: Run, factor: float, *metrics: str) -> Run:
    """The run with these metrics so many times as high."""
    return replace(run, logged={m: replace(c, value=c.value * factor) if m in metrics else c for m, c in run.logged.items()})


@pytest.mark.parametrize("factor", [8.0, 1 / 8])
@pytest.mark.parametrize("accumulation", [1, 8])
def test_one_of_two_train_losses_that_is_off_by_the_accumulation_is_seen(factor, accumulation):
    many = times(of_samples("many", 8, 1.0), factor, "train/loss")
    assert kinds(of_samples("other", accumulation, 1.0), many) == ["scaled-loss"]
    assert kinds(of_samples("other", accumulation, 1.0), of_samples("many", 8, 1.0)) == []


def test_a_loss_above_that_of_guessing_is_a_sum():
    summed = times(made("summed"), 512, "train/loss", "eval/loss")
    assert kinds(made("mean"), summed) == ["scaled-loss"]
    assert kinds(made("mean", evals=0), times(made("summed", evals=0), 8, "train/loss")) == ["scaled-loss"]


@pytest.mark.parametrize("words", [("loss_reduction", "mean", "sum"), ("loss_unit", "nats", "bits")])
def test_a_loss_that_the_log_defines_otherwise_is_refused(words):
    name, *values = words
    assert kinds(*(telling(made(value), **{name: value}) for value in values)) == ["other-definition"]


@pytest.mark.parametrize("metric", ["eval/perplexity", "eval/nll", "eval/cross_entropy", "eval/mean_token_accuracy"])
def test_whatever_counts_by_tokens_is_refused_for_other_vocabularies(metric):
    runs = [with_metric(made(n, vocab_size=size), metric, [0.5, 0.4, 0.3, 0.3]) for n, size in (("a", 50257), ("b", 128256))]
    assert kinds(*runs, rank_by=metric, goal="min") == ["other-vocabulary"]


def test_a_task_metric_of_other_vocabularies_is_ranked_without_a_word_on_them():
    runs = [with_metric(made(n, vocab_size=size, model_type=n), "eval/f1", [0.3, 0.4, 0.5, 0.5]) for n, size in (("bert", 30522), ("xlnet", 32000))]
    told = curvelab.compare(runs, rank_by="eval/f1")
    assert not told.ranking.refusals
    assert not any("vocabular" in one for one in told.caveats)


@pytest.mark.parametrize(("first", "second", "kind", "other"), [
    (50257, 50304, "gpt2", []), (32000, 32001, "llama", []), (32000, 32256, "llama", ["other-vocabulary"]),
])  # fmt: skip
def test_a_padded_vocabulary_is_the_same_and_that_is_said(first, second, kind, other):
    told = curvelab.compare([made("a", vocab_size=first, model_type=kind), made("b", vocab_size=second, model_type=kind)])
    assert [one.kind for one in told.ranking.refusals] == other
    assert other or any("are taken to be one" in one for one in told.caveats)


def writing(name: str, architecture: str, accuracy: bool = True, **config: object) -> Run:
    """A language model of run_clm.py, which logs an accuracy of tokens."""
    run = with_metric(made(name, **config), "eval/accuracy", [0.3, 0.35, 0.4, 0.4]) if accuracy else made(name, **config)
    return replace(run, raw_config={"config.json": {"architectures": [architecture]}})


def test_the_architecture_decides_what_an_accuracy_is_of():
    gpt2 = writing("gpt2", "GPT2LMHeadModel")
    llama = writing("llama", "LlamaForCausalLM", model_type="llama", vocab_size=128256)
    told = curvelab.compare([gpt2, llama])
    assert [one.kind for one in told.ranking.refusals] == ["other-vocabulary"]
    assert "accuracy" not in told.ranking.refusals[0].alternative
    assert None not in [row.perplexity for row in told.rows]
    assert kinds(gpt2, llama, rank_by="eval/accuracy") == ["other-vocabulary"]
    assert kinds(gpt2, writing("silent", "GPT2LMHeadModel", accuracy=False)) == []


def test_an_accuracy_in_one_log_of_two_of_one_model_is_no_other_loss():
    assert kinds(with_metric(made("a"), "eval/accuracy", [0.3, 0.4, 0.4]), made("b")) == []
    whisper = [made(n, model_type="whisper") for n in ("a", "b")]
    assert kinds(with_metric(whisper[0], "eval/wer", [0.5, 0.4, 0.3]), whisper[1]) == []
