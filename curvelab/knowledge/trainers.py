"""How seven trainers call the settings that curvelab knows by their Transformers names, and how each is recognised.

Sources
-------
Transformers 5.23 TrainingArguments (`warmup_ratio` is gone; `warmup_steps` below 1 is a share) · TRL 1.16 SFTConfig,
DPOConfig, GRPOConfig, ModelConfig (`rpo_alpha` is gone; `loss_type` takes a list) · axolotl config reference and the
checks of its schema · LLaMA-Factory FinetuningArguments, DataArguments · lightning.pytorch Trainer, ModelCheckpoint,
EarlyStopping (2.x) · torchtune recipe configs (full, LoRA, DPO, GRPO) · Keras 3 compile, fit and callbacks: code, in which
no name of Transformers has a place, and whose logs count epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MONITOR = "{monitor}"  # stands for the name under which the run logs its eval loss


@dataclass(frozen=True)
class Word:
    """What a trainer calls one canonical setting.

    flag     its name, dotted for nested YAML keys; "": there is no such setting, and `by_hand` says what to do
    place    the call in Python that takes it; "": the trainer's own arguments
    cli      its name in YAML and on the command line where `place` keeps the flag out of there
    form     how its values differ from the canonical ones, by name (see curvelab.dialects)
    also     names that other versions or people's own modules have for it: taken when the run's settings have one
    beside   arguments that must stand beside it
    instead  a key that the trainer refuses beside it
    needs    what must be in the settings already for it to work
    """

    flag: str
    place: str = ""
    cli: str = ""
    form: str = ""
    by_hand: str = ""
    also: tuple[str, ...] = ()
    beside: tuple[tuple[str, bool | int | float | str | None], ...] = ()
    instead: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Dialect:
    """A trainer: its arguments' class, where its settings are written, and its words by canonical setting.

    forms     kinds of text that it takes, the usual one first
    pairs     its command line is `key=value` instead of `--key value`
    arranges  it checks evals against saves as Transformers does, and takes the same companions
    hides_metrics  it logs metrics that it cannot choose the best model by: they are added after that choice
    explicit  settings that early stopping wants to find written out
    certain   keys of which one in a run's settings tells this trainer; `likely`: two do
    """

    name: str
    title: str
    call: str
    file: str
    forms: tuple[str, ...]
    words: Mapping[str, Word]
    pairs: bool = False
    arranges: bool = True
    hides_metrics: bool = False
    explicit: tuple[str, ...] = ()
    certain: frozenset[str] = field(default_factory=frozenset)
    likely: frozenset[str] = field(default_factory=frozenset)


def _same(*names: str) -> dict[str, Word]:
    return {name: Word(name) for name in names}


def _lacking(names: str, by_hand: str) -> dict[str, Word]:
    return {name: Word("", by_hand=by_hand) for name in names.split()}


_ARGUMENTS = _same(
    "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs",
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "max_grad_norm",
    "optim", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "label_smoothing_factor", "neftune_noise_alpha",
    "gradient_checkpointing", "bf16", "fp16", "logging_steps", "logging_nan_inf_filter", "eval_steps", "save_steps",
    "save_strategy", "save_total_limit", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "seed",
    "dataloader_num_workers", "save_only_model",
) | {
    "eval_strategy": Word("eval_strategy", also=("evaluation_strategy",), needs="an eval_dataset"),
    # gone in Transformers 5, where train_sampling_strategy names the order
    "group_by_length": Word("", also=("group_by_length",), by_hand='train_sampling_strategy="random"'),
}  # fmt: skip
_CALLBACK = {
    "early_stopping_patience": Word("early_stopping_patience", place="EarlyStoppingCallback"),
    "early_stopping_threshold": Word("early_stopping_threshold", place="EarlyStoppingCallback"),
}
_LORA = {
    "r": Word("r", place="LoraConfig"),
    "lora_alpha": Word("lora_alpha", place="LoraConfig"),
    "lora_dropout": Word("lora_dropout", place="LoraConfig"),
}
_OF_REINFORCEMENT = "num_generations temperature epsilon_high max_completion_length mask_truncated_completions"

TRANSFORMERS = Dialect(
    name="transformers",
    title="Transformers",
    call="TrainingArguments",
    file="the TrainingArguments of your script",
    forms=("python", "cli"),
    words=_ARGUMENTS
    | _CALLBACK
    | _LORA
    | _lacking(f"beta rpo_alpha {_OF_REINFORCEMENT}", "it belongs to the loss or the sampling of your own script")
    | _lacking("max_seq_length", "set max_length where your script tokenises")
    | _lacking("packing", "pack where your script tokenises"),
)

TRL = Dialect(
    name="trl",
    title="TRL",
    call="SFTConfig",
    hides_metrics=True,  # its log() adds accuracies and margins of its own, which evaluate() does not return
    file="the config of your TRL script",
    forms=("python", "cli", "yaml"),
    words=_ARGUMENTS
    | _CALLBACK
    | _same("beta", *_OF_REINFORCEMENT.split(), "packing")
    | {
        "r": Word("r", place="LoraConfig", cli="lora_r"),
        "lora_alpha": Word("lora_alpha", place="LoraConfig", cli="lora_alpha"),
        "lora_dropout": Word("lora_dropout", place="LoraConfig", cli="lora_dropout"),
        "max_seq_length": Word("max_length", also=("max_seq_length",)),
        "rpo_alpha": Word(
            "", also=("rpo_alpha",), by_hand='loss_type=["sigmoid", "sft"] with loss_weights=[1.0, 1.0] in DPOConfig'
        ),
    },
    certain=frozenset(
        ("completion_only_loss", "assistant_only_loss", "dataset_text_field", "packing_strategy", "eval_packing",
         "precompute_ref_log_probs", "ref_model_mixup_alpha", "num_generations", "max_completion_length",
         "max_prompt_length", "desirable_weight", "center_rewards_coefficient", "num_ppo_epochs", "cliprange",
         "epsilon_high", "mask_truncated_completions", "scale_rewards", "dataset_kwargs")
    ),
)  # fmt: skip

AXOLOTL = Dialect(
    name="axolotl",
    title="axolotl",
    call="",
    file="the YAML that you passed to axolotl train",
    forms=("yaml",),  # its command line has other forms for switches and none for nested keys
    words=_ARGUMENTS
    | _same("early_stopping_patience", "rpo_alpha", "lora_alpha", "lora_dropout")
    | {name: Word(f"trl.{name}") for name in _OF_REINFORCEMENT.split()}
    | {
        "num_train_epochs": Word("num_epochs"),
        "per_device_train_batch_size": Word("micro_batch_size"),
        "per_device_eval_batch_size": Word("eval_batch_size"),
        "lr_scheduler_type": Word("lr_scheduler"),
        "optim": Word("optimizer"),
        "r": Word("lora_r"),
        "beta": Word("rl_beta", form="beta"),
        "max_seq_length": Word("sequence_len"),
        "packing": Word("sample_packing"),
        "eval_steps": Word("eval_steps", instead="evals_per_epoch", needs="val_set_size or test_datasets"),
        "eval_strategy": Word("eval_strategy", also=("evaluation_strategy",), needs="val_set_size or test_datasets"),
        "save_steps": Word("save_steps", instead="saves_per_epoch"),
    }
    | _lacking("early_stopping_threshold", "axolotl stops early at a threshold of 0")
    | _lacking("logging_nan_inf_filter label_smoothing_factor", "axolotl does not pass it on to its trainer"),
    explicit=("eval_steps", "save_steps"),
    certain=frozenset(("axolotl_config_path", "multipack_real_batches", "sample_packing_bin_size", "lr_quadratic_warmup")),
    likely=frozenset(
        ("micro_batch_size", "sequence_len", "sample_packing", "dataset_prepared_path", "lora_target_linear",
         "evals_per_epoch", "saves_per_epoch", "pad_to_sequence_len")
    ),
)  # fmt: skip

LLAMAFACTORY = Dialect(
    name="llamafactory",
    title="LLaMA-Factory",
    call="",
    file="the YAML that you passed to llamafactory-cli train",
    forms=("yaml", "cli"),
    pairs=True,
    words=_ARGUMENTS
    | _same("lora_alpha", "lora_dropout", "packing", "temperature")
    | {
        "eval_steps": Word("eval_steps", needs="val_size or eval_dataset"),
        "eval_strategy": Word("eval_strategy", also=("evaluation_strategy",), needs="val_size or eval_dataset"),
        "r": Word("lora_rank"),
        "max_seq_length": Word("cutoff_len"),
        "beta": Word("pref_beta", also=("dpo_beta",)),
        "rpo_alpha": Word("pref_ftx", also=("dpo_ftx",)),
        "max_completion_length": Word("max_new_tokens"),
        "early_stopping_patience": Word("early_stopping_steps"),
    }
    | _lacking("early_stopping_threshold", "LLaMA-Factory stops early at a threshold of 0")
    | _lacking("num_generations epsilon_high mask_truncated_completions", "LLaMA-Factory trains no GRPO"),
    certain=frozenset(("finetuning_type", "finetuning_args", "pref_beta", "pref_ftx", "ray_run_name")),
    likely=frozenset(("stage", "template", "cutoff_len", "dataset_dir", "lora_rank", "lora_target", "overwrite_cache", "plot_loss", "val_size")),
)

_SCHEDULER = "set it where configure_optimizers makes the scheduler"
_STOPPING = (("monitor", MONITOR), ("mode", "min"))

LIGHTNING = Dialect(
    name="lightning",
    title="Lightning",
    call="Trainer",
    file="the Trainer, the module and the DataLoader of your script",
    forms=("python",),
    arranges=False,
    words={
        "learning_rate": Word("lr", place="YourModule", also=("learning_rate",)),
        "weight_decay": Word("weight_decay", place="YourModule"),
        "warmup_steps": Word("", place="YourModule", also=("warmup_steps", "num_warmup_steps"), by_hand=_SCHEDULER),
        "warmup_ratio": Word("", place="YourModule", also=("warmup_ratio",), by_hand=_SCHEDULER),
        "max_grad_norm": Word("gradient_clip_val"),
        "gradient_accumulation_steps": Word("accumulate_grad_batches"),
        "num_train_epochs": Word("max_epochs", form="whole"),
        "max_steps": Word("max_steps"),
        **dict.fromkeys(("bf16", "fp16"), Word("precision", form="precision")),
        "logging_steps": Word("log_every_n_steps"),
        "eval_steps": Word(
            "val_check_interval", form="micro-batches", beside=(("check_val_every_n_epoch", None),)
        ),  # it counts batches, and across epochs only so
        "eval_strategy": Word("", form="implied", by_hand="val_check_interval decides when the Trainer validates"),
        "save_steps": Word("every_n_train_steps", place="ModelCheckpoint"),
        "save_strategy": Word("", form="implied", by_hand="add a ModelCheckpoint to the callbacks"),
        "save_total_limit": Word("save_top_k", place="ModelCheckpoint"),
        "save_only_model": Word("save_weights_only", place="ModelCheckpoint"),
        **dict.fromkeys(
            ("load_best_model_at_end", "metric_for_best_model"),
            Word("monitor", place="ModelCheckpoint", form="monitor", beside=(("mode", "min"),)),
        ),
        "early_stopping_patience": Word("patience", place="EarlyStopping", beside=_STOPPING),
        "early_stopping_threshold": Word("min_delta", place="EarlyStopping", beside=_STOPPING),
        "per_device_train_batch_size": Word("batch_size", place="DataLoader"),
        "dataloader_num_workers": Word("num_workers", place="DataLoader"),
    }
    | _lacking("per_device_eval_batch_size", "set batch_size where val_dataloader makes its DataLoader")
    | _lacking("lr_scheduler_type lr_scheduler_kwargs", _SCHEDULER)
    | _lacking("optim adam_beta1 adam_beta2 adam_epsilon", "set it where configure_optimizers makes the optimizer")
    | _lacking("group_by_length", "the order is that of your own DataLoader")
    | _lacking("greater_is_better", "mode of ModelCheckpoint and EarlyStopping")
    | _lacking("logging_nan_inf_filter", "Lightning has no such filter; Trainer(detect_anomaly=True) finds the first NaN")
    | _lacking("seed", "seed_everything at the top of your script")
    | _lacking(
        "r lora_alpha lora_dropout gradient_checkpointing label_smoothing_factor neftune_noise_alpha packing "
        f"max_seq_length beta rpo_alpha {_OF_REINFORCEMENT}",
        "it belongs to your own module or data",
    ),
)

_NO_BEST = "torchtune neither stops early nor keeps the best: take the checkpoint nearest to the best eval"

TORCHTUNE = Dialect(
    name="torchtune",
    title="torchtune",
    call="",
    file="the YAML that you passed to tune run --config",
    forms=("yaml", "cli"),
    pairs=True,
    arranges=False,
    words={
        "learning_rate": Word("optimizer.lr"),
        "weight_decay": Word("optimizer.weight_decay"),
        "optim": Word("", by_hand="optimizer._component_ names the class"),
        "lr_scheduler_type": Word("lr_scheduler._component_", form="component"),
        "warmup_steps": Word("lr_scheduler.num_warmup_steps"),
        "max_grad_norm": Word("clip_grad_norm"),
        "num_train_epochs": Word("epochs", form="whole"),
        "max_steps": Word("max_steps_per_epoch", form="per-epoch"),
        "per_device_train_batch_size": Word("batch_size"),
        "per_device_eval_batch_size": Word("batch_size_val"),
        "gradient_accumulation_steps": Word("gradient_accumulation_steps"),
        "gradient_checkpointing": Word("enable_activation_checkpointing"),
        **dict.fromkeys(("bf16", "fp16"), Word("dtype", form="dtype")),
        "logging_steps": Word("log_every_n_steps"),
        "eval_steps": Word("run_val_every_n_steps", needs="dataset_val"),
        "seed": Word("seed"),
        "r": Word("model.lora_rank"),
        "lora_alpha": Word("model.lora_alpha"),
        "lora_dropout": Word("model.lora_dropout"),
        "packing": Word("dataset.packed"),
        "max_seq_length": Word("tokenizer.max_seq_len"),
        "beta": Word("loss.beta", also=("loss.kl_coeff",)),
        "num_generations": Word("grpo_samples"),
        "temperature": Word("temperature"),
        "max_completion_length": Word("max_generated_tokens"),
        "eval_strategy": Word("", form="implied", by_hand="run_val_every_n_steps with a dataset_val"),
    }
    | _lacking("warmup_ratio", "lr_scheduler.num_warmup_steps counts steps")
    | _lacking("lr_scheduler_kwargs", "arguments of the schedule stand below lr_scheduler itself")
    | _lacking("adam_beta1 adam_beta2 adam_epsilon", "betas and eps below optimizer, as its class takes them")
    | _lacking("save_only_model", "the checkpointer saves the optimizer's state where the recipe is to be resumed")
    | _lacking("group_by_length", "the order is that of the recipe's sampler")
    | _lacking("save_steps save_strategy save_total_limit", "most recipes save once an epoch: epochs of fewer steps save more often")
    | _lacking(
        "load_best_model_at_end metric_for_best_model greater_is_better early_stopping_patience early_stopping_threshold",
        _NO_BEST,
    )
    | _lacking("logging_nan_inf_filter", "torchtune has no such filter: what it logs is what there was")
    | _lacking(
        "dataloader_num_workers label_smoothing_factor neftune_noise_alpha rpo_alpha epsilon_high mask_truncated_completions",
        "it needs a recipe of your own (tune cp)",
    ),
    certain=frozenset(("_component_",)),
)

KERAS = Dialect(
    name="keras",
    title="Keras",
    call="",
    file="compile, fit and the callbacks of your script",
    forms=(),  # nothing to copy: what to change is code
    arranges=False,
    words={name: Word("", by_hand="it belongs to your own script") for name in TRANSFORMERS.words}
    | _lacking("learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon", "an argument of the optimizer given to compile")
    | _lacking("optim", "the optimizer given to compile")
    | _lacking("max_grad_norm", "global_clipnorm of the optimizer given to compile")
    | _lacking("gradient_accumulation_steps", "an argument of the optimizer given to compile")
    | _lacking("lr_scheduler_type warmup_steps warmup_ratio", "the schedule given to the optimizer as its learning_rate")
    | _lacking("num_train_epochs", "epochs of fit")
    | _lacking("max_steps", "epochs of fit: a step of this log is an epoch")
    | _lacking("per_device_train_batch_size", "batch_size of fit")
    | _lacking("per_device_eval_batch_size", "validation_batch_size of fit")
    | _lacking("eval_steps eval_strategy", "validation_data of fit evaluates after each epoch, validation_freq less often")
    | _lacking("save_steps save_strategy save_total_limit", "a ModelCheckpoint in the callbacks of fit saves after each epoch")
    | _lacking("save_only_model", "save_weights_only of ModelCheckpoint")
    | _lacking(
        "load_best_model_at_end metric_for_best_model greater_is_better",
        "EarlyStopping(restore_best_weights=True) or ModelCheckpoint(save_best_only=True), with monitor and mode",
    )
    | _lacking("early_stopping_patience early_stopping_threshold", "patience and min_delta of EarlyStopping")
    | _lacking("logging_steps", "CSVLogger writes once an epoch")
    | _lacking("logging_nan_inf_filter", "a TerminateOnNaN in the callbacks of fit")
    | _lacking("bf16 fp16", "keras.mixed_precision.set_global_policy")
    | _lacking("seed", "keras.utils.set_random_seed at the top of your script"),
)

DIALECTS = (LLAMAFACTORY, AXOLOTL, TORCHTUNE, LIGHTNING, KERAS, TRL, TRANSFORMERS)  # those with names of their own first

SPOKEN = tuple(TRANSFORMERS.words)  # canonical settings that every dialect has a word for, if only "by hand"

SCHEDULERS = {  # torchtune's classes by Transformers' names of schedules
    "cosine": "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
}
