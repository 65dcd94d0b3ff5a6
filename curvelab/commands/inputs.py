"""The arguments that several commands share, and reading the runs below the paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.terminal import progress, say
from curvelab.model.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from curvelab.ingest import Gathered

_CLOSE = 0.85  # likeness of two names that makes one a misspelling of the other; judgement
_OF_A_SET = re.compile(r"^(eval|test)/.+/\w+$")

Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Log files, folders, globs or URLs.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Settings file (default: curvelab.toml, or pyproject's [tool.curvelab])."
    ),
]
Select = Annotated[list[str] | None, typer.Option(metavar="PATTERN,...", help="Look for these only.")]
Ignore = Annotated[list[str] | None, typer.Option(metavar="PATTERN,...", help="Do not look for these.")]
Threshold = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATTERN.THRESHOLD=VALUE", help="Change a threshold. Repeatable."),
]
Gpus = Annotated[int | None, typer.Option(metavar="N", help="GPUs of each run; wins over the logs.")]
GpuPrice = Annotated[float | None, typer.Option(metavar="X", help="Price of one GPU for an hour.")]
Metric = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=CANONICAL", help="Read NAME as a canonical metric: valid_mse=eval/loss. Repeatable."),
]


def read_runs(paths: Sequence[str], metric_names: Mapping[str, str], typed: Mapping[str, str]) -> Gathered:
    """All runs below the paths; what could not be read, and what was passed over, is said in one line each.

    metric_names  logged name -> canonical name, from all settings
    typed         those of them that stood on the command line: one that fits no log is said, too
    """
    from curvelab.ingest import gather

    with progress("reading") as show:
        gathered = gather(paths, progress=show, metric_names=metric_names)
    for told in (*gathered.errors, *gathered.remarks):
        say(str(told))
    for name, canonical in metric_names.items():
        if near := _nearest_canonical(canonical):
            say(f'--metric {name}={canonical}: no pattern looks at {canonical}; did you mean "{near}"?')
    logged = _logged_names(gathered) if typed and gathered.runs else set()
    for name in typed:
        if logged and name not in logged:
            say(f"--metric {name}: no log has a metric of that name{did_you_mean(name, logged)}")
    return gathered


def _logged_names(gathered: Gathered) -> set[str]:
    """Every name by which `--metric` may call a series: as it was logged, and as curvelab calls it on its own."""
    from curvelab.catalogue import importers
    from curvelab.knowledge.metric_names import canonical

    common = {one.format: one.names for one in importers()}
    names = {name for run in gathered.runs for name in run.metrics}
    for log in (log for run in gathered.runs for log in run.logs):
        for raw in (*(series.name for series in log.series), *(timed.name for timed in log.timed)):
            known = common.get(log.format)  # None for logs that came from a service: their keys pass as they are
            names |= {raw, canonical(known(raw) if known else raw)}
    return names


def _nearest_canonical(name: str) -> str | None:
    """The canonical name that an unknown one may be meant to be; None for a known one, and for one that is like none."""
    from difflib import get_close_matches

    from curvelab.catalogue import detectors
    from curvelab.knowledge.metric_names import SAME

    known = {*SAME.values(), *(metric for one in detectors() for metric in one.needs)}
    if name in known or _OF_A_SET.match(name):
        return None
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=_CLOSE)), None)


def output_file(output: str) -> Path:
    """A file that may be written. Raises UsageError for a folder, a device, or a place that does not exist."""
    path = Path(output)
    if path.is_dir():
        raise UsageError(f"-o {output}: is a folder; this format is written to one file")
    if path.exists() and not path.is_file():
        raise UsageError(f"-o {output}: is not a regular file; leave -o out to write to stdout")
    return path
