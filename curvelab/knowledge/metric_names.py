"""Canonical metric names: the same for every format. A name that is not known passes through unchanged."""

from __future__ import annotations

import re

SAME = {
    "train/lr": "train/learning_rate",
    "learning_rate": "train/learning_rate",
    "lr": "train/learning_rate",
    "loss": "train/loss",
    "train_loss": "train/loss",
    "training_loss": "train/loss",
    "loss/train": "train/loss",
    "Loss/train": "train/loss",
    "val_loss": "eval/loss",
    "eval_loss": "eval/loss",
    "valid_loss": "eval/loss",
    "validation_loss": "eval/loss",
    "val/loss": "eval/loss",
    "validation/loss": "eval/loss",
    "loss/val": "eval/loss",
    "Loss/val": "eval/loss",
    "grad_norm": "train/grad_norm",
    "train/gradient_norm": "train/grad_norm",
    "gradient_norm": "train/grad_norm",
    "train/objective/kl": "train/kl",
    "objective/kl": "train/kl",
    "objective/entropy": "train/entropy",
    "train/objective/entropy": "train/entropy",
    "objective/scores": "train/reward",
    "train/objective/scores": "train/reward",
    "entropy": "train/entropy",
    "actor/entropy": "train/entropy",
    "critic/score/mean": "train/reward",
    "response_length/mean": "train/completions/mean_length",
    "response_length/clip_ratio": "train/completions/clipped_ratio",
    "train/tokens_per_sec": "train/tokens_per_second",
    "tokens_per_second": "train/tokens_per_second",
    "tokens_per_sec": "train/tokens_per_second",
    "train/tps": "train/tokens_per_second",
    "samples_per_second": "train/samples_per_second",
    "train/samples_per_sec": "train/samples_per_second",
    "steps_per_second": "train/steps_per_second",
    "train/steps_per_sec": "train/steps_per_second",
    "train/train_samples_per_second": "final/train_samples_per_second",
    "train/train_steps_per_second": "final/train_steps_per_second",
    "train/train_tokens_per_second": "final/train_tokens_per_second",
    "train/train_runtime": "final/train_runtime",
    "train/train_loss": "final/train_loss",
    "train/total_flos": "final/total_flos",
}

PATTERNS = (
    (re.compile(r"^(eval|test)/(.+)_loss$"), r"\1/\2/loss"),
    (re.compile(r"^system\.gpu\.(\d+)\.gpu$"), r"gpu/\1/utilization"),
    (re.compile(r"^system\.gpu\.(\d+)\.memoryAllocatedBytes$"), r"gpu/\1/memory_bytes"),
    (re.compile(r"^system\.gpu\.(\d+)\.memoryAllocated$"), r"gpu/\1/memory_percent"),
    (re.compile(r"^system\.proc\.memory\.rssMB$"), "host/memory_mb"),
)

# Names that only carry an x axis: they become columns of the frame instead of metrics.
AXES = frozenset(("train/epoch", "epoch", "train/global_step", "global_step", "step"))


def canonical(name: str) -> str:
    """The canonical name of a metric that was brought to the common form `train/...`, `eval/...`."""
    if name in SAME:
        return SAME[name]
    for pattern, replacement in PATTERNS:
        if pattern.match(name):
            return pattern.sub(replacement, name)
    return name
