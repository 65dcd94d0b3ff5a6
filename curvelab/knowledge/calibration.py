"""How sure a detector says it is -> how often that was right. Written by tests/benchmarks/calibrate.py --write.

One map for all detectors: right = 1 - SCALE * (1 - said) ** POWER. Fitted by maximum likelihood on the first family of
every pattern and on three shapes of healthy runs; tested on the other families (curvelab/synth). In these families the
truth is the letter of the definition, with a hard border, and every second run is healthy. Run patterns have no such
families; they share the map.
"""

SCALE = 0.68
POWER = 1.4
