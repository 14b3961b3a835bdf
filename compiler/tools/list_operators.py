"""Writes the tables of what onnxruntime runs on processors: `python compiler/tools/list_operators.py`.

They are asked of the onnxruntime that is installed, which has to be the one that the runtime image pins. A model
is made and loaded wherever schemas and kernels alone do not tell: for IR versions, for the newest version of each
operator set, and for operators that have no kernel but may be made of others.
"""
# onnxruntime and onnx tell no types for these.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import importlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime
from graphc.artefacts.onnx_types import LETTERS
from onnx import helper

# What tells of schemas and kernels has no types at all.
STATE: Final[Any] = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
DEFS: Final[Any] = importlib.import_module("onnx.defs")
ARTEFACTS: Final = Path(__file__).parents[1] / "graphc" / "artefacts"
TABLE: Final = ARTEFACTS / "onnx_operators.txt"
TYPES: Final = ARTEFACTS / "onnx_types.txt"

_INNER: Final = frozenset({"com.ms.internal.nhwc", "com.microsoft.nchwc"})
"""Domains that onnxruntime writes into a graph itself and refuses in a file."""
_OPEN: Final = 2**31 - 1
_ELEMENTS: Final = {
    "float": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "double": 11,
}


_LETTER: Final = {
    f"tensor({name})": LETTERS[number] for name, number in (_ELEMENTS | {"uint32": 12, "uint64": 13}).items()
} | {"tensor(bfloat16)": LETTERS[16]}
_JUDGED: Final = frozenset({"", "ai.onnx.ml"})
"""Domains whose schemas tell which operators are made of others where they have no kernel."""


