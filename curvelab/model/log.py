"""Log: what one file says, before names are made canonical and before files are joined to a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curvelab.model.note import Note

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
State = Literal["finished", "crashed", "running", "unknown"]


@dataclass(frozen=True, eq=False)
class RawSeries:
    """One raw tag or key as its file holds it; n rows, in the order of the file.

    step        int64[n]    optimizer step, as good as this file knows it
    value       float64[n]  NaN and infinities are values; what was not logged has no row
    order       int64[n]    position of the row in the log (comparable between the series of one file)
    wall_time   float64[n]  Unix seconds, NaN where the file does not say; None: nowhere
    epoch       float64[n]  epochs, NaN where the file does not say; None: nowhere
    tokens      float64[n]  tokens seen, the same way
    native_step int64[n]    the file's own counter where it differs from `step` (W&B `_step`); None: it is `step`
    """

    name: str
    step: Ints
    value: Floats
    order: Ints
    wall_time: Floats | None = None
    epoch: Floats | None = None
    tokens: Floats | None = None
    native_step: Ints | None = None

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, eq=False)
class TimedSeries:
    """A series logged by time only, without a step (W&B system metrics): wall_time float64[n], value float64[n]."""

    name: str
    wall_time: Floats
    value: Floats


@dataclass(frozen=True, eq=False)
class Log:
    """Everything that one file says about a training run.

    settings   raw hyperparameters by the file that they were read from, the most trusted file first
    plan       planned optimizer steps, None when the file does not say
    finished   True: the file bears the mark of completion; False: it bears a mark of a crash; None: it does not say
    said_state what the service that holds the run says of it, None for files; marks in the log itself are stronger
    exit_code  exit code in the log, where there is one (0 alone is no mark of completion)
    restarts   positions (`order`) at which the log itself says that a new process began
    identity   words the file has for the run: "id", "name", "project", "group"; logs of one "export" are parts of one run
    reached    last optimizer step that the file says was done (logged or not), None when it does not say
    checkpoint_steps   steps of checkpoints that the log or its folder names
    names      raw name -> common name, where only the file as a whole decides it (stronger than the importer's names)
    skipped    raw name -> how many values were no numbers (texts, histograms, images): counted, not kept
    """

    path: Path
    format: str
    series: tuple[RawSeries, ...] = ()
    timed: tuple[TimedSeries, ...] = ()
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    plan: int | None = None
    reached: int | None = None
    finished: bool | None = None
    said_state: State | None = None
    exit_code: int | None = None
    restarts: tuple[int, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
    checkpoint_steps: tuple[int, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    damage: tuple[Note, ...] = ()

    def find(self, name: str) -> RawSeries | None:
        """The series of a raw name, or None."""
        return next((s for s in self.series if s.name == name), None)
