"""What became of the faulty sample runs once curvelab's patch was applied: read from the logs in sample_runs/ alone.

Each folder in sample_runs/fixed/ holds the logs of one training that retrain.py made, and a fix.toml that says what was
changed. Needs nothing but curvelab.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curvelab.diagnosis import diagnose
from curvelab.ingest import load
from curvelab.model.result import Diagnosis
from curvelab.model.run import Run

HERE = Path(__file__).resolve().parent
FIXED = HERE / "fixed"
LAST = 10  # logs whose mean is the reward at the end: single ones are too noisy

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Fix:
    """What was changed in a faulty run (`run`: its folder below sample_runs) before it was trained again.

    changes    settings and their new values: those of the patch, all of them
    by_hand    what was done besides, in words
    advice     the fix of the report that says so, as far as its title goes
    yardstick  why the figures before and after are not measured alike; empty where they are
    """

    run: str
    made_by: str
    changes: Mapping[str, Value]
    by_hand: str = ""
    advice: str = ""
    yardstick: str = ""

    def write(self, folder: Path) -> None:
        """Leave it beside the logs."""
        words = {"run": self.run, "made_by": self.made_by, "by_hand": self.by_hand, "advice": self.advice, "yardstick": self.yardstick}
        lines = [f"{key} = {json.dumps(value)}" for key, value in words.items() if value]
        lines += ["", "[changes]", *(f"{key} = {json.dumps(value)}" for key, value in self.changes.items())]
        (folder / "fix.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Fix:
        """The fix of one folder."""
        return cls(**tomllib.loads((folder / "fix.toml").read_text(encoding="utf-8")))


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A faulty run and what came of its fix."""

    name: str
    fix: Fix
    before: Diagnosis
    after: Diagnosis
    figures: str

    @property
    def gone(self) -> bool:
        """Whether none of the faults that were found before is found now."""
        return _faults(self.before).isdisjoint(_faults(self.after))

    @property
    def row(self) -> str:
        """Its line in the table."""
        was = {line.change.setting: line.change.from_ for line in self.before.patch.changes} if self.before.patch else {}
        done = [f"`{key}` {_plain(was.get(key))} → {_plain(value)}" for key, value in self.fix.changes.items()]
        done += [f"by hand: {self.fix.by_hand}"] if self.fix.by_hand else []
        cells = (f"`{self.fix.run}`", _patterns(self.before), "; ".join(done), _patterns(self.after), self.figures)
        return f"| {' | '.join(cells)} |"


def patch_settings(diagnosis: Diagnosis) -> dict[str, Value]:
    """The settings that a diagnosis wants, under the flags of the run's own trainer."""
    lines = diagnosis.patch.changes if diagnosis.patch else ()
    return {line.change.setting: line.change.to for line in lines if line.change.to is not None}


def retrained(folder: Path) -> Retrained:
    """Read and diagnose the logs before and after a fix."""
    fix = Fix.read(folder)
    old, new = load(HERE / fix.run), load(folder)
    figures = f"{_figure(old)} → {_figure(new)}" + (f" ({fix.yardstick})" if fix.yardstick else "")
    return Retrained(name=folder.name, fix=fix, before=diagnose(old), after=diagnose(new), figures=figures)


def folders() -> list[Path]:
    """Those of all trainings with a fix; what the patch alone did stands before what was then done by hand."""
    found = [path.parent for path in FIXED.glob("*/fix.toml")]
    return sorted(found, key=lambda folder: ("/" in (run := Fix.read(folder).run), run, bool(Fix.read(folder).by_hand)))


def before_after_table() -> str:
    """The table in Markdown, one line for each training with a fix."""
    head = "| run | found | changed | found after it | eval loss (best / last), or reward at the end |\n|---|---|---|---|---|"
    return "\n".join([head, *(retrained(folder).row for folder in folders())]) + "\n"


def _faults(diagnosis: Diagnosis) -> set[str]:
    """The patterns found, but for those that are only worth knowing."""
    return {finding.pattern for finding in diagnosis.findings if finding.severity != "info"}


def _patterns(diagnosis: Diagnosis) -> str:
    faults = _faults(diagnosis)
    said = [f"`{f.pattern}`" + ("" if f.pattern in faults else " (to know)") for f in diagnosis.findings]
    return ", ".join(said) or "nothing"


def _plain(value: object) -> str:
    if value is None:
        return "?"
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _figure(run: Run) -> str:
    if "eval/loss" in run.logged:
        evals = run.curve("eval/loss").value
        return f"{np.nanmin(evals):.2f} / {evals[-1]:.2f}"
    return f"{np.mean(run.curve('train/reward').value[-LAST:]):.2f}"
