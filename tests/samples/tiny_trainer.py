"""A tiny training by the real Trainer that records which samples each optimizer step read; run as a program.

    python tiny_trainer.py train FOLDER SETTINGS    trains; writes read.json, trainer_state.json, training_args.bin
    python tiny_trainer.py print FOLDER SETTINGS    makes the same Trainer, then runs the snippet that stands on stdin

SETTINGS is JSON: arguments of TrainingArguments, and `samples`, the length of the data set.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments


class Numbers(torch.utils.data.Dataset):
    """Samples that know their own index."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> dict[str, int]:
        if row >= self.length:
            raise IndexError(row)
        return {"row": row}


class Model(torch.nn.Module):
    """One weight, and dropout, so that training draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, row: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.weight * torch.dropout(row.float(), 0.1, True).mean()}


class Recording(Trainer):
    """A Trainer that keeps what each step was given."""

    def training_step(self, model, inputs, *args, **kwargs):
        self.read.setdefault(self.state.global_step + 1, []).extend(inputs["row"].tolist())
        return super().training_step(model, inputs, *args, **kwargs)


def main(what: str, folder: str, settings: dict) -> None:
    length, resume = settings.pop("samples"), settings.pop("resume", None)
    os.chdir(folder)
    torch.manual_seed(len(what))  # each process comes with another state of the generator
    args = TrainingArguments(
        output_dir=".", report_to=[], use_cpu=True, disable_tqdm=True, remove_unused_columns=False, **settings
    )
    trainer = Recording(
        model=Model(),
        args=args,
        train_dataset=Numbers(length),
        data_collator=lambda batch: {"row": torch.tensor([one["row"] for one in batch])},
    )
    trainer.read = {}
    if what == "print":
        exec(sys.stdin.read(), {"trainer": trainer})
        return
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_state()
    torch.save(args, "training_args.bin")
    Path("read.json").write_text(json.dumps(trainer.read))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
