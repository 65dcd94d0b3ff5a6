"""What all sample runs share: a scenario, a process of its own for each, and only the logs kept, without a trace of who made them."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import wandb
from transformers import EarlyStoppingCallback, TrainerCallback

HOST, USER = "trainer", "user"
LOGS = {
    "state": "trainer_state.json",
    "events": "runs/*/events.out.tfevents.*",
    "wandb": "wandb/offline-run-*/*.wandb",
}
LAST_STATE = "checkpoint-*/trainer_state.json"  # of a run that did not come to its end


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What is written beside the logs of a run: its cause, and what a reader of the logs must find."""

    cause: str
    verdict: str
    seed: int = 7
    state: str = "finished"
    findings: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    silent: Sequence[str] = ()  # patterns that look at these logs and find nothing
    keep: Sequence[str] = tuple(LOGS)  # which of LOGS
    settings: Mapping[str, Any] = field(default_factory=dict)


def prepare(folder: Path) -> None:
    """Let this process train inside `folder`, on one thread, under the name of no real machine."""
    os.chdir(folder)
    socket.gethostname = lambda: HOST  # names the event file and its folder
    torch.set_num_threads(1)


def start_wandb(name: str) -> Any:
    """An offline W&B run that logs neither machine nor code."""
    quiet = wandb.Settings(
        host=HOST,
        username=USER,
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_machine_info=True,
        x_transaction_log_flush_interval=2.0,  # these runs last seconds; the default is 15
    )
    run = wandb.init(project="tiny-language", name=name, mode="offline", settings=quiet)
    run.define_metric("*", summary="none")  # halves the file
    return run


def early_stopping(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[TrainerCallback]]:
    """Settings as TrainingArguments take them, and the callback that early_stopping_* are meant for."""
    prefix = "early_stopping_"
    its = {key: value for key, value in settings.items() if key.startswith(prefix)}
    rest = {key: value for key, value in settings.items() if key not in its}
    return rest, [EarlyStoppingCallback(**its)] if its else []


def copy_logs(keep: Sequence[str], source: Path, target: Path) -> None:
    """Copy the logs of a run, and nothing else, from where it was trained."""
    shutil.rmtree(target, ignore_errors=True)
    logs = [path for kind in keep for path in source.glob(LOGS[kind])]
    if "state" in keep and not (source / LOGS["state"]).exists():
        logs += source.glob(LAST_STATE)
    for log in logs:
        copy = target / log.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, copy)


def keep_logs(scenario: Recorded, source: Path, target: Path, origin: str) -> None:
    """Copy the logs of a run, and write what they must show."""
    copy_logs(scenario.keep, source, target)
    lines = [
        f"cause = {json.dumps(scenario.cause)}",
        f'made_by = "{origin}"',
        f'verdict = "{scenario.verdict}"',
        f'state = "{scenario.state}"',
    ]
    if scenario.silent:
        lines.append(f"silent = {json.dumps(list(scenario.silent))}")
    for pattern, steps in scenario.findings.items():
        lines += ["", f"[findings.{pattern}]", *(f"{key} = {value}" for key, value in steps.items())]
    (target / "expected.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def made_by(script: str, name: str, scenario: Recorded, packages: Sequence[str]) -> str:
    """What to start to make these logs again, and with which versions they were made."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"sample_runs/{script} {name} (seed {scenario.seed}; {versions})"


def succeeds(scenario: Recorded, train: Callable[..., None], *arguments: Any) -> bool:
    """Train in a process of its own; whether it ended as the scenario wants it to."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=arguments)
    process.start()
    process.join()
    crashed = process.exitcode == -signal.SIGKILL
    time.sleep(3 if crashed else 0)  # the W&B service outlives a killed process for a moment
    return not process.exitcode or (crashed and scenario.state == "crashed")


def record(
    script: str,
    scenarios: Mapping[str, Recorded],
    train: Callable[[str, Path], None],
    out: Path,
    packages: Sequence[str] = ("transformers", "torch", "wandb"),
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a script: train the named scenarios (all without a name), one process each, and keep their logs."""
    parser = argparse.ArgumentParser(description="Train the sample runs and keep their logs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(scenarios)} (default: all)")
    parser.add_argument("--out", type=Path, default=out, help="where the folders are written")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in scenarios:
            parser.error(f"no scenario {name!r}; there are {', '.join(scenarios)}")
    for name in options.names or scenarios:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            scenario = scenarios[name]
            if not succeeds(scenario, train, name, Path(folder)):
                return 1
            keep_logs(scenario, Path(folder), options.out / name, made_by(script, name, scenario, packages))
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0
