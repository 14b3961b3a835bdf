"""Writes a YAML text in the one layout, with every comment where a reader expects it.

Blocks are indented by two spaces, lists below their key too. What stands in brackets stays there while it fits on one
line and holds no comment, and becomes a block otherwise. A comment on a line of its own belongs to what comes next, or
to the end of the deepest block that begins no further right than the comment.
"""

import re
from dataclasses import replace
from typing import Final

from graphc.layout.nodes import Collection, Comment, Node, Place, Text, Written

WIDTH: Final = 100
"""What is in brackets is written on one line up to here."""
_STEP: Final = 2
_LONGEST_KEY: Final = 1000
"""Readers find no longer key without a `?` before it."""
_END: Final = 1 << 62
_INDICATORS: Final = re.compile(r"([|>])([0-9]*)([-+]?)([0-9]*)")
_SPACE: Final = re.compile(r"(?<!\\)[ \t]+$")


class UnwritableError(Exception):
    """What the layout has no form for; `words` are for the user."""

    def __init__(self, words: str, at: Place) -> None:
        super().__init__(words)
        self.words, self.at = words, at


def write_nodes(text: Text) -> str:
    """Return the text in the one layout; raises UnwritableError."""
    return _Writer(text).write()


class _Writer:
    def __init__(self, text: Text) -> None:
        self._text = text
        self._comments = list(reversed(text.comments))
        self._lines: list[str] = []
        self._is_full = True
        """Whether no comment can stand behind the last line."""
        self._opens = True
        """Whether the last line opens a block, so that no empty line follows it."""

    def write(self) -> str:
        """Return all documents."""
        documents = self._text.documents
        ends = [*(each.begin for each in documents[1:]), _END]
        for index, (document, end) in enumerate(zip(documents, ends, strict=True)):
            if document.is_marked:
                self._tell_before(document.begin, 0)
            if document.version:
                self._line(f"%YAML {document.version}")
            if index or document.is_marked:
                self._line("---")
                self._opens = True
            self._root(document.root, end)
        self._tell_before(_END, 0)
        return "".join(f"{line}\n" for line in self._lines)

    def _root(self, root: Node, end: int) -> None:
        if isinstance(root, Collection):
            root = self._open(root, 0)
        if isinstance(root, Collection) and not root.is_flow:
            if root.properties:
                self._tell_before(root.begin, 0)
                self._line(root.properties)
                self._opens = True
            self._block(root, 0, end, -1)
        elif isinstance(root, Collection) or root.text or root.properties:
            self._tell_before(root.begin, 0)
            self._line("")
            self._inline(root, 0, "")
            self._opens = False

    # --- Blocks ------------------------------------------------------------------------------------------

    def _block(
        self, node: Collection, indent: int, limit: int, around: int, *, is_begun: bool = False
    ) -> None:
        """Write a block's entries, the first of them onto the last line where that `is_begun`.

        What comes after the block begins at `limit`; `around` is the column of the block that it stands in.
        """
        entries = node.entries
        column = _END if node.is_opened else entries[0][2].column
        ends = [*(mark.index for _, _, mark in entries[1:]), node.end if node.is_opened else limit]
        for number, ((key, value, mark), end) in enumerate(zip(entries, ends, strict=True)):
            if number or not is_begun:
                self._tell_before(mark.index, indent)
                self._space_before(mark)
                self._line(" " * indent)
            self._lines[-1] += "-" if key is None else _write_key(key)
            self._opens = False
            self._value(value, indent, end, column, is_item=key is None)
        if node.is_opened:
            self._tell_before(node.end, indent)
        self._tell_trailing(limit)
        while column > around and (found := self._next(limit)) and found.at.column >= column:
            self._tell_next(indent)

    def _value(self, value: Node, indent: int, limit: int, column: int, *, is_item: bool) -> None:
        """Write what follows a key or a dash onto the last line, and below it."""
        inner = indent + _STEP
        if isinstance(value, Collection):
            value = self._open(value, len(self._lines[-1]) + 1)
        if isinstance(value, Written) or value.is_flow:
            is_apart = self._next(value.begin) is not None
            if is_apart:
                self._tell_before(value.begin, inner)
                self._line(" " * inner)
            self._inline(value, indent, "" if is_apart else " ")
            return
        if value.properties:
            self._lines[-1] += f" {value.properties}"
        is_commented = self._move_up(value, limit)
        begin = value.entries[0][2].index
        is_begun = is_item and not value.properties and not is_commented and self._next(begin) is None
        if is_begun:
            self._lines[-1] += " "
        else:
            self._tell_trailing(begin)
            self._opens = True
        self._block(value, inner, limit, column, is_begun=is_begun)

    def _open(self, node: Collection, column: int) -> Collection:
        """Return a collection in brackets as a block where it has no room on a line."""
        if not node.is_flow or not node.items:
            return node
        holds_comments = any(node.at.index < each.at.index < node.end for each in self._comments)
        if not holds_comments and not _has_lines(node) and column + len(_write_flow(node)) <= WIDTH:
            return node
        marks = [] if node.is_mapping else [item.at for item in node.items]
        return replace(node, is_flow=False, is_opened=True, marks=marks)

    def _move_up(self, node: Collection, limit: int) -> bool:
        """Write a comment behind the closing bracket of what becomes a block behind the line that opens the block."""
        if node.is_opened:
            for each in self._comments:
                if not each.alone and each.at.line == node.end_line and node.end <= each.at.index < limit:
                    self._comments.remove(each)
                    self._lines[-1] += f"  {each.text}"
                    self._is_full = True
                    return True
        return False

    # --- What is no block --------------------------------------------------------------------------------

    def _inline(self, value: Node, indent: int, space: str) -> None:
        """Write a value onto the last line, and its further lines below it."""
        if isinstance(value, Collection):
            text = _write_flow(value)
        elif value.style == "block":
            self._block_text(value, indent, space)
            return
        else:
            text = _join(value.properties, _normalise(value.text))
        first, *more = text.split("\n")
        self._lines[-1] += space + _SPACE.sub("", first) if text else ""
        for line in more:
            stripped = _SPACE.sub("", line.lstrip(" \t"))
            self._line(" " * (indent + _STEP) + stripped if stripped else "")

    def _block_text(self, value: Written, indent: int, space: str) -> None:
        found = _INDICATORS.match(value.text)
        assert found, "a text in a block begins with its sign"
        sign, before, chomping, after = found.groups()
        if sign == "|":
            lines, chomping = _split_literal(value.value)
        elif before or after:
            raise UnwritableError("a folded text whose indentation is stated by a number", value.at)
        else:
            lines = _split_folded(value.text.split("\n")[1:], keeps=chomping == "+")
            chomping = chomping if value.value.endswith("\n") or not value.value else "-"
        first = next((line for line in lines if line), "")
        number = str(_STEP) if first[:1].isspace() else ""
        self._lines[-1] += space + _join(value.properties, f"{sign}{number}{chomping}")
        self._tell_trailing(value.end)
        for line in lines:
            self._line(" " * (indent + _STEP) + line if line else "")
        self._is_full = True
        self._opens = chomping == "+"

    # --- Lines and comments ------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        self._lines.append(text)
        self._is_full = False

    def _space_before(self, at: Place) -> None:
        """Keep one empty line before what begins a line."""
        if self._opens or not at.line or self._text.lines[at.line - 1].strip():
            return
        if not self._text.lines[at.line][: at.column].strip() and self._lines and self._lines[-1]:
            self._lines.append("")

    def _next(self, limit: int) -> Comment | None:
        found = self._comments[-1] if self._comments else None
        return found if found is not None and found.at.index < limit else None

    def _tell_trailing(self, limit: int) -> None:
        """Write a comment that stands behind something behind the last line."""
        found = self._next(limit)
        if found is not None and not found.alone and not self._is_full:
            self._lines[-1] += f"  {found.text}"
            self._is_full = True
            self._comments.pop()

    def _tell_before(self, limit: int, indent: int) -> None:
        """Write all comments that stand before an index."""
        self._tell_trailing(limit)
        while self._next(limit) is not None:
            self._tell_next(indent)

    def _tell_next(self, indent: int) -> None:
        """Write the next comment on a line of its own."""
        found = self._comments.pop()
        self._space_before(found.at)
        self._line(" " * indent + found.text)
        self._is_full, self._opens = True, False


