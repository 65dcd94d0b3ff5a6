"""Writing the pictures of runs to files of their own: --export-plots DIR, --plot-format svg,png,pdf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curvelab.commands.pages import page_names, write_file
from curvelab.commands.terminal import progress, say
from curvelab.model.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from curvelab.model.result import Diagnosis
    from curvelab.report.plots import PlotFormat

FORMATS: tuple[PlotFormat, ...] = ("svg", "png", "pdf")


def plot_formats(folder: Path | None, given: Sequence[str] | None) -> tuple[PlotFormat, ...]:
    """The formats that were asked for, each once. Raises UsageError for another, and where there is no folder for them."""
    names = [name.strip().lower() for text in given or () for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--plot-format {name}: is none of {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}")
    if names and folder is None:
        raise UsageError("--plot-format: says nothing without --export-plots DIR")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"--export-plots {folder}: is no folder")
    return tuple(form for form in FORMATS if form in names) or FORMATS[:1]


def write_plots(diagnoses: Sequence[Diagnosis], folder: Path, formats: Sequence[PlotFormat]) -> None:
    """`<slug of the run>-<what it shows>.<format>` for every picture of every run."""
    from curvelab.report.plots import plot, plots

    written = 0
    with progress("drawing") as show:
        for diagnosis, page in zip(diagnoses, page_names(diagnoses), strict=True):
            show(diagnosis.name)
            for name, picture in plots(diagnosis):
                for form in formats:
                    write_file(folder / f"{Path(page).stem}-{name}.{form}", plot(picture, diagnosis.name, form))
                    written += 1
    if written:
        say(f"{written} {'picture' if written == 1 else 'pictures'} -> {folder}")
