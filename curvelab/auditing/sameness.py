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
    hashes = _hashes(known)
    if not hashes or any(hashes.get(str(root / path)) != _now(root / path) for path in job.files):
        return None
    return msgspec.structs.replace(known, signature=job.signature, causes=dict(job.causes))


def moved_runs(jobs: Sequence[Job], stored: Mapping[str, RunRecord], root: Path) -> dict[str, str]:
    """New key -> earlier key, for runs whose place has changed.

    Another log of theirs was found (outputs/a/checkpoint-100 becomes outputs/a): they are known by their files. Or their
    folder has another name or place: they are known by every byte of their logs, where those of the old place are gone.
    """
    keys = {job.key for job in jobs}
    absent = {key: record for key, record in stored.items() if key not in keys}
    moved = _by_files(jobs, stored, absent)
    known = set(moved.values())
    left = {key: r for key, r in absent.items() if key not in known and not any((root / file).exists() for file in r.files)}
    contents: dict[tuple[object, ...], list[str]] = {}
    for key, record in left.items():
        if hashes := _hashes(record):
            contents.setdefault(tuple(sorted(hashes.values(), key=str)), []).append(key)
    for job in jobs if contents else ():
        if job.key in stored or job.key in moved:
            continue
        owners = contents.get(tuple(sorted((_now(root / file) for file in job.files), key=str)), [])
        if len(owners) == 1 and owners[0] not in moved.values():
            moved[job.key] = owners[0]
    return moved


def _by_files(jobs: Sequence[Job], stored: Mapping[str, RunRecord], absent: Mapping[str, RunRecord]) -> dict[str, str]:
    holder = {file: key for key, record in absent.items() if "#" not in key for file in record.files}
    moved: dict[str, str] = {}
    for job in jobs if holder else ():
        if job.key in stored:
            continue
        earlier = {holder[file] for file in job.files if file in holder} - set(moved.values())
        if len(earlier) == 1:
            moved[job.key] = earlier.pop()
    return moved


def _hashes(record: RunRecord) -> dict[str, tuple[object, ...]]:
    """File -> (size, hash, how much of it was hashed) of a run's logs when it was judged; empty where that is not known."""
    try:
        files = msgspec.json.decode(record.diagnosis)["provenance"]["files"]
        return {str(file["path"]): (file["size"], file["sha256"], file.get("hashed")) for file in files}
    except (msgspec.MsgspecError, KeyError, TypeError):
        return {}


def _now(path: Path) -> tuple[object, ...] | None:
    found = fingerprint(path)
    return (found["size"], found["sha256"], found.get("hashed")) if found else None
