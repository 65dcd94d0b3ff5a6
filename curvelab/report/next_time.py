"""What could not be seen in a run, and what to log next time so that it can be."""

from __future__ import annotations

import re

from curvelab.model.result import Diagnosis
from curvelab.report import wording

Advice = tuple[str, str, list[str]]  # (metric, how to log it, patterns that need it)

# What only a policy that is rewarded logs, and what only a model that learns from pairs does; and what shows which a run is.
_POLICY = re.compile(r"train/(reward\b|kl\b|entropy\b|completions|frac_reward)")
_PAIRS = re.compile(r"train/(rewards/|logps)")
_OF_POLICY = re.compile(r"train/(reward|kl|completions/.+)$")
_OF_PAIRS = re.compile(r".*rewards/(margins|accuracies)$")
# The checks of the machine take one of several metrics and need none of them by name.
_MACHINE = {
    "throughput-drop": ("train/tokens_per_second", "count tokens (include_num_input_tokens_seen), or log to W&B or TensorBoard, which keep the times"),
    "low-utilization": ("gpu/0/utilization", "log to W&B, whose system metrics have it"),
    "memory-leak": ("gpu/0/memory_gb", "log to W&B, whose system metrics have it"),
    "memory-imbalance": ("gpu/0/memory_gb", "log to W&B, whose system metrics have it"),
}


def next_time(diagnosis: Diagnosis) -> list[Advice]:
    """What to log next time, for the checks of the machine, too."""
    advice = [one for one in wording.to_log(diagnosis) if not _foreign(diagnosis, one[0])]
    told = {metric for metric, _, _ in advice} | {pattern for _, _, patterns in advice for pattern in patterns}
    more: dict[tuple[str, str], list[str]] = {}
    for outcome in diagnosis.outcomes:
        if outcome.status == "not-applicable" and outcome.pattern in _MACHINE and outcome.pattern not in told:
            metric, how = _MACHINE[outcome.pattern]
            if metric not in told and metric not in diagnosis.metrics:
                more.setdefault((metric, how), []).append(outcome.pattern)
    return advice + [(metric, how, patterns) for (metric, how), patterns in more.items()]


def could_not_look(diagnosis: Diagnosis) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """((reason, patterns) of the checks that could not look, the patterns that are of another kind of training)."""
    blind, elsewhere = [], []
    for reason, patterns in wording.by_reason(diagnosis.outcomes, "not-applicable"):
        if _foreign(diagnosis, reason):
            elsewhere += patterns
        else:
            blind.append((reason, patterns))
    return blind, elsewhere


def _foreign(diagnosis: Diagnosis, text: str) -> bool:
    """Whether a text begins with a metric that a run of this kind does not have."""
    policy, pairs = (any(map(shows.match, diagnosis.metrics)) for shows in (_OF_POLICY, _OF_PAIRS))
    return bool(_POLICY.match(text) and not policy) or bool(_PAIRS.match(text) and not pairs)