def _write_key(key: Node) -> str:
    if (
        isinstance(key, Collection)
        or key.style == "block"
        or "\n" in key.text
        or len(key.text) > _LONGEST_KEY
    ):
        raise UnwritableError("a key of several lines, or of more than 1,000 characters", key.at)
    return f"{_join(key.properties, _normalise(key.text))}{' ' if key.style == 'alias' else ''}:"


def _write_flow(node: Node) -> str:
    """Return a value on one line, within brackets."""
    if isinstance(node, Written):
        if not node.text and "!" in node.properties:
            raise UnwritableError("a tag without a value between brackets", node.at)
        return _join(node.properties, _normalise(node.text) or ("" if node.properties else "null"))
    if node.is_mapping:
        pairs = ", ".join(f"{_write_key(key)} {_write_flow(value)}" for key, value, _ in node.entries if key)
        return _join(node.properties, f"{{{pairs}}}")
    return _join(node.properties, f"[{', '.join(map(_write_flow, node.items))}]")


def _has_lines(node: Node) -> bool:
    if isinstance(node, Written):
        return "\n" in node.text
    return any(map(_has_lines, node.items))


def _normalise(text: str) -> str:
    """Return a text with double quotes in the place of single ones, where it needs no escapes then."""
    inner = text[1:-1]
    if not text.startswith("'") or '"' in inner or "\\" in inner:
        return text
    inner = inner.replace("''", "'")
    return f'"{inner}"'


def _split_literal(value: str) -> tuple[list[str], str]:
    """Return the lines of a text, and the sign for the line breaks at its end."""
    if not value.strip("\n"):
        return value.split("\n")[:-1], "+" if value else ""
    if not value.endswith("\n"):
        return value.split("\n"), "-"
    return value.split("\n")[:-1], "+" if value.endswith("\n\n") else ""


def _split_folded(lines: list[str], *, keeps: bool) -> list[str]:
    """Return the lines of a folded text as they stand, without their indentation."""
    if lines and not lines[-1]:
        lines = lines[:-1]
    full = next((line for line in lines if line.strip(" ")), "")
    indent = len(full) - len(full.lstrip(" "))
    cut = [line[indent:] for line in lines]
    while cut and not cut[-1].strip(" ") and not keeps:
        cut.pop()
    return cut


def _join(properties: str, text: str) -> str:
    return f"{properties} {text}".strip() if properties else text
