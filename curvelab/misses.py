"""Files that are nearly logs: what an empty search names besides what it looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from fnmatch import fnmatchcase

from curvelab.catalogue import importers
from curvelab.model.errors import UnreadableError
from curvelab.sources import LFS_MARK, Source

MOST_TOLD = 5
MOST_NAMES = 1_000  # different names that are compared; judgement: comparing is slow
NEAR = 0.8  # likeness of two names that makes one a misspelling of the other; judgement
NO_MARK = "nothing in it marks a training log"
SHORTEST = 4  # letters of a part worth comparing: "csv" is near to too much


@dataclass
class Misses:
    """Files that bear a log's name but are none, and names that no importer claims."""

    reasons: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)  # in the order in which they were found

    def unclaimed(self, source: Source) -> None:
        """Remember a file whose name fits and whose content does not."""
        if len(self.reasons) == MOST_TOLD:
            return
        try:
            self.reasons.append((source.path.name, why_not(source)))
        except UnreadableError:
            return

    def refused(self, name: str, why: str) -> None:
        """Remember what was not looked into, and why."""
        if len(self.reasons) < MOST_TOLD:
            self.reasons.append((name, why))

    def unknown(self, name: str) -> None:
        """Remember a file whose name fits nothing."""
        if len(self.names) < MOST_NAMES:
            self.names[name] = None

    def text(self) -> str:
        """The end of a message: the nearest misses, then what was looked for.

        `; nearest: trainer_state.jsn (like trainer_state.json); looked for *.csv, ...`
        """
        near = sorted(_near(self.names, dict.fromkeys(_globs())), key=lambda found: -found[0])
        # what is a pointer or empty bears the right name, so it comes first; then misspelt names; then other contents
        ours = [one for one in self.reasons if one[1] != NO_MARK]
        rest = [one for one in self.reasons if one not in ours]
        told = [*ours, *((name, f"like {glob}") for _, name, glob in near), *rest][:MOST_TOLD]
        nearest = "; nearest: " + ", ".join(f"{name} ({why})" for name, why in told) if told else ""
        return f"{nearest}; {looked_for()}"


def why_not(source: Source) -> str:
    """Why a file is no log though its name may be one's. Raises UnreadableError when it cannot be read."""
    head = source.head
    if not source.size:
        return "empty"
    if head.startswith(LFS_MARK):
        return "a Git LFS pointer; fetch it with `git lfs pull`"
    asked = (one for one in importers() if one.nearly is not None and one.claims_name(source.path.name))
    return next((why for one in asked if one.nearly is not None and (why := one.nearly(source))), NO_MARK)


def looked_for() -> str:
    """The names that were looked for, each once, without those that a wider one covers."""
    globs = [glob for glob in dict.fromkeys(_globs()) if not glob.endswith(".gz")]
    names = {glob.lower(): glob for glob in reversed(globs)}
    widest = [glob for glob in names.values() if not any(fnmatchcase(glob, o) for o in names.values() if o != glob)]
    return f"looked for {', '.join(sorted(widest))}, some also as .gz"


def _globs() -> Iterator[str]:
    yield from (glob for one in importers() for glob in one.globs)


def _near(names: Iterable[str], globs: Iterable[str]) -> Iterator[tuple[float, str, str]]:
    """(likeness, name, the glob that it is like)."""
    globs = tuple(globs)
    looked_for = [(glob, _part(glob)) for glob in globs]
    spelt = {word for glob in globs for word in re.split(r"[.*?]+", glob)}  # right as it stands: "json" is no bad "jsonl"
    for name in names:
        words = [word for word in name.lower().split(".") if word not in spelt]
        scores = (
            (_likeness(words if "*" in glob else [name.lower()], part), glob) for glob, part in looked_for if part
        )
        found = max(scores, default=(0.0, ""))
        if found[0] >= NEAR:
            yield found[0], name, found[1]


def _part(glob: str) -> str:
    """The longest part of a glob without wildcards; empty when it is too short to be misspelt."""
    part = max(re.split(r"[*?]|\[[^]]*\]", glob), key=len).strip(".").lower()
    return part if len(part) >= SHORTEST else ""


def _likeness(words: Iterable[str], part: str) -> float:
    """0 to 1: how alike the nearest of the words is to what is looked for."""
    matcher = SequenceMatcher(b=part, autojunk=False)
    best = 0.0
    for word in words:
        matcher.set_seq1(word)
        if matcher.real_quick_ratio() >= NEAR and matcher.quick_ratio() >= NEAR:
            best = max(best, matcher.ratio())
    return best
