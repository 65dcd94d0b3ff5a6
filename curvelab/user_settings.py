"""What the user asked for, and where: flags before environment before curvelab.toml or [tool.curvelab].

(curvelab.settings is about the hyperparameters of a run.) The keys of the file:

    format = "text"                  # html, text, json, md
    output = "reports"
    fail-on = "warning"              # never, info, warning, critical
    select = ["spikes"]              # or "spikes,plateau"
    ignore = ["sawtooth"]
    gpus = 8                         # when the log does not say, or says wrong
    gpu-price = 2.5                  # of one GPU for an hour, in any currency
    patience = 3                     # of the early stopping that is simulated
    min-gain = 0.001
    [thresholds.clip-saturation]
    share = 0.9
    [metrics]
    valid_mse = "eval/loss"
    [compare]                        # of curvelab compare
    rank-by = "eval/accuracy"
    goal = "max"
    align = "tokens"                 # step, epoch, tokens, samples, time
    baseline = "main"
    [audit]                          # see curvelab.audit_settings

Environment: CURVELAB_FORMAT, CURVELAB_OUTPUT, CURVELAB_FAIL_ON, CURVELAB_SELECT, CURVELAB_IGNORE, CURVELAB_CONFIG,
CURVELAB_GPUS, CURVELAB_GPU_PRICE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.options import NUMBERS, Options, check_number

FORMATS = ("html", "text", "json", "md")
FAIL_ON = ("never", "info", "warning", "critical")
# audit: read by curvelab.audit_settings, and only by the audit
KEYS = (
    "format", "output", "fail-on", "select", "ignore", "thresholds", "metrics", "gpus", "gpu-price", "patience", "min-gain",
    "compare", "audit",
)  # fmt: skip
COMPARE_KEYS = ("rank-by", "goal", "align", "baseline")
FILES = ("curvelab.toml", "pyproject.toml")
LARGEST = 1024**2  # bytes of a settings file


@dataclass(frozen=True)
class Wishes:
    """What one place says; None: nothing. `origin` names the place in error messages, empty for the command line."""

    origin: str = ""
    format: str | None = None
    output: str | None = None
    fail_on: str | None = None
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None
    gpu_price: float | None = None
    patience: int | None = None
    min_gain: float | None = None
    compare: Mapping[str, str] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)

    def error(self, text: str) -> UsageError:
        """A UsageError that names the place."""
        return UsageError(f"{self.origin}: {text}" if self.origin else text)


@dataclass(frozen=True)
class UserSettings:
    """The settings of one call, after precedence. `places` are the wishes they came from, the strongest first."""

    format: str
    output: str | None
    fail_on: str
    options: Options
    metrics: Mapping[str, str]
    places: tuple[Wishes, ...]
    compare: Mapping[str, str] = field(default_factory=dict)

    def check_patterns(self) -> None:
        """Raise UsageError, with the place, for a pattern or threshold that does not exist or is out of bounds."""
        from curvelab.catalogue import detector

        for place in self.places:
            try:
                for pattern in (*(place.select or ()), *(place.ignore or ())):
                    detector(pattern)
                for pattern, values in place.thresholds.items():
                    detector(pattern).limits(values)
            except UsageError as error:
                raise place.error(str(error)) from None


def settle(flags: Wishes, config: Path | None, environment: Mapping[str, str], folder: Path) -> UserSettings:
    """Put flags, environment and settings file together. Raises UsageError for an unknown key, name or value."""
    places = (flags, _environment(environment), _file(config, environment, folder))
    for place in places:
        _check_choice(place, "format", place.format, FORMATS)
        _check_choice(place, "fail-on", place.fail_on, FAIL_ON)
        _check_numbers(place)
    format_ = _first(place.format for place in places) or FORMATS[0]
    thresholds: dict[str, dict[str, float]] = {}
    metrics: dict[str, str] = {}
    compare: dict[str, str] = {}
    for place in reversed(places):
        metrics |= place.metrics
        compare |= place.compare
        for pattern, values in place.thresholds.items():
            thresholds.setdefault(pattern, {}).update(values)
    return UserSettings(
        format=format_,
        output=_output_for(format_, places),
        fail_on=_first(place.fail_on for place in places) or FAIL_ON[0],
        options=Options(
            select=_first(place.select for place in places) or (),
            ignore=_first(place.ignore for place in places) or (),
            thresholds=thresholds,
            **_numbers(places),
        ),
        metrics=metrics,
        places=places,
        compare=compare,
    )


def names_in(words: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names in repeated, comma-separated words; None without any word."""
    if not words:
        return None
    return tuple(dict.fromkeys(name.strip() for word in words for name in word.split(",") if name.strip()))


