"""Numbers in the sentences of a diagnosis as a person writes them: 4240 -> 4,240, 2.109e+04 -> 21,090, -17 -> −17.

Detectors write numbers with Python's own formats; here, once for all of them, they get their printed form. What is to be
copied or looked up keeps its own: names, settings (`eval_steps 1000`), paths, the label -100.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from curvelab.model.finding import Cause, Evidence, Finding, Fix

LONGEST = 1e7  # an exponent that makes a longer number stays
_EXPONENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-])(\d+)(?![\w.]*\w)")
_LONG = re.compile(r"(?<![\w.,/=:\\−-])(\d{4,})(?=$|[\s,;:)%?!–]|\.(?!\d))")
_MINUS = re.compile(r"(?:(?<=^)|(?<=[\s(,;–]))-(?=\d)(?!100\b(?!\.))")
_ONE = re.compile(r"(?<![\w.,])1 (steps|samples|epochs|evals|logs|batches|points|tokens|checkpoints|updates|values)\b")
_SINGLE = {"batches": "batch"}
_EVERY = re.compile(r"\bevery 1 (step|log|eval|epoch)\b")
_SETTING = re.compile(r"\w*_\w+:?\s(?:is |of |to )?$|(?:arXiv|seed|port)\s$")


def printed(text: str) -> str:
    """A sentence with its numbers in print."""
    text = _EXPONENT.sub(_plain, text)
    text = _EVERY.sub(r"every \1", _ONE.sub(lambda found: f"1 {_SINGLE.get(found[1], found[1][:-1])}", text))
    text = _LONG.sub(lambda found: found[0] if _copied(found) else f"{int(found[1]):,}", text)
    return _MINUS.sub(lambda found: found[0] if _copied(found) else "−", text)


def _copied(found: re.Match[str]) -> bool:
    """Whether a number is the value of a setting: that is copied."""
    return _SETTING.search(found.string[: found.start()]) is not None


def _plain(found: re.Match[str]) -> str:
    """2.109e+04 -> 21090, 1e-05 -> 1e-5."""
    number = float(found[0])
    if found[2] == "+" and number < LONGEST and number == int(number):
        return str(int(number))
    return f"{found[1]}e{'-' if found[2] == '-' else ''}{int(found[3])}"


def in_print(finding: Finding) -> Finding:
    """A finding with all of its sentences in print."""
    return msgspec.structs.replace(
        finding,
        headline=printed(finding.headline),
        evidence=tuple(_marked(mark) for mark in finding.evidence),
        causes=tuple(_cause(cause) for cause in finding.causes),
        fixes=tuple(_fix(fix) for fix in finding.fixes),
    )


def _marked(mark: Evidence) -> Evidence:
    return msgspec.structs.replace(mark, label=printed(mark.label))


def _cause(cause: Cause) -> Cause:
    return msgspec.structs.replace(cause, title=printed(cause.title), for_=_all(cause.for_), against=_all(cause.against))


def _fix(fix: Fix) -> Fix:
    return msgspec.structs.replace(
        fix,
        title=printed(fix.title),
        why=printed(fix.why),
        when_not=printed(fix.when_not),
        changes=tuple(msgspec.structs.replace(one, because=printed(one.because)) for one in fix.changes),
    )


def _all(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(printed(text) for text in texts)
