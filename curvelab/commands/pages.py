"""Putting pages on disk: where -o leads, what each page is called, and what the terminal says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curvelab.commands.terminal import print_result, progress
from curvelab.model.errors import UsageError
from curvelab.report.plain import clean

if TYPE_CHECKING:
    from curvelab.model.result import Diagnosis

DEFAULT_FOLDER = "reports"
MOST_BLOCKS = 4  # runs that are told one by one on the terminal; more become a table


def is_page(path: Path) -> bool:
    """Whether a path names one page and no folder."""
    return path.suffix.lower() in (".html", ".htm")


def page_target(output: str | None) -> Path:
    """Where -o leads for pages: a folder or one .html file. Raises UsageError for any other file."""
    target = Path(output or DEFAULT_FOLDER)
    if target.is_file() and not is_page(target):
        raise UsageError(f"-o {target}: is a file; pages go to a folder or to one .html file")
    return target


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. Raises UsageError where that cannot be."""
    from curvelab.report.write import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from None


def put_text(text: str, file: Path | None) -> None:
    """Put a text into a file, or on stdout where there is none. Raises UsageError where that cannot be."""
    if file is None:
        print_result(text)
    else:
        write_file(file, text)


def write_pages(diagnoses: Sequence[Diagnosis], target: Path) -> None:
    """A page for each run, an index when there are several, and a summary on the terminal."""
    from curvelab.report.page import index, page

    if not diagnoses:
        return
    single = is_page(target) and not target.is_dir()
    if single and len(diagnoses) > 1:
        raise UsageError(f"-o {target}: is one page, and there are {len(diagnoses)} runs and an index; name a folder")
    names = [target.name] if single else page_names(diagnoses)
    folder = target.parent if single else target
    with progress("drawing") as show:
        for diagnosis, name in zip(diagnoses, names, strict=True):
            show(diagnosis.name)
            write_file(folder / name, page(diagnosis))
    contents = folder / "index.html" if len(diagnoses) > 1 else None
    if contents:
        write_file(contents, index(list(zip(diagnoses, names, strict=True))))
    print_result(_summary(diagnoses, [folder / name for name in names], contents))


def page_names(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """A file name for each page: `<slug>.html`, with a short hash where two would be one file or the index.

    Names that differ only in case are one file on some systems. All that collide get the hash (of path and id), so
    that a name does not depend on the order of the paths.
    """
    import hashlib

    from curvelab.report.write import slug

    slugs = [slug(diagnosis.name) for diagnosis in diagnoses]
    lowered = [one.lower() for one in slugs]
    names: list[str] = []
    taken = {"index", *(one for one in lowered if lowered.count(one) == 1)}
    for diagnosis, one in zip(diagnoses, slugs, strict=True):
        if lowered.count(one.lower()) == 1 and one.lower() != "index":
            names.append(one)
            continue
        word = f"{diagnosis.path}\0{diagnosis.id}"
        digest = hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()
        name = next(n for n in (f"{one}-{digest[:k]}" for k in range(6, 64)) if n.lower() not in taken)
        taken.add(name.lower())
        names.append(name)
    return [f"{name}.html" for name in names]


def _summary(diagnoses: Sequence[Diagnosis], pages: Sequence[Path], contents: Path | None) -> str:
    """The terminal's view: a block a run, a table for many, and where the pages are."""
    import sys

    from rich.console import Console

    from curvelab.report.text import show

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        if len(diagnoses) <= MOST_BLOCKS:
            for diagnosis, path in zip(diagnoses, pages, strict=True):
                show(diagnosis, console)
                console.print(f"  -> {clean(str(path))}", soft_wrap=True)
        else:
            _print_table(console, diagnoses, pages)
        if contents:
            console.print(f"{len(diagnoses)} runs -> {clean(str(contents))}", soft_wrap=True)
    return captured.get()


def _print_table(console: object, diagnoses: Sequence[Diagnosis], pages: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    assert isinstance(console, Console)
    table = Table("run", "verdict", "findings", "last step", "page", box=None, pad_edge=False, header_style="bold")
    for diagnosis, path in zip(diagnoses, pages, strict=True):
        found = len({finding.pattern for finding in diagnosis.findings})
        last = "-" if diagnosis.last_step is None else f"{diagnosis.last_step:,}"
        cells = (diagnosis.name, diagnosis.verdict, str(found) if found else "none", last, path.name)
        table.add_row(*(Text(clean(cell), overflow="fold") for cell in cells))
    console.print(table)
