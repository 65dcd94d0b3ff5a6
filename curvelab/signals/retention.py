"""Which checkpoints are left when a trainer keeps only so many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def left(saves: Sequence[int], limit: int | None, best: Mapping[int, int | None] | None = None) -> list[int]:
    """Steps of the checkpoints that are left after the last save, rising.

    saves   steps at which a checkpoint was written, rising
    limit   save_total_limit; None or 0: all are kept
    best    save -> step of the best eval known by then; its checkpoint, where there is one, is not removed.
            None: the trainer knows of no best

    As Transformers' rotate_checkpoints: after every save the oldest go, but neither the last nor the best one.
    """
    if not limit or limit < 0:
        return list(saves)
    kept: list[int] = []
    there: set[int] = set()
    good: int | None = None
    for save in saves:
        kept.append(save)
        there.add(save)
        now = best.get(save) if best else None
        good = now if now in there else good
        protected = {save} if good is None else {save, good}
        while len(kept) > max(limit, len(protected)):
            oldest = next(place for place, step in enumerate(kept) if step not in protected)
            there.discard(kept.pop(oldest))
    return kept
