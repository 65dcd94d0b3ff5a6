"""What the user asked of an audit, and where: flags before environment before the [audit] table of curvelab.toml.

    [audit]
    history = "reports/audit/curvelab.db"     # a file, or postgresql://…
    project = "llama"                         # its name in the history; default: the absolute path of the folder
    fail-on = "new-critical"                  # never, info, warning, critical, new-warning
    notify = ["env:SLACK_URL"]                # apprise URLs; "env:NAME" takes one from the environment: no secret in a file
    notify-on = "warning"                     # the least severity that people are told of
    ping = "env:PING_URL"                     # a dead-man's switch: called at the end of each audit
    link = "https://pages.example/audit/"     # where the pages can be seen, for links in messages
    live-minutes = 60                         # a run without news for as long is over
    jobs = 4                                  # processes

    [[audit.rules]]                           # the first rule that fits a run holds for it
    name = "production"
    runs = ["prod/*"]                         # globs of the run's place below the folder, or of its name
    where = { model_type = ["llama", "qwen*"], project = "chat" }
    fail-on = "new-warning"
    fail = ["overfitting", "non-finite"]      # only these make the audit fail
    select = []                               # look for these only
    ignore = ["sawtooth"]
    notify = ["env:TEAM_A_URL"]
    [audit.rules.thresholds.overfitting]
    rise = 0.1

Environment: CURVELAB_HISTORY, CURVELAB_NOTIFY (separated by blanks), CURVELAB_PING, CURVELAB_FAIL_ON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from curvelab.auditing.baselines import PATTERNS
from curvelab.auditing.policies import DEFAULT_FAIL_ON, FAIL_ON, OWN_WORDS, Policy, Rule
from curvelab.knowledge.setting_names import KNOWN
from curvelab.model.errors import UsageError, did_you_mean
from curvelab.model.finding import SEVERITIES, Severity
from curvelab.model.options import Options
from curvelab.secret_urls import resolved
from curvelab.user_settings import UserSettings

KEYS = ("history", "project", "fail-on", "notify", "notify-on", "ping", "link", "live-minutes", "jobs", "rules")
RULE_KEYS = ("name", "runs", "where", "fail-on", "fail", "select", "ignore", "notify", "thresholds")
DEFAULT_FOLDER = Path("reports/audit")
MOST_JOBS = 1024
LONGEST_QUIET = 60 * 24 * 30  # minutes


@dataclass(frozen=True)
class AuditWishes:
    """What one place says of the audit; None: nothing."""

    history: str | None = None
    project: str | None = None
    fail_on: str | None = None
    notify: tuple[str, ...] | None = None
    notify_on: str | None = None
    ping: str | None = None
    link: str | None = None
    live_minutes: float | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class AuditSettings:
    """The settings of one audit, after precedence. Addresses that people are told by may still be `env:NAME`."""

    policy: Policy
    history: str | None
    project: str
    notify_on: Severity
    ping: str | None
    link: str
    quiet: float
    jobs: int | None


def settled(
    flags: AuditWishes, environment: Mapping[str, str], table: Mapping[str, Any], origin: str, options: Options
) -> AuditSettings:
    """Put flags, environment and the [audit] table of a settings file together.

    origin   name of that file, for error messages

    Raises UsageError for an unknown key, name or value.
    """
    known = _Table(table, origin)
    known.check(KEYS)
    places = (flags, _environment(environment), _file(known))

    def first(name: str) -> Any:
        return next((value for place in places if (value := getattr(place, name)) is not None), None)

    rules = tuple(_rule(_Table(one, f"{origin}: rule {number}"), number) for number, one in enumerate(_rules(known), start=1))
    _distinct(rules, origin)
    fail_on = _choice("fail-on", first("fail_on") or DEFAULT_FAIL_ON, FAIL_ON)
    policy = Policy(options, rules, fail_on, first("notify") or (), overruled=flags.fail_on is not None)
    history = first("history")
    quiet = first("live_minutes")
    if quiet is not None and not 0 < quiet <= LONGEST_QUIET:
        raise UsageError(f"live-minutes takes a number above 0, up to {LONGEST_QUIET:,}, not {quiet!r}")
    jobs = first("jobs")
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise UsageError(f"jobs takes a whole number from 1 to {MOST_JOBS:,}, not {jobs!r}")
    severity = _choice("notify-on", first("notify_on") or "warning", SEVERITIES)
    return AuditSettings(
        policy=policy,
        history=resolved(history, environment) if history else None,
        project=first("project") or "",
        notify_on=severity,  # type: ignore[arg-type]
        ping=first("ping"),
        link=first("link") or "",
        quiet=60.0 * (60 if quiet is None else quiet),
        jobs=jobs,
    )


def pages_folder(settings: UserSettings) -> Path:
    """Where the audit's pages go unless -o says so: a folder of its own in that of all reports, whatever the format."""
    told = (place.output for place in settings.places[1:] if place.output is not None and place.format in (None, "html"))
    output = next(told, None)
    return DEFAULT_FOLDER if output is None else Path(output) / DEFAULT_FOLDER.name


