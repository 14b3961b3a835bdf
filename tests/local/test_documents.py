"""Manifests are read as the API server's tools read them, and hostile ones are refused with one line."""

import pytest
from graphc.local.documents import MAX_DEPTH, read_documents
from graphc.local.manifest import choose_predictors, read_manifest
from graphc.local.plain import Document
from graphc.local.problem import Findings, Problem


def test_yaml_json_and_lists_are_one() -> None:
    text = 'a: 1\n---\n# nothing\n---\n{"kind": "List", "items": [{"b": 2}, {"c": 3}]}\n'
    assert read_documents(text, "f") == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_date_stays_text() -> None:
    assert read_documents("a: 2020-01-01", "f") == [{"a": "2020-01-01"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "`f` is not YAML or JSON: line "),
        ("a: 1\nb: 2\na: 3\n", "`f` is not YAML or JSON: line 1: the key `a` is there twice"),
        ("- 1", "`f` holds a document that is not a mapping"),
        ("a: !!python/object/apply:os.system [id]", "`f` is not YAML or JSON: "),
        ("[" * 100_000, f"`f` nests deeper than {MAX_DEPTH} levels"),
        ("a: " + "{b: " * 200 + "1" + "}" * 200, f"`f` nests deeper than {MAX_DEPTH} levels"),
        ("a: &x 1\nb: [" + "*x, " * 2000 + "]", "`f` has more than 1000 aliases"),
        ("a: \x00", "`f` is not YAML or JSON: "),
        ("{[1]: 2}", "`f` is not YAML or JSON: "),
        ("a: !!int x", "`f` is not YAML or JSON: "),
        ("a: !!float ''", "`f` is not YAML or JSON: "),
        ("a: !!bool maybe", "`f` is not YAML or JSON: "),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    problem = read_documents(text, "f")
    assert isinstance(problem, Problem)
    assert problem.message.startswith(message)
    assert "\n" not in problem.message


def test_aliases_that_multiply_cost_nothing() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    documents = read_documents("\n".join(lines), "f")
    assert isinstance(documents, list)
    findings = Findings()
    read_manifest(documents, findings)
    assert [each.message for each in findings.problems] == [
        "there is no SeldonDeployment among the documents"
    ]


def deployment(*predictors: Document, protocol: str | None = "v2") -> Document:
    spec: Document = {"predictors": list(predictors)}
    if protocol:
        spec["protocol"] = protocol
    return {"kind": "SeldonDeployment", "metadata": {"name": "d"}, "spec": spec}


def predictor(name: str, traffic: int | None = None, *, shadow: bool = False) -> Document:
    return {"name": name, "graph": {"name": "m"}, "traffic": traffic, "shadow": shadow}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (deployment(), "`d` has no predictors"),
        (
            deployment(predictor("p"), protocol=None),
            "`d` speaks protocol `seldon`; a local run speaks v2 only",
        ),
        (
            deployment(predictor("p"), protocol="tensorflow"),
            "`d` speaks protocol `tensorflow`; a local run speaks v2 only",
        ),
        (deployment({"name": "p"}), "predictor `p` has no graph"),
        (deployment({"name": "p", "graph": "text"}), "predictor `p` has no graph"),
        (
            {"kind": "ConfigMap", "metadata": {"name": "c"}, "binaryData": {"k": "%"}},
            "`k` in the binaryData of config map `c` is not base64",
        ),
    ],
)
def test_what_cannot_run_is_said(document: Document, message: str) -> None:
    findings = Findings()
    read_manifest([document], findings)
    assert [each.message for each in findings.problems] == [message]


def choose(name: str | None, *predictors: Document) -> tuple[list[str], Findings]:
    findings = Findings()
    manifest = read_manifest([deployment(*predictors)], findings)
    return [each.name for each in choose_predictors(manifest.deployments[0], name, findings)], findings


def test_all_predictors_run_or_the_one_that_is_named() -> None:
    listed = (predictor("a", 10), predictor("b", 90), predictor("s", 100, shadow=True))
    assert choose(None, *listed) == (["a", "b", "s"], Findings())
    assert choose("s", *listed) == (["s"], Findings())
    chosen, findings = choose("x", *listed)
    assert chosen == []
    assert [str(each) for each in findings.problems] == [
        "`d` has no predictor `x`\n  = help: it has `a`, `b`, `s`"
    ]
    _, findings = choose(None, predictor("s", shadow=True))
    assert [str(each) for each in findings.problems] == ["`d` has no live predictor"]
