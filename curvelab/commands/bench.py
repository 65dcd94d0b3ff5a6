"""curvelab bench: findings against labels, on anyone's labelled runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curvelab.commands.inputs import Config, Ignore, Metric, Select, Threshold, output_file
from curvelab.commands.terminal import exit_code, json_text, print_result, progress, say
from curvelab.model.errors import UnreadableError, UsageError, did_you_mean
from curvelab.user_settings import UserSettings, Wishes, metrics_in, names_in, one_of, settle, thresholds_in

if TYPE_CHECKING:
    from curvelab.labels import Case
    from curvelab.scoring import Answer, Benchmark, Wrong

FORMATS = ("text", "json", "md")


def bench(
    labels: Annotated[list[str], typer.Argument(metavar="LABELS", help="A labels.json, or a folder that holds one.")],
    format_: Annotated[str, typer.Option("--format", metavar="text|json|md", help="How to print it.")] = "text",
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    misses: Annotated[bool, typer.Option("--misses", help="List every label that a finding contradicts.")] = False,
    select: Select = None,
    ignore: Ignore = None,
    set_: Threshold = None,
    metric: Metric = None,
    config: Config = None,
) -> None:
    """Score curvelab on your own labelled runs.

    Precision, recall and F1 of every pattern, false alarms on healthy runs, onset error, and whether confidence means
    what it says. LABELS is JSON, with paths relative to it:

    {"cases": [{"id": "lr-too-high", "path": "runs/17", "labels": {"divergence": "yes", "spikes": "unsure", "plateau":
    "no", "healthy": "no"}, "onset": {"divergence": [380, 420]}, "source": "team-a"}]}

    A label is yes, no or unsure; unsure and absent ones are not scored. An onset is a step, or the first and last that
    are right. The interval of micro F1 draws whole sources, since runs of one source resemble each other.
    """
    one_of("--format", format_, FORMATS)
    flags = Wishes(
        select=names_in(select), ignore=names_in(ignore), thresholds=thresholds_in(set_), metrics=metrics_in(metric)
    )
    settings = settle(flags, config, os.environ, Path())
    settings.check_patterns()
    file = output_file(output) if output else None
    sets = _labelled([Path(name) for name in labels])
    result, wrong, unanswered = _benchmark(sets, settings)
    text = _written(format_, result, wrong if misses else None)
    if file:
        _write(file, text)
    else:
        print_result(text)
    raise typer.Exit(exit_code(result.together.answered, unanswered))


def _labelled(labels: Sequence[Path]) -> dict[str, tuple[Case, ...]]:
    """The cases of each labels file by a name for it. Raises UnreadableError for a file that is none, or has none."""
    from curvelab.catalogue import detectors
    from curvelab.labels import HEALTHY, read_labels

    known = {one.pattern for one in detectors()} | {HEALTHY}
    sets: dict[str, tuple[Case, ...]] = {}
    for path in labels:
        cases = read_labels(path)
        if not cases:
            raise UnreadableError(path, "no case has labels")
        for name in sorted({pattern for case in cases for pattern in case.labels} - known):
            say(f"{path}: no pattern is called {name!r}{did_you_mean(name, known)}; it is not scored")
        place = path.resolve() if path.is_dir() else path.resolve().parent
        sets[place.name if place.name not in sets else str(path)] = cases
    return sets


def _benchmark(sets: dict[str, tuple[Case, ...]], settings: UserSettings) -> tuple[Benchmark, list[Wrong], int]:
    """The scores, what is wrong, and how many cases could not be answered."""
    from curvelab.catalogue import detectors
    from curvelab.scoring import Benchmark, score, wrong

    patterns = [one.pattern for one in detectors() if settings.options.wants(one.pattern)]
    cases = [case for held in sets.values() for case in held]
    answers: dict[Case, Answer] = {}
    with progress("looking at") as show:
        for case in cases:
            show(case.id)
            answer = _answer(case, settings)
            if answer:
                answers[case] = answer
    result = Benchmark(
        sets={name: score(held, answers, patterns) for name, held in sets.items()},
        together=score(cases, answers, patterns),
    )
    return result, wrong(cases, answers, patterns), len(cases) - len(answers)


def _answer(case: Case, settings: UserSettings) -> Answer | None:
    """What is said of one case; None, and a line on stderr, where its log cannot be read."""
    from curvelab.diagnosis import diagnose
    from curvelab.ingest import gather
    from curvelab.scoring import answer_of

    gathered = gather([case.path], metric_names=settings.metrics)
    for error in gathered.errors:
        say(f"{case.id}: {error}")
    return answer_of([diagnose(run, settings.options) for run in gathered.runs]) if gathered.runs else None


def _written(format_: str, result: Benchmark, misses: list[Wrong] | None) -> str:
    import msgspec

    from curvelab import __version__
    from curvelab.model.result import SCHEMA
    from curvelab.report.scores import score_markdown, score_text

    if format_ == "json":
        listed = {} if misses is None else {"misses": msgspec.to_builtins(misses)}
        return json_text({"schema": SCHEMA, "curvelab": __version__, **result.to_dict(), **listed})
    return (score_markdown if format_ == "md" else score_text)(result, misses)


def _write(file: Path, text: str) -> None:
    from curvelab.report.write import write_atomically

    try:
        write_atomically(file, text)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror or error}); nothing was changed") from None