def _choice(key: str, value: str, allowed: Iterable[str]) -> str:
    known = tuple(allowed)
    if value not in known:
        raise UsageError(f'{key} takes {", ".join(known)}, not "{value}"{did_you_mean(value, known)}')
    return value


def _environment(environment: Mapping[str, str]) -> AuditWishes:
    notify = environment.get("CURVELAB_NOTIFY", "").split()
    return AuditWishes(
        history=environment.get("CURVELAB_HISTORY") or None,
        fail_on=environment.get("CURVELAB_FAIL_ON") or None,
        notify=tuple(notify) or None,
        ping=environment.get("CURVELAB_PING") or None,
    )


class _Table:
    """A table of a settings file whose values are checked as they are taken."""

    def __init__(self, values: Mapping[str, Any], origin: str) -> None:
        self.values = values
        self.origin = origin

    def error(self, text: str) -> UsageError:
        return UsageError(f"{self.origin}: {text}")

    def check(self, known: Iterable[str]) -> None:
        names = tuple(known)
        for key in self.values:
            if key not in names:
                raise self.error(f'no setting is called "{key}"{did_you_mean(key, names) or "; known: " + ", ".join(names)}')

    def word(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(f"{key} takes a text, not {_kind(value)}")
        return value

    def words(self, key: str) -> tuple[str, ...] | None:
        value = self.values.get(key)
        if value is None:
            return None
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise self.error(f"{key} takes a list of texts that are not empty, not {_kind(value)}")
        return tuple(words)

    def number(self, key: str, kinds: Any) -> Any:
        value = self.values.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise self.error(f"{key} takes a {'whole ' if kinds is int else ''}number, not {value!r}")
        return value


def _kind(value: object) -> str:
    """What a value is, without the value: it may hold a secret."""
    names = {dict: "a table", list: "a list with something else in it", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "something else")


def _file(table: _Table) -> AuditWishes:
    wishes = AuditWishes(
        history=table.word("history"),
        project=table.word("project"),
        fail_on=table.word("fail-on"),
        notify=table.words("notify"),
        notify_on=table.word("notify-on"),
        ping=table.word("ping"),
        link=table.word("link"),
        live_minutes=table.number("live-minutes", int | float),
        jobs=table.number("jobs", int),
    )
    assert {field.name.replace("_", "-") for field in fields(wishes)} == {*KEYS} - {"rules"}
    return wishes


def _rules(table: _Table) -> list[Mapping[str, Any]]:
    rules = table.values.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise table.error("rules are written as [[audit.rules]], one table each")
    return rules


def _rule(table: _Table, number: int) -> Rule:
    table.check(RULE_KEYS)
    name = table.word("name") or f"rule {number}"
    table.origin = f'{table.origin} ("{name}")' if "name" in table.values else table.origin
    fail_on, notify = table.word("fail-on"), table.words("notify")
    try:
        rule = Rule(
            name=name,
            runs=table.words("runs") or (),
            where=_where(table),
            select=_patterns(table, "select"),
            ignore=_patterns(table, "ignore"),
            thresholds=_thresholds(table),
            fail_on=None if fail_on is None else _choice("fail-on", fail_on, FAIL_ON),
            fail=_patterns(table, "fail"),
            notify=notify,
        )
    except UsageError as error:
        text = str(error)
        raise (error if text.startswith(table.origin) else table.error(text)) from None
    if not rule.runs and not rule.where:
        raise table.error("says of no run that it is for it; give runs = [globs] or where = { setting = value }")
    return rule


def _where(table: _Table) -> dict[str, tuple[Any, ...]]:
    value = table.values.get("where", {})
    if not isinstance(value, dict):
        raise table.error('where takes a table, such as { model_type = "llama" }')
    known = (*OWN_WORDS, *KNOWN)
    found: dict[str, tuple[Any, ...]] = {}
    for name, wanted in value.items():
        if name not in known:
            raise table.error(f'where: no setting is called "{name}"{did_you_mean(name, known)}')
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(one, str | int | float | bool) for one in values):
            raise table.error(f"where.{name} takes a text, a number, true, false, or a list of them")
        found[name] = tuple(values)
    return found


def _patterns(table: _Table, key: str) -> tuple[str, ...]:
    from curvelab.catalogue import detector

    names = table.words(key) or ()
    for name in names:
        if name not in PATTERNS:
            detector(name)
    return names


def _thresholds(table: _Table) -> dict[str, dict[str, float]]:
    from curvelab.catalogue import detector

    value = table.values.get("thresholds", {})
    if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
        raise table.error("thresholds takes tables such as [audit.rules.thresholds.overfitting]")
    found: dict[str, dict[str, float]] = {}
    for pattern, limits in value.items():
        for name, limit in limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                raise table.error(f"thresholds.{pattern}.{name} takes a number, not {limit!r}")
        found[pattern] = {name: float(limit) for name, limit in limits.items()}
        detector(pattern).limits(found[pattern])
    return found


def _distinct(rules: Iterable[Rule], origin: str) -> None:
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'{origin}: two rules are called "{twice}"')
