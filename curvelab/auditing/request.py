"""What is to be audited, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curvelab.auditing.liveness import QUIET
from curvelab.auditing.policies import Policy


@dataclass(frozen=True)
class Request:
    """What is to be audited, and how.

    root          folder of the project
    history       file or URL of the history
    pages         folder of the audit's page; None: no pages are drawn
    project       name of the project in the history, empty: the absolute path of the folder
    passed_over   folders below the root that are not looked into
    processes     how many work at once
    quiet         seconds without news after which a run is over
    accept        everything that is found is known from now on
    rehearsed     only look: nothing is written down, and nothing is drawn
    now           Unix time; None: the time at which the audit begins
    """

    root: Path
    history: str | Path
    pages: Path | None = None
    policy: Policy = field(default_factory=Policy)
    metric_names: Mapping[str, str] = field(default_factory=dict)
    project: str = ""
    passed_over: Sequence[Path] = ()
    processes: int = 1
    quiet: float = QUIET
    accept: bool = False
    rehearsed: bool = False
    now: float | None = None

    @property
    def kept_as(self) -> str:
        """What the history calls the project."""
        return self.project or str(Path(self.root).resolve())
