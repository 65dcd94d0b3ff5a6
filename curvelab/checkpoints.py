"""Which checkpoint to use: the best eval, the saved one that comes nearest to it, and how the final model compares.

The minimum of the log is what one has: all evals are of one set, so a lower one is a better model on it. Only where the
last eval lies within the noise of the evals and a few percent, the advice is the final model, and says so; a larger
difference within the noise is said, too. What was trained after a NaN or a divergence is not advised, whatever its evals
were, and neither are the weights after the policy fell apart, which the eval loss does not show. Where an eval loss does
not measure what was trained, the advice says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from curvelab.cost import FATAL, fatal_step
from curvelab.deciding import Judge, eval_noise, judge_of, restores_best, still_improving, without_restored_best
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.model.log import Floats
from curvelab.model.result import CheckpointAdvice
from curvelab.model.run import Curve
from curvelab.perplexity import perplexity
from curvelab.prose import printed
from curvelab.saved import Saved, ended, saved

NOISES = 3.0  # standard deviations of one eval within which two are alike (judgement, as for overfitting)
ALIKE = 0.01  # of the best value; smaller differences are alike in any case (judgement)
SPOILT = {  # what a finding says of the weights from its start on, which the eval loss does not show
    "chosen-logp-collapse": "the log-probability of the chosen answers falls",
    "kl-blowup": "the policy is far from its reference",
    "entropy-collapse": "the entropy of the policy is gone",
    "length-explosion": "the completions run away in length",
}
CLOSE = 0.05  # of the best value; larger ones are not, however noisy the evals are (as for overfitting: about 5 %)


@dataclass(frozen=True, eq=False)
class _Choice:
    """What the advice is made of: the evals that count, the best of them, the last one, and the checkpoint to use.

    best, final  indices of `evals`; alike: whether either will do; noisy: whether they differ by no more than noise
    worse        how much worse the last is than the best, as a share of it; `said` the same in words
    fatal        the step from which on the weights are lost, with the pattern; None where they are sound
    """

    facts: Facts
    judge: Judge
    evals: Curve
    best: int
    final: int
    alike: bool
    noisy: bool
    worse: float
    fatal: int | None
    left: Saved
    nearest: int | None
    nearest_value: float | None

    @cached_property
    def ended(self) -> bool:
        """Whether there is a final model."""
        return ended(self.facts)

    def value(self, place: int) -> float:
        return float(self.evals.value[place])

    def step(self, place: int) -> int:
        return int(self.evals.step[place])


def checkpoint_advice(facts: Facts, story: Sequence[Finding]) -> CheckpointAdvice | None:
    """The checkpoint to use; None where no eval tells the good ones from the bad."""
    spoilt = _spoilt(story)
    choice = _choice(facts, story, spoilt) or (_choice(facts, story, None) if spoilt is not None else None)
    if choice is None:
        return None
    best, final, metric = choice.value(choice.best), choice.value(choice.final), choice.judge.metric
    folder = choice.left.folders.get(choice.nearest) if choice.nearest is not None else None
    return CheckpointAdvice(
        metric=metric,
        best_step=choice.step(choice.best),
        best_value=best,
        final_step=choice.step(choice.final),
        final_value=final,
        worse=choice.worse,
        perplexity=perplexity(facts, metric, best),
        final_perplexity=perplexity(facts, metric, final),
        nearest_step=choice.nearest,
        nearest_value=choice.nearest_value,
        nearest_path=None if folder is None else str(folder),
        known_from=choice.left.known_from or choice.left.reason,
        sentence=printed(_measured_apart(choice, story, _sentence(choice, story, spoilt))),
    )


def _spoilt(story: Sequence[Finding]) -> Finding | None:
    """The first finding after which the weights are of no use though the eval loss goes on falling; None without one."""
    found = [f for f in story if f.pattern in SPOILT and f.severity != "info" and f.start_step is not None]
    return min(found, key=lambda f: f.start_step or 0, default=None)


def _measured_apart(choice: _Choice, story: Sequence[Finding], sentence: str) -> str:
    """The advice, with a doubt before it where the eval loss that decides does not measure what was trained."""
    apart = next((f for f in story if f.pattern == "train-eval-mismatch" and f.metric == choice.judge.metric), None)
    if apart is None or any(one.name == "accumulation" for one in apart.measured):
        return sentence
    return f"Settle the mismatch first: {choice.judge.metric} may not measure what was trained. Taken as it is, {sentence[:1].lower()}{sentence[1:]}"


def _choice(facts: Facts, story: Sequence[Finding], spoilt: Finding | None) -> _Choice | None:
    judge = judge_of(facts)
    if judge is None:
        return None
    evals = judge.curve.finite
    if restores_best(facts):
        evals = evals.take(np.arange(len(without_restored_best(judge.costs(evals.value)))))
    ends = (fatal_step(story), None if spoilt is None else spoilt.start_step)
    fatal = min((step for step in ends if step is not None), default=None)
    sound = _sound(facts, evals, fatal)
    if not sound:
        return None
    cost = judge.costs(evals.value)
    best, final = int(np.argmin(cost[:sound])), len(evals) - 1
    gap, size = float(cost[final] - cost[best]), abs(float(cost[best]))
    noise = eval_noise(cost[:sound], best)
    risen = any(f.pattern == "overfitting" and f.metric == judge.metric for f in story)
    left = saved(facts)
    nearest, value = _nearest(evals.take(np.arange(sound)), cost[:sound], left, judge, _last_sound_step(facts, fatal))
    return _Choice(
        facts=facts,
        judge=judge,
        evals=evals,
        best=best,
        final=final,
        alike=fatal is None and not risen and gap <= max(min(NOISES * noise, CLOSE * size), ALIKE * size),
        noisy=fatal is None and not risen and 0 < gap <= NOISES * noise,
        worse=max(0.0, round(gap / size, 4)) if size else 0.0,
        fatal=fatal,
        left=left,
        nearest=nearest,
        nearest_value=value,
    )


def _sound(facts: Facts, evals: Curve, fatal: int | None) -> int:
    """How many of the evals, from the first on, are of weights that can be used."""
    return len(evals) if fatal is None else int(np.searchsorted(evals.step, _last_sound_step(facts, fatal), "right"))


def _last_sound_step(facts: Facts, fatal: int | None) -> int:
    """The last step that was seen to be sound. A fatal event lies somewhere after the last log before it."""
    last = facts.run.last_step or 0
    if fatal is None:
        return last
    before = facts.loss.step[facts.loss.step < fatal]
    return int(before[-1]) if len(before) else fatal - 1


def _nearest(evals: Curve, cost: Floats, left: Saved, judge: Judge, last: int) -> tuple[int | None, float | None]:
    """(saved checkpoint with the best value of the metric, that value); of equal ones the nearest to the best eval.

    Between two evals the value is taken in proportion; before the first and after the last it is that of the eval.
    """
    steps = left.steps[left.steps <= last]
    if not len(steps):
        return None, None
    at = np.interp(steps, evals.step, cost)
    distance = np.abs(steps - evals.step[int(np.argmin(cost))])
    place = int(np.lexsort((distance, at))[0])
    return int(steps[place]), float(judge.costs(at[place : place + 1])[0])


def _sentence(choice: _Choice, story: Sequence[Finding], spoilt: Finding | None) -> str:
    """The advice in one sentence."""
    if spoilt is not None and choice.fatal in (None, spoilt.start_step):
        why = f"{SPOILT[spoilt.pattern]} from step {spoilt.start_step} on, which {choice.judge.metric} does not show"
        if choice.fatal is not None:
            return f"{_use_saved(choice)}; {why}"
        best = f"{choice.value(choice.best):.4g} at step {choice.step(choice.best)}"
        return f"No eval tells which checkpoint to use: {why} (best {best}); the weights before that step are the sound ones"
    if choice.fatal is not None:
        fatal = (f for f in story if f.start_step == choice.fatal and f.pattern in FATAL)
        pattern = min(fatal, key=lambda f: f.pattern != "non-finite").pattern
        lost = "is not finite" if pattern == "non-finite" else "has diverged"
        return f"{_use_saved(choice)}; the training {lost} from step {choice.fatal} on"
    if restores_best(choice.facts) and choice.best != choice.final:
        return _restored(choice)
    if choice.ended and choice.alike:
        return _use_final(choice)
    if not choice.ended and choice.best == choice.final:
        return f"{_use_saved(choice)}; {_last_eval(choice)}"
    if choice.ended and choice.nearest == choice.facts.run.last_step and not choice.left.partly:
        best = f"{choice.value(choice.best):.4g} at step {choice.step(choice.best)}"
        final = _valued(choice, choice.value(choice.final))
        return f"Only the final model is left: {final}, {_worse(choice)} than the best eval ({best}), which was not kept{_task(choice)}"
    the_last = "the final model" if choice.ended else "the last eval"
    return f"{_use_saved(choice)}; {the_last} is {_worse(choice)}{_task(choice)}"


def _last_eval(choice: _Choice) -> str:
    """That the last eval was the best, with its step where another checkpoint is told before."""
    if choice.nearest in (None, choice.step(choice.final)):
        return "that was the last eval before the log ends"
    value, step = choice.value(choice.final), choice.step(choice.final)
    return f"the last eval before the log ends, {value:.4g} at step {step}, was the best"


def _restored(choice: _Choice) -> str:
    """The final model is the best one, because the trainer put it back."""
    value = _valued(choice, choice.value(choice.best))
    put_back = f"load_best_model_at_end put the weights of step {choice.step(choice.best)} back"
    last = "" if choice.alike else f"; the last ones were {_worse(choice)}"
    return f"Use the final model: {put_back}, {value}{last}{_task(choice)}"


def _use_final(choice: _Choice) -> str:
    """The final model is the best, or as good as the best as far as can be told."""
    value = _valued(choice, choice.value(choice.final))
    place = _place(choice, choice.step(choice.final))
    if choice.value(choice.final) == choice.value(choice.best):
        which = "the only eval" if len(choice.evals) == 1 else "the best of the run"
        return f"Use the final model{place}: {value}, {which}"
    best = f"{choice.value(choice.best):.4g} at step {choice.step(choice.best)}"
    near = "within the noise" if choice.noisy else f"within {100 * ALIKE:g} %"
    return f"Use the final model{place}: {value}, {near} of the best eval ({best})"


def _use_saved(choice: _Choice) -> str:
    """The saved checkpoint to use, with what is lost against the best eval where that was not saved."""
    best, step = choice.value(choice.best), choice.step(choice.best)
    value = _valued(choice, best)
    if choice.nearest is None or choice.nearest_value is None:
        if choice.left.off:
            return f"No checkpoint was saved: the best eval, {value} at step {step}, can only be had again by a rerun"
        return f"Use the checkpoint nearest to step {step}, if one was saved: {value}"
    name = f"Use checkpoint-{choice.nearest}{_place(choice, choice.nearest)}"
    cost = choice.judge.costs(np.array([choice.nearest_value, best]))
    about = "" if choice.nearest in choice.evals.step else "about "  # in proportion, between two evals
    if float(cost[0] - cost[1]) <= ALIKE * abs(best):
        return f"{name}: {_valued(choice, choice.nearest_value, about)}"
    if choice.left.partly:
        return f"Use the checkpoint nearest to step {step}, if it is still there: {value}"
    kept = _valued(choice, choice.nearest_value, about)
    return f"{name}: {kept}, the best that was kept; step {step} was better ({best:.4g}) and has no checkpoint"


def _valued(choice: _Choice, value: float, about: str = "") -> str:
    """ "eval/loss 1.662 (perplexity 5.27)"."""
    exp = perplexity(choice.facts, choice.judge.metric, value)
    return f"{choice.judge.metric} {about}{value:.4g}" + (f" (perplexity {_rounded(exp)})" if exp is not None else "")


def _rounded(perplexity: float) -> str:
    return f"{perplexity:.2f}" if perplexity < 100 else f"{perplexity:,.0f}"


def _worse(choice: _Choice) -> str:
    """ "15 % worse"; without a percentage where the best value is zero or negative."""
    best, final = choice.value(choice.best), choice.value(choice.final)
    percent = f"{100 * choice.worse:.2g}" if choice.worse < 0.1 else f"{100 * choice.worse:,.0f}"
    worse = f"{percent} % worse" if best > 0 else f"worse ({final:.4g} against {best:.4g})"
    return f"{worse}, no more than the evals scatter by" if choice.noisy else worse


def _place(choice: _Choice, step: int) -> str:
    """ " (./checkpoint-200)": a checkpoint's folder below the run's, where it stands there; else nothing."""
    folder, home = choice.left.folders.get(step), Path(choice.facts.run.path)
    return f" (./{folder.relative_to(home).as_posix()})" if folder is not None and home in folder.parents else ""


def _task(choice: _Choice) -> str:
    """A warning where the eval loss decides here, and a task metric went on improving after its minimum."""
    better = still_improving(choice.facts, choice.step(choice.best)) if choice.judge.metric.endswith("/loss") else None
    return f"; but {better[0]} was best at step {better[1]}: decide by the metric that matters" if better else ""
