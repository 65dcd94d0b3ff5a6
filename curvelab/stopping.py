"""Where early stopping would have ended a run: Transformers' EarlyStoppingCallback, replayed on the log's evals."""

from __future__ import annotations

import numpy as np

from curvelab.cost import Tariff
from curvelab.deciding import judge_of_best, restores_best, without_restored_best
from curvelab.facts import Facts
from curvelab.model.log import Floats
from curvelab.model.options import Options
from curvelab.model.result import EarlyStopping
from curvelab.model.run import Curve
from curvelab.signals.early_stopping import replay

FEWEST = 2  # evals (one says nothing of what comes after it)


def early_stopping(facts: Facts, options: Options, tariff: Tariff) -> EarlyStopping | None:
    """Replay it on the metric that decides (metric_for_best_model where it was logged, else the eval loss, or the task
    metric that still improved after the minimum of the eval loss).

    With the patience and the least gain of `options`. NaN evals count as evals without improvement; an eval before the
    first step is not counted, as in the trainer. None with fewer than two evals, or without a finite one. The trainer
    looks at its evals as they come: one that load_best_model_at_end adds at the end is left out.
    """
    judge = judge_of_best(facts)
    if judge is None:
        return None
    evals = _as_they_came(facts, judge.curve.take(judge.curve.step > 0), judge.greater)
    found = replay(evals.value, options.patience, options.min_gain, judge.greater)
    if len(evals) < FEWEST or found.kept is None:
        return None
    last = facts.run.last_step or 0
    stop = None if found.stop is None else int(evals.step[found.stop])
    spent = None if stop is None else tariff.after(stop)
    later = None if found.stop is None else _better_later(judge.costs(evals.value), found.stop, found.kept)
    return EarlyStopping(
        metric=judge.metric,
        patience=options.patience,
        threshold=options.min_gain,
        evals=len(evals),
        stop_step=stop,
        kept_step=int(evals.step[found.kept]),
        kept_value=float(evals.value[found.kept]),
        saved_steps=0 if stop is None else last - stop,
        saved_seconds=None if spent is None else spent.seconds,
        saved_gpu_hours=None if spent is None else spent.gpu_hours,
        saved_money=None if spent is None else spent.money,
        later_step=None if later is None else int(evals.step[later]),
        later_value=None if later is None else float(evals.value[later]),
    )


def _as_they_came(facts: Facts, evals: Curve, greater: bool) -> Curve:
    if not restores_best(facts) or not np.isfinite(evals.value).all():
        return evals
    kept = without_restored_best(-evals.value if greater else evals.value)
    return evals.take(np.arange(len(kept)))


def _better_later(cost: Floats, stop: int, kept: int) -> int | None:
    """Index of the best eval that the stop would have missed; None where none was better than what it kept."""
    after = np.where(np.isfinite(cost[stop + 1 :]), cost[stop + 1 :], np.inf)
    return stop + 1 + int(np.argmin(after)) if len(after) and after.min() < cost[kept] else None
