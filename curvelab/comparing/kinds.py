"""What a run's loss is a loss of, which metrics count tokens of one tokenizer, and which are fair where losses are not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from curvelab.comparing.choice import Choice, task_metrics
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.splitting import known
from curvelab.deciding import FALLS, RISES
from curvelab.perplexity import ACCURACY, architectures, may_write, perplexity

PREFERENCE, TOKENS, CLASSES = "a preference loss", "a loss of tokens", "a loss of classes or numbers"
_PER_TOKEN = re.compile(
    r"(^|[/_])(perplexity|ppl|nll|negative_log_likelihood|(token_)?(cross_?entropy|ce|xent)|bpt|bits_per_token|(mean_)?token_acc(uracy)?)$",
    re.I,
)


def kind_of(one: Entrant) -> str | None:
    """What a run's loss is a loss of; None where the log does not tell: an accuracy may be one of tokens or of classes."""
    if one.facts.preference:
        return PREFERENCE
    if perplexity(one.facts, "train/loss", 1.0) is not None:
        return TOKENS
    judged = [m for m in one.run.metrics if m.startswith(("eval/", "test/")) and (RISES.search(m) or FALLS.search(m))]
    only_accuracy = all(ACCURACY.search(metric) for metric in judged)
    return None if not judged or (only_accuracy and may_write(one.facts)) else CLASSES


def kinds_of(entrants: Sequence[Entrant]) -> dict[str, str | None]:
    """By run id. Of two runs of one model, what one logged beside the loss makes it no loss of another kind."""
    found = {one.id: kind_of(one) for one in entrants}
    writing = {_model(one) for one in entrants if found[one.id] == TOKENS} - {None}
    return {one.id: None if found[one.id] == CLASSES and _model(one) in writing else found[one.id] for one in entrants}


def per_token(entrants: Sequence[Entrant], choice: Choice) -> bool:
    """Whether the metric counts by the tokens of a tokenizer: losses, perplexities, and the accuracy of a language model."""
    if choice.of_loss or _PER_TOKEN.search(choice.metric):
        return True
    return bool(ACCURACY.search(choice.metric)) and any(kind_of(one) == TOKENS for one in entrants)


def fair_metric(entrants: Sequence[Entrant], bits: bool = False) -> str:
    """What would be fair instead of a loss."""
    of_tokens = bits and any(kind_of(one) == TOKENS for one in entrants)
    shared = [metric for metric in task_metrics(entrants) if not (of_tokens and ACCURACY.search(metric))]
    if shared:
        return f"--rank-by {min(shared)}, which every run logged"
    return "bits per byte of the same text, or a task metric; or compare the runs of one kind only" if bits else (
        "a task metric that all runs log, or the runs of one kind only"
    )  # fmt: skip


def _model(one: Entrant) -> tuple[str, ...] | None:
    told = (known(one, "model_type") or "", known(one, "vocab_size") or "", *sorted(set(architectures(one.facts))))
    return told if any(told) else None
