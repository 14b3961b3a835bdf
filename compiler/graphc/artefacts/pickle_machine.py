"""Reads a pickle without obeying it: nothing is imported, called or hashed, and only small values are kept.

A pickle is a program. This machine follows how the program moves values about and, where the program would
call something, notes what with which arguments. What a class means is for the reader of the outcome.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graphc.artefacts.source import Budget, MalformedError, Source
from graphc.records import record

_MAX_TEXT: Final = 1024
_MAX_TEXTS: Final = 64 << 20
_MAX_STEPS: Final = 3_000_000
_MAX_NAMES: Final = 1000


@record
class Opaque:
    """A value that was skipped: too large to keep, or of no use."""


@record
class Name:
    """Something importable that the pickle names; it stays a name."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Instance:
    """What calling `maker` with `arguments` would make; `state` is what it would be restored from."""

    maker: "Value"
    arguments: "Value"
    state: "Value" = None
    content: "Value" = None

    def made_by(self, name: str, *modules: str) -> bool:
        """Say whether the maker has that name and lives in one of those modules."""
        return isinstance(self.maker, Name) and self.maker.name == name and self.maker.module in modules


Value = (
    None
    | bool
    | int
    | float
    | str
    | bytes
    | list["Value"]
    | tuple["Value", ...]
    | dict[str, "Value"]
    | Opaque
    | Name
    | Instance
)

OPAQUE: Final = Opaque()


class PickleLimits:
    """What one file may cost, nested pickles included: steps to take, and text to keep."""

    def __init__(self) -> None:
        self.steps = Budget(_MAX_STEPS)
        self._text_left = _MAX_TEXTS
        self.names: dict[tuple[str, str], None] = {}
        """What the pickle would import, in order."""
        self.versions: dict[str, None] = {}
        """The versions of scikit-learn that its estimators say wrote them."""

    def note_name(self, name: "Name") -> None:
        """Note what would be imported."""
        if len(self.names) < _MAX_NAMES:
            self.names[name.module, name.name] = None

    def note_state(self, state: "Value") -> None:
        """Note the version that wrote an estimator, where its state tells one."""
        version = state.get("_sklearn_version") if isinstance(state, dict) else None
        if isinstance(version, str) and len(self.versions) < _MAX_NAMES:
            self.versions[version] = None

    def may_keep(self, size: int) -> bool:
        """Say whether a text of that size is kept, and count it."""
        if size > _MAX_TEXT or size > self._text_left:
            return False
        self._text_left -= size
        return True


class PickleMachine:
    """Reads one pickle from a source, up to its end mark."""

    def __init__(self, source: Source, limits: PickleLimits) -> None:
        self.source = source
        self.limits = limits
        self._stack: list[Value] = []
        self._marked: list[list[Value]] = []
        self._memo: dict[int, Value] = {}

    def run(self) -> Value:
        """Return what the pickle describes; raises MalformedError or RefusedError."""
        try:
            return self._run()
        except (LookupError, ValueError, OverflowError, struct.error) as error:
            raise MalformedError("it is not a pickle") from error

    def built(self, instance: Instance) -> None:
        """Do what has to follow once an instance has its state; nothing here."""

    def _run(self) -> Value:
        read, spend = self.source.read, self.limits.steps.spend
        while (code := read(1)) != b".":
            spend()
            _ACTIONS[code](self)
        return self.pop()

    def push(self, value: Value) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Value:
        """Take the last value from the stack."""
        return self._stack.pop()

    def pop_last(self, count: int) -> list[Value]:
        """Take some values from the end of the stack, in order."""
        values = self._stack[-count:]
        if len(values) != count:
            raise MalformedError("it takes values that are not there")
        del self._stack[-count:]
        return values

    @property
    def top(self) -> Value:
        """The last value on the stack."""
        return self._stack[-1]

    def mark(self) -> None:
        """Begin a group of values."""
        self._marked.append(self._stack)
        self._stack = []

    def pop_mark(self) -> list[Value]:
        """Take the values of the group that was begun last."""
        values = self._stack
        self._stack = self._marked.pop()
        return values

    def drop(self) -> None:
        """Take the last value, or the mark where it comes last."""
        if self._stack:
            self._stack.pop()
        else:
            self.pop_mark()

    def put(self, index: int) -> None:
        """Remember the last value under an index."""
        self._memo[index] = self._stack[-1]

    def memoize(self) -> None:
        """Remember the last value under the next index."""
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, index: int) -> None:
        """Push a remembered value."""
        self._stack.append(self._memo[index])

    def number(self, layout: struct.Struct) -> int:
        """Read a whole number of a fixed layout."""
        return int(layout.unpack(self.source.read(layout.size))[0])

    def sized(self, layout: struct.Struct) -> bytes | None:
        """Read bytes that follow their own length; None where they are not kept."""
        size = self.number(layout)
        if size < 0:
            raise MalformedError("it has a negative length")
        if self.limits.may_keep(size):
            return self.source.read(size)
        self.source.skip(size)
        return None

    def line(self) -> bytes | None:
        """Read a line; None where it is not kept."""
        line = self.source.read_line(_MAX_TEXT)
        return line if line is not None and self.limits.may_keep(len(line)) else None

    def name_line(self) -> str:
        """Read a line that has to be kept."""
        line = self.line()
        if line is None:
            raise MalformedError("it has a name that is too long")
        return line.decode()


