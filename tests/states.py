"""Where the sample runs and the labelled corpus lie, and trainer states as Transformers writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_runs"
CORPUS = ROOT.parent / "shared" / "corpus"


def state_of(
    losses: list[Any],
    *,
    every: int = 10,
    evals: dict[int, float] | None = None,
    max_steps: int | None = None,
    finished: bool = True,
    norms: list[Any] | None = None,
) -> dict[str, Any]:
    """A trainer_state as Transformers writes it: one train row a loss, eval rows after their step, the summary row."""
    history: list[dict[str, Any]] = []
    last = len(losses) * every
    for i, loss in enumerate(losses):
        step = (i + 1) * every
        row = {"epoch": step / last, "learning_rate": 1e-4, "loss": loss, "step": step}
        if norms is not None:
            row["grad_norm"] = norms[i]
        history.append(row)
        if evals and step in evals:
            history.append({"epoch": step / last, "eval_loss": evals[step], "eval_runtime": 0.5, "step": step})
    if finished:
        history.append({"epoch": 1.0, "step": last, "total_flos": 1e9, "train_loss": 1.0, "train_runtime": 12.5})
    return {
        "global_step": last,
        "log_history": history,
        "logging_steps": every,
        "max_steps": max_steps or last,
        "num_train_epochs": 1,
        "train_batch_size": 8,
    }
