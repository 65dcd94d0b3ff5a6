"""Perplexity, where a loss has one: exp of a cross entropy of tokens, in nats."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from curvelab.deciding import FALLS
from curvelab.facts import Facts

LOWEST_START = 1.0  # nats; where nothing names a model, a loss that begins lower may as well be one of classes (judgement)
HIGHEST = 20.0  # nats; beyond it no loss is one of tokens: ln of the largest vocabularies is about 12.5 (judgement)
_LANGUAGE = re.compile(r"CausalLM|LMHead|ConditionalGeneration|Seq2Seq|ForSpeechSeq")
_ENCODER = re.compile(r"bert|electra|mpnet|longformer|funnel|xlnet", re.I)  # mostly trained for classes or for spans
_OTHER = re.compile(r"Classification|Regression|Detection|Segmentation|QuestionAnswering|MultipleChoice|CTC|RewardModel")
_OF_TOKENS = re.compile(r"(^|/)(mean_token_accuracy|perplexity|ppl|num_tokens|num_input_tokens_seen)$")
ACCURACY = re.compile(r"acc", re.I)  # of classes, or of the tokens of a language model
_OF_CLASSES = re.compile(r"f1$|precision|recall|auc|matthews|spearman|pearson|iou|ndcg|mrr|(^|/)map", re.I)
_BARE = frozenset(("trainer-state", "trainer-log", "trainer-console"))  # logs that cannot say what the model was


def perplexity(facts: Facts, metric: str, loss: float) -> float | None:
    """exp(loss) of a logged loss in nats; None where the metric is no loss of tokens, or the value cannot be one.

    Whether it is one is judged by these rules, the first that applies:
    no   another metric than a loss; the losses of preference tuning and of policy gradients; label smoothing (it adds to
         the cross entropy); an architecture for classes or numbers
    yes  a metric that counts or scores tokens (mean_token_accuracy, num_tokens, perplexity)
    no   an eval metric of classes, numbers or speech recognition (f1, mse, wer)
    yes  an architecture that writes text; with an accuracy, which may be of classes, from LOWEST_START on
    no   an eval accuracy
    no   an encoder: its config keeps the architecture of pre-training, whatever it is trained for
    yes  a vocabulary in the settings; a log that names no model at all, of a trainer that mostly trains language models,
         whose train loss begins above LOWEST_START: one of two classes begins at ln 2
    """
    if not metric.endswith("/loss") or not 0 < loss <= HIGHEST or not _of_tokens(facts):
        return None
    return math.exp(loss)


def _of_tokens(facts: Facts) -> bool:
    """Whether the run's losses are cross entropies of tokens (see `perplexity`)."""
    smoothing = facts.setting("label_smoothing_factor")
    built = " ".join(architectures(facts))
    if facts.preference or facts.around_zero or (isinstance(smoothing, int | float) and smoothing > 0):
        return False
    if _OTHER.search(built):
        return False
    if any(_OF_TOKENS.search(metric) for metric in facts.run.metrics):
        return True
    evals = [metric for metric in facts.run.metrics if metric.startswith(("eval/", "test/"))]
    if any(_OF_CLASSES.search(metric) or FALLS.search(metric) for metric in evals):
        return False
    accuracy = any(ACCURACY.search(metric) for metric in evals)
    if _LANGUAGE.search(built):
        return not accuracy or not facts.start_level < LOWEST_START
    if accuracy:
        return False
    if _ENCODER.search(f"{built} {facts.setting('model_type')}"):
        return False
    bare = set(facts.run.format.split("+")) <= _BARE
    return facts.setting("vocab_size") is not None or (bare and not facts.start_level < LOWEST_START)


def may_write(facts: Facts) -> bool:
    """Whether the model may be one that writes text, as far as its settings tell: it has a vocabulary and is no encoder."""
    built = " ".join(architectures(facts))
    if facts.setting("vocab_size") is None and not _LANGUAGE.search(built):
        return False
    return not _OTHER.search(built) and not _ENCODER.search(f"{built} {facts.setting('model_type')}")


def architectures(facts: Facts) -> Iterator[str]:
    """The `architectures` of the model, as its config names them."""
    for values in facts.run.raw_config.values():
        named: Any = values.get("architectures")
        yield from (str(word) for word in (named if isinstance(named, list | tuple) else [named]) if word)
