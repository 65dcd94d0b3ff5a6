"""Cards: what `curvelab explain` and the documentation say of a detector or importer, taken from its file alone."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from curvelab.catalogue import causes, detectors, importers
from curvelab.knowledge.references import Reference
from curvelab.model.card import sections
from curvelab.model.finding import Cost
from curvelab.rules import FLAG, Detector, Remedy
from curvelab.sources import Importer

PLACEHOLDERS = "What stands in <angle brackets> is filled in from the run: a step, a number that was measured, a setting."
WIDTH = 100  # columns of a card as text
COSTS: dict[Cost, str] = {
    "none": "nothing to train again",
    "resume": "resume from a checkpoint",
    "rerun": "train again",
}


@dataclass(frozen=True)
class Limit:
    """A threshold of a detector, ready to be shown; `setting` is its name for `--set`."""

    setting: str
    default: float
    unit: str
    low: float
    high: float
    source: str
    meaning: str


def limits(one: Detector) -> list[Limit]:
    """The thresholds of a detector, in the order of its file."""
    defaults = one.limits()
    return [
        Limit(setting=f"{one.pattern}.{f.name}", default=getattr(defaults, f.name), **f.metadata)
        for f in dataclasses.fields(one.thresholds)
    ]


def card_text(one: Detector) -> str:
    """The card of a detector for the terminal."""
    return "\n".join(_text_lines(one)) + "\n"


def _text_lines(one: Detector) -> Iterator[str]:
    told = sections(one.card)
    yield f"{one.pattern}: {one.title}"
    yield ""
    yield from _paragraphs(told.pop(""), "")
    for heading, text in told.items():
        yield from ("", heading, *_paragraphs(text, "  "))
    yield from ("", "Needs")
    for metric, points in one.needs.items():
        yield f"  {metric}, {points} points or more"
    yield from ("", "Thresholds")
    for limit in limits(one):
        yield f"  {limit.setting} = {limit.default:g} {limit.unit}"
        yield from _wrapped(f"{limit.meaning}; {limit.low:g} to {limit.high:g}; source: {limit.source}", "    ")
        yield f"    --set {limit.setting}={limit.default:g}"
    weighing = causes().get(one.pattern)
    if weighing is not None:
        yield from ("", "Causes that are weighed", *_paragraphs(weighing.card.strip(), "  "), "")
        for cause in weighing.candidates:
            yield from _wrapped(f"{cause.name} ({100 * cause.prior:.0f} % before the log is looked at): {cause.title}", "  ", "     ")
            yield from _wrapped(f"Speaks for it: {cause.tells}", "     ")
    if not one.remedies:
        return
    yield from ("", "Fixes")
    if any(_general(text) != _named(text) for remedy in one.remedies for text in (remedy.title, remedy.why, remedy.when_not)):
        yield from _wrapped(PLACEHOLDERS, "  ")
    for number, remedy in enumerate(one.remedies, 1):
        yield from _wrapped(f"{number}. {_general(remedy.title)}", "  ", "     ")
        for name, text in _facts(remedy):
            yield from _wrapped(f"{name}: {text}", "     ")
    if references := _references(one):
        yield from ("", "References")
        for reference in references:
            yield from _wrapped(str(reference), "  ", "    ")
            yield f"    {reference.address}"


def _facts(remedy: Remedy) -> tuple[tuple[str, str], ...]:
    """What a card says of a remedy below its title: (name, text)."""
    return (
        ("Why", _general(remedy.why)),
        ("When not", _general(remedy.when_not)),
        ("Cost", COSTS[remedy.cost]),
        ("Source", remedy.citation),
    )


def _references(one: Detector) -> list[Reference]:
    """The sources of a detector's remedies, each once, in the order of the remedies."""
    return list(dict.fromkeys(reference for remedy in one.remedies for reference in remedy.references))


def _general(text: str) -> str:
    """A remedy's sentence without a run: `{start_step:,}`, which a finding fills, becomes `<start step>`.

    `{flag_learning_rate}` becomes the canonical name of the setting.
    """
    return re.sub(r"\{(\w+)(?:[:!][^{}]*)?\}", lambda found: f"<{found.group(1).replace('_', ' ')}>", _named(text))


def _named(text: str) -> str:
    """A remedy's sentence with the canonical names of its settings."""
    return re.sub(rf"\{{{FLAG}(\w+)\}}", r"\1", text)


