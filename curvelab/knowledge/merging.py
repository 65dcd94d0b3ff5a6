"""What decides when several findings pull at the settings of one run."""

from __future__ import annotations

# how a run is watched and kept, not how the model is trained: also a finding that is only worth knowing may change these
OBSERVING = frozenset(
    ("logging_steps", "logging_nan_inf_filter", "eval_steps", "eval_strategy", "per_device_eval_batch_size",
     "save_steps", "save_strategy", "save_total_limit", "load_best_model_at_end", "metric_for_best_model",
     "greater_is_better")
)  # fmt: skip

# the direction in which a setting makes a run steadier: +1 more, -1 less (Google, Deep Learning Tuning Playbook)
STEADIER = {"learning_rate": -1, "max_grad_norm": -1, "warmup_steps": 1, "warmup_ratio": 1, "beta": 1, "weight_decay": 1}

# two settings that are ways to say one thing: a patch has one of them
ONE_OF = ({"max_steps", "num_train_epochs"}, {"warmup_steps", "warmup_ratio"})

LENGTHS = ("max_steps", "num_train_epochs")  # settings that end a run
TIED = "a schedule that is tied to the length ends sooner, too"

# canonical settings that belong together: taken from one finding as a whole
TOGETHER = ({"per_device_train_batch_size", "gradient_accumulation_steps"}, {"fp16", "bf16"})

DOUBTED = 0.5  # a finding of no more confidence: clipping by a threshold that was assumed, for one

UNLIMITED = frozenset(("max_grad_norm", "max_steps"))  # 0 or less means that there is no limit
