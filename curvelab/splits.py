"""Sub-folders of event files that are parts of one run: train/ and eval/ (Keras), and those of PyTorch's add_scalars.

`add_scalars("loss", {"train": ..., "val": ...})` writes the files loss_train/ and loss_val/ below the run's own folder,
each with the one tag `loss`: what tells them apart is only the folder's name.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from curvelab.free_names import SPLIT_WORDS
from curvelab.model.log import Log

SPLITS = {"train": "train", "eval": "eval", "validation": "eval", "valid": "eval", "val": "eval", "test": "test"}


def part_name(log: Log, event_folders: Container[Path]) -> str:
    """The name of a sub-folder that is a part of the run in the folder above; empty when the log is none.

    event_folders   folders that hold event files: add_scalars always writes one above, too
    """
    folder = log.path.parent
    if log.format != "tensorboard":
        return ""
    if folder.name in SPLITS or (folder.parent in event_folders and _added(log)):
        return folder.name
    return ""


def tag_in(log: Log, tag: str, event_folders: Container[Path]) -> str:
    """The tag as it would be called in the folder above: `loss` in eval/ -> `eval/loss`, in loss_val/ likewise."""
    part = part_name(log, event_folders)
    if not part or tag.startswith(("train/", "eval/", "test/")):
        return tag
    if part in SPLITS:
        return f"{SPLITS[part]}/{tag.removeprefix('epoch_')}"
    sub = _added(log)
    split = SPLIT_WORDS.get(sub.lower())
    return f"{split}/{tag.rpartition('/')[2].lower()}" if split else f"{tag}/{sub}"


def _added(log: Log) -> str:
    """The sub-tag of a file that add_scalars wrote; empty when it wrote none of it."""
    tags = {series.name for series in log.series}
    main = next(iter(tags), "").replace("/", "_")
    return log.path.parent.name.removeprefix(f"{main}_") if len(tags) == 1 and log.path.parent.name.startswith(f"{main}_") else ""
