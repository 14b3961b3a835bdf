"""What a syntax error of the YAML parser means, in the words of someone who writes a graph."""

from typing import Final

from yaml.error import MarkedYAMLError

from graphc.diagnostics import Diagnostic, Span
from graphc.diagnostics.codes.reading import YAML_SYNTAX
from graphc.diagnostics.printable import quoted
from graphc.records import record


@record
class _Fault:
    """Our words for one problem of the parser; `opened` places it where the broken construct opens."""

    message: str
    help: str | None = None
    opened: bool = False


_QUOTE: Final = "put the text in quotes"
_TABS: Final = "indent with spaces"
_CLOSE: Final = "close it with the same quote"

_FAULTS: Final[dict[str, _Fault]] = {
    "mapping values are not allowed in this context": _Fault(
        "a `:` stands where no key can be", "quote the text that holds it, or check the indentation"
    ),
    "mapping values are not allowed here": _Fault(
        "a `:` stands where no key can be", "quote the text that holds it, or check the indentation"
    ),
    "block sequence entries are not allowed in this context": _Fault(
        "a list item stands where no list can be", "start the list on a line of its own"
    ),
    "did not find expected key": _Fault(
        "this is no key of the mapping opened on line {line}",
        "align it with the mapping's other keys, or check the quotes before it",
    ),
    "did not find expected '-' indicator": _Fault(
        "this is no item of the list opened on line {line}", "align it with the list's other items"
    ),
    "did not find expected ',' or ']'": _Fault("`,` or `]` is missing in the list opened on line {line}"),
    "did not find expected ',' or '}'": _Fault("`,` or `}}` is missing in the mapping opened on line {line}"),
    "found unexpected end of stream": _Fault("a quoted text is never closed", _CLOSE, opened=True),
    "found unexpected document indicator": _Fault("a quoted text is never closed", _CLOSE, opened=True),
    "could not find expected ':'": _Fault("a key is not followed by `:`", "write `key: value`", opened=True),
    "found unknown escape character": _Fault(
        "this backslash escape does not exist", "double the backslash, or use single quotes"
    ),
    "found invalid Unicode character escape code": _Fault(
        "this escape is half of a character", "write the character itself, or all of it as `\\UXXXXXXXX`"
    ),
    "did not find expected hexdecimal number": _Fault("this escape lacks hexadecimal digits"),
    "did not find expected alphabetic or numeric character": _Fault(
        "`*` and `&` start the name of an anchor, and none follows", _QUOTE, opened=True
    ),
    "did not find expected node content": _Fault("a value is missing here"),
    "did not find expected <document start>": _Fault(
        "text follows the end of the document", "check the indentation, or separate documents with `---`"
    ),
    "found undefined tag handle": _Fault(
        "this tag's prefix is not declared", "remove the tag, or quote the text"
    ),
    "found a tab character that violates indentation": _Fault("a tab indents this line", _TABS),
    "found a tab character where an indentation space is expected": _Fault("a tab indents this line", _TABS),
}
_BAD_START: Final = "cannot start any token"
_BETWEEN: Final = frozenset({"did not find expected ',' or ']'", "did not find expected ',' or '}'"})
# YAML 1.2.2, sections 7.4.2 and 8.2.2: what stands before a `:` is a key within these bounds only.
_NO_KEY: Final = _Fault(
    "a `:` stands where no key can be",
    "write a key of at most 1024 characters, on one line with its `:`",
)


def syntax_diagnostic(error: MarkedYAMLError, text: str, file: str) -> Diagnostic:
    """Return the diagnostic for the parser's error in that text."""
    problem = error.problem or "this is not YAML"
    at = _place(error, file, opened=False)
    if _BAD_START in problem:
        fault = _bad_start(_character(text, at))
    elif problem in _BETWEEN and _character(text, at) == ":":
        fault = _NO_KEY
    else:
        fault = _FAULTS.get(problem, _Fault(problem.replace("{", "{{").replace("}", "}}")))
    if fault.opened:
        at = _place(error, file, opened=True)
    opened = _place(error, file, opened=True).line
    # Between brackets an unquoted `${name}` opens a mapping.
    hint = "put `${...}` in quotes" if _character(text, at, 2) == "${" else fault.help
    return Diagnostic(YAML_SYNTAX, fault.message.format(line=opened), at=at, help=hint)


def _place(error: MarkedYAMLError, file: str, *, opened: bool) -> Span:
    marks = (error.context_mark, error.problem_mark) if opened else (error.problem_mark, error.context_mark)
    mark = next((mark for mark in marks if mark is not None), None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Span(file, line, column, line, column + 1)


def _character(text: str, at: Span, length: int = 1) -> str:
    """Return the character at a place, or as many as asked for that end there."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    return line[max(0, at.column - length) : at.column]


def _bad_start(character: str) -> _Fault:
    if character == "\t":
        return _Fault("a tab indents this line", _TABS)
    name = "a backtick" if character == "`" else quoted(character)
    return _Fault(f"a value cannot start with {name}", _QUOTE)
