"""Scripts inside a page: their text from the templates, and the policy that lets the browser run them and nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from jinja2 import Environment
from markupsafe import Markup


def source(environment: Environment, name: str) -> str:
    """The text of a template as it is written."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def script(environment: Environment, *names: str) -> Markup:
    """One script of several parts in their order, without comments and indentation; what they declare stays theirs."""
    lines = (line.strip() for name in names for line in source(environment, name).splitlines())
    kept = (line for line in lines if line and not line.startswith("//"))
    return Markup("\n".join(["(() => {", '"use strict";', *kept, "})();"]))


def allowed(script: str) -> str:
    """The source expression by which a policy allows this one script and no other, whatever a log may bring into the page."""
    return "sha256-" + b64encode(sha256(script.encode()).digest()).decode()
