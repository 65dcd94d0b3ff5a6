"""Labelled synthetic runs: for the detectors' examples, for property tests, and for calibration. No model is trained.

    curves      parts to build a run from by hand
    parts       the same parts drawn at random: shape, noise, schedule, evals, norms
    healthy     families of runs in which nothing is wrong
    faults      families of runs with one fault of the loss, strong or weak, and its look-alikes
    gradient_faults   the same for gradients and NaN
    families    all families by name; sample(name, seed)
"""

from curvelab.synth.curves import cosine, decay, noise, run_of

__all__ = ["cosine", "decay", "noise", "run_of"]
