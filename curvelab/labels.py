"""Labels: what people say of their own runs, for scoring. A file of this form, paths beside it:

    {"cases": [{"id": "lr-too-high", "path": "runs/17", "labels": {"divergence": "yes", "spikes": "unsure",
                "plateau": "no"}, "onset": {"divergence": [380, 420]}, "source": "team-a"}]}

A label is yes, no or unsure; what is unsure or absent is left out of the score. `healthy` says that none of the curve
patterns holds. `onset` is a step or the first and last step that are right. Cases of one `source` (or `repo`, or
`scenario`) resemble each other: the interval of the score draws whole sources. Other keys are the owner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from curvelab.model.errors import UnreadableError, did_you_mean

FILE = "labels.json"
HEALTHY = "healthy"
SOURCES = ("source", "repo", "scenario", "id")  # the first that a case has
Label = Literal["yes", "no", "unsure"]
Window = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Case:
    """One labelled run, equal to itself only. `onset` holds the first and last step that are right."""

    id: str
    path: Path
    source: str
    labels: Mapping[str, Label]
    onset: Mapping[str, Window]

    @property
    def is_healthy(self) -> bool:
        return self.labels.get(HEALTHY) == "yes"


def read_labels(path: Path) -> tuple[Case, ...]:
    """The labelled cases of a file, or of the labels.json in a folder; cases without any label are left out.

    Raises UnreadableError for a file that is not of the form above; files of runs are not looked at.
    """
    import orjson

    file = path / FILE if path.is_dir() else path
    try:
        text = file.read_bytes()
        cases = orjson.loads(text)["cases"]
        rows = [row for row in cases if row.get("labels")]
    except OSError as error:
        raise UnreadableError(file, f"{error.strerror or error}; labels are a {FILE} or a folder with one") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UnreadableError(file, 'is no labels file: {"cases": [{"id", "path", "labels": {...}}, ...]}') from None
    return tuple(_case(file, number, row) for number, row in enumerate(rows, 1))


def _case(file: Path, number: int, row: Mapping[str, Any]) -> Case:
    name = str(row.get("id") or row.get("path") or f"case {number}")
    place = row.get("path")
    if not isinstance(place, str):
        raise UnreadableError(file, f'{name}: "path" is missing: the run that the labels are about, beside the file')
    labels, onset = row["labels"], row.get("onset") or {}
    if not isinstance(labels, dict) or not isinstance(onset, dict):
        raise UnreadableError(file, f'{name}: "labels" and "onset" are objects with a pattern as key')
    for pattern, label in labels.items():
        if label not in get_args(Label):
            near = did_you_mean(str(label), get_args(Label))
            raise UnreadableError(file, f"{name}: {pattern} is {label!r}; a label is yes, no or unsure{near}")
    return Case(
        id=name,
        path=file.parent / place,
        source=str(next(row[key] for key in (*SOURCES, "path") if row.get(key))),
        labels=labels,
        onset={pattern: window for pattern, said in onset.items() if (window := _window(said))},
    )


def _window(said: Any) -> Window | None:
    """The first and last step that are right, of a number or a list of them; None where nothing is said."""
    steps = [step for step in (said if isinstance(said, list) else [said]) if isinstance(step, int | float)]
    return (min(steps), max(steps)) if steps else None
