"""A night's result with a finding in every state, for the tests of those who tell of it."""

from __future__ import annotations

from typing import Any

import msgspec

from curvelab.model.audit import AuditedRun, AuditResult, TrackedFinding, Unread

NIGHT = 1_790_000_000.0  # 2026-09-21 UTC
ROOT = "/data/team/outputs"
HOSTILE = "a\x00\x1b[31m<b>&\ud800\ufffe\uffff]]>\"'\u202e%\r\n::error::x [y](http://z) {0}" + "n" * 10_000


def run(key: str, **facts: Any) -> AuditedRun:
    return AuditedRun(
        **{"key": key, "name": key.rpartition("/")[2], "path": f"{ROOT}/{key}", "format": "trainer_state", "verdict": "healthy"}
        | facts
    )


def finding(key: str, pattern: str, state: str, **facts: Any) -> TrackedFinding:
    return TrackedFinding(
        **{
            "fingerprint": f"{abs(hash((key, pattern))) % 16**16:016x}", "run": key, "run_name": key.rpartition("/")[2],
            "pattern": pattern, "severity": "warning", "confidence": 0.9, "metric": "eval/loss",
            "headline": "eval/loss rose 8 % after step 1,200 while train/loss fell", "start_step": 1200, "end_step": 3000,
            "state": state, "first_seen": NIGHT - 86400, "last_seen": NIGHT,
        } | facts
    )  # fmt: skip


def night(**facts: Any) -> AuditResult:
    """Runs a to g of two projects: new and failing, new, worse, known, muted, fixed, clear; one input unreadable."""
    runs = (
        run("a", project="vision", verdict="divergence"), run("b", project="vision", live=True), run("sub/c.d"), run("d"), run("e"),
        run("f"), run("g"), run("h", verdict="not-assessed"), run("i", seen="gone"),
    )  # fmt: skip
    findings = (
        finding("a", "divergence", "new", severity="critical", counts=True, fails=True, fix="Lower learning_rate", page="runs/a.html"),
        finding("b", "overfitting", "new", provisional=True),
        finding("sub/c.d", "spikes", "worse", counts=True, was="info"),
        finding("d", "plateau", "known"),
        finding("e", "sawtooth", "muted", muted_until="2027-01-01", mute_reason="a known loader"),
        finding("f", "overfitting", "fixed", was="its log has changed"),
    )  # fmt: skip
    plain: dict[str, Any] = {
        "root": ROOT, "number": 3, "started": NIGHT, "finished": NIGHT + 12.5, "previous": NIGHT - 86400, "runs": runs,
        "findings": findings, "errors": (Unread(path=f"{ROOT}/x/trainer_state.json", message="is empty"),), "version": "0.1.0",
    }  # fmt: skip
    return AuditResult(**plain | facts)


def hostile() -> AuditResult:
    """The same night, with every text from a log hostile."""
    base = night()
    worse = dict.fromkeys(("headline", "metric", "run_name", "fix", "was", "mute_reason", "page", "pattern"), HOSTILE)
    return msgspec.structs.replace(
        base,
        root="/data/\udcff a%b",
        runs=tuple(
            msgspec.structs.replace(one, name=HOSTILE, project=HOSTILE, path=f"/data/\udcff a%b/{HOSTILE}", key=one.key + HOSTILE)
            for one in base.runs
        ),
        findings=tuple(msgspec.structs.replace(one, run=one.run + HOSTILE, counts=True, **worse) for one in base.findings),
        errors=(Unread(path=HOSTILE, message=HOSTILE),),
    )
