"""Writes the table of what onnxruntime runs on processors: `python compiler/tools/list_operators.py`.

The table is asked of the onnxruntime that is installed, which has to be the one that the runtime image pins. A model
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
from onnx import helper

# What tells of schemas and kernels has no types at all.
STATE: Final[Any] = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
DEFS: Final[Any] = importlib.import_module("onnx.defs")
TABLE: Final = Path(__file__).parents[1] / "graphc" / "artefacts" / "onnx_operators.txt"

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


def main() -> None:
    """Write the table."""
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
    # Without a last version it is of the first alone: nobody knew yet what would change.
    return first == since or (first < since <= last and last != _OPEN)


def _is_composed(schema: Any) -> bool:
    """Say whether an operator without a kernel is computed by others, as its schema says or a session shows."""
    if schema.domain == "" and schema.name == "Constant":
        return True
    if schema.domain == "" and not DEFS.has(schema.name, schema.domain):
        return False
    constraints = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    names = [f"x{index}" for index in range(schema.min_input)]
    types = [_element(constraints.get(each.typeStr, [each.typeStr])) for each in schema.inputs]
    inputs = [
        helper.make_tensor_value_info(name, element, [1, 4, 8, 8])
        for name, element in zip(names, types, strict=False)
    ]
    node = helper.make_node(schema.name, names, ["y"], domain=schema.domain)
    model = _model([node], inputs=inputs, opsets={"": 17} | {schema.domain: schema.since_version})
    said = _failure(model)
    if said is None or "Could not find an implementation" in said or schema.domain:
        return said is None
    # It was asked in a way that is none of its own.
    known = DEFS.get_schema(schema.name, schema.since_version, schema.domain)
    return bool(known.has_function or known.has_context_dependent_function)


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
