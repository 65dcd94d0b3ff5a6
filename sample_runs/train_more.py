"""Train more sample runs of the Hugging Face Trainer: faults of the run rather than of its loss.

    python sample_runs/train_more.py [NAME ...] [--out DIR]

Model, text and settings are those of train.py; each scenario is one way in which a run is set up,
resumed, evaluated or saved wrongly. Only the logs are kept (see recording.py).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import wandb
from recording import Recorded, early_stopping, prepare, record, start_wandb
from train import IGNORED, Sample, make_model, make_samples
from transformers import (
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    get_scheduler,
    set_seed,
)

DEFAULTS: dict[str, Any] = {
    "max_steps": 400,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 64,
    "learning_rate": 4e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 20,
    "max_grad_norm": 1.0,
    "logging_steps": 5,
    "eval_strategy": "steps",
    "eval_steps": 40,
    "save_strategy": "steps",
    "save_steps": 40,
    "save_only_model": True,
}
SETUP = ("schedule-anomaly", "warmup-instability", "resume-seam", "train-eval-mismatch", "no-useful-checkpoint")
SHORT: dict[str, Any] = {"max_steps": 240, "logging_steps": 8, "eval_steps": 48}
FIGURES = ("memory-imbalance", "low-utilization")


class UnscaledLoss(Trainer):
    """A Trainer with a loss of its own that does not know of gradient accumulation: micro-batches add up."""

    def compute_loss(
        self, model: Any, inputs: Sample, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss of the micro-batch, whatever num_items_in_batch says."""
        outputs = model(**inputs)
        return (outputs.loss, outputs) if return_outputs else outputs.loss


class Stop(TrainerCallback):
    """Ends the training after a step, as a node that is taken away does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop in the middle of the plan."""
        control.should_training_stop |= state.global_step == self.after


class WriteFigures(TrainerCallback):
    """Writes figures of GPUs that are not there: the level of each, with a little noise."""

    def __init__(self, used: Sequence[float], memory: Sequence[float]) -> None:
        self.used, self.memory, self.rng = used, memory, random.Random(5)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """One row of figures with each log of the train loss, under the names of W&B's own system metrics."""
        if "loss" not in logs:
            return
        row = {}
        for gpu, (used, memory) in enumerate(zip(self.used, self.memory, strict=True)):
            row[f"system.gpu.{gpu}.gpu"] = round(min(100.0, max(0.0, self.rng.gauss(used, 4))), 1)
            row[f"system.gpu.{gpu}.memoryAllocated"] = round(self.rng.gauss(memory, 0.4), 1)
        wandb.log(row | {"train/global_step": state.global_step})


def only_word_the(samples: list[Sample]) -> None:
    """Leave only the word "the" as a label, which is easy."""
    for sample in samples:
        text = bytes(sample["input_ids"].tolist())
        keep = torch.zeros(len(text), dtype=torch.bool)
        at = text.find(b"the ")
        while at >= 0:
            keep[at + 1 : at + 4] = True
            at = text.find(b"the ", at + 1)
        sample["labels"][~keep] = IGNORED


