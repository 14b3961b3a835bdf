"""Manifests are read as kubectl reads them, and hostile ones are refused with their lines."""

import pytest
from graphc.diagnostics import Sink
from graphc.run.load import MAX_CHARACTERS, load_manifests
from graphc.run.manifest import choose_predictors, read_manifest
from graphc.run.problem import Findings
from graphc.seldon.node import node_of
from graphc.source.located import Plain
from graphc.source.yaml_builder import MOST_NESTING

Document = dict[str, Plain]


def read(text: str) -> tuple[list[Plain], list[str]]:
    """Return the documents of a file, and what is said of it, with the lines."""
    sink, findings = Sink(), Findings()
    documents = load_manifests({"f": text}, sink, findings).documents
    said = [f"{each.severity} {each.at.line if each.at else 0}: {each.message}" for each in sink]
    return [each.plain for each in documents], said + [each.message for each in findings.problems]


def test_yaml_json_and_lists_are_one() -> None:
    text = 'a: 1\n---\n# nothing\n---\n{"kind": "List", "items": [{"b": 2}, {"c": 3}]}\n'
    assert read(text) == ([{"a": 1}, {"b": 2}, {"c": 3}], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "error 2: `,` or `]` is missing in the list opened on line 1"),
        ("a: 1\nb: 2\na: 3\n", "warning 3: `a` is already a key of this mapping, and kubectl takes the last"),
        ("- 1", "`f` holds a document that is not a mapping"),
        ("[" * 100_000, f"error 1: values nest here more than {MOST_NESTING} levels deep"),
        ("a: \x00", "error 1: the character U+0000 stands here"),
        ("{[1]: 2}", "error 1: a list is a key here"),
        ("a: !!int x", "error 1: `x` is no `!!int`"),
        ("a: !!float ''", "error 1: `` is no `!!float`"),
        ("a: !!bool maybe", "error 1: `maybe` is no `!!bool`"),
        ("a: " + "1" * MAX_CHARACTERS, "`f` is larger than 64 MiB"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert read(text)[1] == [message]


def test_aliases_that_multiply_cost_little() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert read("\n".join(lines)) == ([], ["error 16: aliases stand for more than 200,000 values"])


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
    read_manifest([node_of(document)], findings)
    assert [each.message for each in findings.problems] == [message]


def choose(name: str | None, *predictors: Document) -> tuple[list[str], Findings]:
    findings = Findings()
    manifest = read_manifest([node_of(deployment(*predictors))], findings)
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
