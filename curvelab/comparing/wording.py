"""Places on an axis, and lists of names, in words."""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.model.verdicts import AxisName

MOST = 4
LONGEST = 80  # characters


def place_text(axis: AxisName, at: float) -> str:
    """A place on an axis in words: "epoch 1.50", "2,400 samples", "35 s of training"."""
    if axis == "epoch":
        return f"epoch {at:.2f}"
    if axis == "time":
        return f"{at:,.0f} s of training" if at >= 10 else f"{at:.2g} s of training"
    return f"step {at:,.0f}" if axis == "step" else f"{at:,.0f} {axis}"


def short(name: str) -> str:
    """A name in a sentence: of a very long one the beginning and the end."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 :]}"


def names(these: Sequence[str]) -> str:
    """ "a, b and c"; of many the first ones and how many more."""
    if len(these) > MOST:
        return f"{', '.join(these[: MOST - 1])} and {len(these) - MOST + 1} more"
    return " and ".join(filter(None, (", ".join(these[:-1]), these[-1]))) if these else ""
