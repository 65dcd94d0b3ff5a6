"""Lines of a console log that bear metrics, so that exactly one importer claims a text file, and none claims prose."""

from __future__ import annotations

import re
from typing import Literal

from curvelab.importers._lines import Lines, Tally
from curvelab.sources import Source

GLOBS = ("*.log", "*.txt", "*.out", "*.log.gz")
_SEARCHED = (1024**2, 8 * 1024**2)  # bytes from the beginning: much is printed before the first loss
_SEARCHED_LAST = 1024**2  # bytes from the end, where nothing was found before
_ENOUGH = 2  # lines that make a console log: one alone may be a quotation in a text
_LONGEST = 20_000  # characters of a line that are looked at

Kind = Literal["trainer-console", "console-loss"]

# What Trainer prints: a dict on one line, quoted with ' as Python does. No braces inside, so no backtracking.
DICT = re.compile(r"\{'[^{}]{4,8000}\}")
_PAIR = re.compile(r"\s*'([^'\\]{1,200})':\s*(?:'([^'\\]{0,200})'|([-+.\w]{1,400}))\s*(?:,|$)")
_TRAINER_KEYS = ("loss", "train_runtime", "grad_norm", "learning_rate", "reward")

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_STEP = re.compile(
    r"^.{0,80}?\b(?P<word>validation loss at iteration|test loss at iteration|iteration|iter|global_step|step)"
    r"\s*[:=#]?\s*(?P<step>\d{1,15})(?:\s*/\s*(?P<total>\d{1,15}))?\s*(?:\(\s*[\d.]+%\s*\))?\s*[:,|\]\-)]",
    re.I,
)
_PIECE = re.compile(
    rf"^\s*(?P<name>[A-Za-z][\w /()\-]{{0,80}}?)\s*[:=]?\s*(?P<value>{_NUMBER})\s*(?:ms|s|%|it/s)?\s*$", re.I
)
# torchtune: `loss:1.9 lr:2e-05 ` behind one bar, nothing but such pairs
_PAIR_OF = re.compile(rf"([A-Za-z][\w./\-]{{0,80}}):({_NUMBER})(?=\s|$)", re.I)
_PAIRS = re.compile(rf"\s*(?:[A-Za-z][\w./\-]{{0,80}}:{_NUMBER}(?:\s+|$))+", re.I)


def kind_of(source: Source) -> Kind | None:
    """The console format of a text file, by its first lines that bear metrics, or by its last ones."""
    for limit in _SEARCHED:
        kind = _kind_of_lines(source.first(limit), source)
        if kind or source.size <= limit:
            return kind
    return _kind_of_lines(source.last(_SEARCHED_LAST), source)


def _kind_of_lines(raw: bytes, source: Source) -> Kind | None:
    dicts = losses = 0
    for _, line in Lines([raw], Tally(source.path)):
        if trainer_dicts(line):
            dicts += 1
        elif loss_line(line) is not None:
            losses += 1
        if dicts >= _ENOUGH:
            return "trainer-console"
        if losses >= 10 * _ENOUGH:
            break
    if dicts and not losses:
        return "trainer-console"
    return "console-loss" if losses >= _ENOUGH else None


def trainer_dicts(line: str) -> list[dict[str, str]]:
    """The dicts of metrics that Trainer printed into a line, values as texts; other dicts are left out."""
    if "{'" not in line:
        return []
    found = []
    for match in DICT.finditer(line[:_LONGEST]):
        pairs = pairs_of(match.group()[1:-1])
        if pairs is None or not ("epoch" in pairs or "global_step/max_steps" in pairs):
            continue
        if any(key in pairs for key in _TRAINER_KEYS) or any(key.startswith("eval_") for key in pairs):
            found.append(pairs)
    return found


def pairs_of(inside: str) -> dict[str, str] | None:
    """The pairs of a printed dict of plain values; None when anything else is in it. Nothing is evaluated."""
    at, pairs = 0, {}
    while at < len(inside):
        match = _PAIR.match(inside, at)
        if match is None or match.end() == at:
            return None
        pairs[match.group(1)] = match.group(2) if match.group(2) is not None else match.group(3)
        at = match.end()
    return pairs


def loss_line(line: str) -> tuple[int, int | None, list[tuple[str, str]]] | None:
    """(step, planned steps, metrics) of a line such as `iter 100: loss 2.31, time 12ms`; None when it is none."""
    if "loss" not in line and "Loss" not in line:
        return None
    match = _STEP.match(line[:_LONGEST])
    if match is None:
        return None
    prefix = {"v": "val ", "t": "test "}.get(match["word"][0].lower(), "")
    metrics = []
    for piece in re.split(r"[,|]", line[match.end() : _LONGEST])[:200]:
        found = _PIECE.match(piece)
        if found:
            name = re.sub(r"\s+", " ", found["name"]).strip(" -(").removesuffix(" value")
            metrics.append((prefix + name, found["value"]))
        elif _PAIRS.fullmatch(piece):
            metrics += [(prefix + name, value) for name, value in _PAIR_OF.findall(piece)]
    if not any("loss" in name.lower() for name, _ in metrics):
        return None
    return int(match["step"]), int(match["total"]) if match["total"] else None, metrics
