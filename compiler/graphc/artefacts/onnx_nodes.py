"""Walks the nodes of an ONNX model: those of functions, and of graphs that are attributes, included."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from graphc.artefacts.protobuf_wire import Field, Wire, only
from graphc.artefacts.source import MalformedError
from graphc.records import record

# Field numbers of onnx.proto3, by message.
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER = 1, 5, 15
FUNCTION_NODE: Final = 7
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_TENSOR_ELEMENT = 2
_ATTRIBUTE_INT = 3
_ATTRIBUTE_NAME, _ATTRIBUTE_TEXT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH = 1, 4, 5, 6
_ATTRIBUTE_FLOATS, _ATTRIBUTE_INTS, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 7, 8, 10, 11
_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSE_TENSORS = 22, 23

_ELEMENTS: Final = {
    "value_float": 1,
    "value_floats": 1,
    "value_int": 7,
    "value_ints": 7,
    "value_string": 8,
    "value_strings": 8,
}
"""The element types of attributes that hold constants."""
_ELEMENT_NAMES: Final = frozenset({"to", "value"})
"""Attributes that are an element type, or a tensor of it."""
_NUMBERS: Final = frozenset({_ATTRIBUTE_FLOATS, _ATTRIBUTE_INTS})
_MAX_NESTING: Final = 32
_MAX_TEXT: Final = 256


@record
class Operator:
    """A node's operator; `texts` are its short attributes of text, and `element` the type that it is told to give."""

    domain: str
    name: str
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    element: int = 0
    depth: int = 0


@record
class Stored:
    """Where a tensor's message lies, dense or sparse, that is an initializer or an attribute."""

    field: Field
    is_sparse: bool = False
    is_initializer: bool = False


Met = Operator | Stored


def walk_graph(wire: Wire, graph: Field, depth: int = 0) -> Iterator[Met]:
    """Yield a graph's operators and tensors, in the file's order; raises MalformedError."""
    if depth > _MAX_NESTING:
        raise MalformedError("its graphs are nested too deeply")
    for each in wire.fields(graph.begin, graph.end):
        if each.number == _GRAPH_NODE:
            yield from _walk_node(wire, each, depth)
        elif each.number in {_GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER}:
            yield Stored(each, each.number == _GRAPH_SPARSE_INITIALIZER, is_initializer=True)


def walk_function(wire: Wire, function: Field) -> Iterator[Met]:
    """Yield a function's operators and tensors; raises MalformedError."""
    for each in only(wire, function, FUNCTION_NODE):
        yield from _walk_node(wire, each, 0)


def _walk_node(wire: Wire, node: Field, depth: int) -> Iterator[Met]:
    domain = name = ""
    texts: dict[str, str] = {}
    elements: dict[str, int] = {}
    names: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: []}
    for each in wire.fields(node.begin, node.end):
        if each.number in names:
            names[each.number].append(wire.text(each))
        elif each.number == _NODE_OPERATOR:
            name = wire.text(each)
        elif each.number == _NODE_DOMAIN:
            domain = wire.text(each)
        elif each.number == _NODE_ATTRIBUTE:
            yield from _walk_attribute(wire, each, depth, texts, elements)
    inputs, outputs = tuple(names[_NODE_INPUT]), tuple(names[_NODE_OUTPUT])
    yield Operator(domain, name, texts, inputs, outputs, next(iter(elements.values()), 0), depth)


def _walk_attribute(
    wire: Wire, attribute: Field, depth: int, texts: dict[str, str], elements: dict[str, int]
) -> Iterator[Met]:
    name = text = ""
    element = 0
    for each in wire.fields(attribute.begin, attribute.end, _NUMBERS):
        if each.number == _ATTRIBUTE_NAME:
            name = wire.text(each)
        elif each.number == _ATTRIBUTE_TEXT and each.end - each.begin <= _MAX_TEXT:
            text = wire.loose_text(each)
        elif each.number == _ATTRIBUTE_INT:
            element = each.value
        elif each.number in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
            yield from walk_graph(wire, each, depth + 1)
        elif each.number in {_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS}:
            element = next((part.value for part in only(wire, each, _TENSOR_ELEMENT)), 0)
            yield Stored(each)
        elif each.number in {_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSE_TENSORS}:
            yield Stored(each, is_sparse=True)
    if text:
        texts[name] = text
    if name in _ELEMENTS or name in _ELEMENT_NAMES:
        elements[name] = _ELEMENTS.get(name, element)
