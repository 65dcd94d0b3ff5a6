"""YAML mappings by PyYAML's safe loader, with every way to make a small file large closed before it is loaded.

PyYAML is a dependency of its own (and not a parser of ours): configs in the wild use block texts, flow lists, anchors
and comments, which a subset parser would misread in silence. It is small, has wheels everywhere, and nearly every
training environment has it already. It is imported only when a YAML file stands beside a log.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from curvelab.beside import contents
from curvelab.model.errors import UnreadableError
from curvelab.sidecars._plain import Opaque, plain
from curvelab.sources import Source

MAX_BYTES = 512 * 1024
MAX_EVENTS = 50_000
MAX_DEPTH = 24  # the loader recurses
MAX_ALIASES = 16  # merging (`<<: *a`) multiplies: 16 aliases make at most some hundred copies


def yaml_mapping(source: Source) -> dict[str, Any]:
    """The mapping of a YAML file, plain values only; unknown tags (Python objects) are left out.

    Raises UnreadableError when there is none.
    """
    import yaml

    raw = contents(source, MAX_BYTES)
    try:
        _bounded(yaml, raw)
        tree = yaml.load(raw, Loader=_loader())  # a subclass of the safe loader
        if isinstance(tree, dict):
            return plain(tree)
        why = "no YAML mapping"
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, LookupError, TypeError) as error:
        why = f"no usable YAML ({' '.join(str(error).split())[:160]})"
    raise UnreadableError(source.path, f"{why}; its settings are not used")


def _bounded(yaml: Any, raw: bytes) -> None:
    """Raises ValueError for a document that would cost more than a settings file may."""
    depth = aliases = 0
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for count, event in enumerate(yaml.parse(raw, Loader=loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > MAX_DEPTH or aliases > MAX_ALIASES or count > MAX_EVENTS:
            raise ValueError("nested too deeply, too many aliases, or too long")


@cache
def _loader() -> Any:
    """The safe loader, the compiled one where it is there; a tag that it does not know makes an opaque value."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_constructor(None, lambda loader, node: Opaque(str(node.tag)))
    return Loader
