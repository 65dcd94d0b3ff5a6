"""The unified dataframe: one row a logged value. The only module of the model that needs pandas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from curvelab.model.run import Run

COLUMNS = (
    "run", "metric", "step", "epoch", "tokens", "wall_time", "value", "segment", "order", "raw_name", "origin",
)  # fmt: skip


_REACH = 9.2e9  # Unix seconds that datetime64[ns] can hold (1678 to 2261); a time beyond it is damage


def frame_of(runs: Sequence[Run]) -> pd.DataFrame:
    """All rows of all runs: columns as in COLUMNS, sorted by run, metric, segment, step, order.

    step int64, epoch, tokens, value float64, wall_time datetime64[ns, UTC], segment int32, order int64; run, metric,
    raw_name and origin are categoricals, so that a million rows stay small.
    """
    parts = [(run, metric, run.logged[metric]) for run in runs for metric in run.metrics]
    lengths = np.array([len(curve) for *_, curve in parts], dtype=np.int64)

    def joined(name: str, dtype: type) -> np.ndarray:
        return np.concatenate([getattr(c, name) for *_, c in parts] or [np.empty(0, dtype)]).astype(dtype, copy=False)

    def repeated(words: list[str]) -> pd.Categorical:
        names = list(dict.fromkeys(words))
        codes = np.array([names.index(w) for w in words], dtype=np.int32)
        return pd.Categorical.from_codes(np.repeat(codes, lengths), categories=pd.Index(names, dtype=object))

    def coded(code: str, words: str) -> pd.Categorical:
        names = list(dict.fromkeys(w for *_, c in parts for w in getattr(c, words)))
        place = {w: i for i, w in enumerate(names)}
        codes = [np.array([place[w] for w in getattr(c, words)], dtype=np.int32)[getattr(c, code)] for *_, c in parts]
        return pd.Categorical.from_codes(
            np.concatenate(codes or [np.empty(0, np.int32)]), categories=pd.Index(names, dtype=object)
        )

    wall = joined("wall_time", np.float64)
    wall = np.where(np.abs(wall) < _REACH, wall, np.nan)
    frame = pd.DataFrame(
        {
            "run": repeated([run.name for run, *_ in parts]),
            "metric": repeated([metric for _, metric, _ in parts]),
            "step": joined("step", np.int64),
            "epoch": joined("epoch", np.float64),
            "tokens": joined("tokens", np.float64),
            "wall_time": pd.to_datetime(np.round(wall, 6), unit="s", utc=True, errors="coerce").as_unit("ns"),
            "value": joined("value", np.float64),
            "segment": joined("segment", np.int32),
            "order": joined("order", np.int64),
            "raw_name": coded("raw", "raw_names"),
            "origin": coded("origin", "origins"),
        }
    )
    return frame[list(COLUMNS)]


def wide_of(run: Run) -> pd.DataFrame:
    """Step x metric of the winning lines; index `step`, a column a metric, NaN where there is no row."""
    columns = {m: pd.Series(run.curve(m).value, index=run.curve(m).step) for m in run.metrics}
    frame = pd.DataFrame(columns)
    frame.index.name = "step"
    return frame.sort_index()
