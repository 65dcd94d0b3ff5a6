"""Train the sample runs of preference and reinforcement learning: tiny policies under TRL, healthy ones and one fault each.

    python sample_runs/train_policy.py [NAME ...] [--out DIR]

Every scenario in SCENARIOS is a real run of TRL's GRPOTrainer or DPOTrainer on the CPU. Nothing is
downloaded: the policy is a Llama of two layers that reads bytes and has seen some sentences of a
seeded grammar; the tokenizer is built here. Only the logs are kept (see recording.py).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from recording import Recorded, prepare, record, start_wandb
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer

PAD, END = "<pad>", "<end>"
LONGEST = 40  # tokens of a completion
PAIRS = 1600
Reward = Callable[..., list[float]]


def make_words() -> dict[str, list[str]]:
    """The lexicon of an invented language, the same for every run."""
    rng = random.Random(0)
    syllables = ["ba", "do", "fen", "gir", "ka", "lo", "mi", "nur", "pel", "ra", "sho", "ti", "van", "wex", "zu"]
    count = {"noun": 40, "verb": 15, "adjective": 20}
    return {kind: ["".join(rng.choices(syllables, k=2)) for _ in range(n)] for kind, n in count.items()}


WORDS = make_words()
KNOWN = {word for words in WORDS.values() for word in words} | {"the"}


def write_sentence(rng: random.Random) -> tuple[str, str]:
    """(prompt, completion): a subject, and what it does."""
    noun, verb, adjective = (WORDS[kind] for kind in ("noun", "verb", "adjective"))
    return f"the {rng.choice(adjective)} {rng.choice(noun)}", f" {rng.choice(verb)} the {rng.choice(noun)}."


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and two special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(BPE({symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_only.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bytes_only, pad_token=PAD, eos_token=END, padding_side="left")


def make_policy(tokenizer: PreTrainedTokenizerFast, steps: int) -> LlamaForCausalLM:
    """A Llama of two layers that was trained on sentences of the language for some steps."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    rng = random.Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        texts = ["".join(write_sentence(rng)) + END for _ in range(64)]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer.zero_grad()
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
    return model


def well_formed(completions: list[str], **_: Any) -> list[float]:
    """Share of the words that the language knows, a bonus for a full stop at the end, less for more than four words."""
    rewards = []
    for text in completions:
        words = text.strip().rstrip(".").split()
        known = sum(word in KNOWN for word in words) / max(1, len(words))
        rewards.append(0.8 * known + 0.2 * text.endswith(".") - 0.2 * max(0, len(words) - 4))
    return rewards


class NoisyJudge:
    """What well_formed gives, and noise, as every reward model has."""

    __name__ = "noisy_judge"

    def __init__(self) -> None:
        self.rng = random.Random(3)

    def __call__(self, completions: list[str], **_: Any) -> list[float]:
        return [reward + self.rng.gauss(0, 0.1) for reward in well_formed(completions)]


def has_a_proof(completions: list[str], **_: Any) -> list[float]:
    """1 for a completion that holds a word that the policy does not know: never."""
    return [float("therefore" in text) for text in completions]


def long_text(completions: list[str], **_: Any) -> list[float]:
    """The longer the better: what a judge with a length bias gives."""
    return [len(text) / LONGEST for text in completions]


def rare_letters(completions: list[str], **_: Any) -> list[float]:
    """The share of rare letters, in a sentence that ends."""
    return [sum(c in "vwxzfg" for c in text) / max(1, len(text)) * text.endswith(".") for text in completions]


@dataclass(frozen=True, kw_only=True)
class Group(Recorded):
    """A GRPO run: the reward, and how well the policy spoke before."""

    keep: Sequence[str] = ("state",)
    reward: Reward = well_formed
    before: int = 60  # steps of training on plain text


@dataclass(frozen=True, kw_only=True)
class Pairs(Recorded):
    """A DPO run: how the rejected answers differ, and the share of pairs whose labels are swapped."""

    keep: Sequence[str] = ("events",)  # small enough, and with the hyperparameters
    spoil: Callable[[str, random.Random], str]
    swapped: float = 0.0
    before: int = 300


def other_order(text: str, rng: random.Random) -> str:
    """The words in another order."""
    words = text.strip(" .").split()
    rng.shuffle(words)
    return " " + " ".join(words) + "."


def marked(text: str, rng: random.Random) -> str:
    """The same answer with a trivial mark: it ends with a question mark."""
    return text.rstrip(".") + "?"


DEFAULTS: dict[str, Any] = {
    "max_steps": 160,
    "per_device_train_batch_size": 64,
    "learning_rate": 2e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 8,
    "max_grad_norm": 4.0,
    "logging_steps": 4,
    "save_strategy": "no",
}
GROUP: dict[str, Any] = DEFAULTS | {"num_generations": 8, "max_completion_length": LONGEST, "beta": 0.04}
PAIRED: dict[str, Any] = DEFAULTS | {
    "max_steps": 200,
    "per_device_train_batch_size": 32,
    "per_device_eval_batch_size": 64,
    "logging_steps": 5,
    "eval_strategy": "steps",
    "eval_steps": 20,
    "beta": 0.1,
}

GROUP_PATTERNS = ("kl-blowup", "entropy-collapse", "length-explosion", "no-learning-signal", "reward-hacking")
PAIR_PATTERNS = ("chosen-logp-collapse", "reward-accuracy-saturation")

