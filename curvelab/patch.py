"""patch_of(): the fixes of all findings as one set of settings without contradictions, ready to copy.

Rules, in this order
--------------------
- Causes speak first, the worst first; a finding that another explains adds only settings that no cause touches.
- Of a finding's fixes those count that compute a value; an alternative ("or") only when none before it did.
- A fix for a condition that the log does not show ("if memory ran out") changes nothing; it is to be done by hand.
- A finding that is only worth knowing (info) changes how the run is watched and kept, not how the model is trained.
- A setting appears once. Where findings pull it the same way, the strongest value is taken; changes are not multiplied.
  Where they pull it both ways, the more severe finding decides, at equal severity the steadier way (a lower learning
  rate, a longer warm-up): what is learned from an unsteady run says little about speed. The line says so. A mean of
  both would leave the setting where it was, which is the one value that two findings speak against.
- Two ways to say one thing (max_steps, num_train_epochs) and settings that belong together (micro-batch and
  accumulation) come from one finding.
- A run that is to stop early at its best is not cut at the best step of the last one, too: the stop could not fire then,
  and a schedule that is tied to the length would end sooner. The shorter plan is told as the other way.
- While the learning rate is lowered, the clip threshold is not raised: the run is unsteady, and one of the two at a time
  shows which it was.
- What is right only if something holds that the log does not show ("if memory ran out") is to be done by hand.
- A change to the value that is there is none; one without a computed value is to be done by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from curvelab.companions import completed
from curvelab.dialects import Spoken
from curvelab.knowledge.merging import DOUBTED, LENGTHS, OBSERVING, ONE_OF, STEADIER, TIED, TOGETHER, UNLIMITED
from curvelab.model.finding import SEVERITIES, Change, Finding, Fix, Scalar
from curvelab.model.options import Options
from curvelab.model.result import Patch, PatchChange
from curvelab.snippets import forms_of, value_text


@dataclass(frozen=True)
class _Vote:
    """One finding's wish for one setting."""

    change: Change
    finding: Finding

    @property
    def way(self) -> int | None:
        """+1: up, -1: down; None where the values cannot be compared."""
        return _way(self.change)


@dataclass
class _Ballot:
    """The votes by canonical setting, causes first; votes that came too late; what to do by hand, in words."""

    votes: dict[str, list[_Vote]] = field(default_factory=dict)
    late: dict[str, list[_Vote]] = field(default_factory=dict)
    by_hand: list[str] = field(default_factory=list)


def patch_of(findings: Sequence[Finding], spoken: Spoken, options: Options | None = None) -> Patch | None:
    """The patch for the findings of a run, whose changes are in the words of its trainer; None when no setting changes.

    findings  causes before what they explain, the worst first, as the engine tells them
    options   the user's: the patience and the least gain of early stopping
    """
    ballot = _Ballot()
    for finding in findings:
        _count(finding, spoken, ballot)
    settled = [_settled(votes, ballot.late.get(name, ())) for name, votes in ballot.votes.items()]
    changing = [line for line in settled if not _same(line.change.from_, line.change.to)]
    lines = completed(_one_end(_one_at_a_time(changing, ballot), ballot), spoken, options or Options())
    if not lines:
        return None
    return Patch(
        trainer=spoken.dialect.title,
        because=spoken.because,
        changes=lines,
        forms=forms_of(lines, spoken),
        by_hand=tuple(dict.fromkeys(ballot.by_hand)),
    )


def _count(finding: Finding, spoken: Spoken, ballot: _Ballot) -> None:
    """Add the wishes of one finding."""
    before = frozenset(ballot.votes)
    for fix in _chosen(finding.fixes):
        usable = [c for c in fix.changes if _computed(c) and spoken.word(_name(c)).flag and not fix.conditional]
        for change in usable:
            name, vote = _name(change), _Vote(change, finding)
            if (finding.severity == "info" or finding.confidence <= DOUBTED) and name not in OBSERVING:
                continue
            if (stands := _taken(name, before, finding)) is None:
                ballot.votes.setdefault(name, []).append(vote)
            elif finding.explained_by is None:
                ballot.late.setdefault(stands, []).append(vote)
        if finding.severity != "info":
            ballot.by_hand += _by_hand(fix, usable)


def _taken(name: str, before: frozenset[str], finding: Finding) -> str | None:
    """The setting of an earlier finding that keeps this finding from changing `name`; None when it is free to."""
    if name in before:
        return name if finding.explained_by is not None or any(name in group for group in TOGETHER) else None
    groups = [group for group in (*ONE_OF, *TOGETHER) if name in group]
    return min((stands for group in groups for stands in group & before), default=None)


def _same(now: Scalar, to: Scalar) -> bool:
    """Whether a change is none; an enum that an older trainer printed (IntervalStrategy.STEPS) is its last word."""
    if isinstance(now, str) and isinstance(to, str):
        return now.lower().rpartition(".")[2] == to.lower()
    return now is not None and now == to


def _computed(change: Change) -> bool:
    to = change.to
    return to is not None and not (isinstance(to, float) and not math.isfinite(to))


def _chosen(fixes: Iterable[Fix]) -> Iterator[Fix]:
    """The fixes to carry out: an alternative only when no fix before it computed a value."""
    computed = False
    for fix in fixes:
        if fix.doubted or (fix.alternative and computed):
            continue
        yield fix
        computed = computed or (not fix.conditional and any(map(_computed, fix.changes)))


