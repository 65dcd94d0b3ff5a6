"""Train the sample runs: tiny language models with one fault each, logged as real trainings are.

    python sample_runs/train.py [NAME ...] [--out DIR]

Every scenario in SCENARIOS is a real run of the Hugging Face Trainer on the CPU that logs to
trainer_state.json, TensorBoard and W&B (offline) at once. Nothing is downloaded: the text comes
from a seeded grammar, the model reads bytes. Only the logs are kept, no weights (see recording.py).
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from recording import Recorded, early_stopping, prepare, record, start_wandb
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

VOCABULARY = 260  # 256 bytes and four special tokens
BAD_TOKEN = 259  # a special token that no text uses
BLOCK = 64  # tokens per sample
IGNORED = -100  # the label that the loss skips

Sample = dict[str, torch.Tensor]


def write_text(sentences: int, seed: int) -> str:
    """Sentences of a small grammar over invented words, the frequent words first, each with a random number."""
    lexicon = random.Random(0)  # the language is the same for every seed; only what is said differs

    def words(count: int) -> list[str]:
        syllables = ["ba", "do", "fen", "gir", "ka", "lo", "mi", "nur", "pel", "ra", "sho", "ti", "van", "wex", "zu"]
        return ["".join(lexicon.choices(syllables, k=lexicon.randint(2, 3))) for _ in range(count)]

    nouns, verbs, adjectives, places = words(150), words(60), words(60), words(40)
    rng = random.Random(seed)

    def pick(options: list[str]) -> str:
        return rng.choices(options, weights=[1 / (rank + 20) for rank in range(len(options))])[0]

    return "".join(
        f"{rng.randrange(10_000):04d} the {pick(adjectives)} {pick(nouns)} {pick(verbs)}s the {pick(nouns)}"
        f" near the {pick(places)}.\n"
        for _ in range(sentences)
    )


def make_samples(count: int, seed: int) -> list[Sample]:
    """`count` samples of BLOCK bytes each from fresh text; every token is a label."""
    data = write_text(count * 2, seed).encode()
    blocks = (torch.tensor(list(data[i * BLOCK : (i + 1) * BLOCK])) for i in range(count))
    return [{"input_ids": block, "labels": block.clone()} for block in blocks]


def make_model() -> LlamaForCausalLM:
    """A Llama of two layers and about 100,000 weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=48,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=BLOCK,
            initializer_range=0.2,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


@dataclass
class Job:
    """What a cause may tamper with before the training starts."""

    model: LlamaForCausalLM
    train_set: list[Sample]
    eval_set: list[Sample]
    change_batch: Callable[[int, Sample], Sample] = lambda step, batch: batch
    callbacks: list[TrainerCallback] = field(default_factory=list)


Cause = Callable[[Job], None]


def no_fault(job: Job) -> None:
    """Nothing is tampered with: a fault, if any, lies in the settings of the scenario."""


def wrong_label_mask(job: Job) -> None:
    """Only digits count as labels: what can be learned (the words) is masked, what is random remains."""
    for sample in job.train_set + job.eval_set:
        labels = sample["labels"]
        labels[(labels < ord("0")) | (labels > ord("9"))] = IGNORED


def poisoned_batches(*steps: int) -> Cause:
    """The batches of the given optimizer steps are random tokens."""

    def poison(step: int, batch: Sample) -> Sample:
        if step not in steps:
            return batch
        noise = torch.randint(0, 256, batch["input_ids"].shape)
        return {"input_ids": noise, "labels": noise}

    def tamper(job: Job) -> None:
        job.change_batch = poison

    return tamper


def bad_token(at: int) -> Cause:
    """A special token whose embedding row is NaN appears in one batch, at the given optimizer step."""

    def add_token(step: int, batch: Sample) -> Sample:
        if step == at:
            batch["input_ids"][0, -1] = BAD_TOKEN
        return batch

    def tamper(job: Job) -> None:
        with torch.no_grad():
            job.model.get_input_embeddings().weight[BAD_TOKEN] = float("nan")
        job.change_batch = add_token

    return tamper


class Kill(TrainerCallback):
    """Kills its own process (SIGKILL) once the given optimizer step is done and logged."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pull the plug before the next step."""
        if state.global_step == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(after: int) -> Cause:
    """The process dies without a word, as on a preempted node or out of memory."""
    return lambda job: job.callbacks.append(Kill(after))


@dataclass(frozen=True, kw_only=True)
class Scenario(Recorded):
    """One sample run: what is tampered with, and its settings on top of DEFAULTS."""

    tamper: Cause = no_fault
    samples: int = 0  # training samples; 0: enough for one epoch
    resume: bool = False  # go on from the last checkpoint that the folder holds


