"""Long series made short for questions about levels: medians of equal blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def block_size(n: int, most: int) -> int:
    """How many neighbouring values make one, so that no more than `most` are left."""
    return max(1, -(-n // most))


def coarse(values: Floats, size: int) -> Floats:
    """Medians of blocks of `size` values: float64[n] -> float64[ceil(n / size)]; the last block may be shorter.

    values float64[n], finite. Levels, slow trends and changes of level stay; the noise falls with the block.
    """
    if size <= 1:
        return values
    whole = len(values) // size * size
    blocks = np.median(values[:whole].reshape(-1, size), axis=1)
    return np.append(blocks, np.median(values[whole:])) if whole < len(values) else blocks
