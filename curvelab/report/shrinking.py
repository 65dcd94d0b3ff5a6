"""What a page carries inside itself, made small: its script with short names, and of its style sheet only what it uses.

The script is ours, so the rules are few: every identifier that is no property, no key, no keyword and no global of the
browser gets a short name; comments and needless blanks go. Names of properties stay, so
`{ step }` becomes `{ step: a }` where that pays.

Not a library: those in Python (rjsmin, csscompressor) shorten no names and drop no rules, which is most of what is won here;
those that do are compiled, or need Node.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import count, product
from string import ascii_letters
from typing import Literal

_TOKEN = re.compile(
    r"(?P<comment>//[^\n]*)|(?P<text>\"(?:\\.|[^\"\\])*\")|(?P<template>`)|(?P<pattern>(?<=[(,=])\s*/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)"
    r"|(?P<name>[A-Za-z_$][\w$]*)|(?P<number>\d[\w.]*|\.\d\w*)|(?P<blank>\s+)|(?P<sign>\.\.\.|\?\.|=>|\+\+|--|.)",
    re.S,
)
_KEPT = frozenset((
    "break", "case", "catch", "const", "continue", "delete", "do", "else", "false", "finally", "for", "function", "if", "in",
    "instanceof", "let", "new", "null", "of", "return", "switch", "this", "throw", "true", "try", "typeof", "undefined", "var",
    "void", "while", "yield", "async", "await",
    "document", "window", "Math", "Number", "String", "Object", "JSON", "Map", "Set", "Infinity", "requestAnimationFrame",
))  # fmt: skip
_WORDS = re.compile(r"[A-Za-z_][\w-]*")

Token = tuple[str, str]  # (kind, text)


def small_script(parts: Iterable[str]) -> str:
    """The parts as one script of its own scope, in strict mode."""
    tokens = [token for token in _tokens("\n".join(parts)) if token[0] != "blank"]
    uses = [_use(tokens, i) for i in range(len(tokens))]
    names = _short_names(tokens, uses)
    short = []
    for (kind, text), use, new in zip(tokens, uses, names, strict=True):
        short.append((kind, f"{text}:{new}" if use == "shorthand" and new != text else "let" if text == "const" else new))
    return f'(()=>{{"use strict";{_joined(_one_let(_bare(short)))}}})();'


def _tokens(source: str) -> Iterator[Token]:
    """The tokens without comments; the code inside `${…}` of a template is taken apart, too."""
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        assert found is not None and found.lastgroup is not None
        at = found.end()
        if found.lastgroup == "template":
            at = yield from _template(source, at)
        elif found.lastgroup == "blank":
            yield "blank", " "
        elif found.lastgroup != "comment":
            yield found.lastgroup, found[0].strip()


def _template(source: str, at: int) -> Generator[Token, None, int]:
    """The tokens of a template literal from behind its first mark; returns where it ends."""
    start = at - 1
    while source[at] != "`":
        if source.startswith("${", at):
            end = _end_of_code(source, at + 2)
            yield "text", source[start : at + 2]
            yield from _tokens(source[at + 2 : end])
            start = at = end
        at += 2 if source[at] == "\\" else 1
    yield "text", source[start : at + 1]
    return at + 1


def _end_of_code(source: str, at: int) -> int:
    """Where the brace is closed before `at`; templates inside are passed over."""
    depth = 1
    while True:
        if source[at] == "`":
            at += 1
            while source[at] != "`":
                at = _end_of_code(source, at + 2) + 1 if source.startswith("${", at) else at + 1
        depth += {"{": 1, "}": -1}.get(source[at], 0)
        if not depth:
            return at
        at += 1


def _use(tokens: list[Token], i: int) -> Literal["variable", "shorthand", "other"]:
    """Whether a token is the name of a variable of ours, and whether it is the key of an object at once: `{ a, b }`."""
    kind, text = tokens[i]
    before, after = tokens[i - 1][1] if i else "", tokens[i + 1][1] if i + 1 < len(tokens) else ""
    if kind != "name" or text in _KEPT or before in (".", "?."):
        return "other"
    if before in ("{", ",") and after in (":", ",", "}") and _opening(tokens, i) == "{":
        return "other" if after == ":" else "shorthand"
    return "variable"


def _short_names(tokens: list[Token], uses: Sequence[str]) -> list[str]:
    """The new text of every token. What is declared outside of all brackets has one name in the whole script; all else is
    local to its statement, where it may take the name of what is not used there.
    """
    shared, parts = _shared(tokens), _statements(tokens)
    # A local name that is the key of an object may stay as it is: no shared one takes it.
    staying = {text for (_, text), use in zip(tokens, uses, strict=True) if use == "shorthand"}
    new = _chosen(tokens, uses, [i for i, (_, text) in enumerate(tokens) if text in shared], staying)
    out = [new.get(text, text) if text in shared and use != "other" else text for (_, text), use in zip(tokens, uses, strict=True)]
    for rows in parts:
        there = {out[i] for i in rows if tokens[i][1] in shared and uses[i] != "other"}
        names = _chosen(tokens, uses, [i for i in rows if tokens[i][1] not in shared], there)
        for i in rows:
            if tokens[i][1] not in shared and uses[i] != "other":
                out[i] = names.get(tokens[i][1], tokens[i][1])
    return out


def _chosen(tokens: list[Token], uses: Sequence[str], rows: Sequence[int], there: set[str]) -> dict[str, str]:
    """Old name -> new for the names in these rows, the most frequent the shortest; one that would get longer stays."""
    plain = Counter(tokens[i][1] for i in rows if uses[i] == "variable")
    keyed = Counter(tokens[i][1] for i in rows if uses[i] == "shorthand")
    worth = {text: (len(text) - 1) * plain[text] - 2 * keyed[text] for text in plain | keyed}
    chosen = sorted((text for text in worth if worth[text] >= 0), key=lambda text: -plain[text])
    taken = _KEPT | there | (worth.keys() - set(chosen))
    short = (name for name in ("".join(letters) for n in count(1) for letters in product(ascii_letters, repeat=n)) if name not in taken)
    return {name: next(short) for name in chosen}


def _statements(tokens: list[Token]) -> list[list[int]]:
    """The rows of each statement outside of all brackets; two that are not told apart do no harm."""
    parts: list[list[int]] = [[]]
    depth = 0
    for i, (kind, text) in enumerate(tokens):
        if not depth and text in ("function", "const", "let"):
            parts.append([])
        parts[-1].append(i)
        depth += _deeper(kind, text)
        if not depth and text == ";":
            parts.append([])
    return parts


def _shared(tokens: list[Token]) -> set[str]:
    """The names that are declared outside of all brackets."""
    found: set[str] = set()
    depth = inside = 0  # `inside`: depth of the pattern that is being taken apart, as in `const { a, b } = c`
    target = False
    for i, (kind, text) in enumerate(tokens):
        if not depth and text in ("const", "let"):
            target = True
        elif kind == "name" and ((target and depth == inside) or inside or (not depth and tokens[i - 1][1] == "function")):
            found.add(text)
            target = bool(inside)
        step = _deeper(kind, text)
        if target and step > 0:
            inside += 1
        depth += step
        if inside and step < 0:
            inside -= 1
            target = bool(inside)
        if not depth and text == ",":
            target = True
    return found - _KEPT


def _deeper(kind: str, text: str) -> int:
    return 0 if kind != "sign" else 1 if text in "([{" else -1 if text in ")]}" else 0


def _opening(tokens: list[Token], i: int) -> str:
    """The bracket that is open around a token."""
    depth = 0
    for kind, text in reversed(tokens[:i]):
        if kind == "text":
            continue
        if text in ")]}":
            depth += 1
        elif text in "([{":
            if not depth:
                return text
            depth -= 1
    return ""


def _bare(tokens: list[Token]) -> list[Token]:
    """`(a) => …` without the brackets around its only parameter."""
    out: list[Token] = []
    for token in tokens:
        if token[1] == "=>" and len(out) > 2 and (out[-3][1], out[-1][1]) == ("(", ")") and out[-2][0] == "name" and out[-4][0] != "name":
            out[-3:] = [out[-2]]
        out.append(token)
    return out


def _one_let(tokens: list[Token]) -> list[Token]:
    """Declarations that follow each other as one: `let a = 1; let b = 2` -> `let a = 1, b = 2`."""
    out: list[Token] = []
    declared = [False]  # at each depth: whether the statement that is open there declares
    for i, token in enumerate(tokens):
        kind, text = token
        if kind == "sign" and text in "([{":
            declared.append(False)
        elif kind == "sign" and text in ")]}":
            declared.pop()
        elif text == "let":
            if out and out[-1][1] == ";" and declared[-1]:
                out[-1] = ("sign", ",")
                continue
            declared[-1] = True
        elif text == ";":
            declared[-1] = declared[-1] and i + 1 < len(tokens) and tokens[i + 1][1] == "let"
        out.append(token)
    return out


def _joined(tokens: list[Token]) -> str:
    """The tokens with blanks only where two words or signs would run together; every statement ends in a semicolon."""
    out: list[str] = []
    for (kind, text), (_, after) in zip(tokens, [*tokens[1:], ("sign", "")], strict=True):
        if kind == "sign" and text + after in (";}", ",}", ",)"):
            continue
        out.append(text[1:] if kind == "number" and text.startswith("0.") and len(text) > 2 else text)
        if after and ((_wordy(text[-1]) and _wordy(after[0])) or text[-1] + after[0] in ("++", "--")) and kind != "text":
            out.append(" ")
    return "".join(out)


def _wordy(character: str) -> bool:
    return character.isalnum() or character in "_$"


def used_style(sheet: str, body: str) -> str:
    """The rules of a sheet that can apply to a page: every class that a selector names is a word of the page."""
    words = frozenset(_WORDS.findall(body))
    return "".join(_rules(re.sub(r"/\*.*?\*/", "", sheet, flags=re.S), words))


def _rules(sheet: str, words: frozenset[str]) -> Iterator[str]:
    at = 0
    while (start := sheet.find("{", at)) >= 0:
        head, end = " ".join(sheet[at:start].split()), _closing(sheet, start)
        inner = sheet[start + 1 : end]
        at = end + 1
        if head.startswith("@"):
            rules = "".join(_rules(inner, words))
            if rules:
                yield f"{head}{{{rules}}}"
            continue
        kept = [one for one in _selectors(head) if all(name in words for name in re.findall(r"\.([A-Za-z_][\w-]*)", one))]
        if kept:
            yield f"{','.join(kept)}{{{_declarations(inner)}}}"


def _closing(sheet: str, start: int) -> int:
    depth = 0
    for at in range(start, len(sheet)):
        depth += {"{": 1, "}": -1}.get(sheet[at], 0)
        if not depth:
            return at
    raise ValueError("a brace of the style sheet stays open")


def _selectors(head: str) -> list[str]:
    """The selectors of a list, commas inside of brackets left alone."""
    return [re.sub(r"\s*([>~+])\s*", r"\1", one.strip()) if "(" not in one else one.strip() for one in re.split(r",(?![^(]*\))", head)]


def _declarations(inner: str) -> str:
    parts = (" ".join(part.split()) for part in inner.split(";"))
    return ";".join(re.sub(r"^([\w-]+): ", r"\1:", part) for part in parts if part)
