"""Hyperparameters that curvelab knows, by their Transformers names. Only these are shown: an allow-list keeps secrets out."""

from __future__ import annotations

OPTIMISATION = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs",
    "per_device_train_batch_size", "gradient_accumulation_steps", "train_batch_size", "world_size", "n_gpu",
    "max_grad_norm", "optim", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "label_smoothing_factor",
    "beta", "rpo_alpha", "loss_type", "epsilon", "epsilon_high", "num_generations", "temperature",
    "mask_truncated_completions", "max_length", "max_seq_length", "max_completion_length", "packing",
    "group_by_length", "neftune_noise_alpha",
)  # fmt: skip
PRECISION = ("bf16", "fp16", "tf32", "gradient_checkpointing", "torch_compile")
LOGGING = (
    "logging_steps", "logging_strategy", "logging_first_step", "logging_nan_inf_filter", "eval_steps",
    "eval_strategy", "per_device_eval_batch_size", "save_steps", "save_strategy", "save_total_limit", "save_only_model",
    "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
)  # fmt: skip
DATA = ("seed", "data_seed", "dataloader_num_workers", "dataloader_drop_last", "train_sampling_strategy")
MODEL = (
    "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "torch_dtype", "dtype",
    "lora_alpha", "lora_dropout", "r", "target_modules", "peft_type", "transformers_version",
)  # fmt: skip

KNOWN = (*OPTIMISATION, *PRECISION, *LOGGING, *DATA, *MODEL)

OTHER_NAMES = {
    "evaluation_strategy": "eval_strategy",
    "lora_rank": "r",
    "lora_r": "r",
    "lr": "learning_rate",
    "gradient_clip_val": "max_grad_norm",
    "max_epochs": "num_train_epochs",
    "accumulate_grad_batches": "gradient_accumulation_steps",
}
