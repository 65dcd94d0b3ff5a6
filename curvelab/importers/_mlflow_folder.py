"""The folder that MLflow keeps for a run: its small files, read without trusting any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import yaml

from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import MAX_METRICS
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

LONGEST_SETTING = 8_192  # characters
_DEEPEST = 8  # folders below metrics/, one for each slash of a key
_META_LINE = re.compile(r"^(\w+): *(.*?) *$", re.M)


def files_below(folder: Path, tally: Tally) -> Iterator[tuple[str, Source]]:
    """(key, file) of every regular file below a folder; links are not followed. Keys with slashes are folders."""
    stack, count = [(folder, "", 0)], 0
    while stack:
        here, prefix, depth = stack.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            key = f"{prefix}{unquote(entry.name)}"
            if entry.is_symlink():
                tally.drop("are links, which are not followed")
            elif entry.is_dir() and depth < _DEEPEST:
                stack.append((Path(entry.path), key + "/", depth + 1))
            elif entry.is_file():
                count += 1
                if count > MAX_METRICS:
                    tally.drop(f"are beyond the first {MAX_METRICS:,} files of a run")
                    return
                try:
                    yield key, Source.at(Path(entry.path))
                except UnreadableError:
                    tally.drop("are files that cannot be read")


def texts_of(source: Source) -> dict[str, str]:
    """The texts of a meta.yaml by name; of one that was cut those before the cut.

    Only events are read, nothing is built of them, so no anchor, tag or nesting does any harm.
    """
    found: dict[str, str] = {}
    key, depth = None, 0
    text = source.head.decode("utf-8", "replace")
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth != 1 or not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent | yaml.CollectionEndEvent):
                continue
            value = event.value if isinstance(event, yaml.ScalarEvent) else ""
            if key is not None:
                found[key] = value
            key = value if key is None else None
    except yaml.YAMLError:
        # what was read before the damage counts; behind it, lines as MLflow writes them
        found = {key: value.strip("'\"") for key, value in _META_LINE.findall(text)} | found
    return found


def beginning_of(file: Path | Source) -> str:
    """The beginning of a small file; empty when it cannot be read, or is a link."""
    try:
        if isinstance(file, Path):
            if file.is_symlink():
                return ""
            file = Source.at(file)
        return file.first(LONGEST_SETTING).decode("utf-8", "replace")
    except (UnreadableError, OSError):
        return ""
