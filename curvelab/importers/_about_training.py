"""Whether a table's columns speak of training: much else counts steps (of people, of a game, of a web shop)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from curvelab.importers._axes import Axes

_WORDS = frozenset((
    "acc", "accuracy", "advantage", "advantages", "auc", "auroc", "beta", "bleu", "bpb", "bpc", "cer", "clip",
    "clipfrac", "correlation", "cost", "critic", "decay", "dev", "dice", "elbo", "entropy", "error", "eval",
    "evaluation", "f1", "fid", "flops", "gnorm", "gpu", "grad", "gradient", "gradients", "iou", "kl", "kld",
    "learning", "logits", "logp", "logps", "loss", "losses", "lr", "mae", "map", "mape", "margin", "margins", "mfu",
    "miou", "momentum", "mse", "nll", "norm", "norms", "objective", "perplexity", "policy", "ppl", "precision",
    "psnr", "r2", "recall", "return", "returns", "reward", "rewards", "rmse", "rouge", "score", "scores", "ssim",
    "test", "tflops", "throughput", "tps", "train", "training", "val", "valid", "validation", "wer",
))  # fmt: skip
_ENDS = ("loss", "acc", "accuracy", "reward", "norm", "error", "ppl")  # `trainloss`
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*")  # `valLoss`, `MSE`, `acc1`
_PLAIN = frozenset(  # counters that other tables have, too
    ("step", "steps", "update", "iteration", "iterations", "iter", "iters", "epoch", "epochs", "_epoch")
)
_OF_EPISODES = frozenset(
    ("action", "actions", "obs", "observation", "observations", "state", "next_state", "next_obs", "done", "terminated",
     "truncated")
)  # fmt: skip


@dataclass(frozen=True)
class CountingTable:
    """A table that counts something upwards: its axes, its columns of numbers beside them, and all its columns."""

    axes: Axes
    metrics: Sequence[str]
    columns: Collection[str]

    def is_log(self, named: Collection[str]) -> bool:
        """Whether it is a training log.

        named  columns that the user has given a canonical name: they are metrics because the user says so
        """
        if not self.metrics or any(name in named for name in self.metrics):
            return bool(self.metrics)
        if len(_OF_EPISODES & {name.strip().lower() for name in self.columns}) >= 2:
            return False  # what an agent did, one row an action
        axes = self.axes
        if axes.step.strip().lower() not in _PLAIN or axes.native or (axes.epoch and not axes.by_epoch):
            return True
        if axes.time and axes.time.strip().lower() == "wall time" and [*self.metrics] == ["Value"]:
            return True  # TensorBoard's download of one curve
        return any("/" in name or _is_about(name) for name in self.metrics)

    @property
    def how_to_name(self) -> str:
        """What to do about a table that speaks of something else; empty when it holds no numbers."""
        if not self.metrics:
            return ""
        name = f"{self.metrics[0]}=train/loss"
        flag = f'"{name}"' if " " in name else name
        return f'it counts "{self.axes.step}", but no column\'s name speaks of training; name one: --metric {flag}'


def _is_about(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    return any(w in _WORDS or w.rstrip("0123456789") in _WORDS or w.endswith(_ENDS) for w in words)
