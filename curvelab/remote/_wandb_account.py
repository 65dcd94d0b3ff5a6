"""The way to W&B's service: where it is, which key opens it, and what its errors mean. The key is never shown or kept.

The key comes from WANDB_API_KEY or the netrc file and from nowhere else. It is handed to the SDK and nothing more: no
prompt, no login, no file. What the SDK says goes through `told`, which also cuts out whatever resembles a key.
"""

from __future__ import annotations

import atexit
import base64
import netrc
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from curvelab.model.errors import UnreadableError
from curvelab.redaction import REDACTED

PUBLIC = "https://api.wandb.ai"
REACH = 10.0  # seconds for the first connection; judgement
LONGEST = 300  # characters of a foreign error message that are told
_SAID = re.compile(r"\breturned error (\d{3})\b")  # where the SDK's core puts a status into words only
_KEY_LIKE = re.compile(r"\b(?:local-|wandb_v1_)?[0-9A-Za-z_]{40,}\b|://[^/\s@]+@")


@dataclass(frozen=True)
class Retries:
    """How the SDK tries again after a 5xx answer, a timeout or a broken connection; waits double (seconds)."""

    most: int = 5
    first_wait: float = 1
    longest_wait: float = 20
    timeout: float = 60


RETRIES = Retries()


@dataclass(frozen=True)
class Account:
    """An open way to the service, and what its errors may not show."""

    api: Any
    host: str
    secrets: tuple[str, ...]

    def told(self, error: BaseException) -> str:
        """An error of the SDK as the end of one line."""
        return told(error, self.host, self.secrets)


@contextmanager
def opened(url: str) -> Iterator[Account]:
    """The SDK's public API, with a bounded number of retries. Raises UnreadableError with what to do next."""
    with _private_folder():
        wandb = _sdk(url)
        settings = wandb.setup().settings
        host = (os.environ.get("WANDB_BASE_URL") or str(settings.base_url)).rstrip("/")
        key = _key(url, host)
        _reach(url, host)
        secrets = (key, base64.b64encode(f"api:{key}".encode()).decode())
        try:
            with _bounded(settings):
                api = wandb.Api(api_key=key, timeout=_whole_timeout())
        except Exception as error:  # foreign code; whatever it is, its text may hold the key
            raise UnreadableError(url, told(error, host, secrets)) from None
        yield Account(api, host, secrets)


def told(error: BaseException, host: str, secrets: tuple[str, ...]) -> str:
    """What an error of the SDK means, in one line without secrets."""
    text = str(error)
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    text = _KEY_LIKE.sub(REDACTED, " ".join(text.split()))
    text = text.rpartition("while retrying: ")[2].removeprefix(f"Failed to verify credentials with {host}: ")
    status = _status(error) or int(said.group(1) if (said := _SAID.search(text)) else 0)
    if status in (401, 403):
        return f"{host} refuses the API key ({status}); check WANDB_API_KEY or the netrc file"
    if any(word in text for word in ("connection refused", "no such host", "network is unreachable")):
        return f"{host} cannot be reached ({text[-LONGEST:]})"
    return f"{host} answers: {text[:LONGEST]}"


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of the SDK carries, on itself or on what it was made from."""
    seen: BaseException | None = error
    while seen is not None:
        status = getattr(getattr(seen, "response", None), "http_status", None)
        if status:
            return int(status)
        seen = getattr(seen, "exc", None) or seen.__cause__
    return None


def _sdk(url: str) -> ModuleType:
    try:
        import wandb
    except ImportError:
        raise UnreadableError(url, "needs W&B's SDK: pip install 'curvelab[wandb]'") from None
    return wandb


def _key(url: str, host: str) -> str:
    """The API key. Raises UnreadableError where there is none; asking for one is left to `wandb login`."""
    if key := os.environ.get("WANDB_API_KEY", "").strip():
        return key
    file = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        entries = netrc.netrc(file)
    except FileNotFoundError:
        entries = None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):  # its message may quote the password
        raise UnreadableError(url, f"{file} cannot be read as a netrc file; mend it or set WANDB_API_KEY") from None
    for machine in (urlsplit(host).netloc, urlsplit(PUBLIC).netloc) if entries else ():
        found = entries.hosts.get(machine) if entries else None
        if found and found[2]:
            return found[2]
    raise UnreadableError(url, f"no W&B API key: set WANDB_API_KEY, or run `wandb login` (netrc entry for {host})")


def _reach(url: str, host: str) -> None:
    """Try to connect once. Raises UnreadableError: an offline machine need not wait for all the retries."""
    parts = urlsplit(host)
    if parts.scheme in getproxies():
        return  # the proxy knows the way, not we
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=REACH).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UnreadableError(url, f"{host} cannot be reached ({reason}); is this machine online?") from None


def _whole_timeout() -> int:
    """Seconds that one call of the SDK may take with all its retries."""
    waits = sum(min(RETRIES.first_wait * 2**i, RETRIES.longest_wait) for i in range(RETRIES.most))
    return int(waits + RETRIES.timeout * (RETRIES.most + 1))


@contextmanager
def _bounded(settings: Any) -> Iterator[None]:
    """Fewer retries than the SDK's twenty, which keep an error back for eight minutes; put back as they were."""
    wanted = {
        "x_graphql_retry_max": RETRIES.most,
        "x_graphql_retry_wait_min_seconds": RETRIES.first_wait,
        "x_graphql_retry_wait_max_seconds": RETRIES.longest_wait,
        "x_graphql_timeout_seconds": RETRIES.timeout,
        "x_file_transfer_retry_max": RETRIES.most,
        "x_file_transfer_retry_wait_min_seconds": RETRIES.first_wait,
        "x_file_transfer_retry_wait_max_seconds": RETRIES.longest_wait,
    }
    before = {name: getattr(settings, name) for name in wanted if hasattr(settings, name)}
    try:
        for name in before:
            setattr(settings, name, wanted[name])
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


@cache
def _folder() -> str:
    """One private folder for the process, gone at its end: the SDK's service process keeps files open there."""
    folder = tempfile.mkdtemp(prefix="curvelab-wandb-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _private_folder() -> Iterator[None]:
    """Let the SDK write where nobody looks: it makes a folder for each run that it lists. Its reports stay off, too."""
    folder = _folder()
    wanted = {"WANDB_DIR": folder, "WANDB_CACHE_DIR": folder, "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