def _by_hand(fix: Fix, usable: Sequence[Change]) -> Iterator[str]:
    """What no line of the patch says: fixes without a setting, settings without a value or without a flag."""
    if fix.title.startswith("Nothing"):  # "Nothing, if it stays rare": not to be done
        return
    if fix.conditional:
        wanted = [f"{change.setting} {value_text(change.to)}" for change in fix.changes if _computed(change)]
        yield f"{fix.title} ({', '.join(wanted)})" if wanted else fix.title
        return
    for change in fix.changes:
        if change not in usable and _computed(change):
            yield f"{change.setting} {value_text(change.to)}: {change.because}"
    if not any(map(_computed, fix.changes)):
        yield fix.title


def _name(change: Change) -> str:
    return change.canonical or change.setting


def _settled(votes: Sequence[_Vote], late: Sequence[_Vote]) -> PatchChange:
    """One line from all the wishes for one setting; `late` are those that an earlier finding kept out."""
    ways = {vote.way for vote in votes}
    one_way = len(ways) == 1 and None not in ways
    best = max(votes, key=_distance if one_way else _weight)
    others = [vote for vote in votes if vote.change.to != best.change.to]
    agreeing = [vote for vote in votes if vote.change.to == best.change.to or (vote.way == best.way and one_way)]
    patterns = dict.fromkeys(vote.finding.pattern for vote in agreeing)
    remarks = (_remark(best, others, one_way), _remark_on_late(best, late))
    return PatchChange(change=best.change, patterns=tuple(patterns), remark="; ".join(filter(None, remarks)))


def _way(change: Change) -> int | None:
    now, to = _size(change, change.from_), _size(change, change.to)
    return None if now is None or to is None else (to > now) - (to < now)


def _size(change: Change, value: Scalar) -> float | None:
    """A number to compare by; no limit is infinitely much, whatever way it is written."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return math.inf if _name(change) in UNLIMITED and value <= 0 else float(value)


def _distance(vote: _Vote) -> float:
    now, to = _size(vote.change, vote.change.from_), _size(vote.change, vote.change.to)
    if now is None or to is None:
        return 0.0
    return abs(to - now) if math.isfinite(now) else -to


def _weight(vote: _Vote) -> tuple[int, bool, float]:
    steady = STEADIER.get(_name(vote.change))
    return SEVERITIES.index(vote.finding.severity), steady is not None and vote.way == steady, vote.finding.confidence


def _remark(best: _Vote, others: Sequence[_Vote], one_way: bool) -> str:
    """What was decided where findings wanted different values; empty where they agree."""
    if not others:
        return ""
    asked = ", ".join(f"{vote.finding.pattern} asks for {value_text(vote.change.to)}" for vote in others)
    if one_way:
        return f"{asked}, the same way; the stronger value is taken, not both after each other"
    severer = any(_weight(vote)[0] < _weight(best)[0] for vote in others)
    why = "the more severe finding" if severer else "the steadier way" if _weight(best)[1] else "the surer finding"
    return f"findings disagree: {asked}; {best.finding.pattern} decides, {why}"


def _remark_on_late(best: _Vote, late: Sequence[_Vote]) -> str:
    """Wishes that could not stand beside this line: the other unit of it, or another way to split the batch."""
    told = [
        f"{vote.finding.pattern} asks for {vote.change.setting} {value_text(vote.change.to)}"
        for vote in late
        if (vote.change.setting, vote.change.to) != (best.change.setting, best.change.to)
    ]
    return f"{', '.join(told)}; {best.finding.pattern} comes first" if told else ""


def _one_at_a_time(lines: list[PatchChange], ballot: _Ballot) -> list[PatchChange]:
    """Without a higher clip threshold while the learning rate is lowered."""
    found = {_name(line.change): line for line in lines}
    rate, clip = found.get("learning_rate"), found.get("max_grad_norm")
    if rate is None or clip is None or (_way(rate.change), _way(clip.change)) != (-1, 1):
        return lines
    ballot.by_hand.append(
        f"{clip.change.setting} {value_text(clip.change.to)} ({', '.join(clip.patterns)}) only after a run at the lower "
        f"{rate.change.setting}: one of the two at a time"
    )
    return [line for line in lines if line is not clip]


def _one_end(lines: list[PatchChange], ballot: _Ballot) -> list[PatchChange]:
    """Without a shorter plan where the best model is kept and early stopping ends the run; a shorter one says when not."""
    found = {_name(line.change): line for line in lines}
    cut = next((line for name in LENGTHS if (line := found.get(name)) and _way(line.change) == -1), None)
    if cut is None:
        return lines
    best, whose = found.get("load_best_model_at_end"), f"{cut.change.setting} {value_text(cut.change.to)}"
    if best is not None and best.change.to not in (None, False):
        ballot.by_hand.append(f"{whose} ({', '.join(cut.patterns)}) instead of early stopping, not beside it: {TIED}")
        return [line for line in lines if line is not cut]
    told = msgspec.structs.replace(cut, remark="; ".join(filter(None, (cut.remark, TIED))))
    return [told if line is cut else line for line in lines]