DEFAULTS: dict[str, Any] = {
    "max_steps": 750,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 64,
    "learning_rate": 4e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 40,
    "max_grad_norm": 1.0,
    "logging_steps": 5,
    "eval_strategy": "steps",
    "eval_steps": 75,
    "save_strategy": "steps",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
}

SHORT: dict[str, Any] = {"max_steps": 450, "logging_steps": 3, "eval_steps": 45}

SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario(cause="none: one epoch of fresh text, linear schedule with warm-up", verdict="healthy"),
    "overfitting": Scenario(
        cause="only 64 training samples, seen 450 times",
        verdict="overfitting",
        samples=64,
        settings=SHORT | {"per_device_train_batch_size": 64, "learning_rate": 5.5e-4},
        findings={"overfitting": {"onset": [130, 230]}},
    ),
    "plateau": Scenario(
        cause="wrong label mask: the loss counts only random digits, the words are masked",
        verdict="plateau",
        tamper=wrong_label_mask,
        settings={"learning_rate": 1.5e-3, "per_device_train_batch_size": 48},
        findings={"plateau": {"onset": [45, 130]}},
    ),
    "sawtooth": Scenario(
        cause="a learning rate far too high (0.03, with weight decay 0.5), restarted every 60 steps",
        verdict="sawtooth",
        settings={
            "learning_rate": 3e-2,
            "lr_scheduler_type": "cosine_with_restarts",
            "lr_scheduler_kwargs": {"num_cycles": 12},
            "warmup_steps": 30,
            "weight_decay": 0.5,
            "adam_beta2": 0.95,
            "eval_steps": 60,
        },
        findings={"sawtooth": {"onset": [30, 160]}},
    ),
    "spikes": Scenario(
        cause="three batches of random tokens, gradient clipping off",
        verdict="spikes",
        tamper=poisoned_batches(131, 198, 263),
        settings={"max_steps": 320, "learning_rate": 2e-3, "max_grad_norm": 0.0, "logging_steps": 2, "eval_steps": 32},
        findings={"spikes": {"onset": [128, 136], "at": [131, 198, 263]}},
    ),
    "clip-saturation": Scenario(
        cause="max_grad_norm 0.05 under gradient norms of about 0.6",
        verdict="clip-saturation",
        settings={"max_grad_norm": 0.05},
        findings={"clip-saturation": {"onset": [0, 80]}},
    ),
    "non-finite": Scenario(
        cause="a special token whose embedding row is NaN appears in the batch of step 443",
        verdict="non-finite",
        tamper=bad_token(443),
        findings={"non-finite": {"onset": [440, 455]}},
    ),
    "killed": Scenario(
        cause="SIGKILL of the training process after step 475 of 900",
        verdict="abrupt-end",
        tamper=killed(475),
        settings=SHORT | {"max_steps": 900},
        state="crashed",
        findings={"abrupt-end": {"onset": [440, 480]}},
    ),
}


class TamperedTrainer(Trainer):
    """The Trainer, with a hand in the batch of each optimizer step."""

    change_batch: Callable[[int, Sample], Sample]

    def training_step(self, model: torch.nn.Module, inputs: Sample, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Train on what the cause makes of the batch."""
        return super().training_step(model, self.change_batch(self.state.global_step + 1, inputs), *args, **kwargs)


def train(name: str, folder: Path) -> None:
    """Train one scenario inside `folder`, in a process of its own (it may not survive it)."""
    prepare(folder)
    scenario = SCENARIOS[name]
    set_seed(scenario.seed)
    settings, stopping = early_stopping(DEFAULTS | dict(scenario.settings))
    settings.setdefault("save_steps", settings["eval_steps"])
    batch = settings["per_device_train_batch_size"] * settings.get("gradient_accumulation_steps", 1)
    samples = scenario.samples or settings["max_steps"] * batch
    job = Job(make_model(), make_samples(samples, scenario.seed), make_samples(256, scenario.seed + 1))
    scenario.tamper(job)
    run = start_wandb(name)
    trainer = TamperedTrainer(
        model=job.model,
        args=TrainingArguments(
            output_dir=".",
            run_name=name,
            seed=scenario.seed,
            report_to=["tensorboard", "wandb"],
            use_cpu=True,
            disable_tqdm=True,
            **settings,
        ),
        train_dataset=job.train_set,
        eval_dataset=job.eval_set,
        data_collator=default_data_collator,
        callbacks=job.callbacks + stopping,
    )
    trainer.change_batch = job.change_batch
    trainer.train(resume_from_checkpoint=scenario.resume)
    trainer.save_state()
    run.finish()


if __name__ == "__main__":
    sys.exit(record("train.py", SCENARIOS, train, Path(__file__).parent))