def thresholds_in(words: Iterable[str] | None) -> dict[str, dict[str, float]]:
    """`pattern.threshold=value`, repeated. Raises UsageError."""
    found: dict[str, dict[str, float]] = {}
    for word in words or ():
        name, _, value = word.partition("=")
        pattern, _, threshold = name.strip().rpartition(".")
        try:
            number = float(value)
        except ValueError:
            number = None
        if not pattern or not threshold or number is None:
            raise UsageError(f"--set {word}: takes pattern.threshold=number, such as clip-saturation.share=0.9")
        found.setdefault(pattern, {})[threshold] = number
    return found


def metrics_in(words: Iterable[str] | None) -> dict[str, str]:
    """`NAME=CANONICAL`, repeated; NAME may hold equals signs. Raises UsageError."""
    found = {}
    for word in words or ():
        name, _, canonical = word.rpartition("=")
        if not name or not canonical.strip():
            raise UsageError(f"--metric {word}: takes NAME=CANONICAL, such as valid_mse=eval/loss")
        found[name] = canonical.strip()
    return found


def comparing_in(words: Mapping[str, str | None]) -> dict[str, str]:
    """The options of a comparison that were given."""
    return {name: word for name, word in words.items() if word is not None}


def one_of(what: str, value: str, allowed: Iterable[str]) -> str:
    """The value, if it is allowed. Raises UsageError with the nearest one."""
    known = tuple(allowed)
    if value not in known:
        raise UsageError(f'{what} takes {", ".join(known)}, not "{value}"{did_you_mean(value, known)}')
    return value


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _check_choice(place: Wishes, key: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None:
        try:
            one_of(key if place.origin else f"--{key}", value, allowed)
        except UsageError as error:
            raise place.error(str(error)) from None


def _check_numbers(place: Wishes) -> None:
    for name in NUMBERS:
        key = name.replace("_", "-")
        try:
            check_number(name, key if place.origin else f"--{key}", getattr(place, name))
        except UsageError as error:
            raise place.error(str(error)) from None


def _numbers(places: tuple[Wishes, ...]) -> dict[str, Any]:
    """The numbers that some place gives, each from the strongest; the others keep their defaults."""
    given = {name: _first(getattr(place, name) for place in places) for name in NUMBERS}
    return {name: value for name, value in given.items() if value is not None}


def _output_for(format_: str, places: tuple[Wishes, ...]) -> str | None:
    """The strongest output that was meant for this format.

    An `output` in a file goes with the format as it is set at that place: `--format json` on the command line must
    not write into the folder that the file names for pages.
    """
    for i, place in enumerate(places):
        meant_for = _first(weaker.format for weaker in places[i:]) or FORMATS[0]
        if place.output is not None and (i == 0 or meant_for == format_):
            return place.output
    return None


def _environment(environment: Mapping[str, str]) -> Wishes:
    def words(name: str) -> tuple[str, ...] | None:
        return names_in([environment[name]]) if environment.get(name) else None

    return Wishes(
        origin="environment",
        format=environment.get("CURVELAB_FORMAT") or None,
        output=environment.get("CURVELAB_OUTPUT") or None,
        fail_on=environment.get("CURVELAB_FAIL_ON") or None,
        select=words("CURVELAB_SELECT"),
        ignore=words("CURVELAB_IGNORE"),
        gpus=_parsed(environment.get("CURVELAB_GPUS")),
        gpu_price=_parsed(environment.get("CURVELAB_GPU_PRICE")),
    )


def _parsed(word: str | None) -> Any:
    """The number in a word; the word itself where there is none in it, for the check to refuse; None for no word."""
    for kind in (int, float):
        try:
            return kind(word) if word else None
        except ValueError:
            continue
    return word


def settings_file(config: Path | None, environment: Mapping[str, str], folder: Path) -> Path | None:
    """The settings file that holds in a folder; None where there is none. Raises UsageError for one that cannot be read."""
    named = config or (Path(environment["CURVELAB_CONFIG"]) if environment.get("CURVELAB_CONFIG") else None)
    if named is not None:
        return named
    return next((folder / name for name in FILES if (folder / name).is_file() and _table(folder / name)), None)


def _file(config: Path | None, environment: Mapping[str, str], folder: Path) -> Wishes:
    found = settings_file(config, environment, folder)
    return Wishes(origin="settings") if found is None else _from_table(str(found), _table(found))


def _table(path: Path) -> dict[str, Any]:
    """The settings table of a file: all of a curvelab.toml, [tool.curvelab] of a pyproject.toml."""
    import tomllib

    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such settings file")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: larger than {LARGEST:,} bytes; no settings file")
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if path.name == "pyproject.toml":
        tool = table.get("tool")
        table = tool.get("curvelab", {}) if isinstance(tool, dict) else {}
    return table if isinstance(table, dict) else {}