def _paragraphs(text: str, indent: str) -> Iterator[str]:
    """A card's text, its paragraphs filled to the width; lines that are set out in columns stay as they are."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if number:
            yield ""
        if re.search(r"\S {2,}\S|^ {2,}\S|^[-*] ", paragraph, re.M):
            yield from textwrap.indent(paragraph, indent).splitlines()
        else:
            yield from _wrapped(" ".join(paragraph.split()), indent)


def _wrapped(text: str, indent: str, more: str | None = None) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent if more is None else more, break_long_words=False
    )


def card_markdown(one: Detector) -> str:
    """The card of a detector as Markdown."""
    told = sections(one.card)
    lines = [f"# {one.pattern}: {one.title}", "", _escaped(told.pop(""))]
    for heading, text in told.items():
        lines += ["", f"## {heading}", "", _escaped(text)]
    lines += ["", "## Needs", ""]
    lines += [f"- `{metric}`, {points} points or more" for metric, points in one.needs.items()]
    lines += ["", "## Thresholds", "", "| `--set` | default | range | meaning | source |", "|---|---|---|---|---|"]
    for limit in limits(one):
        cells = (f"`{limit.setting}`", f"{limit.default:g} {limit.unit}", f"{limit.low:g} to {limit.high:g}",
                 limit.meaning, limit.source)  # fmt: skip
        lines.append(_row(*cells))
    weighing = causes().get(one.pattern)
    if weighing is not None:
        lines += ["", "## Causes that are weighed", "", _escaped(weighing.card.strip()), ""]
        lines += ["| cause | before the log is looked at | what it is | what speaks for it |", "|---|---:|---|---|"]
        lines += [_row(f"`{c.name}`", f"{100 * c.prior:.0f} %", c.title, c.tells) for c in weighing.candidates]
    if one.remedies:
        lines += ["", "## Fixes"]
    for remedy in one.remedies:
        lines += ["", f"### {_escaped(_general(remedy.title))}", ""]
        lines += [f"- {name}: {_escaped(text)}" for name, text in _facts(remedy)]
    if references := _references(one):
        lines += ["", "## References", ""]
        lines += [f"- {_escaped(str(reference))}: <{reference.address}>" for reference in references]
    return "\n".join(lines) + "\n"


def importer_markdown(one: Importer) -> str:
    """The card of an importer as Markdown."""
    told = sections(one.card)
    lines = [f"# {one.format}: {one.title}", "", _escaped(told.pop("")), ""]
    lines.append("Files: " + ", ".join(f"`{glob}`" for glob in one.globs))
    for heading, text in told.items():
        lines += ["", f"## {heading}", "", _escaped(text)]
    return "\n".join(lines) + "\n"


def pattern_table() -> str:
    """All patterns for the terminal: name, kind, title."""
    rows = [(one.pattern, one.kind, one.title) for one in detectors()]
    wide = max((len(pattern) for pattern, *_ in rows), default=0)
    lines = [f"{pattern:{wide}}  {kind:5}  {title}" for pattern, kind, title in [("pattern", "kind", "title"), *rows]]
    return "\n".join([*lines, "", "curvelab explain PATTERN tells more about one."]) + "\n"


def pattern_table_markdown() -> str:
    """All patterns as a Markdown table: name, kind, the sentence of its card."""
    lines = ["| pattern | kind | what it is |", "|---|---|---|"]
    lines += [_row(f"`{one.pattern}`", one.kind, sections(one.card)[""]) for one in detectors()]
    return "\n".join(lines) + "\n"


def format_table_markdown() -> str:
    """All formats as a Markdown table: name, files, the sentence of its card."""
    files = {one.format: ", ".join(f"`{glob}`" for glob in one.globs) for one in importers()}
    lines = ["| format | files | what it is |", "|---|---|---|"]
    lines += [_row(f"`{one.format}`", files[one.format], sections(one.card)[""]) for one in importers()]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    texts = (" ".join(_escaped(cell).split()).replace("|", r"\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"


def _escaped(text: str) -> str:
    """`eval_<set>_loss` must not become an HTML tag, and `_` and `*` in names no emphasis; code stays as it is."""
    return re.sub(r"(`[^`]*`)|([<*_])", lambda found: found[1] or "\\" + found[2], text)