Action = Callable[[PickleMachine], None]

_UINT8: Final = struct.Struct("<B")
_UINT16: Final = struct.Struct("<H")
_INT32: Final = struct.Struct("<i")
_UINT32: Final = struct.Struct("<I")
_UINT64: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct(">d")


def _constant(value: Value) -> Action:
    return lambda machine: machine.push(value)


def _integer(layout: struct.Struct) -> Action:
    return lambda machine: machine.push(machine.number(layout))


def _decoded(layout: struct.Struct, decode: Callable[[bytes], Value]) -> Action:
    def act(machine: PickleMachine) -> None:
        data = machine.sized(layout)
        machine.push(OPAQUE if data is None else decode(data))

    return act


def _decoded_line(decode: Callable[[bytes], Value]) -> Action:
    def act(machine: PickleMachine) -> None:
        line = machine.line()
        machine.push(OPAQUE if line is None else decode(line))

    return act


def _take(count: int) -> Action:
    def act(machine: PickleMachine) -> None:
        machine.push(tuple(machine.pop_last(count)))

    return act


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _long(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _int_line(line: bytes) -> Value:
    return {b"00": False, b"01": True}[line] if line in {b"00", b"01"} else int(line)


def _push_double(machine: PickleMachine) -> None:
    machine.push(float(_DOUBLE.unpack(machine.source.read(8))[0]))


def _pairs(values: list[Value]) -> dict[str, Value]:
    # Keys that are not text are dropped: to hash what a hostile file built could take forever.
    return {key: value for key, value in zip(values[::2], values[1::2], strict=True) if isinstance(key, str)}


def _add_items(machine: PickleMachine) -> None:
    values = machine.pop_mark()
    if isinstance(machine.top, list):
        machine.top.extend(values)


def _add_item(machine: PickleMachine) -> None:
    value = machine.pop()
    if isinstance(machine.top, list):
        machine.top.append(value)


def _set_items(machine: PickleMachine) -> None:
    pairs = _pairs(machine.pop_mark())
    if isinstance(machine.top, dict):
        machine.top.update(pairs)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    if isinstance(machine.top, dict) and isinstance(key, str):
        machine.top[key] = value


def _call(machine: PickleMachine) -> None:
    arguments, maker = machine.pop(), machine.pop()
    machine.push(_made(maker, arguments))


def _call_with_keywords(machine: PickleMachine) -> None:
    machine.pop()
    _call(machine)


def _call_marked(machine: PickleMachine) -> None:
    maker, *arguments = machine.pop_mark()
    machine.push(_made(maker, tuple(arguments)))


def _call_named(machine: PickleMachine) -> None:
    name = Name(machine.name_line(), machine.name_line())
    machine.limits.note_name(name)
    machine.push(_made(name, tuple(machine.pop_mark())))


def _made(maker: Value, arguments: Value) -> Value:
    # Protocols 0 and 1 make every object by `copyreg._reconstructor(class, base, state)`.
    if (
        isinstance(maker, Name)
        and maker.name == "_reconstructor"
        and isinstance(arguments, tuple)
        and arguments
    ):
        return Instance(arguments[0], arguments[1:])
    return Instance(maker, arguments)


def _build(machine: PickleMachine) -> None:
    state = machine.pop()
    machine.limits.note_state(state)
    if isinstance(machine.top, Instance):
        machine.top.state = state
        machine.built(machine.top)


def _push_name(machine: PickleMachine) -> None:
    found = Name(machine.name_line(), machine.name_line())
    machine.limits.note_name(found)
    machine.push(found)


def _push_stacked_name(machine: PickleMachine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise MalformedError("it names what is not a name")
    found = Name(module, name)
    machine.limits.note_name(found)
    machine.push(found)


def _push_opaque_line(machine: PickleMachine) -> None:
    machine.line()
    machine.push(OPAQUE)


def _replace_opaque(machine: PickleMachine) -> None:
    machine.pop()
    machine.push(OPAQUE)


def _push_extension(layout: struct.Struct) -> Action:
    def act(machine: PickleMachine) -> None:
        machine.push(Name("copyreg", f"extension {machine.number(layout)}"))

    return act


_ACTIONS: Final[dict[bytes, Action]] = {
    b"\x80": lambda machine: machine.source.skip(1),
    b"\x95": lambda machine: machine.source.skip(8),
    b"(": PickleMachine.mark,
    b"0": PickleMachine.drop,
    b"1": lambda machine: machine.pop_mark().clear(),
    b"2": lambda machine: machine.push(machine.top),
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"J": _integer(_INT32),
    b"K": _integer(_UINT8),
    b"M": _integer(_UINT16),
    b"I": _decoded_line(_int_line),
    b"L": _decoded_line(lambda line: int(line.removesuffix(b"L"))),
    b"\x8a": _decoded(_UINT8, _long),
    b"\x8b": _decoded(_INT32, _long),
    b"G": _push_double,
    b"F": _decoded_line(float),
    b"S": _decoded_line(lambda line: line.strip()[1:-1].decode("latin-1")),
    b"T": _decoded(_INT32, lambda data: data.decode("latin-1")),
    b"U": _decoded(_UINT8, lambda data: data.decode("latin-1")),
    b"V": _decoded_line(lambda line: line.decode("raw-unicode-escape")),
    b"X": _decoded(_UINT32, _text),
    b"\x8c": _decoded(_UINT8, _text),
    b"\x8d": _decoded(_UINT64, _text),
    b"B": _decoded(_UINT32, bytes),
    b"C": _decoded(_UINT8, bytes),
    b"\x8e": _decoded(_UINT64, bytes),
    b"\x96": _decoded(_UINT64, bytes),
    b"\x97": _constant(OPAQUE),
    b"\x98": _replace_opaque,
    b"]": lambda machine: machine.push([]),
    b"l": lambda machine: machine.push(machine.pop_mark()),
    b"a": _add_item,
    b"e": _add_items,
    b")": _constant(()),
    b"t": lambda machine: machine.push(tuple(machine.pop_mark())),
    b"\x85": _take(1),
    b"\x86": _take(2),
    b"\x87": _take(3),
    b"}": lambda machine: machine.push({}),
    b"d": lambda machine: machine.push(_pairs(machine.pop_mark())),
    b"s": _set_item,
    b"u": _set_items,
    # A set is read as a list: nothing here is hashed.
    b"\x8f": lambda machine: machine.push([]),
    b"\x90": _add_items,
    b"\x91": lambda machine: machine.push(machine.pop_mark()),
    b"c": _push_name,
    b"\x93": _push_stacked_name,
    b"R": _call,
    b"\x81": _call,
    b"\x92": _call_with_keywords,
    b"o": _call_marked,
    b"i": _call_named,
    b"b": _build,
    b"g": lambda machine: machine.get(int(machine.name_line())),
    b"h": lambda machine: machine.get(machine.number(_UINT8)),
    b"j": lambda machine: machine.get(machine.number(_UINT32)),
    b"p": lambda machine: machine.put(int(machine.name_line())),
    b"q": lambda machine: machine.put(machine.number(_UINT8)),
    b"r": lambda machine: machine.put(machine.number(_UINT32)),
    b"\x94": PickleMachine.memoize,
    b"P": _push_opaque_line,
    b"Q": _replace_opaque,
    b"\x82": _push_extension(_UINT8),
    b"\x83": _push_extension(_UINT16),
    b"\x84": _push_extension(_INT32),
}