def main() -> None:
    """Write the tables."""
    onnxruntime.set_default_logger_severity(4)
    lines = [
        "# Made by compiler/tools/list_operators.py: what onnxruntime runs on processors.",
        "# An operator has the versions in which it changed: `-` no kernel, `x` taken away.",
        f"onnxruntime {onnxruntime.__version__}",
        f"ir {_newest(lambda version: _model([_identity()], ir=version))}",
        *(f"opset {domain or 'ai.onnx'} {_newest_opset(domain)}" for domain in _domains()),
        *_operators(),
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    head = [
        "# Made by compiler/tools/list_operators.py: the types that onnxruntime runs operators with on processors.",
        "# An operator, since a version: the types of its inputs, those of its outputs, and its kernels' types, where",
        "# a kernel is needed. A letter is an element type (LETTERS), another word a type that is to be the same.",
    ]
    TYPES.write_text("\n".join([*head, *_types()]) + "\n", encoding="utf-8")


def _types() -> list[str]:
    kernels: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for each in STATE.get_all_opkernel_def():
        kernels[each.domain, each.op_name].append(each)
    found = [
        ((each.domain, each.name, each.since_version), _type_row(each, kernels[each.domain, each.name]))
        for each in STATE.get_all_operator_schema()
        if each.domain in _JUDGED and not each.deprecated
    ]
    return [row for _, row in sorted(found)]


def _type_row(schema: Any, kernels: Sequence[Any]) -> str:
    fitting = [
        {name: _letters(types) for name, types in each.type_constraints.items()}
        for each in kernels
        if _fits(schema.since_version, *each.version_range)
    ]
    made = _made(schema, fitting)
    every = _merge([*fitting, *([made] if made and any(made.values()) else [])])
    words = ["-"] if made is None or not every else [_kernel_words(each) for each in every]
    inputs, outputs = (_type_words(each) for each in (schema.inputs, schema.outputs))
    return f"{schema.domain or 'ai.onnx'} {schema.name} {schema.since_version} {inputs} {outputs} {'|'.join(words)}"


def _made(schema: Any, kernels: Sequence[dict[str, str]]) -> dict[str, str] | None:
    """Return the types that an operator may run with by others, as its schema makes it; None where that is unknown."""
    definition = _find_definition(schema)
    # What is made of more than its types is not told by one model.
    if definition is None or not schema.inputs or definition.has_context_dependent_function:
        return None
    if not definition.has_function:
        return {}
    # Not all types that a schema makes it for have kernels for what it makes it of.
    name = schema.inputs[0].typeStr
    taken = {letter for kernel in kernels for letter in kernel.get(name, "")}
    said = {letter: _failure(_single(schema, number)) or "" for number, letter in LETTERS.items()}
    runs = (
        letter
        for letter in said.keys() - taken
        if not any(
            words in said[letter] for words in ("Could not find an implementation", "Type Error: Type")
        )
    )
    return {name: "".join(sorted(runs))}


def _find_definition(schema: Any) -> Any:
    try:
        return DEFS.get_schema(schema.name, schema.since_version, schema.domain)
    except DEFS.SchemaError:
        return None


def _letters(types: Sequence[str]) -> str:
    return "".join(sorted({_LETTER[each] for each in types if each in _LETTER}))


def _type_words(parameters: Sequence[Any]) -> str:
    def word(each: Any) -> str:
        name = "=" + _LETTER[each.typeStr] if each.typeStr in _LETTER else each.typeStr
        if "(" in name or not each.isHomogeneous:
            name = "*"
        return name + ("..." if str(each.option).endswith("Variadic") else "")

    return ",".join(map(word, parameters)) or "-"


def _merge(kernels: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Make one of kernels that differ in the types of one parameter only."""
    merged: list[dict[str, str]] = []
    for kernel in kernels:
        for other in merged:
            differing = [name for name in kernel if other.get(name) != kernel[name]]
            if other.keys() == kernel.keys() and len(differing) <= 1:
                other.update({name: "".join(sorted({*other[name], *kernel[name]})) for name in differing})
                break
        else:
            merged.append(dict(kernel))
    return merged if len(merged) == len(kernels) else _merge(merged)


def _kernel_words(kernel: dict[str, str]) -> str:
    return ";".join(f"{name}:{letters}" for name, letters in sorted(kernel.items())) or "any"


def _domains() -> list[str]:
    return sorted({each.domain for each in STATE.get_all_operator_schema()} - _INNER)


def _operators() -> list[str]:
    kernels: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for each in STATE.get_all_opkernel_def():
        kernels[each.domain, each.op_name].append(each.version_range)
    versions: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for each in STATE.get_all_operator_schema():
        if each.domain in _INNER:
            continue
        ranges = kernels[each.domain, each.name]
        has_kernel = any(_fits(each.since_version, *span) for span in ranges)
        mark = "x" if each.deprecated else "" if has_kernel or _is_composed(each) else "-"
        versions[each.domain, each.name][each.since_version] = mark
    return [
        f"{domain or 'ai.onnx'} {name} " + " ".join(f"{since}{marks[since]}" for since in sorted(marks))
        for (domain, name), marks in sorted(versions.items())
    ]


def _fits(since: int, first: int, last: int) -> bool:
    """Say whether a kernel of some versions is taken for an operator's, as onnxruntime does."""
    # Without a last version it holds for the first alone: later changes were not known yet.
    return first == since or (first < since <= last and last != _OPEN)


def _is_composed(schema: Any) -> bool:
    """Say whether an operator without a kernel is computed by others, as its schema says or a session shows."""
    if schema.domain == "" and schema.name == "Constant":
        return True
    if schema.domain == "" and not DEFS.has(schema.name, schema.domain):
        return False
    said = _failure(_single(schema))
    if said is None or "Could not find an implementation" in said or schema.domain:
        return said is None
    # It was asked in a way that is none of its own.
    known = DEFS.get_schema(schema.name, schema.since_version, schema.domain)
    return bool(known.has_function or known.has_context_dependent_function)


def _single(schema: Any, first: int | None = None) -> Any:
    """Make a model of one operator; `first` is the element type of what its first input's type stands for."""
    constraints = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    names = [f"x{index}" for index in range(schema.min_input)]
    types = [
        _element(constraints.get(each.typeStr, [each.typeStr]))
        if first is None or each.typeStr != schema.inputs[0].typeStr
        else first
        for each in schema.inputs
    ]
    inputs = [
        helper.make_tensor_value_info(name, element, [1, 4, 8, 8])
        for name, element in zip(names, types, strict=False)
    ]
    node = helper.make_node(schema.name, names, ["y"], domain=schema.domain)
    return _model([node], inputs=inputs, opsets={"": 17} | {schema.domain: schema.since_version})


def _element(allowed: Sequence[str]) -> int:
    words = [each.removeprefix("tensor(").removesuffix(")") for each in allowed]
    return next((_ELEMENTS[word] for word in ("float", *words) if word in words and word in _ELEMENTS), 1)


def _newest(make: Callable[[int], Any]) -> int:
    version = 7
    while _failure(make(version + 1)) is None:
        version += 1
    return version


def _newest_opset(domain: str) -> int:
    def make(version: int) -> Any:
        return _model([_identity()], opsets={"": 17, domain: version})

    version = 0
    while _failure(make(version + 1)) is None:
        version += 1
    return version


def _identity() -> Any:
    return helper.make_node("Identity", ["x"], ["y"])


def _model(
    nodes: Sequence[Any], *, inputs: Any = None, ir: int = 10, opsets: dict[str, int] | None = None
) -> Any:
    given = inputs if inputs is not None else [helper.make_tensor_value_info("x", 1, [1])]
    output = helper.make_empty_tensor_value_info("y")
    if inputs is None:
        output = helper.make_tensor_value_info("y", 1, [1])
    graph = helper.make_graph(nodes, "g", given, [output])
    imports = [helper.make_opsetid(domain, version) for domain, version in (opsets or {"": 17}).items()]
    return helper.make_model(graph, ir_version=ir, opset_imports=imports)


def _failure(model: Any) -> str | None:
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # onnxruntime's errors have no class in common but this.
    except Exception as error:
        return str(error)
    return None


if __name__ == "__main__":
    main()
