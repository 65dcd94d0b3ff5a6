"""A run and its diagnosis -> what the history keeps of them, and what the audit's page shows in its table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from curvelab.auditing.liveness import last_written
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.rows import throughput
from curvelab.cost import tariff_of
from curvelab.facts import Facts
from curvelab.model.audit import AuditedRun, FoundTonight, RunRecord
from curvelab.model.finding import Finding
from curvelab.model.options import Options
from curvelab.model.result import Diagnosis
from curvelab.model.run import Run
from curvelab.model.strict_json import encoded
from curvelab.report.plain import clean
from curvelab.signals.thinning import min_max_rows

SPARK = 48  # values of a sparkline
MOST_DAMAGE = 5  # warnings of the import that the table knows of
# Settings by which runs are said to be alike: the model, the size of a step, and what makes a step slow.
ALIKE = (
    "model_type", "hidden_size", "num_hidden_layers", "vocab_size", "r", "per_device_train_batch_size", "train_batch_size",
    "gradient_accumulation_steps", "max_seq_length", "max_length", "packing", "world_size", "n_gpu", "bf16", "fp16",
    "gradient_checkpointing",
)  # fmt: skip


def record_of(
    run: Run, diagnosis: Diagnosis, options: Options, *, key: str, root: Path, live: bool, quiet_after: float | None,
    signature: str, causes: Mapping[str, str], rule: str, page: str | None,
) -> RunRecord:  # fmt: skip
    """What is kept of one run.

    key, rule, page, live   as in AuditedRun; signature, causes, quiet_after as in RunRecord
    """
    plain = diagnosis.to_dict()
    del plain["series"]
    return RunRecord(
        run=_row(run, diagnosis, options, key, live, rule, page, root),
        signature=signature,
        causes=dict(causes),
        quiet_after=quiet_after,
        files=tuple(sorted({below(log.path, root) for log in run.logs})),
        findings=tuple(found_tonight(finding, run) for finding in diagnosis.findings),
        checked={outcome.pattern: outcome.status for outcome in diagnosis.outcomes},
        diagnosis=msgspec.Raw(encoded(plain)),
    )


def found_tonight(finding: Finding, run: Run) -> FoundTonight:
    """A finding without what only its report needs. One of no certain steps is one of the whole run."""
    start, end = finding.start_step, finding.end_step
    return FoundTonight(
        pattern=finding.pattern,
        severity=finding.severity,
        confidence=finding.confidence,
        metric=finding.metric,
        headline=finding.headline,
        start_step=(run.first_step or 0) if start is None else start,
        end_step=(run.last_step or 0) if end is None else end,
        excess=_excess(finding),
        fix=next((fix.title for fix in finding.fixes), ""),
    )


def _excess(finding: Finding) -> float | None:
    """How far the first number with a threshold is beyond it, as a multiple of the threshold."""
    first = next((one for one in finding.measured if one.threshold), None)
    if first is None or first.threshold is None or not math.isfinite(first.value):
        return None
    excess = abs(first.value - first.threshold) / abs(first.threshold)
    return round(excess, 4) if math.isfinite(excess) else None


def _row(
    run: Run, diagnosis: Diagnosis, options: Options, key: str, live: bool, rule: str, page: str | None, root: Path
) -> AuditedRun:
    facts = Facts(run, options)
    judged = facts.eval_loss if len(facts.eval_loss) else facts.loss
    best = int(np.argmin(judged.value)) if len(judged) else None
    began, ended = _times(run)
    spent = tariff_of(facts, options).after((run.first_step or 1) - 1 if facts.resumed else 0)
    wasted = diagnosis.wasted
    return AuditedRun(
        key=key,
        name=run.name,
        path=run.path,
        format=run.format,
        project=run.project,
        state=run.state,
        live=live,
        verdict=diagnosis.verdict,
        last_step=run.last_step,
        planned_steps=run.planned_steps,
        points=run.points,
        began=began,
        ended=ended if ended is not None else last_written(run),
        metric=judged.metric if best is not None else "",
        best=None if best is None else float(judged.value[best]),
        best_step=None if best is None else int(judged.step[best]),
        final=None if best is None else float(judged.value[-1]),
        gpu_hours=spent.gpu_hours,
        money=spent.money,
        wasted_hours=None if wasted is None or wasted.seconds is None else round(wasted.seconds / 3600, 3),
        summary=_summary(Entrant(run, facts, diagnosis), spent.seconds),
        settings=_settings(run),
        spark=_spark(run),
        page=page,
        rule=rule,
        log=_main_log(run, root),
        most_points=run.points,
        damage=tuple(clean(str(note)) for note in diagnosis.notes if note.level == "warning")[:MOST_DAMAGE],
    )


def _main_log(run: Run, root: Path) -> str:
    """The log with the most values."""
    logs = sorted(run.logs, key=lambda log: (-sum(map(len, log.series)), str(log.path)))
    return below(logs[0].path, root) if logs else ""


def _times(run: Run) -> tuple[float | None, float | None]:
    """First and last wall time of the run; None where no log has times."""
    times = [curve.wall_time[np.isfinite(curve.wall_time)] for curve in run.logged.values()]
    known = [part for part in times if len(part)]
    if not known:
        return None, None
    return min(float(part.min()) for part in known), max(float(part.max()) for part in known)


def _summary(one: Entrant, seconds: float | None) -> dict[str, float]:
    """The numbers of a run that others like it should have, too; see curvelab.auditing.baselines."""
    memory = [one.facts.finite(m) for m in one.run.metrics if m.startswith("gpu/") and m.endswith("/memory_gb")]
    found = {
        **{f"{unit}_per_second": throughput(one, seconds, unit) for unit in ("tokens", "samples", "steps")},
        "best_eval_loss": float(one.facts.eval_loss.value.min()) if len(one.facts.eval_loss) else None,
        "memory_gb": max((float(curve.value.max()) for curve in memory if len(curve)), default=None),
        "seconds": seconds,
    }
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value) and value > 0}


def _settings(run: Run) -> dict[str, bool | int | float | str]:
    found = {name: run.setting(name) for name in ALIKE}
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _spark(run: Run) -> tuple[float, ...]:
    if "train/loss" not in run.logged and "eval/loss" not in run.logged:
        return ()
    value = run.curve("train/loss" if "train/loss" in run.logged else "eval/loss").value
    rows = min_max_rows(value, SPARK)
    return tuple(float(f"{one:.4g}") for one in value[rows][: 2 * SPARK].tolist())


def below(path: Path, root: Path) -> str:
    """How the history names a file: by its place below the audited folder."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
