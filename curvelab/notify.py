"""Tells people: a message to any of apprise's services, and the ping of a dead-man's switch.

A failure to tell is a warning of the audit and never its end: nothing here raises, everything is over within a bound,
and no message holds more of an address than `curvelab.secret_urls` shows of it.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from curvelab.model.errors import UsageError
from curvelab.model.finding import Severity
from curvelab.report.plain import clean
from curvelab.secret_urls import masked, resolved, variable, without_parts

VARIABLE = "CURVELAB_NOTIFY"  # targets in the environment, with white space between them
SECONDS = 45.0  # for all targets together; whoever has not answered by then is not waited for
CONNECT, READ = 10.0, 15.0  # seconds, of one target; its own `cto` and `rto` go first
PING_SECONDS = 10.0  # of one try
PING_TRIES = 2
PING_PAUSE = 1.0  # seconds between them
MOST_OF_A_REASON = 200  # characters
SPLIT_FROM = 1000  # characters that a service takes in one message; below (text messages to a phone) the rest is left out

T = TypeVar("T")
_KINDS: dict[Severity, str] = {"info": "info", "warning": "warning", "critical": "failure"}

# What apprise and the libraries below it log while they send, by the context that sends; it is shown to nobody else,
# for they log addresses and headers.
_logged: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("curvelab_notify_logged", default=None)
_TALKATIVE = (
    "apprise", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.poolmanager", "requests",
    "requests_oauthlib", "oauthlib", "charset_normalizer", "markdown", "MARKDOWN", "asyncio", "slixmpp", "paho", "httpx", "httpcore",
)  # fmt: skip


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Someone was not told. `target` is masked, `reason` is one line without a secret."""

    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.target}: {self.reason}"