def warm_start(steps: int) -> LlamaForCausalLM:
    """A model that already knows the language, as a fine-tuning begins with one."""
    model = make_model()
    samples = make_samples(steps * 32, seed=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for i in range(steps):
        optimizer.zero_grad()
        model(**default_data_collator(samples[i * 32 : (i + 1) * 32])).loss.backward()
        optimizer.step()
    return model


@dataclass(frozen=True, kw_only=True)
class Setup(Recorded):
    """A run of the Trainer: what differs in its set-up."""

    keep: Sequence[str] = ("events",)
    trainer: type[Trainer] = Trainer
    samples: int = 0  # training samples; 0: enough for one epoch
    schedule: tuple[str, int] | None = None  # a scheduler of its own: its kind, and the steps it was told
    spoil_eval: Callable[[list[Sample]], None] | None = None
    known: int = 0  # steps of training before the run
    resume: tuple[int, int, dict[str, Any]] | None = None  # stopped after, resumed from, with other settings
    gpus: tuple[Sequence[float], Sequence[float]] | None = None  # utilisation and memory to write, in percent


SCENARIOS: dict[str, Setup] = {
    "saved": Setup(cause="none: a run that keeps all its checkpoints", verdict="healthy", silent=SETUP),
    "schedule-over": Setup(
        cause="the scheduler was told 160 steps of 400: the rate is zero from there on",
        verdict="plateau",
        schedule=("linear", 160),
        findings={"plateau": {"onset": [100, 170]}, "schedule-anomaly": {"onset": [155, 170]}},
    ),
    "schedule-constant": Setup(
        cause="cosine declared, but an optimizer and a constant schedule were handed to the Trainer",
        verdict="schedule-anomaly",
        schedule=("constant", 400),
        settings={"lr_scheduler_type": "cosine"},
        findings={"schedule-anomaly": {"onset": [0, 40]}},
    ),
    "resumed": Setup(
        cause="stopped after step 250, resumed from checkpoint 200 by its weights alone with three times the rate",
        verdict="resume-seam",
        resume=(250, 200, {"learning_rate": 1.2e-3}),
        findings={"resume-seam": {"onset": [200, 210]}, "schedule-anomaly": {"onset": [200, 215]}},
    ),
    "no-warmup": Setup(
        cause="a model that knows the language, trained on at a rate of 0.02 without warm-up",
        verdict="warmup-instability",
        known=250,
        settings={"learning_rate": 2e-2, "warmup_steps": 0, "max_grad_norm": 0.0, "logging_steps": 2},
        findings={"warmup-instability": {"onset": [2, 20]}},
    ),
    "loss-summed": Setup(
        cause="a loss of its own that is not divided by the 4 accumulation steps",
        verdict="train-eval-mismatch",
        trainer=UnscaledLoss,
        settings={"gradient_accumulation_steps": 4, "per_device_train_batch_size": 8, "max_grad_norm": 10.0},
        findings={"train-eval-mismatch": {"onset": [35, 45]}},
    ),
    "other-mask": Setup(
        cause='only the word "the" is a label of the eval set',
        verdict="train-eval-mismatch",
        known=250,
        spoil_eval=only_word_the,
        findings={"train-eval-mismatch": {"onset": [35, 45]}},
    ),
    "best-lost": Setup(
        cause="64 training samples seen 400 times, save_total_limit 1 and no load_best_model_at_end",
        verdict="overfitting",
        samples=64,
        settings={"per_device_train_batch_size": 64, "learning_rate": 5.5e-4, "save_total_limit": 1},
        findings={"overfitting": {"onset": [150, 250]}, "no-useful-checkpoint": {"onset": [150, 250]}},
    ),
    "gpus-uneven": Setup(
        cause="figures of four GPUs, written by the script: the first holds half as much again as the others",
        verdict="memory-imbalance",
        gpus=((93, 92, 93, 94), (84, 55, 56, 55)),
        keep=("wandb",),
        settings=SHORT,
        findings={"memory-imbalance": {"onset": [0, 20]}},
        silent=("low-utilization",),
    ),
    "gpus-waiting": Setup(
        cause="figures of two GPUs, written by the script: both wait two thirds of the time",
        verdict="low-utilization",
        gpus=((34, 31), (61, 60)),
        keep=("wandb",),
        settings=SHORT,
        findings={"low-utilization": {"onset": [0, 20]}},
        silent=("memory-imbalance",),
    ),
    "gpus-busy": Setup(
        cause="none: figures of two GPUs, written by the script, both busy and alike",
        verdict="healthy",
        gpus=((94, 95), (71, 72)),
        keep=("wandb",),
        settings=SHORT,
        silent=FIGURES,
    ),
}


def train(name: str, folder: Path) -> None:
    """Train one scenario inside `folder`, in a process of its own."""
    prepare(folder)
    os.environ["TENSORBOARD_LOGGING_DIR"] = "runs/tiny"  # a resumed run goes on in the same folder
    scenario = SCENARIOS[name]
    set_seed(scenario.seed)
    settings, stopping = early_stopping(DEFAULTS | dict(scenario.settings))
    batch = settings["per_device_train_batch_size"] * settings.get("gradient_accumulation_steps", 1)
    train_set = make_samples(scenario.samples or settings["max_steps"] * batch, scenario.seed)
    eval_set = make_samples(256, scenario.seed + 1)
    if scenario.spoil_eval:
        scenario.spoil_eval(eval_set)
    report_to = ["wandb"] if scenario.gpus else ["tensorboard"]
    run = start_wandb(name) if scenario.gpus else None

    def build(changes: dict[str, Any], callbacks: list[TrainerCallback]) -> Trainer:
        model = warm_start(scenario.known) if scenario.known else make_model()
        optimizers: tuple[Any, Any] = (None, None)
        if scenario.schedule:
            optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
            kind, steps = scenario.schedule
            optimizers = optimizer, get_scheduler(kind, optimizer, settings["warmup_steps"], steps)
        args = TrainingArguments(
            output_dir=".",
            run_name=name,
            seed=scenario.seed,
            report_to=report_to,
            use_cpu=True,
            disable_tqdm=True,
            **(settings | changes),
        )
        return scenario.trainer(
            model=model,
            args=args,
            train_dataset=train_set,
            eval_dataset=eval_set,
            data_collator=default_data_collator,
            optimizers=optimizers,
            callbacks=callbacks + stopping,
        )

    callbacks: list[TrainerCallback] = [WriteFigures(*scenario.gpus)] if scenario.gpus else []
    if scenario.resume:
        stopped, begun, changes = scenario.resume
        build({}, [Stop(stopped)]).train()
        trainer = build(changes, [])
        trainer.train(resume_from_checkpoint=f"checkpoint-{begun}")
    else:
        trainer = build({}, callbacks)
        trainer.train()
    trainer.save_state()
    if run:
        run.finish()


if __name__ == "__main__":
    sys.exit(record("train_more.py", SCENARIOS, train, Path(__file__).parent / "more"))
