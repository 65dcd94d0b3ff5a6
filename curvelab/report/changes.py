"""Changes of settings and the patch in words."""

from __future__ import annotations

from curvelab.model.finding import Change
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.plain import clean
from curvelab.report.sentences import sentence, unbroken

FORMS = {"python": "Python", "cli": "Command line", "yaml": "YAML"}


def change(one: Change) -> str:
    """A change in words: "max_grad_norm: 1 → 4.4"."""
    name = clean(one.setting, 80)
    if one.to is None:
        return name if one.from_ is None else f"{name}: now {numerals.setting(one.from_)}"
    now = numerals.UNKNOWN if one.from_ is None else numerals.setting(one.from_)
    return f"{name}: {now} → {numerals.setting(one.to)}"


def ground(one: Change) -> str:
    """Where the number of a change comes from: "measured: 90th percentile of 118 logged norms"."""
    because = unbroken(clean(one.because, 200))
    return f"{one.basis}: {because}" if because else ""


def patch_of(diagnosis: Diagnosis) -> tuple[str, list[tuple[str, str]]]:
    """(whose flags they are and how that is known, the texts to copy as (title, text)); empty without a change."""
    patch = diagnosis.patch
    if patch is None or not patch.changes:
        return "", []
    texts = [(FORMS.get(kind, clean(kind, 20)), copied(text)) for kind, text in patch.forms.items()]
    return f"For {clean(patch.trainer, 60)} ({clean(patch.because, 200)})", texts


def by_hand(diagnosis: Diagnosis) -> list[str]:
    """What the patch cannot do, in words."""
    return [] if diagnosis.patch is None else [sentence(one) for one in diagnosis.patch.by_hand]


def remarks(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """(setting, where findings pulled it differently) of the patch."""
    lines = () if diagnosis.patch is None else diagnosis.patch.changes
    return [(one.change.setting, sentence(one.remark)) for one in lines if one.remark]


def copied(text: str) -> str:
    """A text of several lines for copying: each line cleaned, no line lost."""
    return "\n".join(clean(line, 400) for line in text.splitlines())
