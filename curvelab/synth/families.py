"""All families of labelled synthetic runs by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from curvelab.synth import healthy
from curvelab.synth.faults import LOSS_FAULTS
from curvelab.synth.gradient_faults import GRADIENT_FAULTS
from curvelab.synth.parts import Labelled

Family = Callable[[Generator], Labelled]

HEALTHY: dict[str, Family] = {f"healthy-{name}": healthy.family(shape) for name, shape in healthy.SHAPES.items()}
FAULTS: dict[str, Family] = {**LOSS_FAULTS, **GRADIENT_FAULTS}
FAMILIES: dict[str, Family] = {**HEALTHY, **FAULTS}


def sample(name: str, seed: int) -> Labelled:
    """One run of a family: the same for the same seed, on every machine."""
    return FAMILIES[name](np.random.default_rng([zlib.crc32(name.encode()), seed]))
