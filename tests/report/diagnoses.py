"""Diagnoses made by hand: every kind of evidence, healthy and unassessed runs, and logs that mean harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from curvelab.model.finding import Change, Finding, Fix, Gap, Level, Measured, Point, Span, Trend
from curvelab.model.note import Note
from curvelab.model.result import CheckpointAdvice, Diagnosis, EarlyStopping, Outcome, SeamMark, Thinned, Waste

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "$x^$",
    "$\\frac{1}{0}$ \\LaTeX %s {0}",
    "{{ 7*7 }}{% raw %}",
    "\x1b[31mred\x1b[0m\x07\x00",
    "\u202eevil\u202c \u2066x\u2069 \u0627\u0644\u062e\u0633\u0627\u0631\u0629",
    "lone \ud800 surrogate",
    "a" * 5000,
    "Z" + "\u0301" * 500,
    "[click](javascript:alert(1)) `code` @someone #1 | pipe **b** https://example.com www.example.com",
    "javascript:alert(1)",
    "url(http://example.com/x) --train: red",
    "]]></style><style>*{display:none}</style>",
    "line\nbreak\r\nand\ttab\u2028",
)


def thinned(step: Sequence[float], value: Sequence[float]) -> Thinned:
    return Thinned(points=len(step), step=[int(s) for s in step], value=[float(v) for v in value])


def steps(n: int = 200, every: int = 5) -> list[int]:
    return [every * (i + 1) for i in range(n)]


def noisy(n: int, start: float, end: float, sigma: float, seed: int = 0) -> np.ndarray:
    x = np.arange(n) / n
    return end + (start - end) * np.exp(-4 * x) + np.random.default_rng(seed).normal(0, sigma, n)


def series(n: int = 200) -> dict[str, Thinned]:
    at = steps(n)
    evals = steps(20, 5 * n // 20)
    x = np.arange(n) / n
    bowl = 1.9 + 1.2 * (np.arange(20) / 20 - 0.35) ** 2
    return {
        "train/loss": thinned(at, noisy(n, 3.2, 1.1, 0.05)),
        "eval/loss": thinned(evals, bowl),
        "train/grad_norm": thinned(at, np.abs(noisy(n, 4, 1.5, 0.3, seed=2))),
        "train/learning_rate": thinned(at, 2e-4 * np.minimum(1, x / 0.05) * 0.5 * (1 + np.cos(np.pi * x))),
        "train/tokens_per_second": thinned(at, np.where(x < 0.6, 4100, 2600) + noisy(n, 0, 0, 60, seed=3)),
        "gpu/0/memory_gb": thinned(at, 21 + 6 * x),
    }


def outcomes(found: Sequence[str] = ()) -> tuple[Outcome, ...]:
    patterns = ("clip-saturation", "divergence", "non-finite", "overfitting", "plateau", "sawtooth", "spikes")
    rest = [
        Outcome(pattern="memory-imbalance", status="not-applicable", reason="gpu/1/memory_gb was not logged"),
        Outcome(pattern="low-utilization", status="not-applicable", reason="gpu/0/utilization was not logged"),
        Outcome(pattern="kl-blowup", status="not-applicable", reason="train/kl was not logged"),
        Outcome(pattern="length-explosion", status="failed", reason="ZeroDivisionError: division by zero"),
    ]
    looked = [Outcome(pattern=p, status="found" if p in found else "clear") for p in dict.fromkeys((*patterns, *found))]
    return (*looked, *rest)


def diagnosis(findings: Sequence[Finding] = (), **fields: Any) -> Diagnosis:
    """A run of 1,000 steps with 200 points; every field can be replaced."""
    curves = fields.get("series", series())
    given: dict[str, Any] = {
        "id": "1a2b3c",
        "name": "sft-llama-8b-lora-r16",
        "path": "outputs/sft-llama-8b-lora-r16",
        "format": "trainer-state",
        "state": "finished",
        "first_step": 5,
        "last_step": 1000,
        "planned_steps": 1000,
        "points": len(curves["train/loss"].step) if "train/loss" in curves else 0,
        "metrics": {name: s.points for name, s in curves.items()},
        "verdict": findings[0].pattern if findings else "healthy",
        "best_step": 350,
        "notes": (),
        "outcomes": outcomes([f.pattern for f in findings]),
        "findings": tuple(findings),
        "config": {
            "learning_rate": {"value": 2e-4, "from": "training_args.bin"},
            "max_grad_norm": {"value": 1.0, "from": "training_args.bin"},
            "bf16": {"value": True, "from": "training_args.bin"},
            "target_modules": {"value": ["q_proj", "v_proj"], "from": "adapter_config.json"},
            "warmup_ratio": {"value": None, "from": "training_args.bin"},
        },
        "wasted": None,
        "seams": (),
        "series": curves,
        "provenance": {
            "curvelab": "0.1.0",
            "files": [{"path": "outputs/trainer_state.json", "format": "trainer-state"}],
        },
    }
    return Diagnosis(**(given | fields))


def fix(title: str, *changes: Change, cost: Any = "rerun") -> Fix:
    return Fix(
        title=title,
        why="The evaluation loss is lowest there; what follows only memorises the training set.",
        when_not="The evaluation set is not what the model is for.",
        changes=changes,
        cost=cost,
        source="Google, Deep Learning Tuning Playbook",
    )


def overfitting() -> Finding:
    return Finding(
        pattern="overfitting",
        severity="warning",
        confidence=0.93,
        metric="eval/loss",
        headline="eval/loss rose 22 % after step 350 while train/loss fell",
        start_step=350,
        end_step=1000,
        measured=(
            Measured(name="rise", value=0.2214, unit="of the minimum", threshold=0.05, setting="overfitting.rise"),
            Measured(name="evals_after_minimum", value=13, unit="evals", threshold=3, setting="overfitting.evals"),
            Measured(name="perplexity_at_best", value=6.6859),
        ),
        evidence=(
            Point(metric="eval/loss", step=350, value=1.9, label="lowest eval/loss"),
            Span(metric="eval/loss", start_step=350, end_step=1000, label="eval loss above its minimum"),
            Trend(
                metric="train/loss", start_step=350, start_value=1.62, end_step=1000, end_value=1.13, label="train/loss"
            ),
        ),
        fixes=(
            fix("Keep the checkpoint of step 350", Change(setting="load_best_model_at_end", from_=False, to=True)),
            fix("Stop early", Change(setting="num_train_epochs", from_=5, to=2), cost="none"),
            fix("Lower the rank", Change(setting="lora_rank", from_=None, to=16), cost="resume"),
        ),
    )


def spikes() -> Finding:
    at = steps()[40::9]
    return Finding(
        pattern="spikes",
        severity="info",
        confidence=0.71,
        metric="train/loss",
        headline=f"train/loss jumped {len(at)} times to about twice its local level and recovered",
        start_step=at[0],
        end_step=at[-1],
        measured=(Measured(name="episodes", value=len(at), unit="episodes", threshold=1, setting="spikes.episodes"),),
        evidence=tuple(Point(metric="train/loss", step=s, value=2.9 - s / 900) for s in at),
        fixes=(fix("Inspect the batches of these steps", cost="none"),),
    )


def divergence() -> Finding:
    return Finding(
        pattern="divergence",
        severity="critical",
        confidence=0.88,
        metric="train/loss",
        headline="train/loss rose from 1.4 to 9.6 after step 700 and has not come back",
        start_step=700,
        end_step=None,
        evidence=(
            Trend(metric="train/loss", start_step=700, start_value=1.4, end_step=1000, end_value=9.6, label="rise"),
            Level(metric="train/loss", value=1.4, start_step=500, end_step=1000, label="level before"),
        ),
        fixes=(fix("Divide the learning rate by 5", Change(setting="learning_rate", from_=2e-4, to=4e-5)),),
    )


def abrupt_end() -> Finding:
    return Finding(
        pattern="abrupt-end",
        severity="critical",
        confidence=0.9,
        metric="train/loss",
        headline="the log ends at step 1,000 of 1,500 planned steps",
        start_step=1000,
        end_step=1500,
        evidence=(Gap(metric="train/loss", start_step=1000, end_step=1500, label="planned, never logged"),),
        fixes=(fix("Resume from the last checkpoint", cost="resume"),),
    )


def exploding(explained_by: str | None = None) -> Finding:
    return Finding(
        pattern="exploding-gradients",
        severity="warning",
        confidence=0.55,
        metric="train/grad_norm",
        headline="train/grad_norm stands 12 times above its level from step 640 on",
        start_step=640,
        end_step=980,
        measured=(Measured(name="rise", value=12.4, threshold=10, setting="exploding-gradients.rise"),),
        evidence=(
            Span(metric="train/grad_norm", start_step=640, end_step=980, label="10x its level"),
            Level(metric="train/grad_norm", value=1.0, label="max_grad_norm 1"),
        ),
        explained_by=explained_by,
    )


def non_finite() -> Finding:
    return Finding(
        pattern="non-finite",
        severity="critical",
        confidence=0.98,
        metric="train/loss",
        headline="train/loss is not finite from step 800 on (41 of the logged values)",
        start_step=800,
        end_step=1000,
        evidence=(
            Span(metric="train/loss", start_step=800, end_step=1000, label="not finite"),
            Point(metric="train/grad_norm", step=800, value=math.nan, label="first non-finite value"),
        ),
    )


def throughput() -> Finding:
    return Finding(
        pattern="throughput-drop",
        severity="info",
        confidence=0.8,
        metric="train/tokens_per_second",
        headline="tokens per second fell by 37 % at step 600",
        start_step=600,
        end_step=1000,
        evidence=(
            Level(metric="train/tokens_per_second", value=4100, start_step=5, end_step=600, label="before"),
            Level(metric="train/tokens_per_second", value=2600, start_step=600, end_step=1000, label="after"),
        ),
    )


def plain_finding(pattern: str, start: int, end: int | None, severity: Any = "warning") -> Finding:
    return Finding(
        pattern=pattern,
        severity=severity,
        confidence=0.6,
        metric="train/loss",
        headline=f"something happened at step {start}",
        start_step=start,
        end_step=end,
    )


def ten_findings() -> Diagnosis:
    """Everything at once: ten findings, a restart, notes, waste, NaN values."""
    curves = series()
    values = list(curves["train/loss"].value)
    for i in range(140, 200):
        values[i] += (i - 140) / 60 * 8
    for i in (*range(160, 172), 190):
        values[i] = math.nan
    curves["train/loss"] = thinned(curves["train/loss"].step, values)
    findings = [
        divergence(),
        non_finite(),
        abrupt_end(),
        overfitting(),
        exploding("divergence"),
        plain_finding("plateau", 400, 690),
        plain_finding("resume-seam", 420, 420),
        plain_finding("sparse-eval", 5, 1000, "info"),
        spikes(),
        throughput(),
    ]
    return diagnosis(
        findings,
        series=curves,
        state="crashed",
        planned_steps=1500,
        seams=(SeamMark(step=420, reached=500), SeamMark(step=445, reached=470), SeamMark(step=800, reached=812)),
        wasted=Waste(since_step=350, steps=650, seconds=9412.0, why="overfitting"),
        early_stopping=EarlyStopping(
            metric="eval/loss", patience=3, threshold=0.001, evals=20, stop_step=500, kept_step=350, kept_value=1.662,
            saved_steps=500, saved_seconds=7240.0, saved_gpu_hours=16.0889, saved_money=40.222,
        ),
        checkpoint=CheckpointAdvice(
            metric="eval/loss", best_step=350, best_value=1.662, final_step=1000, final_value=2.03, worse=0.22,
            nearest_step=350, known_from="save_steps 50",
            sentence="Use checkpoint-350: eval/loss 1.662 (perplexity 5.27); the final model is 22 % worse",
        ),
        notes=(
            Note(
                level="warning", text="the last record is cut off; what was kept (199 of 200)", file="a.json", byte=812
            ),
            Note(level="info", text="two checkpoints of one run were joined"),
        ),
    )


def hostile(text: str) -> Diagnosis:
    """A run in which everything that a log can name is `text`."""
    name = text
    curves = {name: thinned([1, 2, 3, 4], [1.0, 2.0, math.nan, 3.0]), "train/loss": thinned([1, 2, 3], [3.0, 2.0, 1.0])}
    finding = Finding(
        pattern=text,
        severity="critical",
        confidence=0.5,
        metric=name,
        headline=f"{text} rose",
        start_step=1,
        end_step=3,
        measured=(Measured(name=text, value=1e308, unit=text, threshold=math.inf, setting=text),),
        evidence=(
            Span(metric=name, start_step=1, end_step=2, label=text),
            Point(metric=name, step=2, value=2.0, label=text),
            Level(metric=name, value=1.5, label=text),
            Trend(metric=name, start_step=1, start_value=1, end_step=3, end_value=2, label=text),
            Gap(metric=name, start_step=3, end_step=9, label=text),
        ),
        fixes=(
            Fix(title=text, why=text, when_not=text, source=text, changes=(Change(setting=text, from_=text, to=text),)),
        ),
        explained_by=text,
    )
    return diagnosis(
        [finding],
        id=text,
        name=text,
        path=text,
        format=text,
        verdict=text,
        first_step=1,
        last_step=4,
        best_step=2,
        planned_steps=9,
        notes=(Note(level="warning", text=text, file=text, line=3),),
        outcomes=(
            Outcome(pattern=text, status="found"),
            Outcome(pattern=text, status="not-applicable", reason=text),
            Outcome(pattern=text, status="failed", reason=text),
            Outcome(pattern=text, status="clear"),
        ),
        config={
            "far": {"value": [math.inf, {"a": math.nan}], "from": text}, "nan": {"value": math.nan, "from": text},
            text: {"value": text, "from": text}, "b": {"value": {text: [text]}, "from": text}, "c": text,
        },
        wasted=Waste(
            since_step=1, steps=3, seconds=math.nan, why=text, gpus=2, gpus_from=text, gpu_hours=math.inf, money=math.nan
        ),
        early_stopping=EarlyStopping(
            metric=text, patience=3, threshold=math.nan, evals=3, stop_step=2, kept_step=1, kept_value=math.inf
        ),
        checkpoint=CheckpointAdvice(
            metric=text, best_step=1, best_value=math.nan, final_step=3, final_value=math.inf, worse=math.inf,
            nearest_step=1, nearest_path=text, known_from=text, sentence=text,
        ),
        series=curves,
        metrics={text: 4, "train/loss": 3},
        provenance={
            "curvelab": text,
            "files": [{"path": text, "format": text, "size": 812, "sha256": "0f" * 32, "hashed": text}],
            "thresholds_changed": {text: {text: 1}},
        },
    )
