"""Addresses that hold a secret: what of them may be shown, and how a setting names one without holding it.

A Slack hook, a mail account, a dead-man's switch: whoever knows the address can use it. What is shown of one is enough
to tell it from the others ("slack://T...A/B...B/X...C", "https://hc-ping.com/6...b"), and never enough to use it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote, unquote, urlsplit

from curvelab.model.errors import UsageError
from curvelab.report.plain import clean

MASK = "****"
MOST_SHOWN = 120  # characters of a masked address
SHORTEST = 4  # characters; a shorter part of an address is no secret, and hiding it would spoil every sentence
SHOWS_ITS_ENDS = 8  # characters from which on the first and the last are shown

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]{0,20})://")
_BETWEEN = re.compile(r"[\s/?&#@:;=,\\]+")
_NAMED = re.compile(r"\s*(?:env:([A-Za-z_]\w*)|\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)\})\s*\Z", re.ASCII)


def variable(value: str) -> str | None:
    """The environment variable that `env:NAME`, `$NAME` or `${NAME}` names; None: the value is not of that form."""
    found = _NAMED.match(value)
    return found and next(name for name in found.groups() if name)


def resolved(value: str, environ: Mapping[str, str]) -> str:
    """The address itself, from the environment where the value names a variable; "" where that is set to nothing.

    Raises UsageError where it is not set at all.
    """
    name = variable(value)
    if name is None:
        return value.strip()
    if name not in environ:
        raise UsageError(f"the environment variable {name} is not set")
    return environ[name].strip()


def masked(url: str) -> str:
    """An address of which nothing is known but its form: http addresses keep their host, others only their scheme."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return MASK
    name = scheme[1].lower()
    if name not in ("http", "https"):
        return f"{name}://{MASK}"
    try:
        parts = urlsplit(url.strip())
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{name}://{MASK}"
    path = "/".join(_hidden(part) if part else "" for part in parts.path.split("/"))
    return clean(f"{name}://{parts.hostname or MASK}{port}{path}", MOST_SHOWN)


def without_parts(text: str, url: str, keep: Collection[str] = ()) -> str:
    """A text without any part of an address: user, password, path, query, raw or decoded, in upper or lower case.

    keep   parts that may be shown, such as its host
    """
    shown = {word.lower() for word in keep}
    address = _SCHEME.sub("", url, count=1)
    parts = {part for part in _BETWEEN.split(address) if len(part) >= SHORTEST and part.lower() not in shown}
    forms = {form: part for part in parts for form in (part, unquote(part), quote(unquote(part), safe=""))}
    if not forms:
        return text
    found = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)), re.IGNORECASE)
    return found.sub(lambda match: _hidden(match[0]), text)


def _hidden(part: str) -> str:
    return f"{part[0]}...{part[-1]}" if len(part) >= SHOWS_ITS_ENDS else MASK
