"""The plain values inside a pickle, without unpickling: an opcode walk that calls and imports nothing.

Only opcodes that build texts, numbers, bools, None, tuples, lists, dicts and sets make values. A class is a name, never
looked up; what is made by calling something is opaque, with its attributes when they are a plain dict. Two exceptions,
both by name alone: an enum of a known training library becomes its value, a torch dtype its name.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from typing import Any

from curvelab.sidecars._plain import Opaque

MAX_OPCODES = 100_000  # TrainingArguments take about 700
MAX_STACK = 20_000
MAX_TEXT = 100_000  # characters of one text
_ENUM_HOMES = ("transformers.", "trl.", "accelerate.", "peft.", "sentence_transformers.", "llamafactory.")
_DTYPE = re.compile(r"torch (b?float\d+|u?int\d+|bool)$")
_MARK = object()
_EMPTY = {"builtins set": set, "__builtin__ set": set, "collections OrderedDict": dict, "collections defaultdict": dict}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SCALARS = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
     "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")
)  # fmt: skip
_BYTES = frozenset(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_IGNORED = frozenset(("PROTO", "FRAME", "READONLY_BUFFER"))


class PickleError(ValueError):
    """A stream that is no pickle, is cut, or asks for more than the limits."""


def first_objects(data: bytes, wanted: Callable[[object], bool], streams: int = 8) -> object:
    """The first object of the pickles that stand one after the other in `data` for which `wanted` holds, else None.

    Raises PickleError when the walk cannot go on.
    """
    file = io.BytesIO(data)
    budget = [MAX_OPCODES]
    for _ in range(streams):
        if file.tell() >= len(data):
            return None
        made = _Walk().over(file, budget)
        if wanted(made):
            return made
    return None


class _Walk:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def over(self, file: io.BytesIO, budget: list[int]) -> object:
        """Walk one pickle up to its STOP and return what it stands for."""
        try:
            for opcode, argument, position in pickletools.genops(file):
                budget[0] -= 1
                if budget[0] < 0 or len(self.stack) > MAX_STACK:
                    raise PickleError("more opcodes than settings need")
                if opcode.name == "STOP":
                    return self.stack[-1] if self.stack and self.stack[-1] is not _MARK else None
                self._do(opcode.name, argument, position)
        except (IndexError, KeyError, TypeError) as error:
            raise PickleError(f"its opcodes do not fit together ({type(error).__name__})") from None
        except (ValueError, OverflowError, ArithmeticError, Warning) as error:
            raise PickleError(str(error)[:120] or type(error).__name__) from None
        raise PickleError("it has no end")

    def _do(self, name: str, argument: Any, position: int | None) -> None:
        """Carry out one opcode. Raises PickleError for one that no settings need."""
        stack = self.stack
        if name in _SCALARS:
            stack.append(Opaque("text") if isinstance(argument, str) and len(argument) > MAX_TEXT else argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _BYTES:
            stack.append(Opaque("bytes"))
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _BUILDERS:
            _BUILDERS[name](self)
        elif name == "GLOBAL":
            stack.append(Opaque(str(argument)))
        elif name in ("EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER"):
            stack.append(Opaque(name))
        elif name == "INST":
            self.marked()
            stack.append(Opaque())
        elif name not in _IGNORED:
            raise PickleError(f"opcode {name} at byte {position} is not expected")

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise PickleError("its opcodes do not fit together (a mark)")
        return value

    def marked(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise PickleError("its opcodes do not fit together (no mark)")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def discard(self) -> None:
        self.stack.pop()

    def discard_marked(self) -> None:
        self.marked()

    def add_items(self, items: list[Any]) -> None:
        top = self.stack[-1]
        if isinstance(top, list):
            top += items
        elif isinstance(top, set):
            top.update(item for item in items if isinstance(item, str | int | float))

    def set_items(self, items: list[Any]) -> None:
        top = self.stack[-1]
        if isinstance(top, dict):
            top.update((k, v) for k, v in zip(items[::2], items[1::2], strict=False) if isinstance(k, str | int))

    def call(self) -> None:
        """REDUCE: nothing is called. An enum of a training library is its value; all else is opaque."""
        arguments, function = self.pop(), self.pop()
        self.stack.append(_called(getattr(function, "name", ""), arguments))

    def new(self, operands: int) -> None:
        """NEWOBJ and its kin: an object of the class that lies below the other operands."""
        taken = [self.pop() for _ in range(operands)]
        self.stack.append(Opaque(getattr(taken[-1], "name", "")))

    def new_marked(self) -> None:
        taken = self.marked()
        self.stack.append(Opaque(getattr(taken[0], "name", "") if taken else ""))

    def build(self) -> None:
        state = self.pop()
        top = self.stack[-1]
        if isinstance(top, Opaque) and top is not state:
            top.state = state

    def name_of_two(self) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(Opaque(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else ""))

    def persistent(self) -> None:
        self.pop()
        self.stack.append(Opaque("BINPERSID"))

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))


_BUILDERS: dict[str, Callable[[_Walk], None]] = {
    "POP": _Walk.discard,
    "POP_MARK": _Walk.discard_marked,
    "DUP": lambda walk: walk.stack.append(walk.stack[-1]),
    "EMPTY_TUPLE": lambda walk: walk.stack.append(()),
    "EMPTY_LIST": lambda walk: walk.stack.append([]),
    "EMPTY_DICT": lambda walk: walk.stack.append({}),
    "EMPTY_SET": lambda walk: walk.stack.append(set()),
    "TUPLE": lambda walk: walk.stack.append(tuple(walk.marked())),
    "TUPLE1": lambda walk: walk.tuple_of(1),
    "TUPLE2": lambda walk: walk.tuple_of(2),
    "TUPLE3": lambda walk: walk.tuple_of(3),
    "LIST": lambda walk: walk.stack.append(walk.marked()),
    "DICT": lambda walk: _dict(walk, walk.marked()),
    "FROZENSET": lambda walk: walk.stack.append([x for x in walk.marked() if isinstance(x, str | int | float)]),
    "APPEND": lambda walk: walk.add_items([walk.pop()]),
    "APPENDS": lambda walk: walk.add_items(walk.marked()),
    "ADDITEMS": lambda walk: walk.add_items(walk.marked()),
    "SETITEM": lambda walk: walk.set_items([walk.pop(), walk.pop()][::-1]),
    "SETITEMS": lambda walk: walk.set_items(walk.marked()),
    "REDUCE": _Walk.call,
    "NEWOBJ": lambda walk: walk.new(2),
    "NEWOBJ_EX": lambda walk: walk.new(3),
    "OBJ": _Walk.new_marked,
    "BUILD": _Walk.build,
    "STACK_GLOBAL": _Walk.name_of_two,
    "BINPERSID": _Walk.persistent,
}


def _dict(walk: _Walk, items: list[Any]) -> None:
    walk.stack.append({})
    walk.set_items(items)


def _called(function: str, arguments: object) -> object:
    if not isinstance(arguments, tuple):
        return Opaque(function)
    if function in _EMPTY:
        first = arguments[0] if arguments else ()
        if _EMPTY[function] is set and isinstance(first, list | tuple):
            return {item for item in first if isinstance(item, str | int | float)}
        return _EMPTY[function]()
    if len(arguments) == 1 and isinstance(arguments[0], str) and function.startswith(_ENUM_HOMES):
        return arguments[0]
    if function in ("builtins getattr", "__builtin__ getattr") and len(arguments) == 2:
        owner, member = arguments  # Python 3.11.0 to 3.11.3 pickled an enum by the name of its member
        if isinstance(owner, Opaque) and isinstance(member, str) and owner.name.startswith(_ENUM_HOMES):
            return member.lower()
    return Opaque(function)


def dtype_name(value: object) -> str | None:
    """`bfloat16` for the name of a torch dtype, else None."""
    found = _DTYPE.match(value.name) if isinstance(value, Opaque) else None
    return found.group(1) if found else None
