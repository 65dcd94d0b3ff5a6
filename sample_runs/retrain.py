"""Train the faulty sample runs again with what curvelab tells to change, and say whether the finding is gone.

    python sample_runs/retrain.py [NAME ...] [--out DIR]

The committed log of a run is diagnosed, and `diagnosis.patch` is laid over the settings of its scenario: all its
changes, no others, same seed. Where that leaves the finding, or there is nothing to set, the run is trained once more
with one fix done by hand: one that the report tells, but no setting can express. BY_HAND holds them. Both trainings are
kept, `<name>-patched` with the patch alone and `<name>-fixed`.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import train
import train_more
import train_policy
from before_after import FIXED, HERE, Fix, Retrained, Value, patch_settings, retrained
from recording import Recorded, copy_logs, made_by, succeeds
from transformers import Trainer

from curvelab.diagnosis import diagnose
from curvelab.ingest import load
from curvelab.model.result import Diagnosis

SCRIPTS = {"train": train, "train_more": train_more, "train_policy": train_policy}
WITHOUT_GPU = ("gpus-uneven", "gpus-waiting")  # their figures are made up: nothing would change them
PACKAGES = ("transformers", "torch", "trl")


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """A fix that changes no setting.

    advice     how the title of the report's fix begins
    done       what was done, in words
    scenario   fields of the scenario, and their values
    settings   of the trainer, where no flag or no value could be told
    yardstick  what is measured differently from then on, so that figures before and after cannot be compared
    resumes    whether the faulty run comes first and the fixed one goes on from its checkpoint
    """

    advice: str
    done: str
    scenario: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    yardstick: str = ""
    resumes: bool = False


BY_HAND: dict[str, ByHand] = {
    "plateau": ByHand(
        advice="Look at a few tokenised samples",
        done="all tokens are labels",
        scenario={"tamper": train.no_fault},
        yardstick="other labels",
    ),
    "spikes": ByHand(
        advice="Look at the batches of the marked steps",
        done="text in place of the random tokens of the marked batches",
        scenario={"tamper": train.no_fault},
    ),
    "non-finite": ByHand(
        advice="Look at the batch of step",
        done="the special token taken out of that batch",
        scenario={"tamper": train.bad_token(0)},  # no batch is number 0: the row stays NaN, and no sample asks for it
    ),
    "killed": ByHand(
        advice="Resume from the last checkpoint",
        done="resumed from checkpoint 450",
        scenario={"tamper": train.no_fault, "resume": True, "state": "finished"},
        resumes=True,
    ),
    "schedule-over": ByHand(
        advice="Give the schedule the number of optimizer steps",
        done="the scheduler is told 400 steps",
        scenario={"schedule": ("linear", 400)},
    ),
    "schedule-constant": ByHand(
        advice="Check that the scheduler is stepped",
        done="the Trainer builds the declared scheduler itself",
        scenario={"schedule": None},
    ),
    "loss-summed": ByHand(
        advice="Divide the logged train loss",
        done="the loss of the Trainer itself, which divides",
        scenario={"trainer": Trainer},
    ),
    "other-mask": ByHand(
        advice="Look for eval examples in the training set, and compare label masks",
        done="the eval set has the label mask of the training set",
        scenario={"spoil_eval": None},
        yardstick="other labels",
    ),
    "dpo-collapse": ByHand(
        advice="Add a likelihood term",
        done='`loss_type` ["sigmoid", "sft"] with `loss_weights` [1.0, 1.0], TRL\'s way to add it',
        settings={"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.0]},
        yardstick="another loss",
    ),
    "dpo-saturated": ByHand(
        advice="Choose harder pairs",
        done="rejected answers are the same words in another order",
        scenario={"spoil": train_policy.other_order},
        yardstick="other pairs",
    ),
    "grpo-kl": ByHand(
        advice="Raise beta",
        done="`beta` 0.001 → 0.04, a value of ours: the log does not hold beta",
        settings={"beta": 0.04},
    ),
    "grpo-no-signal": ByHand(
        advice="Run the reward function alone",
        done="a reward that the policy can reach: the share of known words",
        scenario={"reward": train_policy.well_formed},
        yardstick="another reward",
    ),
    "grpo-length": ByHand(
        advice="Take length out of the reward",
        done="the reward is the share of known words, whatever the length",
        scenario={"reward": train_policy.well_formed},
        yardstick="another reward",
    ),
}


def scenarios() -> dict[str, tuple[str, Recorded]]:
    """Name -> (script, scenario) of all runs with a fault that can be made again."""
    found = ((name, script, one) for script, module in SCRIPTS.items() for name, one in module.SCENARIOS.items())
    return {name: (script, one) for name, script, one in found if one.findings and name not in WITHOUT_GPU}


def train_changed(script: str, name: str, settings: Mapping[str, Value], by_hand: bool, folder: Path) -> None:
    """Train one scenario with a fix, in a process of its own, whose table of scenarios is changed for that."""
    module: Any = importlib.import_module(script)
    scenario = module.SCENARIOS[name]
    hand = BY_HAND[name] if by_hand else ByHand(advice="", done="")
    changed = dict(scenario.settings) | dict(settings) | dict(hand.settings)
    if getattr(scenario, "resume", None) and isinstance(scenario.resume, tuple):  # the settings hold for the resume as well
        stopped, begun, others = scenario.resume
        scenario = replace(scenario, resume=(stopped, begun, {key: value for key, value in others.items() if key not in changed}))
    module.SCENARIOS[name] = replace(scenario, settings=changed, **hand.scenario)
    module.train(name, folder)


def retrain(name: str, out: Path) -> list[Retrained]:
    """Train a run again as its diagnosis says; what became of it, first with the patch alone."""
    script, scenario = scenarios()[name]
    faulty = HERE / ("" if script == "train" else "more") / name
    before = diagnose(load(faulty))
    settings, hand = patch_settings(before), BY_HAND.get(name)
    patched, fixed = out / f"{name}-patched", out / f"{name}-fixed"
    for folder in (patched, fixed):
        shutil.rmtree(folder, ignore_errors=True)
    results: list[Retrained] = []
    if settings and not (hand and hand.resumes):
        fix = Fix(run=faulty.relative_to(HERE).as_posix(), made_by=_origin(name, scenario), changes=settings)
        results.append(_attempt(script, name, fix, False, patched))
    if hand and not (results and results[-1].gone):
        fix = Fix(
            run=faulty.relative_to(HERE).as_posix(),
            made_by=_origin(name, scenario),
            changes=settings,
            by_hand=hand.done,
            advice=_advice(before, hand.advice),
            yardstick=hand.yardstick,
        )
        results.append(_attempt(script, name, fix, True, fixed))
    elif results and results[-1].gone:
        patched.replace(fixed)
    return results


def _origin(name: str, scenario: Recorded) -> str:
    return made_by("retrain.py", name, scenario, PACKAGES)


def _advice(diagnosis: Diagnosis, begins: str) -> str:
    """The title in the report that begins so: nothing is done by hand that it does not tell."""
    titles = [fix.title for finding in diagnosis.findings for fix in finding.fixes]
    return next(title for title in titles if title.startswith(begins))


def _attempt(script: str, name: str, fix: Fix, by_hand: bool, target: Path) -> Retrained:
    """Train with a fix and keep the logs and the fix."""
    scenario = scenarios()[name][1]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if by_hand and BY_HAND[name].resumes:
            succeeds(scenario, SCRIPTS[script].train, name, folder)  # as it was, up to where it died
        wanted = replace(scenario, state="finished") if by_hand else scenario
        if not succeeds(wanted, train_changed, script, name, dict(fix.changes), by_hand, folder):
            raise SystemExit(f"{name}: the training with {dict(fix.changes)} failed")
        copy_logs([kind for kind in dict.fromkeys(("state", *scenario.keep)) if kind != "wandb"], folder, target)
    fix.write(target)
    return retrained(target)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the faulty sample runs again with what curvelab tells to change.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(scenarios())} (default: all)")
    parser.add_argument("--out", type=Path, default=FIXED, help="where the folders are written")
    options = parser.parse_args()
    for name in options.names or scenarios():
        if name not in scenarios():
            parser.error(f"no run {name!r} with a fault; there are {', '.join(scenarios())}")
        for result in retrain(name, options.out):
            print(result.row, "gone" if result.gone else "STILL THERE", flush=True)


if __name__ == "__main__":
    main()
