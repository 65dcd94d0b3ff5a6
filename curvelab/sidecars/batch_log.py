"""A log of the batches: which samples each step read, as people write it in a collator or a callback. No settings.

What it reads
-------------
Any text, CSV or JSON lines of this name whose lines name a step. Here only that is looked at; the lines about suspect
steps are read when a finding asks for them (curvelab/batch_log.py).

Limits
------
256 MB a file; lines are cut at 64 kB. Several of them in a folder are parts, one for each process.

Sources
-------
There is no format: people's own collators and callbacks, as they are shown in issues and forums.
"""

from __future__ import annotations

from curvelab.batch_log import GLOBS, MAX_FILE, has_steps
from curvelab.beside import HEAD, Stated, sidecar
from curvelab.model.errors import UnreadableError
from curvelab.sources import LFS_MARK, Source


@sidecar(title="log of the batches", globs=GLOBS)
def read(source: Source) -> Stated:
    """Look whether the file is of use. Raises UnreadableError when it is not: too large, or without a step."""
    if source.size > MAX_FILE:
        raise UnreadableError(source.path, f"{source.size:,} bytes are over the limit of {MAX_FILE:,}; not read")
    with source.path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    if not has_steps(source.path.name, head):
        raise UnreadableError(source.path, "is named like a log of the batches, but no line of it names a step; not used")
    return Stated()
