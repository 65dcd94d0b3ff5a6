"""How the training_args.bin files beside this script were made: by the real torch and transformers, in an empty folder.

    cd "$(mktemp -d)" && python make.py          # torch 2.13.0, transformers 5.23.0, accelerate 1.15.0, on a CPU

The values differ from the defaults wherever a default would hide a reader that guesses. Not needed to run the tests.
"""

from __future__ import annotations

import torch
from transformers import TrainingArguments


def main() -> None:
    args = TrainingArguments(
        output_dir="out",
        learning_rate=3e-4,
        lr_scheduler_type="cosine_with_restarts",
        warmup_steps=25,
        max_steps=400,
        per_device_train_batch_size=6,
        gradient_accumulation_steps=3,
        max_grad_norm=0.35,
        weight_decay=0.05,
        logging_steps=5,
        eval_strategy="epoch",
        save_strategy="no",
        optim="adafactor",
        seed=1234,
        run_name="fixture",
        report_to=[],
        use_cpu=True,
    )
    torch.save(args, "zip.bin")  # what trainers write today
    torch.save(args, "zip_protocol4.bin", pickle_protocol=4)
    torch.save(args, "legacy.bin", _use_new_zipfile_serialization=False)  # as before torch 1.6


if __name__ == "__main__":
    main()
