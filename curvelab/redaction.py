"""Secrets in logged settings: what looks like a token, key or password never gets past the import.

Two signs, each enough: the name of a setting (`hub_token`, `wandb_api_key`, `db_password`) with a value that can be a
secret, or the value itself (`hf_...`, `sk-...`, an address with credentials). Settings that only sound alike stay:
`eos_token`, `num_tokens`, the `<HUB_TOKEN>` that Transformers writes in its place, a commit's hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from curvelab.beside import SettingsFile
from curvelab.model.log import Log
from curvelab.model.note import Note

REDACTED = "[redacted]"
MAX_DEPTH = 24  # deeper parts are replaced as a whole: what nobody can check is not shown

_ALWAYS = frozenset(
    ("password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials", "apikey", "authorization")
)  # fmt: skip
_KEY_BEFORE = frozenset(
    ("api", "access", "secret", "private", "ssh", "auth", "account", "encryption", "signing", "service", "wandb", "aws",
     "hf", "openai", "anthropic", "comet", "neptune", "azure", "gcp", "storage", "license")
)  # fmt: skip
_NO_TOKEN = frozenset(
    ("bos", "eos", "pad", "unk", "sep", "cls", "mask", "image", "video", "audio", "vision", "special", "additional",
     "start", "end", "stop", "think", "prompt", "response", "per", "max", "min", "num", "last", "first", "type", "new")
)  # fmt: skip
_HASH_WORDS = frozenset(
    ("commit", "revision", "sha", "sha1", "hash", "git", "checksum", "digest", "rev", "ref", "version")
)

_SECRET_VALUE = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        hf_[A-Za-z0-9]{20,} | api_org_[A-Za-z0-9]{20,}
      | sk-[A-Za-z0-9_-]{20,}
      | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_[A-Za-z0-9_]{30,} | glpat-[A-Za-z0-9_-]{16,}
      | xox[abprs]-[A-Za-z0-9-]{10,} | AKIA[0-9A-Z]{16} | ASIA[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{30,}
      | wandb_v\d_[A-Za-z0-9_]{30,} | (?:local|key)-[0-9a-f]{40}
      | eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}
      )
    | -----BEGIN[A-Z ]{0,30}PRIVATE\ KEY
    | ://[^/\s:@]{0,200}:[^/\s@]{1,500}@
    | ://[^/\s:@]{16,500}@
    | (?:api[_-]?key|token|passw(?:or)?d|secret|signature)(?:=|:\ ?|\ )(?![\[<])[^\s&"',;]{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HEX_KEY = re.compile(r"\s*[0-9a-f]{40}\s*\Z")  # a W&B key, but also a commit
_PLACEHOLDER = re.compile(r"\s*(?:<.*>|\[.*\]|\{.*\}|\*+|none|null|true|false|)\s*\Z", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Cleaned:
    """Logs and settings files without secrets, and what was said about it."""

    logs: tuple[Log, ...]
    files: tuple[SettingsFile, ...]
    notes: tuple[Note, ...]


def cleaned(logs: Iterable[Log], files: Iterable[SettingsFile] = ()) -> Cleaned:
    """The same logs and files with every secret in their settings replaced, and one note that counts them."""
    found: dict[str, str] = {}  # place of a secret -> the file that it was in

    def clean(values: Mapping[str, object], file: str) -> dict[str, object]:
        kept, names = without_secrets(values)
        found.update((f"{file}: {name}", file) for name in names)
        return kept

    new_logs = tuple(
        replace(log, settings={origin: clean(values, str(log.path)) for origin, values in log.settings.items()})
        for log in logs
    )
    new_files = tuple(
        replace(
            one,
            stated=replace(
                one.stated, raw=clean(one.stated.raw, str(one.path)), known=clean(one.stated.known, str(one.path))
            ),
        )
        for one in files
    )
    if not found:
        return Cleaned(new_logs, new_files, ())
    count = "1 setting looks" if len(found) == 1 else f"{len(found):,} settings look"
    names = sorted({place.rpartition(": ")[2] for place in found})
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    text = f"{count} like a secret ({shown}); replaced by {REDACTED}"
    return Cleaned(new_logs, new_files, (Note(level="info", text=text, file=min(found.values())),))


def without_secrets(values: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The settings with every secret replaced by `[redacted]`, and the dotted names of those replaced."""
    names: list[str] = []
    return {name: _clean(name, value, name, names, MAX_DEPTH) for name, value in values.items()}, names


def _clean(name: str, value: object, place: str, names: list[str], depth: int) -> object:
    if isinstance(value, Mapping):
        if depth:
            return {k: _clean(str(k), item, f"{place}.{k}", names, depth - 1) for k, item in value.items()}
    elif isinstance(value, list | tuple):
        if depth:
            before = ("", *value)
            return [_clean(_flag(before[i]) or name, item, place, names, depth - 1) for i, item in enumerate(value)]
    elif not is_secret(name, value):
        return value
    names.append(place[:80])
    return REDACTED


def _flag(before: object) -> str:
    """The name that a command line gives to the word after it: `--hub_token` -> `hub_token`."""
    return before.lstrip("-") if isinstance(before, str) and before.startswith("--") and "=" not in before else ""


def is_secret(name: str, value: object) -> bool:
    """Whether a setting of this name and value is, or holds, something that must not be shown."""
    if value is None or isinstance(value, bool | float) or value == REDACTED:
        return False
    words = _words(name)
    if not isinstance(value, str):
        return bool(words & _ALWAYS)
    if _PLACEHOLDER.match(value):
        return False
    if _named_as_secret(name, words, value) or _SECRET_VALUE.search(value):
        return True
    return bool(_HEX_KEY.match(value)) and not words & _HASH_WORDS


def _named_as_secret(name: str, words: frozenset[str], value: str) -> bool:
    if words & _ALWAYS:
        return True
    if words & {"token", "tokens"}:
        return "tokens" not in words and not words & _NO_TOKEN and len(value) >= 8 and " " not in value
    if "key" in words:
        return bool(words & _KEY_BEFORE) and len(value) >= 8
    return False


def _words(name: str) -> frozenset[str]:
    """`wandbApiKey`, `wandb.api-key` -> {wandb, api, key}."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[-200:])
    return frozenset(re.split(r"[^a-z0-9]+", spaced.lower()))
