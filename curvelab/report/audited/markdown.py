"""AuditResult -> a short digest for a chat or an issue: what is new and worse first. Texts from a log are escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from curvelab.model.audit import AuditResult, TrackedFinding
from curvelab.report import wording
from curvelab.report.audited import telling
from curvelab.report.audited.places import project_name
from curvelab.report.markdown import code, escaped
from curvelab.report.numerals import count, plural
from curvelab.report.page import safe_address

LONGEST, SHORTEST = 240, 100  # characters of a headline, and where there is little room
LIMIT = 4000  # characters that every chat takes
MOST_OTHERS = 5  # fixed findings, unusual runs and unread inputs, each


@dataclass(frozen=True)
class Section:
    """A heading with its points, the most important first, `most` of them."""

    title: str
    points: Sequence[str]
    most: int = MOST_OTHERS


def markdown(
    result: AuditResult, link: str = "", limit: int = LIMIT, only: Sequence[str] | None = None, unread: bool | None = None
) -> str:
    """The digest, `limit` characters at most: what does not fit is counted.

    link   address of the audit's page (or of its folder): runs are links then, and the page is named
    only   fingerprints of the findings and departures to tell, for one audience (None: all)
    unread whether inputs that can no longer be read are told; None: if there is no `only`
    """
    tell_unread = only is None if unread is None else unread
    answer = telling.answer(result, only, tell_unread)
    mark = f"{wording.SHAPES[answer.severity]} " if answer.severity else ""
    named = f"{escaped(project_name(result), 80)}: " if only is None else ""  # a message has a title of its own
    title = [f"**{mark}{named}{escaped(answer.title, 200)}**"]
    sentence = ["", escaped(answer.sentence, 600)] if answer.sentence and only is None else []
    foot = ["", f"[All runs]({_page(link)})"] if link else []
    sections = _sections(result, link, only, tell_unread, LONGEST if limit >= LIMIT else SHORTEST)
    for head, end in (([*title, *sentence], foot), (title, foot), (title, [])):
        room = limit - _length([*head, *end])
        if room >= 0:
            return "\n".join([*head, *_fitting(sections, room), *end]) + "\n"
    return _shortest(answer.title, limit)


def _sections(result: AuditResult, link: str, only: Sequence[str] | None, tell_unread: bool, most: int) -> list[Section]:
    names, pages = telling.names(result), {run.key: run.page for run in result.runs if run.page}
    told = telling.to_tell(result, only)
    fixed = telling.ranked(telling.among(result.of("fixed"), only))
    unusual = telling.unusual(result, new=True)
    if only is not None:
        unusual = [one for one in (*unusual, *telling.unusual(result, new=False)) if one.fingerprint in only]
    unread, before = telling.unread(result) if tell_unread else ([], [])
    old = [f"{plural(len(before), 'input')} that could not be read before either"] if before and only is None else []

    def name(key: str, finding: TrackedFinding | None, called: str) -> str:
        return _linked(called, link, (finding.page if finding is not None else None) or pages.get(key))

    return [
        Section(
            "What was found" if result.previous is None else "New and worse",
            [_finding(one, name(one.run, one, telling.name_of(one, names)), most) for one in told],
            len(told),
        ),
        Section("Fixed", [f"{name(one.run, one, telling.name_of(one, names))}: {_fixed(one)}" for one in fixed]),
        Section(
            "Unlike the runs before",
            [f"{name(one.run, None, telling.name_of(one, names))}: {escaped(telling.departure(one), most)}" for one in unusual],
        ),
        Section("Could not be read", [f"{code(one.path, 100)}: {escaped(one.message, most)}" for one in unread] or old),
    ]


def _finding(one: TrackedFinding, name: str, most: int) -> str:
    head = f"{wording.SHAPES[one.severity]} {name}: {escaped(telling.title(one), 120)} ({one.severity}, {escaped(telling.history(one), 200)})."
    fix = f" *First fix:* {escaped(wording.sentence(one.fix), most)}" if one.fix else ""
    return f"{head} {escaped(wording.sentence(one.headline), most)}{fix}"


def _fixed(one: TrackedFinding) -> str:
    return escaped(wording.title_of(one.pattern) + (f" ({one.was})" if one.was else ""), 120)


def _fitting(sections: Sequence[Section], room: int) -> list[str]:
    """As many points as there is room for, in their order, and of each section how many are left out.

    A section of which not one point fits is not there: the sentence before has its number.
    """
    lines: list[str] = []
    for section in sections:
        title = ["", f"**{section.title}**", ""]
        kept: list[str] = []
        for point in section.points[: section.most]:
            left = len(section.points) - len(kept) - 1
            if _length([*lines, *title, *kept, f"- {point}", _more(left)]) > room:
                break
            kept.append(f"- {point}")
        if kept:
            lines += [*title, *kept, *filter(None, [_more(len(section.points) - len(kept))])]
    return lines


def _more(left: int) -> str:
    return f"- and {count(left)} more" if left else ""


def _length(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _shortest(title: str, limit: int) -> str:
    """The answer alone, where there is no room for more."""
    most = limit - 1
    text = escaped(title, max(1, most))
    while len(text) > max(0, most) and most > 1:
        most //= 2
        text = escaped(title, max(1, most))
    return f"{text}\n"[: max(0, limit)]


def _linked(name: str, link: str, page: str | None) -> str:
    """The run's name, as a link to its page where both are known."""
    called = code(name, telling.LONG_NAME)
    return f"[{called}]({_address(urljoin(_page(link), safe_address(page)))})" if link and page else called


def _page(link: str) -> str:
    """The address of the audit's page: what is no page is its folder."""
    return _address(link if link.endswith((".html", "/")) else f"{link}/")


def _address(address: str) -> str:
    """An address that cannot end the link it stands in."""
    return quote(address, safe="%/:?#@!$&'*+,;=~._-[]").replace("[", "%5B").replace("]", "%5D")