SCENARIOS: dict[str, Group | Pairs] = {
    "grpo-healthy": Group(
        cause="none: the reward is the share of known words, beta 0.04",
        verdict="healthy",
        silent=GROUP_PATTERNS,
    ),
    "grpo-kl": Group(
        cause="a learning rate far too high with beta 0.001: the policy runs after rare letters",
        verdict="kl-blowup",
        reward=rare_letters,
        settings={"learning_rate": 8e-4, "beta": 0.001},
        findings={"kl-blowup": {"onset": [8, 40]}, "reward-hacking": {"onset": [1, 8]}},
    ),
    "grpo-entropy": Group(
        cause="a learning rate ten times too high and no KL term (beta 0), under a noisy reward",
        verdict="entropy-collapse",
        reward=NoisyJudge(),
        settings={"learning_rate": 2e-3, "beta": 0.0},
        findings={"entropy-collapse": {"onset": [70, 125]}},
        silent=("length-explosion", "no-learning-signal", "reward-hacking"),
    ),
    "grpo-broken": Group(
        cause="a learning rate twenty times too high: soon every completion is broken alike and gets a reward of 0.2",
        verdict="no-learning-signal",
        settings={"learning_rate": 4e-3, "beta": 0.0, "max_grad_norm": 1.0},
        findings={"no-learning-signal": {"onset": [24, 48]}},
        silent=("entropy-collapse", "length-explosion", "reward-hacking"),
    ),
    "grpo-no-signal": Group(
        cause="the reward asks for a word that the policy never says: all rewards are 0",
        verdict="no-learning-signal",
        reward=has_a_proof,
        findings={"no-learning-signal": {"onset": [1, 8]}},
        silent=("kl-blowup", "entropy-collapse", "length-explosion", "reward-hacking"),
    ),
    "grpo-length": Group(
        cause="the reward grows with the length of the completion",
        verdict="length-explosion",
        reward=long_text,
        settings={"learning_rate": 4e-5, "beta": 0.0},
        findings={"length-explosion": {"onset": [30, 80]}, "reward-hacking": {"onset": [1, 8]}},
        silent=("entropy-collapse", "no-learning-signal"),
    ),
    "dpo-healthy": Pairs(
        cause="none: words in their order against words in disorder, one label in five swapped",
        verdict="healthy",
        spoil=other_order,
        swapped=0.2,
        silent=PAIR_PATTERNS,
    ),
    "dpo-collapse": Pairs(
        cause="a learning rate ten times too high with beta 0.01 on pairs that differ by word order",
        verdict="chosen-logp-collapse",
        spoil=other_order,
        settings={"learning_rate": 2e-3, "beta": 0.01},
        findings={"chosen-logp-collapse": {"onset": [8, 45]}},
        silent=("reward-accuracy-saturation",),
    ),
    "dpo-saturated": Pairs(
        cause="the rejected answer is the chosen one with a question mark in place of the full stop",
        verdict="reward-accuracy-saturation",
        spoil=marked,
        settings={"learning_rate": 2e-5},
        findings={"reward-accuracy-saturation": {"onset": [1, 10]}},
        silent=("chosen-logp-collapse",),
    ),
}


def make_pairs(scenario: Pairs, count: int, seed: int) -> Dataset:
    """`count` preference pairs."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        prompt, good = write_sentence(rng)
        answers = [good, scenario.spoil(good, rng)]
        if rng.random() < scenario.swapped:
            answers.reverse()
        rows.append({"prompt": prompt, "chosen": answers[0], "rejected": answers[1]})
    return Dataset.from_list(rows)


def train(name: str, folder: Path) -> None:
    """Train one scenario inside `folder`, in a process of its own."""
    prepare(folder)
    scenario = SCENARIOS[name]
    set_seed(scenario.seed)
    tokenizer = make_tokenizer()
    make_policy(tokenizer, scenario.before).save_pretrained("policy")
    policy = LlamaForCausalLM.from_pretrained("policy")  # GRPO loads its reference from the same place
    run = start_wandb(name)
    common: dict[str, Any] = {
        "output_dir": ".",
        "run_name": name,
        "seed": scenario.seed,
        "report_to": ["tensorboard", "wandb"],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }
    if isinstance(scenario, Group):
        rng = random.Random(scenario.seed)
        settings = GROUP | scenario.settings
        trainer: Any = GRPOTrainer(
            model=policy,
            args=GRPOConfig(**common, **settings),
            reward_funcs=scenario.reward,
            train_dataset=Dataset.from_list([{"prompt": write_sentence(rng)[0]} for _ in range(PAIRS)]),
            processing_class=tokenizer,
        )
    else:
        settings = PAIRED | scenario.settings
        trainer = DPOTrainer(
            model=policy,
            args=DPOConfig(**common, **settings),
            train_dataset=make_pairs(scenario, settings["max_steps"] * 32, scenario.seed),
            eval_dataset=make_pairs(scenario, 256, scenario.seed + 1),
            processing_class=tokenizer,
        )
    trainer.train()
    trainer.save_state()
    run.finish()


if __name__ == "__main__":
    packages = ("trl", "transformers", "torch", "wandb")
    sys.exit(record("train_policy.py", SCENARIOS, train, Path(__file__).parent / "more", packages))
