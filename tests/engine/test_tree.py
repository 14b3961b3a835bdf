"""Trees out of documents, friendly and hostile."""

from typing import Any

import pytest
from graphc.engine.tree import TreeProblem, bind_endpoints, check_endpoints, read_timeout, read_tree
from graphc.seldon.node import ManifestNode, node_of
from graphc.seldon.unit import Endpoint, Parameter, SeldonUnit
from graphc.source.located import NOWHERE, Entry, Fields, Items, Scalar


def _document(graph: object) -> dict[str, Any]:
    predictors = [{"name": "main", "graph": graph}]
    return {"kind": "SeldonDeployment", "spec": {"predictors": predictors}}


def _problem(document: object, predictor: str | None = None) -> str:
    problem = read_tree(node_of(document), predictor)
    assert isinstance(problem, TreeProblem)
    return str(problem)


def test_a_tree_is_read_with_its_endpoints() -> None:
    endpoint = {"service_host": "localhost", "httpPort": 9000, "type": "REST"}
    child = {"name": "b", "methods": ["TRANSFORM_OUTPUT"], "endpoint": endpoint}
    parameter = {"name": "ratioA", "value": "0.3", "type": "FLOAT"}
    graph = {"name": "a", "implementation": "RANDOM_ABTEST", "parameters": [parameter], "children": [child]}
    leaf = SeldonUnit("b", methods=frozenset({"TRANSFORM_OUTPUT"}), endpoint=Endpoint("localhost", 9000))
    root = SeldonUnit(
        "a",
        implementation="RANDOM_ABTEST",
        parameters=(Parameter("ratioA", "0.3", "FLOAT"),),
        children=(leaf,),
    )
    assert read_tree(node_of(_document(graph)), "main") == root


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "MODEL"),
        ({"implementation": "SKLEARN_SERVER"}, "MODEL"),
        ({"implementation": "SKLEARN_SERVER", "type": "ROUTER"}, "MODEL"),
        ({"implementation": "UNKNOWN_IMPLEMENTATION"}, None),
        ({"methods": ["ROUTE"]}, None),
        ({"type": "ENSEMBLE"}, "ENSEMBLE"),
    ],
)
def test_a_missing_type_is_filled_in_as_admission_does(fields: dict[str, object], kind: str | None) -> None:
    root = read_tree(node_of(_document({"name": "a", **fields})))
    assert isinstance(root, SeldonUnit)
    assert root.type == kind


def _nested(depth: int) -> dict[str, object]:
    unit: dict[str, object] = {"name": "leaf"}
    for _ in range(depth):
        unit = {"name": "node", "children": [unit]}
    return unit


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "document: is missing"),
        ([], "document: is not a mapping"),
        ({"kind": "Pod"}, "document: is not a SeldonDeployment"),
        ({"kind": "SeldonDeployment"}, "spec: is missing"),
        ({"kind": "SeldonDeployment", "spec": {}}, "spec.predictors: no predictors; there are: none"),
        ({"kind": "SeldonDeployment", "spec": {"predictors": {}}}, "spec.predictors: is not a list"),
        ({"kind": "SeldonDeployment", "spec": {"predictors": [1]}}, "spec.predictors[0]: is not a mapping"),
        (_document(None), "spec.predictors[0].graph: is missing"),
        (_document({}), "spec.predictors[0].graph.name: is not a text"),
        (_document({"name": ""}), "spec.predictors[0].graph: a unit has no name"),
        (_document({"name": "a", "type": 1}), "spec.predictors[0].graph.type: is not a text"),
        (_document({"name": "a", "methods": [1]}), "spec.predictors[0].graph.methods[0]: is not a text"),
        (_document({"name": "a", "children": "b"}), "spec.predictors[0].graph.children: is not a list"),
        (
            _document({"name": "a", "children": [None]}),
            "spec.predictors[0].graph.children[0]: is missing",
        ),
        (
            _document({"name": "a", "endpoint": {"service_host": "a/b?c", "httpPort": 1}}),
            "spec.predictors[0].graph.endpoint: `service_host` is not a host name",
        ),
        (
            _document({"name": "a", "endpoint": {"service_host": "a", "httpPort": 70000}}),
            "spec.predictors[0].graph.endpoint: `httpPort` is not a port number",
        ),
    ],
)
def test_a_bad_document_is_a_problem_with_a_place(document: object, problem: str) -> None:
    assert _problem(document) == problem


def test_deep_and_multiplied_units_end() -> None:
    assert "nest deeper than 64" in _problem(_document(_nested(200)))
    shared = node_of({"name": "leaf"}).value
    for _ in range(40):
        name = Entry("name", NOWHERE, Scalar("node", NOWHERE))
        children = Entry("children", NOWHERE, Items((shared, shared), NOWHERE))
        shared = Fields((name, children), NOWHERE)
    multiplied = Fields((Entry("graph", NOWHERE, shared),), NOWHERE)
    listed = Entry("predictors", NOWHERE, Items((multiplied,), NOWHERE))
    kind = Entry("kind", NOWHERE, Scalar("SeldonDeployment", NOWHERE))
    document = Fields((kind, Entry("spec", NOWHERE, Fields((listed,), NOWHERE))), NOWHERE)
    assert "more than 1000 units" in str(read_tree(ManifestNode(document)))


def test_a_predictor_is_chosen_by_name() -> None:
    document = _document({"name": "a"})
    assert _problem(document, "canary") == "spec.predictors: no predictor `canary`; there are: `main`"
    document["spec"]["predictors"].append({"name": "canary", "graph": {"name": "b"}})
    assert "several predictors" in _problem(document)
    root = read_tree(node_of(document), "canary")
    assert isinstance(root, SeldonUnit)
    assert root.name == "b"


def test_only_units_that_are_called_need_an_endpoint() -> None:
    tree = SeldonUnit(
        "a", implementation="RANDOM_ABTEST", children=(SeldonUnit("b", "MODEL"), SeldonUnit("c", "MODEL"))
    )
    problem = check_endpoints(tree)
    assert problem
    assert "unit `b` has no endpoint" in problem.message
    bound = bind_endpoints(tree, {name: Endpoint("localhost", 1) for name in "bc"})
    assert check_endpoints(bound) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1500", 1.5),
        ("0001500", 1.5),
        ("0" * 30, None),
        ("9" * 18, 999_999_999_999_999.999),
        ("9" * 400, None),
        ("9" * 5000, None),
        ("soon", None),
    ],
)
def test_a_timeout_is_a_number_that_the_executor_holds(written: str, seconds: float | None) -> None:
    predictor = {"name": "main", "annotations": {"seldon.io/rest-timeout": written}, "graph": {"name": "a"}}
    document = node_of({"kind": "SeldonDeployment", "spec": {"predictors": [predictor]}})
    assert (read_timeout(document, "main") or None) == seconds
