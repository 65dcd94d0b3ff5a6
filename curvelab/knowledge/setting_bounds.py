"""What a proposed value must be: the range of every setting that a remedy may change, and which of them are whole numbers.

The lower end is wide of anything sensible and above zero where zero would switch the thing off; the ranges keep a
computed value from being nonsense, they are no advice.
"""

from __future__ import annotations

WHOLE = frozenset((
    "max_steps", "warmup_steps", "eval_steps", "save_steps", "logging_steps", "save_total_limit", "num_generations",
    "per_device_train_batch_size", "gradient_accumulation_steps", "dataloader_num_workers", "max_completion_length", "r",
))  # fmt: skip

BOUNDS: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-8, 1.0),
    "max_grad_norm": (1e-6, 1e6),
    "weight_decay": (0.0, 1.0),
    "warmup_ratio": (0.001, 0.2),
    "warmup_steps": (1, 1e8),
    "max_steps": (1, 1e9),
    "num_train_epochs": (0.01, 1000),
    "per_device_train_batch_size": (1, 65536),
    "gradient_accumulation_steps": (1, 65536),
    "eval_steps": (1, 1e8),
    "save_steps": (1, 1e8),
    "logging_steps": (1, 1e8),
    "save_total_limit": (1, 1000),
    "dataloader_num_workers": (0, 64),
    "lora_dropout": (0.001, 0.5),
    "r": (1, 1024),
    "beta": (1e-4, 1.0),
    "rpo_alpha": (0.001, 10),
    "epsilon_high": (0.01, 10),
    "temperature": (0.1, 2.0),
    "num_generations": (2, 1024),
    "max_completion_length": (8, 131072),
}
