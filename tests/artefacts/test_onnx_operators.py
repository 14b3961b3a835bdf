"""The operators of ONNX models are judged as the onnxruntime that the image pins would judge them."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.artefacts.onnx_operators import read_table
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, Signature
from graphc.diagnostics.codes.artefacts import MISSING_LOCALE, NEWER_MODEL, UNKNOWN_OPERATOR

MAKE: Final[Any] = importlib.import_module("onnx.helper")
RUNTIME: Final[Any] = importlib.import_module("onnxruntime")


def node(name: str, domain: str = "", **attributes: Any) -> Any:
    return MAKE.make_node(name, ["x"], ["y"], domain=domain, **attributes)


def model(
    *nodes: Any, opsets: dict[str, int] | None = None, ir_version: int = 10, functions: tuple[Any, ...] = ()
) -> Any:
    row = [MAKE.make_tensor_value_info(name, 1, ["batch", 4]) for name in ("x", "y")]
    graph = MAKE.make_graph(list(nodes), "g", row[:1], row[1:])
    imports = [MAKE.make_opsetid(domain, version) for domain, version in (opsets or {"": 17}).items()]
    return MAKE.make_model(graph, opset_imports=imports, ir_version=ir_version, functions=list(functions))


def read(made: Any, folder: Path) -> Signature | ArtefactFault:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return read_signature(path, "onnx")


def fault_of(made: Any, folder: Path) -> ArtefactFault:
    fault = read(made, folder)
    assert isinstance(fault, ArtefactFault), fault
    return fault


def failure(made: Any) -> str:
    """What onnxruntime says against a model, or nothing."""
    try:
        RUNTIME.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error)
    return ""


UNKNOWN: Final = (
    "No Op registered",
    "No opset import",
    "is deprecated in",
    "Could not find an implementation",
)


BY_TYPE: Final = {"ZipMap"}
"""Operators that the test feeds with types that they have no kernel for."""


def test_the_table_is_of_the_installed_runtime() -> None:
    assert read_table().runtime == RUNTIME.__version__


def every_version() -> Iterator[tuple[str, str, int]]:
    """Each operator at the versions in which it changed, and just before its first."""
    table = read_table()
    for (domain, name), versions in table.operators.items():
        for since, _ in versions:
            yield domain, name, since
        if versions[0][0] > 1:
            yield domain, name, versions[0][0] - 1


@pytest.mark.slow
def test_every_operator_is_judged_as_the_runtime_judges_it(tmp_path: Path) -> None:
    RUNTIME.set_default_logger_severity(4)
    refused = accepted = 0
    by_type: set[str] = set()
    for domain, name, version in every_version():
        opsets = {"": max(version, 7) if domain == "" else 17} | ({domain: version} if domain else {})
        made = model(node(name, domain), opsets=opsets | ({"": version} if domain == "" else {}))
        said, found = failure(made), read(made, tmp_path)
        is_refused = isinstance(found, ArtefactFault) or bool(found.only_gpu)
        if any(words in said for words in UNKNOWN):
            # These have kernels, and none for what they are given here.
            by_type |= set() if is_refused else {name}
            refused += is_refused
        elif not said:
            assert not is_refused, (domain, name, version, found)
            accepted += 1
    assert by_type == BY_TYPE
    assert refused > 100
    assert accepted > 100


def test_an_operator_that_nobody_has_is_refused(tmp_path: Path) -> None:
    made = model(node("Fancy", "com.example"), opsets={"": 17, "com.example": 1})
    fault = fault_of(made, tmp_path)
    runtime = f"onnxruntime {RUNTIME.__version__} of the runtime image"
    assert fault.rule is UNKNOWN_OPERATOR
    assert fault.message == (
        f"`net.onnx` has the operator `Fancy` of `com.example`, and {runtime} has no operators of that domain"
    )


@pytest.mark.parametrize(
    ("name", "domain", "nearest"),
    [
        ("Rellu", "", "Relu"),
        ("Normaliser", "ai.onnx.ml", "Normalizer"),
        ("FastGelue", "com.microsoft", "FastGelu"),
    ],
)
def test_a_misspelt_operator_of_any_domain_is_refused(
    name: str, domain: str, nearest: str, tmp_path: Path
) -> None:
    fault = fault_of(model(node(name, domain), opsets={"": 17, domain: 1 if domain else 17}), tmp_path)
    assert (fault.rule, fault.help) == (UNKNOWN_OPERATOR, f"did you mean `{nearest}`?")


def test_an_operator_that_came_later_is_refused(tmp_path: Path) -> None:
    fault = fault_of(model(node("Gelu")), tmp_path)
    assert "which came with version 20, and the model takes version 17" in fault.message
    assert isinstance(read(model(node("Gelu"), opsets={"": 20}), tmp_path), Signature)


def test_an_operator_that_was_taken_away_is_refused(tmp_path: Path) -> None:
    made = model(node("Upsample", scales=[1.0, 2.0]), opsets={"": 11})
    assert "which version 11 has no more" in fault_of(made, tmp_path).message


def branches(inner: Any) -> list[Any]:
    graph = MAKE.make_graph([inner], "g", [], [MAKE.make_tensor_value_info("y", 1, None)])
    condition = MAKE.make_node("Constant", [], ["c"], value=MAKE.make_tensor("c", 9, [], [True]))
    return [condition, MAKE.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)]


def function(name: str, inner: Any, *domains: str) -> Any:
    imports = [MAKE.make_opsetid("", 17), *(MAKE.make_opsetid(each, 1) for each in domains)]
    return MAKE.make_function("local", name, ["x"], ["y"], [inner], imports)


def test_graphs_within_nodes_are_looked_into(tmp_path: Path) -> None:
    fault = fault_of(model(*branches(branches(node("Fancy", "com.example"))[1])), tmp_path)
    assert fault.rule is UNKNOWN_OPERATOR
    assert isinstance(read(model(*branches(node("Relu"))), tmp_path), Signature)


def test_functions_of_the_model_are_known_and_looked_into(tmp_path: Path) -> None:
    opsets = {"": 17, "local": 1}
    called = node("Outer", "local")
    outer, sound = function("Outer", node("Inner", "local"), "local"), function("Inner", node("Relu"))
    made = model(called, opsets=opsets, functions=(outer, sound))
    assert failure(made) == ""
    assert isinstance(read(made, tmp_path), Signature)
    broken = function("Inner", node("Fancy", "com.example"), "com.example")
    made = model(called, opsets=opsets, functions=(outer, broken))
    assert failure(made)
    assert "`Fancy`" in fault_of(made, tmp_path).message
    unused = function("Other", node("Fancy", "com.example"), "com.example")
    made = model(called, opsets=opsets, functions=(outer, sound, unused))
    assert failure(made) == ""
    assert isinstance(read(made, tmp_path), Signature)


def test_a_function_has_operator_sets_of_its_own(tmp_path: Path) -> None:
    made = model(node("F", "local"), opsets={"": 20, "local": 1}, functions=(function("F", node("Gelu")),))
    assert "which came with version 20" in fault_of(made, tmp_path).message


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml", "com.microsoft"])
def test_models_of_newer_operator_sets_are_refused(domain: str, tmp_path: Path) -> None:
    newest = read_table().opsets[domain]
    made = model(node("Identity"), opsets={"": 17, domain: newest})
    assert failure(made) == ""
    assert isinstance(read(made, tmp_path), Signature)
    made = model(node("Identity"), opsets={"": 17, domain: newest + 1})
    assert failure(made)
    assert fault_of(made, tmp_path).rule is NEWER_MODEL


def test_models_of_a_newer_ir_version_are_refused(tmp_path: Path) -> None:
    newest = read_table().ir_version
    assert isinstance(read(model(node("Identity"), ir_version=newest), tmp_path), Signature)
    made = model(node("Identity"), ir_version=newest + 1)
    assert failure(made)
    assert fault_of(made, tmp_path).rule is NEWER_MODEL


def test_only_locales_of_the_image_are_taken(tmp_path: Path) -> None:
    def made(**attributes: str) -> Any:
        return model(node("StringNormalizer", case_change_action="LOWER", **attributes))

    assert isinstance(read(made(), tmp_path), Signature)
    assert isinstance(read(made(locale="en_US.UTF-8"), tmp_path), Signature)
    fault = fault_of(made(locale="tr_TR.UTF-8"), tmp_path)
    assert fault.rule is MISSING_LOCALE
    assert "`tr_TR.UTF-8`" in fault.message


def test_many_numbers_of_an_attribute_are_passed_at_once(tmp_path: Path) -> None:
    """Trees have millions, each a field of its own; what follows them is still seen."""
    many = node("Scaler", "ai.onnx.ml", offset=[0.5] * 3_000_000, scale=[1.0] * 3_000_000)
    many.attribute.append(MAKE.make_attribute("numbers", list(range(1_000_000))))
    made = model(many, node("Fancy", "com.example"), opsets={"": 17, "ai.onnx.ml": 1})
    assert "`Fancy`" in fault_of(made, tmp_path).message
