"""A patch as text: arguments in Python, flags of a command line, YAML.

Values and comments may come from a stranger's log. Texts are written as literals of their language; in comments, what is
not printable becomes a blank, so that no line ends early.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from curvelab.dialects import Spoken
from curvelab.model.finding import Scalar
from curvelab.model.result import PatchChange

_VARIABLES = {  # what takes the settings in Python -> the variable it is given to
    "LoraConfig": "peft_config", "EarlyStoppingCallback": "early_stopping", "EarlyStopping": "early_stopping",
    "ModelCheckpoint": "checkpoint", "YourModule": "model", "DataLoader": "train_loader", "Trainer": "trainer",
}  # fmt: skip
_CALLBACKS = ("ModelCheckpoint", "EarlyStopping", "EarlyStoppingCallback")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./]*\Z")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))  # YAML 1.1 reads these as no text
_LONGEST, _LONGEST_PART = 160, 48  # characters of a comment, and of its value or its patterns


def forms_of(lines: Sequence[PatchChange], spoken: Spoken) -> dict[str, str]:
    """The texts of a patch by kind, the trainer's usual one first; a kind that can say nothing of it is left out."""
    writers = {"python": python_text, "cli": cli_text, "yaml": yaml_text}
    texts = {form: writers[form](lines, spoken) for form in spoken.forms}
    return {form: text for form, text in texts.items() if text}


def python_text(lines: Sequence[PatchChange], spoken: Spoken) -> str:
    """One call for each object that takes settings, callbacks before the trainer that takes them."""
    calls: dict[str, list[PatchChange]] = {}
    for line in lines:
        calls.setdefault(spoken.word(_name(line)).place or spoken.call, []).append(line)
    callbacks = [place for place in calls if place in _CALLBACKS]
    if callbacks and spoken.call == "Trainer":
        calls.setdefault("Trainer", [])
    order = sorted(calls, key=lambda place: (place == spoken.call and bool(callbacks), place in _CALLBACKS))
    order = order if spoken.call == "Trainer" else [spoken.call, *(p for p in calls if p != spoken.call)]
    text: list[str] = []
    for place in order:
        if place not in calls:
            continue
        text.append(f"{_VARIABLES.get(place, 'args')} = {place}(")
        if place not in _CALLBACKS:
            text.append("    # your other arguments stay as they are")
        text += [f"    {row}" for row in _arguments(calls[place], spoken)]
        if place == "Trainer" and callbacks:
            text.append(f"    callbacks=[{', '.join(_VARIABLES[one] for one in callbacks)}],")
        text.append(")")
    if "EarlyStoppingCallback" in calls:
        text.append("trainer.add_callback(early_stopping)  # of transformers, once the trainer is made")
    return "\n".join(text) + "\n"


def _arguments(lines: Iterable[PatchChange], spoken: Spoken) -> Iterator[str]:
    given: set[str] = set()
    for line in lines:
        if line.change.setting not in given:
            yield f"{line.change.setting}={line.change.to!r},  # {_comment(line)}"
        given.add(line.change.setting)
        for name, value in spoken.beside(_name(line)):
            if name not in given:
                yield f"{name}={value!r},  # {line.change.setting} counts or compares by it"
            given.add(name)


def cli_text(lines: Sequence[PatchChange], spoken: Spoken) -> str:
    """Arguments to append to the command; what has no flag stands below in a comment. Empty when nothing has one."""
    said = []
    for line in lines:
        flag = _key(line, spoken)
        if flag and spoken.dialect.pairs:
            said.append(shlex.quote(f"{flag}={_yaml(line.change.to)}"))
        elif flag:
            said.append(f"--{flag} {shlex.quote(str(line.change.to))}")
    return "\n".join((" ".join(said), *_in_python(lines, spoken))) + "\n" if said else ""


def yaml_text(lines: Sequence[PatchChange], spoken: Spoken) -> str:
    """Keys to change in the trainer's file, nested as they are there; floats so that YAML 1.1 reads them as such."""
    tree: dict[str, list[str]] = {}
    for line in lines:
        flag = _key(line, spoken)
        if not flag:
            continue
        head, _, rest = flag.rpartition(".")
        tree.setdefault(head, []).append(f"{rest}: {_yaml(line.change.to)}  # {_comment(line)}")
        if displaced := spoken.displaced(_name(line)):
            key, value = displaced
            tree.setdefault("", []).append(f"{key}: null  # was {_printable(str(value))}: not beside {flag}")
    if not tree:
        return ""
    text = [f"# in {_printable(spoken.file)}", *tree.pop("", [])]
    for head, rows in tree.items():
        text += [f"{head}:", *(f"  {row}" for row in rows)]
    return "\n".join((*text, *_in_python(lines, spoken))) + "\n"


def _key(line: PatchChange, spoken: Spoken) -> str:
    """The name of a setting in YAML and on the command line; empty for an argument of another call in Python."""
    word = spoken.word(_name(line))
    return word.cli if word.place else line.change.setting


def _in_python(lines: Iterable[PatchChange], spoken: Spoken) -> Iterator[str]:
    """What has no key, as comments: one for each call in Python that takes it."""
    calls: dict[str, list[str]] = {}
    for line in lines:
        if not _key(line, spoken):
            argument = f"{line.change.setting}={_printable(repr(line.change.to))}"
            calls.setdefault(spoken.word(_name(line)).place, []).append(argument)
    for place, arguments in calls.items():
        yield f"# in Python: {place}({', '.join(arguments)})"


def _name(line: PatchChange) -> str:
    return line.change.canonical or line.change.setting


def _comment(line: PatchChange) -> str:
    """The value before and the findings that ask for it: short, so that the text needs no room at its side.

    What speaks for and against it is the line's remark, which stands beside the text.
    """
    now = line.change.from_
    was = "" if now is None else f"was {_shortened(value_text(now))} "
    return _printable(f"{was}({_shortened(', '.join(line.patterns))})" if was else _shortened(", ".join(line.patterns)))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else text[: _LONGEST_PART - 1] + "…"


def _printable(text: str) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def value_text(value: Scalar) -> str:
    """A value in a sentence: numbers short, texts as one printable line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return _printable(str(value))


def _yaml(value: Scalar) -> str:
    """A value as YAML 1.1 and 1.2 read it alike."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        digits, exponent, power = repr(value).partition("e")  # 5e-05 is a text to YAML 1.1, 5.0e-05 a number
        return f"{digits}.0e{power}" if exponent and "." not in digits else repr(value)
    if value == "{}" or (_PLAIN.match(value) and value.lower() not in _WORDS):
        return value
    escaped = (c if " " <= c <= "~" and c not in '"\\' else _escape(c) for c in value)
    return f'"{"".join(escaped)}"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
