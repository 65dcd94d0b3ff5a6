"""curvelab render: the pages of `postmortem --format json`, drawn from that JSON alone, the logs may be gone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curvelab.commands.pages import page_target, write_pages
from curvelab.model.errors import UnreadableError

if TYPE_CHECKING:
    from curvelab.model.result import Diagnosis


def render(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What postmortem --format json printed; - is stdin.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A folder (default reports) or one .html file.")
    ] = None,
) -> None:
    """Draw the pages of diagnoses that were saved as JSON: byte for byte those of the post-mortem."""
    target = page_target(output)
    write_pages(_diagnoses(file, _read(file)), target)


def _read(file: str) -> Any:
    """The JSON of a file or of stdin. Raises UnreadableError with the place of what is wrong."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return json.loads(text)  # not msgspec's: it knows neither whole numbers beyond 64 bits nor a bare NaN
    except json.JSONDecodeError as error:
        why = f"is no JSON (line {error.lineno}, column {error.colno}: {error.msg})"
    except UnicodeDecodeError:
        why = "is no JSON (not UTF-8)"
    except RecursionError:
        why = "is no JSON of curvelab (nested too deeply)"
    except (OSError, ValueError) as error:
        why = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    raise UnreadableError(file, why)


def _diagnoses(file: str, plain: Any) -> list[Diagnosis]:
    """The runs of the whole object, or the one run that it is. Raises UnreadableError where a field does not fit."""
    import msgspec

    from curvelab.model.result import SCHEMA, Diagnosis

    if not isinstance(plain, dict):
        raise UnreadableError(file, "is no diagnosis (a JSON object is expected)")
    if plain.get("schema", SCHEMA) != SCHEMA:
        raise UnreadableError(file, f"has schema {plain['schema']}, this curvelab reads {SCHEMA}; use the one that wrote it")
    runs = plain.get("runs", [plain])
    if not isinstance(runs, list) or not runs:
        raise UnreadableError(file, "holds no runs")
    found = []
    for number, run in enumerate(runs):
        try:
            found.append(Diagnosis.from_dict(run))
        except msgspec.ValidationError as error:
            where = f"runs[{number}]" if "runs" in plain else "it"
            raise UnreadableError(file, f"is no diagnosis of curvelab ({where}: {error})") from None
    return found