def _from_table(origin: str, table: Mapping[str, Any]) -> Wishes:
    place = Wishes(origin=origin)
    for key in table:
        if key not in KEYS:
            raise place.error(f'no setting is called "{key}"{did_you_mean(key, KEYS) or "; known: " + ", ".join(KEYS)}')
    return Wishes(
        origin=origin,
        format=_word(place, table, "format"),
        output=_word(place, table, "output"),
        fail_on=_word(place, table, "fail-on"),
        select=_names(place, table, "select"),
        ignore=_names(place, table, "ignore"),
        thresholds={
            pattern: {name: _number(place, f"thresholds.{pattern}.{name}", value) for name, value in values.items()}
            for pattern, values in _tables(place, table, "thresholds").items()
        },
        metrics=_metrics(place, table),
        compare=_comparing(place, table),
        audit=_table_of(place, table, "audit"),
        **{name: table.get(name.replace("_", "-")) for name in NUMBERS},
    )


def _word(place: Wishes, table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise place.error(f"{key} takes a text, not {value!r}")
    return value


def _names(place: Wishes, table: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise place.error(f"{key} takes a list of names, not {value!r}")
    return names_in(words) or ()


def _tables(place: Wishes, table: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
        raise place.error(f"{key} takes tables such as [{key}.clip-saturation]")
    return value


def _number(place: Wishes, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.error(f"{key} takes a number, not {value!r}")
    return float(value)


def _table_of(place: Wishes, table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise place.error(f"{key} takes a table, [{key}]")
    return value


def _metrics(place: Wishes, table: Mapping[str, Any]) -> dict[str, str]:
    value = table.get("metrics", {})
    if not isinstance(value, dict) or not all(isinstance(word, str) and word for word in value.values()):
        raise place.error('metrics takes a table of texts, such as valid_mse = "eval/loss"')
    return value


def _comparing(place: Wishes, table: Mapping[str, Any]) -> dict[str, str]:
    """The table [compare]: its words are checked where they are used, as those of the command line are."""
    value = table.get("compare", {})
    if not isinstance(value, dict):
        raise place.error('compare takes a table, such as [compare] with baseline = "main"')
    for key, word in value.items():
        if key not in COMPARE_KEYS:
            raise place.error(f'compare has no setting "{key}"{did_you_mean(key, COMPARE_KEYS) or "; known: " + ", ".join(COMPARE_KEYS)}')
        if not isinstance(word, str) or not word:
            raise place.error(f"compare.{key} takes a text, not {word!r}")
    return dict(value)
