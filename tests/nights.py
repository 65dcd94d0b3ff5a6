"""Runs, records and findings for tests of the audit's history."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from curvelab.model.audit import AuditedRun, FoundTonight, RunRecord, TrackedFinding
from curvelab.model.tracking import Tonight

NOW = 1_790_000_000.0
DAY = 86_400.0


def found(start: int = 100, end: int = 200, **fields: Any) -> FoundTonight:
    given = {
        "pattern": "spikes", "severity": "warning", "confidence": 0.9, "metric": "train/loss", "headline": "a spike",
        "start_step": start, "end_step": end, "excess": 0.5, **fields,
    }  # fmt: skip
    return FoundTonight(**given)


def tonight(*findings: FoundTonight, key: str = "runs/a", **fields: Any) -> Tonight:
    name = fields.pop("name", key.rpartition("/")[2])
    checked = fields.pop("checked", {"spikes": "found" if findings else "clear"})
    return Tonight(key=key, name=name, findings=findings, checked=checked, **fields)


def record(key: str = "runs/a", findings: Iterable[FoundTonight] = (), log: str = "1", diagnosis: bytes = b'{"id":"a"}', **run: Any) -> RunRecord:
    causes = {"log": log, "curvelab": "1", "settings": "1"}
    given = {
        "name": key.rpartition("/")[2], "path": f"/data/{key}", "format": "trainer-state", "last_step": 1000,
        "spark": (1.0, math.nan, math.inf), "summary": {"seconds": 12.5}, "settings": {"bf16": True, "lr": 1e-4}, **run,
    }  # fmt: skip
    return RunRecord(
        run=AuditedRun(key=key, **given), signature=" ".join(causes.values()), causes=causes, files=(f"{key}/log",),
        findings=tuple(findings), checked={"spikes": "found"}, diagnosis=msgspec.Raw(diagnosis),
    )  # fmt: skip


def everything(_: TrackedFinding) -> tuple[bool, bool]:
    """Everyone wants to hear of it, and it fails."""
    return True, True
