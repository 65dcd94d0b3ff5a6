"""fetch(): a URL -> what can be read of it: a local copy of log files, or logs that a service told.

    wandb://entity/project[/run]       W&B's own service, through its SDK
    s3://, gs://, hf://                files, folders and globs of an object store, through fsspec

Heavy libraries are imported by the one module that needs them, when it is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from curvelab.free_names import common_name
from curvelab.model.errors import UnreadableError, did_you_mean
from curvelab.model.log import Log
from curvelab.remote.fetched import Fetched, Progress
from curvelab.sources import Importer, Source

WANDB = "wandb"
STORES = ("s3", "gs", "hf", "memory", "file")  # the last two need no service; memory:// lives in one process only
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*@")


def _no_file(source: Source) -> Log:
    raise UnreadableError(source.path, "logs of this format come from a service, not from files")


ONLINE = Importer(  # stands on no shelf, since it claims no file; its keys are named as in a `.wandb` file
    format="wandb-online",
    title="Weights & Biases, wandb://entity/project[/run]",
    card="Runs that W&B's own service holds, read through its SDK; see curvelab/remote/wandb_online.py.",
    globs=(),
    marks=(),
    read=_no_file,
    names=common_name,
)


def is_url(path: str | Path) -> bool:
    """Whether a PATH names something remote."""
    return "://" in str(path)


def fetch(url: str, progress: Progress | None = None) -> Iterator[Fetched]:
    """Fetch what a URL names, glob matches one by one.

    Raises UnreadableError when nothing can be had there, UsageError for a URL that names nothing.
    """
    scheme = url.partition("://")[0].lower()
    if scheme == WANDB:
        from curvelab.remote.wandb_online import fetch_runs

        yield fetch_runs(url, progress)
    elif scheme in STORES:
        from curvelab.remote.object_store import fetch_objects

        yield from fetch_objects(url, progress)
    else:
        known = (WANDB, *STORES[:3])
        hint = did_you_mean(scheme, known) or f"; known: {', '.join(f'{one}://' for one in known)}"
        raise UnreadableError(_CREDENTIALS.sub("***@", url), f"curvelab reads no {scheme}:// addresses{hint}")
