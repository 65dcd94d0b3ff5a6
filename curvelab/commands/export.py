"""curvelab export: the unified dataframe of all runs as csv, parquet or jsonl."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curvelab.commands.inputs import Config, Metric, Paths, output_file, read_runs
from curvelab.commands.terminal import exit_code, print_result
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.strict_json import encodable, strict
from curvelab.user_settings import Wishes, metrics_in, names_in, one_of, settle

if TYPE_CHECKING:
    import pandas as pd

    from curvelab.model.run import Run

FORMATS = ("csv", "parquet", "jsonl")
TEXT_COLUMNS = ("run", "metric", "raw_name", "origin")
_FORMULA = re.compile(r"[=+\-@\t\r]")  # what a spreadsheet takes for the beginning of a formula


def export(
    paths: Paths,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="csv|parquet|jsonl", help="Default: from the suffix of -o, else csv."),
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="One row a step, one column a metric.")] = False,
    metrics: Annotated[
        list[str] | None, typer.Option("--metrics", metavar="GLOB,...", help="These metrics only, e.g. 'eval/*'.")
    ] = None,
    metric: Metric = None,
    config: Config = None,
) -> None:
    """The unified dataframe: one row a logged value."""
    flags = Wishes(metrics=metrics_in(metric))
    settings = settle(flags, config, os.environ, Path())
    file = output_file(output) if output else None
    chosen = _format(format_, file)
    gathered = read_runs(paths, settings.metrics, flags.metrics)
    if gathered.runs:
        globs = names_in(metrics) or ("*",)
        _check_globs(gathered.runs, globs)
        runs = [_only(run, globs) for run in gathered.runs]
        _write(_wide(runs) if wide else _long(runs), chosen, file)
    raise typer.Exit(exit_code(len(gathered.runs), len(gathered.errors)))


def _format(given: str | None, file: Path | None) -> str:
    """The format asked for, or that of the suffix. Raises UsageError when it cannot be written."""
    suffix = file.suffix.lower().lstrip(".") if file else "csv"
    if given is None and suffix not in FORMATS:
        raise UsageError(f"-o {file}: the suffix says no format; name one with --format {'|'.join(FORMATS)}")
    chosen = one_of("--format", suffix if given is None else given, FORMATS)
    if chosen == "parquet":
        if file is None:
            raise UsageError("parquet is no text for stdout; name a file with -o")
        from importlib.util import find_spec

        if find_spec("pyarrow") is None:
            raise UsageError("parquet needs pyarrow: pip install 'curvelab[parquet]'")
    return chosen


def _check_globs(runs: Sequence[Run], globs: Sequence[str]) -> None:
    """Raise UsageError for a glob that fits no metric of any run."""
    known = sorted({name for run in runs for name in run.metrics})
    for glob in globs:
        if glob != "*" and not any(fnmatchcase(name, glob) for name in known):
            raise UsageError(f"--metrics {glob}: fits no metric{did_you_mean(glob, known)}")


def _only(run: Run, globs: Sequence[str]) -> Run:
    """The run with the metrics that a glob fits."""
    from dataclasses import replace

    logged = {name: curve for name, curve in run.logged.items() if any(fnmatchcase(name, glob) for glob in globs)}
    return replace(run, logged=logged)


def _long(runs: Sequence[Run]) -> pd.DataFrame:
    from curvelab.model.frame import frame_of

    return frame_of(runs)


def _wide(runs: Sequence[Run]) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for run in runs:
        frame = run.wide().reset_index()
        frame.insert(0, "run", pd.Series(run.name, index=frame.index, dtype=object))
        parts.append(frame)
    joined = pd.concat(parts, ignore_index=True)
    return joined[["run", "step", *sorted(set(joined.columns) - {"run", "step"})]]


def _write(frame: pd.DataFrame, format_: str, file: Path | None) -> None:
    frame = frame.rename(columns=encodable)
    for column in TEXT_COLUMNS:
        if column in frame:
            frame[column] = _texts(frame[column], as_cells=format_ == "csv")
    if format_ == "parquet" and file:
        with _replacing(file) as part:
            frame.to_parquet(part, index=False, engine="pyarrow")
        return
    text = _as_csv(frame) if format_ == "csv" else _as_jsonl(frame)
    if file is None:
        print_result(text)
    else:
        with _replacing(file) as part:
            part.write_text(text, "utf-8", newline="")


def _texts(column: pd.Series, as_cells: bool) -> pd.Categorical:
    """A text column that every format can hold; for csv with what looks like a formula quoted."""
    import numpy as np
    import pandas as pd

    column = column.astype("category")
    words = [_cell(encodable(str(word))) if as_cells else encodable(str(word)) for word in column.cat.categories]
    names = list(dict.fromkeys(words))
    place = np.array([names.index(word) for word in words], dtype=np.int32)
    return pd.Categorical.from_codes(place[column.cat.codes.to_numpy()], categories=pd.Index(names, dtype=object))


def _cell(word: str) -> str:
    return "'" + word if _FORMULA.match(word) else word


def _times(frame: pd.DataFrame, unknown: str | None) -> pd.Series:
    """Wall times as ISO 8601 in UTC, with what stands where the log does not say."""
    texts = frame["wall_time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").astype(object)
    times: pd.Series = texts.where(frame["wall_time"].notna(), unknown)
    return times


def _as_csv(frame: pd.DataFrame) -> str:
    import csv

    if "wall_time" in frame:
        frame = frame.assign(wall_time=_times(frame, ""))
    frame = frame.rename(columns=_cell)
    words = [*frame.columns, *(word for name in TEXT_COLUMNS if name in frame for word in frame[name].cat.categories)]
    # csv does not quote a bare carriage return, and readers take it for the end of the line
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if any("\r" in word for word in words) else csv.QUOTE_MINIMAL
    text: str = frame.to_csv(index=False, na_rep="NaN", lineterminator="\n", quoting=quoting)
    return text


def _as_jsonl(frame: pd.DataFrame) -> str:
    """One object a row. Strict JSON: a value that is not finite is its name; what is not known is null."""
    import math

    import orjson


    if "wall_time" in frame:
        frame = frame.assign(wall_time=_times(frame, None))
    columns = {name: frame[name].tolist() for name in frame.columns}
    unknown = set(columns) - {"value"} if "value" in columns else set()
    for name, items in columns.items():
        if name in unknown:
            columns[name] = [None if isinstance(item, float) and math.isnan(item) else item for item in items]
        else:
            columns[name] = strict(items)
    rows = zip(*columns.values(), strict=True)
    return "".join(orjson.dumps(dict(zip(columns, row, strict=True))).decode() + "\n" for row in rows)


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside `file` that takes its place when all went well. Raises UsageError when it cannot."""
    part = file.with_name(f".{file.name[:100]}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        yield part
        part.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror or error}); nothing was changed") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
