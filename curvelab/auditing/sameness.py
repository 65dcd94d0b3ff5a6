"""Whether a run is one that an earlier night has seen: at another place, or in files whose times only are new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from curvelab.auditing.work import Job
from curvelab.fingerprint import fingerprint
from curvelab.model.audit import RunRecord

_ONLY_TIMES = frozenset(("log",))


def same_content(known: RunRecord, job: Job, root: Path) -> RunRecord | None:
    """What is known of a run, under its new signature, if its logs have new times and nothing else: every byte is compared.

    A checkout or a copy makes all files new. None where anything else differs, or cannot be told.
    """
    if {cause for cause in {*known.causes, *job.causes} if known.causes.get(cause) != job.causes.get(cause)} != _ONLY_TIMES:
        return None
    try:
        files = msgspec.json.decode(known.diagnosis)["provenance"]["files"]
        hashes = {str(file["path"]): (file["size"], file["sha256"], file.get("hashed")) for file in files}
    except (msgspec.MsgspecError, KeyError, TypeError):
        return None
    for path in job.files:
        now = fingerprint(root / path)
        if not now or hashes.get(str(root / path)) != (now["size"], now["sha256"], now.get("hashed")):
            return None
    return msgspec.structs.replace(known, signature=job.signature, causes=dict(job.causes))


def moved_runs(jobs: Sequence[Job], stored: Mapping[str, RunRecord]) -> dict[str, str]:
    """New key -> earlier key, for runs whose place has changed because another log of theirs was found.

    They are known by their files: outputs/a/checkpoint-100 becomes outputs/a.
    """
    keys = {job.key for job in jobs}
    holder = {file: key for key, record in stored.items() if key not in keys and "#" not in key for file in record.files}
    moved: dict[str, str] = {}
    for job in jobs:
        if job.key in stored or not holder:
            continue
        earlier = {holder[file] for file in job.files if file in holder} - set(moved.values())
        if len(earlier) == 1:
            moved[job.key] = earlier.pop()
    return moved
