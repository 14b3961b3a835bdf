"""Reads protobuf's text format without a schema, as far as configurations of servers use it, within bounds."""

import re
from typing import Final

from graphc.records import record

MOST: Final = 1 << 20
"""Bytes of a text that is read."""
_DEEPEST: Final = 32
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+|#[^\n]*)"
    r"|(?P<text>\"(?:[^\"\\\n]|\\[^\n])*\"|'(?:[^'\\\n]|\\[^\n])*')"
    r"|(?P<word>0[xX][0-9a-fA-F]+|[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?[fF]?|-?[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>[][{}<>:,;])"
)
_ESCAPE: Final = re.compile(r"\\(.)")
_CLOSING: Final = {"{": "}", "<": ">"}


class ProtobufTextError(ValueError):
    """A text is not of the format; the message starts with its line."""

    def tell(self, file: str) -> str:
        """Return the line of a file, and why."""
        line, _, reason = str(self).partition(": ")
        return f"`{file}:{line}`: {reason}"


@record
class Scalar:
    """A number, a name or a quoted text."""

    text: str
    is_quoted: bool
    line: int


@record
class Message:
    """Fields by their names, each with its values in their order."""

    fields: dict[str, list["Scalar | Message"]]
    line: int

    def scalar(self, name: str) -> Scalar | None:
        """Return the last value of a field that has no fields of its own."""
        found = [each for each in self.fields.get(name, ()) if isinstance(each, Scalar)]
        return found[-1] if found else None

    def scalars(self, name: str) -> list[Scalar]:
        """Return the values of a field, without those that have fields of their own."""
        return [each for each in self.fields.get(name, ()) if isinstance(each, Scalar)]

    def text(self, name: str) -> str:
        """Return the last value of a field that has to be a quoted text; raises ProtobufTextError."""
        found = self.scalar(name)
        if found is None or not found.is_quoted or not found.text:
            raise ProtobufTextError(f"{self.line}: a `{name}` is missing, or is no text")
        return found.text

    def messages(self, name: str) -> list["Message"]:
        """Return the values of a field that have fields of their own."""
        return [each for each in self.fields.get(name, ()) if isinstance(each, Message)]


def read_message(content: bytes) -> Message:
    """Return the message that a text is; raises ProtobufTextError."""
    if len(content) > MOST:
        raise ProtobufTextError(f"1: it has more than {MOST:,} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ProtobufTextError(f"{content[: error.start].count(10) + 1}: it is not UTF-8") from None
    reader = _Reader(_tokens(text))
    found = reader.message("", 0)
    assert reader.peek() is None
    return found


@record
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ProtobufTextError(f"{line}: {text[place]!a} stands where none of the format's marks does")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match[0], line))
        line += match[0].count("\n")
        place = match.end()
    return found


class _Reader:
    """Reads messages off a list of tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._place = tokens, 0

    def peek(self) -> _Token | None:
        """Return the next token, which stays."""
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self) -> _Token:
        token = self.peek()
        if token is None:
            last = self._tokens[-1].line if self._tokens else 1
            raise ProtobufTextError(f"{last}: it ends within a field")
        self._place += 1
        return token

    def _skip(self, *marks: str) -> bool:
        token = self.peek()
        if token is None or token.kind != "mark" or token.text not in marks:
            return False
        self._place += 1
        return True

    def message(self, closing: str, depth: int) -> Message:
        """Read fields up to a mark, or to the end."""
        first = self.peek()
        found = Message({}, first.line if first else 1)
        if depth > _DEEPEST:
            raise ProtobufTextError(f"{found.line}: messages lie more than {_DEEPEST} deep within each other")
        while (self.peek() is not None) if not closing else not self._skip(closing):
            token = self._take()
            if token.kind != "word" or not (token.text[0].isalpha() or token.text[0] == "_"):
                raise ProtobufTextError(
                    f"{token.line}: {token.text[:40]!a} stands where a field's name should"
                )
            has_colon = self._skip(":")
            values = found.fields.setdefault(token.text, [])
            if self._skip("["):
                self._values(values, depth)
            else:
                values.append(self._value(depth, is_scalar_allowed=has_colon))
            self._skip(",", ";")
        return found

    def _values(self, values: list[Scalar | Message], depth: int) -> None:
        while not self._skip("]"):
            values.append(self._value(depth, is_scalar_allowed=True))
            if not self._skip(","):
                if not self._skip("]"):
                    token = self._take()
                    raise ProtobufTextError(f"{token.line}: {token.text[:40]!a} stands where a comma should")
                return

    def _value(self, depth: int, *, is_scalar_allowed: bool) -> Scalar | Message:
        token = self._take()
        if token.text in _CLOSING and token.kind == "mark":
            return self.message(_CLOSING[token.text], depth + 1)
        if token.kind == "mark" or not is_scalar_allowed:
            raise ProtobufTextError(f"{token.line}: {token.text[:40]!a} stands where a value should")
        if token.kind == "word":
            return Scalar(token.text, is_quoted=False, line=token.line)
        parts = [token.text]
        while (more := self.peek()) is not None and more.kind == "text":
            parts.append(self._take().text)
        text = "".join(_ESCAPE.sub(r"\1", part[1:-1]) for part in parts)
        return Scalar(text, is_quoted=True, line=token.line)