def targets(flags: Sequence[str], settings: Sequence[str], environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Whom to tell: the flags, without any CURVELAB_NOTIFY of the environment, without that the settings; each once.

    A CURVELAB_NOTIFY that is empty is as good as none: a secret of GitHub that is not there is an empty variable.
    """
    return tuple(dict.fromkeys(flags or environ.get(VARIABLE, "").split() or settings))


def send(
    title: str,
    body_markdown: str,
    targets: Sequence[str],
    severity: Severity,
    *,
    environ: Mapping[str, str] = os.environ,
    seconds: float = SECONDS,
) -> list[Failure]:
    """Tell all targets at once, in parallel, within `seconds`; the failures in their order. Raises nothing.

    targets   apprise URLs, or `env:NAME` or `$NAME` for the URLs in an environment variable
    """
    urls, failures = _resolved(targets, environ)
    body = body_markdown.encode("utf-8", "replace").decode()
    told = [(masked(url), lambda url=url: _tell(url, clean(title, 250), body, _KINDS[severity])) for url in urls]
    return failures + [failure for failure in _all_within(told, seconds) if failure is not None]


def ping(url: str, ok: bool | None, *, environ: Mapping[str, str] = os.environ) -> Failure | None:
    """Ping a dead-man's switch as healthchecks.io has it: URL when all went well, URL/fail, and URL/start (None).

    `env:NAME` or `$NAME` takes the URL from the environment; one that is set to nothing is no switch. Raises nothing.
    """
    urls, failures = _resolved([url], environ)
    if failures or not urls:
        return failures[0] if failures else None
    bound = PING_TRIES * (PING_SECONDS + PING_PAUSE)
    ending = {None: "/start", True: "", False: "/fail"}[ok]
    return _all_within([(masked(urls[0]), lambda: _ping(urls[0], ending))], bound)[0]


def _resolved(targets: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], list[Failure]]:
    urls: list[str] = []
    failures = []
    for target in targets:
        try:
            found = resolved(target, environ)
        except UsageError as error:
            failures.append(Failure(target=f"${variable(target)}", reason=str(error)))
            continue
        urls += found.split() if variable(target) else [found]
    return [url for url in dict.fromkeys(urls) if url], failures


def _all_within(jobs: Sequence[tuple[str, Callable[[], Failure | None]]], seconds: float) -> list[Failure | None]:
    """Run the jobs side by side. The threads are daemons: one that hangs keeps neither the audit nor its exit waiting."""
    ends = time.monotonic() + seconds
    results: list[Failure | None] = [
        Failure(target=target, reason=f"no answer within {seconds:g} s; it may have been told all the same")
        for target, _ in jobs
    ]

    def run(place: int, target: str, job: Callable[[], Failure | None]) -> None:
        try:
            results[place] = job()
        except BaseException as error:  # whatever a service's plugin comes up with
            results[place] = Failure(target=target, reason=type(error).__name__)

    threads = [
        threading.Thread(target=run, args=(place, *job), daemon=True, name="curvelab-notify")
        for place, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return list(results)


def _tell(url: str, title: str, body: str, kind: str) -> Failure | None:
    """Send through one service, in a context of its own that collects what is logged."""
    try:
        import apprise
    except ImportError:
        return Failure(target=masked(url), reason="apprise is not installed (pip install apprise)")
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_keep_to_ourselves)  # adding it again does nothing
    logged: list[str] = []
    _logged.set(logged)  # this thread is ours alone
    options: dict[str, Any] = {"app_id": "curvelab", "app_desc": "curvelab", "async_mode": False, "secure_logging": True}
    if hasattr(apprise.AppriseAsset, "_service_timeout"):  # from 2.0 on: it moves the sending to a thread that is no daemon
        options["service_timeout"] = 0
    asset = apprise.AppriseAsset(**options)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return Failure(target=masked(url), reason="is no address that apprise knows")
    name, hosts = _shown(service, url)
    _bound(service, url)
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    try:
        told = sender.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.MARKDOWN)
    except Exception as error:
        return Failure(target=name, reason=_reason([f"{type(error).__name__}: {error}"], url, hosts))
    return None if told else Failure(target=name, reason=_reason(logged, url, hosts))


def _shown(service: Any, url: str) -> tuple[str, tuple[str, ...]]:
    """The address as apprise masks it, with what it leaves readable masked too; and its host, where that is no secret."""
    try:
        private = str(service.url(privacy=True)).partition("?")[0]
    except Exception:
        return masked(url), ()
    host = str(getattr(service, "host", None) or "")
    hosts = (host, str(getattr(service, "port", None) or "")) if host and host.lower() in private.lower() else ()
    scheme, between, rest = private.partition("://")
    return clean(scheme + between + without_parts(rest, url, hosts).rstrip("/"), 120), hosts


def _bound(service: Any, url: str) -> None:
    """Give a service our patience, and messages that are too long for it a way, where its address says nothing else."""
    query = url.partition("?")[2]
    if "cto=" not in query:
        service.socket_connect_timeout = CONNECT
    if "rto=" not in query:
        service.socket_read_timeout = READ
    if "overflow=" not in query:
        service.overflow_mode = "split" if getattr(service, "body_maxlen", 0) >= SPLIT_FROM else "truncate"


def _keep_to_ourselves(record: logging.LogRecord) -> bool:
    """A filter: what is logged while we send is collected here and goes no further. Others' records pass."""
    logged = _logged.get()
    if logged is None:
        return True
    if record.levelno >= logging.WARNING and record.name == "apprise":
        logged.append(record.getMessage())
    return False


def _reason(lines: Sequence[str], url: str, keep: Sequence[str]) -> str:
    for line in lines:
        if words := clean(without_parts(line, url, keep), MOST_OF_A_REASON).strip():
            return words
    return "was not told, and apprise does not say why"


def _ping(url: str, ending: str) -> Failure | None:
    """Try twice; an address that is refused (4xx) is not tried again."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit, urlunsplit
    from urllib.request import Request, urlopen

    name, reason = masked(url), ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = None, ""
    if parts is None or parts.scheme not in ("http", "https") or not host:
        return Failure(target=name, reason="is no http or https address")
    address = urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending, fragment=""))
    for tried in range(PING_TRIES):
        if tried:
            time.sleep(PING_PAUSE)
        try:
            with urlopen(Request(address, headers={"User-Agent": "curvelab"}), timeout=PING_SECONDS):
                return None
        except HTTPError as error:
            error.close()
            reason = f"answered {error.code} {error.reason}"
            if 400 <= error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, HTTPException, ValueError) as error:
            cause = error.reason if isinstance(error, URLError) else error
            reason = f"{type(cause).__name__}: {cause}" if isinstance(cause, Exception) else str(cause)
    return Failure(target=name, reason=_reason([reason], url, (host,)))
