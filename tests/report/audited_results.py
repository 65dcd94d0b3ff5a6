"""Audits made by hand: a night of a project with so many runs, in all states, with curves, and names that mean harm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np

from curvelab.model.audit import (
    AuditedRun,
    AuditResult,
    Departure,
    FoundTonight,
    TrackedFinding,
    TrackedState,
    Unread,
    Week,
)
from curvelab.model.finding import Severity
from curvelab.model.note import Note

TONIGHT = 1_794_448_800.0  # 2026-11-12 02:00 UTC
DAY = 86_400.0
MODELS = ("llama-8b", "llama-1b", "qwen3-4b", "gemma-2b", "mistral-7b")
TASKS = ("sft", "dpo", "grpo", "pretrain")


@dataclass(frozen=True)
class Kind:
    """A pattern as runs show it. `fix` is the title of its first fix."""

    pattern: str
    severity: Severity
    metric: str
    headline: str
    fix: str


KINDS = (
    Kind("overfitting", "warning", "eval/loss", "eval/loss rose 22 % after step {step} while train/loss fell", "stop at the best eval and load its checkpoint"),
    Kind("divergence", "critical", "train/loss", "train/loss rose from 1.4 to 9.8 within 40 steps of step {step}", "lower learning_rate from 3e-4 to 1e-4"),
    Kind("clip-saturation", "warning", "train/grad_norm", "94 % of the gradient norms after step {step} were clipped", "raise max_grad_norm from 1 to 4.4"),
    Kind("non-finite", "critical", "train/loss", "train/loss is NaN from step {step} on", "train in bfloat16 instead of float16"),
    Kind("plateau", "info", "train/loss", "train/loss fell by less than 0.1 % after step {step}", "end the run earlier"),
    Kind("spikes", "warning", "train/loss", "7 spikes of train/loss, the first at step {step}", "skip the batches that the spikes share"),
    Kind("throughput-drop", "warning", "train/tokens_per_second", "throughput fell by 38 % after step {step}", "look at the data loader of that node"),
    Kind("abrupt-end", "critical", "train/loss", "the log ends at step {step} of 10,000 planned steps", "resume from the last checkpoint"),
)  # fmt: skip
ROUND: tuple[TrackedState, ...] = ("new", "known", "known", "known", "muted", "known", "worse", "fixed", "known", "known")


def result(count: int, seed: int = 0, news: int | None = None, **changes: Any) -> AuditResult:
    """A second or later audit of so many runs; `news` bounds how many findings are new or worse (None: as it happens)."""
    rng = np.random.default_rng(seed)
    runs, findings = [], []
    for number in range(count):
        made, found = run(number, rng)
        runs.append(made)
        findings += found
    if news is not None:
        fresh = [one for one in findings if one.state in ("new", "worse")][news:]
        findings = [known(one) if one in fresh else one for one in findings]
    base = AuditResult(
        root="/srv/training/outputs", number=41, started=TONIGHT, finished=TONIGHT + 94, previous=TONIGHT - DAY,
        runs=tuple(runs), findings=tuple(findings), departures=departures(runs), weeks=weeks(rng),
        errors=(Unread(path="outputs/old/trainer_state.json", message="@byte 0: no JSON; nothing was kept"),),
        remarks=(Note(level="warning", text="2 rules of curvelab.toml hold for no run", file="curvelab.toml", line=14),),
        diagnosed=min(count, 37), version="0.7.0",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def run(number: int, rng: np.random.Generator, name: str | None = None) -> tuple[AuditedRun, list[TrackedFinding]]:
    """One run and what it shows: about a third have findings; a few are live, a few are gone."""
    model, task = MODELS[number % len(MODELS)], TASKS[number // 3 % len(TASKS)]
    rate = (1e-4, 3e-4, 2e-5)[number % 3]
    called = name if name is not None else f"{task}-{model}-lr{rate:g}-{number:04d}"
    key = f"{task}/{called}"
    live, gone = number % 97 == 5, number % 211 == 17
    planned = int(rng.integers(2, 40)) * 500
    last = int(planned * rng.uniform(0.2, 0.9)) if live else planned
    kinds = [KINDS[int(rng.integers(0, len(KINDS)))] for _ in range(int(rng.choice([0, 1, 2], p=[0.66, 0.25, 0.09])))]
    kinds = list({kind.pattern: kind for kind in kinds}.values())
    page = f"runs/{task}-{number:04d}.html" if kinds else None
    found = [
        tracked(kind, key, called, ROUND[int(rng.integers(0, len(ROUND)))], int(last * rng.uniform(0.1, 0.9)), live, page)
        for kind in kinds
    ]
    there = [one for one in found if one.state != "fixed"]
    curve = spark(rng, [one.pattern for one in there])
    ended = TONIGHT - (rng.uniform(10, 400) if live else rng.uniform(600, 150 * DAY) * rng.random() ** 2)
    hours = float(rng.uniform(0.5, 90))
    made = AuditedRun(
        key=key, name=called, path=f"/srv/training/outputs/{key}", format="trainer_state", project=task,
        state="running" if live else "crashed" if any(one.pattern == "abrupt-end" for one in there) else "finished",
        live=live, seen="gone" if gone else ("unchanged", "unchanged", "changed", "new")[number % 4],
        verdict=there[0].pattern if there else ("not-assessed" if number % 29 == 3 else "healthy"),
        last_step=last, planned_steps=planned, points=last // 10, began=ended - hours * 450, ended=ended,
        metric="eval/loss" if number % 11 else "train/loss", best=float(np.nanmin(curve)) if np.isfinite(curve).any() else None,
        best_step=int(last * 0.8), final=float(curve[-1]), gpu_hours=hours, money=hours * 2.2,
        wasted_hours=hours * 0.3 if there else None, settings={"model_type": model, "learning_rate": rate},
        spark=tuple(curve), page=page, rule="release" if number % 13 == 1 else "",
    )  # fmt: skip
    return made, found


def tracked(kind: Kind, key: str, name: str, state: TrackedState, step: int, live: bool, page: str | None) -> TrackedFinding:
    """A finding in some state."""
    seen = FoundTonight(
        pattern=kind.pattern, severity=kind.severity, confidence=0.9, metric=kind.metric, headline=kind.headline.format(step=f"{step:,}"),
        start_step=step, end_step=step if kind.pattern in ("non-finite", "abrupt-end") else step + 500, excess=0.4, fix=kind.fix,
    )  # fmt: skip
    fresh = state in ("new", "worse")
    told = fresh and (not live or kind.severity == "critical")
    return TrackedFinding(
        fingerprint=sha256(f"{key} {kind.pattern}".encode("utf-8", "replace")).hexdigest()[:16], run=key, run_name=name, state=state,
        first_seen=TONIGHT if state == "new" else TONIGHT - 12 * DAY, last_seen=TONIGHT,
        was={"worse": "info" if kind.severity == "warning" else "warning", "fixed": "its log has changed"}.get(state, ""),
        provisional=live, muted_until="2026-12-01" if state == "muted" else None,
        mute_reason="the smaller batch is meant, see the plan of the ablation" if state == "muted" else "",
        counts=told, fails=told and kind.severity == "critical", page=page, **msgspec.structs.asdict(seen),
    )  # fmt: skip


def known(one: TrackedFinding) -> TrackedFinding:
    """The same finding on the next night."""
    return msgspec.structs.replace(one, state="known", counts=False, fails=False, was="", first_seen=one.last_seen - DAY)


def spark(rng: np.random.Generator, patterns: list[str]) -> list[float]:
    """48 values of a loss as its patterns make it."""
    x = np.linspace(0, 1, 48)
    value = 1.2 + 2 * np.exp(-4 * x) + rng.normal(0, 0.03, 48)
    if "overfitting" in patterns:
        value += 1.2 * np.maximum(0, x - 0.5) ** 2
    if "divergence" in patterns:
        value[33:] += np.linspace(0, 8, 15)
    if "non-finite" in patterns:
        value[40:] = math.nan
    return [float(f"{one:.5g}") for one in value]


def departures(runs: list[AuditedRun]) -> tuple[Departure, ...]:
    """Every 40th run was slower than those before."""
    return tuple(
        Departure(
            run=one.key, run_name=one.name, what="train/samples_per_second", value=14.2, median=21.6, share=-0.34, among=12,
            alike="model_type llama, per_device_train_batch_size 8", unit="samples/s", pattern="unusual:throughput", severity="warning",
            state=("new", "known", "new", "muted")[number % 4], fingerprint=f"{number:016x}",
            sentence="train/samples_per_second is 34 % below the median of the last 12 runs like it (14.2 against 21.6)",
        )
        for number, one in enumerate(runs[7::40])
    )  # fmt: skip


def weeks(rng: np.random.Generator, count: int = 20) -> tuple[Week, ...]:
    """Weeks up to the 46th of 2026, the 33rd missing."""
    made = []
    for number in range(46 - count + 1, 47):
        runs = int(rng.integers(3, 70))
        patterns = {kind.pattern: int(rng.integers(0, max(2, runs // 9))) for kind in KINDS}
        made.append(Week(week=f"2026-W{number:02d}", runs=runs, flagged=min(runs, sum(patterns.values())), patterns=patterns))
    return tuple(week for week in made if week.week != "2026-W33")


def first(count: int, accepted: bool = False) -> AuditResult:
    """A first audit: all that it found is new, or was accepted."""
    base = result(count)
    state: TrackedState = "known" if accepted else "new"
    there = [one for one in base.findings if one.state != "fixed"]
    findings = [
        msgspec.structs.replace(one, state=state, was="", muted_until=None, mute_reason="", counts=not accepted and not one.provisional,
                                fails=not accepted and one.severity == "critical", first_seen=TONIGHT)
        for one in there
    ]  # fmt: skip
    runs = tuple(msgspec.structs.replace(one, seen="new") for one in base.runs)
    return msgspec.structs.replace(
        base, number=1, previous=None, accepted=accepted, findings=tuple(findings), runs=runs, departures=(), diagnosed=count
    )


def quiet(count: int) -> AuditResult:
    """A night on which nothing is new."""
    base = result(count, news=0, errors=(), departures=(), remarks=())
    return msgspec.structs.replace(base, findings=tuple(one for one in base.findings if one.state != "fixed"))


def empty(**changes: Any) -> AuditResult:
    """A project without a run."""
    return result(0, weeks=(), errors=(), remarks=(), **changes)


def hostile(text: str) -> AuditResult:
    """Every text of the result means harm."""
    rng = np.random.default_rng(1)
    made, _ = run(1, rng, text)
    made = msgspec.structs.replace(
        made, project=text, rule=text, metric=text, settings={text[:50]: text}, page=text, verdict=text, damage=(text,)
    )
    findings = tuple(
        msgspec.structs.replace(
            tracked(KINDS[1], made.key, text, state, 10, state == "worse", text), headline=text, metric=text, fix=text, was=text,
            mute_reason=text, muted_until=text, pattern=text, fingerprint=f"{number:016x}",
        )
        for number, state in enumerate(("new", "worse", "known", "fixed", "muted"))
    )  # fmt: skip
    departure = Departure(
        run=made.key, run_name=text, what=text, value=math.nan, median=0, share=math.inf, among=3, alike=text, sentence=text,
        pattern=text,
    )
    return result(
        0, root=text, runs=(made,), findings=findings, departures=(departure,), errors=(Unread(path=text, message=text),),
        remarks=(Note(level="warning", text=text, file=text),), weeks=(Week(week=text, runs=3, flagged=1, patterns={text: 1}),),
        version=text, fail_on=text,
    )  # fmt: skip
