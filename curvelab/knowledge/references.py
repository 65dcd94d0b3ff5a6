"""The sources that advice comes from, by key: what a remedy names, and what `explain` shows with its address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A source: who says it (author or publisher), where (title), when (None: kept up to date), and its address."""

    by: str
    title: str
    address: str
    year: int | None = None

    def __str__(self) -> str:
        return f"{self.by}, {self.title}" + (f" ({self.year})" if self.year else "")


JUDGEMENT = "judgement"  # the key of advice that no source was found for

_TRANSFORMERS = "https://huggingface.co/docs/transformers"
_TRL = "https://huggingface.co/docs/trl"
_PYTORCH = "https://docs.pytorch.org"
_ARXIV = "https://arxiv.org/abs"
_GITHUB = "https://github.com"

REFERENCES = {
    # books of advice
    "playbook": Reference(
        "Google",
        "Deep Learning Tuning Playbook",
        f"{_GITHUB}/google-research/tuning_playbook",
        2023,
    ),
    "axolotl-stability": Reference(
        "axolotl docs",
        "Training Stability & Debugging",
        "https://docs.axolotl.ai/docs/training_stability.html",
    ),
    "unsloth-lora": Reference(
        "Unsloth docs",
        "LoRA fine-tuning Hyperparameters Guide",
        "https://unsloth.ai/docs/get-started/fine-tuning-llms-guide/lora-hyperparameters-guide",
    ),
    "karpathy-recipe": Reference(
        "Karpathy",
        "A Recipe for Training Neural Networks",
        "https://karpathy.github.io/2019/04/25/recipe/",
        2019,
    ),
    "fastai-one-example": Reference(
        "Howard and Whitaker, fast.ai",
        "Can LLMs learn from a single example?",
        "https://www.fast.ai/posts/2023-09-04-learning-jumps/",
        2023,
    ),
    # papers
    "palm": Reference("Chowdhery et al.", "PaLM, section 5.1", f"{_ARXIV}/2204.02311", 2022),
    "zclip": Reference(
        "Kumar et al.",
        "ZClip: Adaptive Spike Mitigation for LLM Pre-Training",
        f"{_ARXIV}/2504.02507",
        2025,
    ),
    "olmo2": Reference("OLMo team", "2 OLMo 2 Furious", f"{_ARXIV}/2501.00656", 2025),
    "small-scale-proxies": Reference(
        "Wortsman et al.",
        "Small-scale proxies for large-scale Transformer training instabilities",
        f"{_ARXIV}/2309.14322",
        2023,
    ),
    "dpo-positive": Reference(
        "Pal et al.",
        "Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive",
        f"{_ARXIV}/2402.13228",
        2024,
    ),
    "rpo": Reference("Pang et al.", "Iterative Reasoning Preference Optimization", f"{_ARXIV}/2404.19733", 2024),
    "arxiv-2406-02900": Reference(
        "Rafailov et al.",
        "Scaling Laws for Reward Model Overoptimization in Direct Alignment Algorithms",
        f"{_ARXIV}/2406.02900",
        2024,
    ),
    "dapo": Reference(
        "Yu et al.",
        "DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
        f"{_ARXIV}/2503.14476",
        2025,
    ),
    "arxiv-2210-10760": Reference(
        "Gao et al.",
        "Scaling Laws for Reward Model Overoptimization",
        f"{_ARXIV}/2210.10760",
        2022,
    ),
    # documentation of trainers
    "transformers-training-arguments": Reference(
        "Transformers docs",
        "TrainingArguments",
        f"{_TRANSFORMERS}/main_classes/trainer#transformers.TrainingArguments",
    ),
    "logging-nan-inf-filter": Reference(
        "Transformers docs",
        "TrainingArguments.logging_nan_inf_filter",
        f"{_TRANSFORMERS}/main_classes/trainer#transformers.TrainingArguments.logging_nan_inf_filter",
    ),
    "early-stopping-callback": Reference(
        "Transformers docs",
        "EarlyStoppingCallback",
        f"{_TRANSFORMERS}/main_classes/callback#transformers.EarlyStoppingCallback",
    ),
    "transformers-checkpoints": Reference("Transformers docs", "Trainer, checkpoints", f"{_TRANSFORMERS}/trainer"),
    "transformers-debugging": Reference("Transformers docs", "Debugging", f"{_TRANSFORMERS}/debugging"),
    "transformers-schedules": Reference(
        "Transformers docs",
        "get_scheduler",
        f"{_TRANSFORMERS}/main_classes/optimizer_schedules",
    ),
    "transformers-input-grads": Reference(
        "Transformers docs",
        "PreTrainedModel.enable_input_require_grads",
        f"{_TRANSFORMERS}/main_classes/model#transformers.PreTrainedModel",
    ),
    "transformers-37766": Reference(
        "transformers#37766",
        "the loss grows with gradient_accumulation_steps",
        f"{_GITHUB}/huggingface/transformers/issues/37766",
        2025,
    ),
    "trl-lora": Reference("TRL docs", "LoRA Without Regret", f"{_TRL}/lora_without_regret"),
    "trl-metrics": Reference("TRL docs", "SFT Trainer, logged metrics", f"{_TRL}/sft_trainer"),
    "trl-faq": Reference("TRL docs", "Training FAQ", f"{_TRL}/how_to_train"),
    "trl-dpo": Reference("TRL docs", "DPO Trainer", f"{_TRL}/dpo_trainer"),
    "trl-grpo": Reference("TRL docs", "GRPO Trainer", f"{_TRL}/grpo_trainer"),
    # PyTorch
    "pytorch-13246": Reference(
        "pytorch#13246",
        "memory that grows with the workers of the DataLoader",
        f"{_GITHUB}/pytorch/pytorch/issues/13246",
        2018,
    ),
    "pytorch-20433": Reference(
        "pytorch#20433",
        "memory of the DataLoader that grows within an epoch",
        f"{_GITHUB}/pytorch/pytorch/issues/20433",
        2019,
    ),
    "pytorch-faq": Reference("PyTorch docs", "Frequently Asked Questions", f"{_PYTORCH}/docs/stable/notes/faq.html"),
    "pytorch-tuning": Reference(
        "PyTorch docs",
        "Performance Tuning Guide",
        f"{_PYTORCH}/tutorials/recipes/recipes/tuning_guide",
    ),
    "pytorch-data-parallel": Reference(
        "PyTorch docs",
        "DataParallel",
        f"{_PYTORCH}/docs/stable/generated/torch.nn.DataParallel.html",
    ),
    "pytorch-schedulers": Reference(
        "PyTorch docs",
        "torch.optim, how to adjust learning rate",
        f"{_PYTORCH}/docs/stable/optim.html",
    ),
}
