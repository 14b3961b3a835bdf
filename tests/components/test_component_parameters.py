"""Parameters: the check, its messages, its agreement with the JSON Schema and with the functions."""

import inspect
from collections.abc import Mapping
from typing import cast

import jsonschema
import pytest
from graphc_components.catalog import (
    CATALOG,
    ROUTERS,
    Component,
    ParameterProblem,
    check_parameters,
    parameters_schema,
)

EVERY = [*CATALOG.values(), *ROUTERS.values()]
each_component = pytest.mark.parametrize(
    "component", EVERY, ids=[f"{component.role}-{component.name}" for component in EVERY]
)
POOL: list[object] = [
    *(None, True, False, 0, 1, 3, -1, -2, 0.5, 3.0, -0.5, 1e300, ""),
    *("l2", "l3", "error", "FP32", "INT64", "BOOL", "BYTES", "fp32", "any text"),
    *([], [1], [1, 2], [1, 1], [1, 1.0], [-1], [0], [0.5], [2.0], [True], [None], [[1]]),
    *(["a"], ["a", "b"], ["a", "a"], ["a", 1], [1, "a", True]),
    *({}, {"a": "b"}, {"a": 1}, {"1": "one", "2": "two"}),
]


def sound_values(component: Component) -> dict[str, object]:
    """Return a value for each required parameter, found by trying."""
    schema = parameters_schema(component)
    properties = cast("dict[str, dict[str, object]]", schema["properties"])
    required = cast("list[str]", schema["required"])
    return {name: next(value for value in POOL if allows(properties[name], value)) for name in required}


def allows(schema: dict[str, object], value: object) -> bool:
    try:
        jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
    except jsonschema.ValidationError:
        return False
    return True


@each_component
def test_the_schema_allows_what_the_check_allows(component: Component) -> None:
    schema = parameters_schema(component)
    sound = sound_values(component)
    tried: list[dict[str, object]] = [{}, sound, sound | {"unheard": 1}]
    tried += [sound | {parameter.name: value} for parameter in component.parameters for value in POOL]
    verdicts = {True: 0, False: 0}
    for values in tried:
        _, problems = check_parameters(component, values)
        assert (problems == []) == allows(schema, values), (values, problems)
        verdicts[problems == []] += 1
    assert verdicts[True]
    assert verdicts[False]


@each_component
def test_checked_values_pass_the_check_again(component: Component) -> None:
    for parameter in component.parameters:
        for value in POOL:
            checked, problems = check_parameters(component, sound_values(component) | {parameter.name: value})
            if not problems:
                assert check_parameters(component, checked) == (checked, [])


@each_component
def test_functions_take_what_is_declared(component: Component) -> None:
    taken = {
        name: parameter
        for name, parameter in inspect.signature(component.function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if component is ROUTERS["random"]:
        # The key is read from each request.
        assert taken.pop("key").default is None
    assert list(taken) == [parameter.name for parameter in component.parameters]
    for declared in component.parameters:
        default = taken[declared.name].default
        if declared.required:
            assert default is inspect.Parameter.empty
        else:
            assert default == declared.default


@each_component
def test_functions_take_the_inputs_declared(component: Component) -> None:
    parameters = inspect.signature(component.function).parameters.values()
    kinds = [parameter.kind for parameter in parameters]
    positional = [kind for kind in kinds if kind is not inspect.Parameter.KEYWORD_ONLY]
    if component.inputs is None:
        assert positional == [inspect.Parameter.VAR_POSITIONAL]
    else:
        # A random choice reads no tensor, but needs to know how many rows to choose for.
        assert len(positional) == (len(component.inputs) or 1)


@each_component
def test_every_entry_is_documented(component: Component) -> None:
    for sentence in (component.summary, *(parameter.doc for parameter in component.parameters)):
        assert sentence.endswith(".")
        assert sentence[0].isupper()
    assert component.name == component.name.lower().replace("_", "-")
    names = [parameter.name for parameter in component.parameters]
    assert len(set(names)) == len(names)


MESSAGES: list[tuple[Component, Mapping[str, object], str, str | None]] = [
    (CATALOG["weighted-mean"], {}, "`weighted-mean` needs the parameter `weights`", None),
    (CATALOG["mean"], {"weights": [1]}, "`weights` is not a parameter of `mean`", None),
    (CATALOG["soft-vote"], {"weigths": [1]}, "`weigths` is not a parameter of `soft-vote`", "weights"),
    (CATALOG["top-k"], {"k": 0}, "`k` must be at least 1, not `0`", None),
    (CATALOG["top-k"], {"k": 1.5}, "`k` must be a whole number, not `1.5`", None),
    (CATALOG["top-k"], {"k": True}, "`k` must be a whole number, not `true`", None),
    (CATALOG["top-k"], {"k": None}, "`k` must be a whole number, not nothing", None),
    (CATALOG["threshold"], {"at": float("nan")}, "`at` must be a number, not `nan`", None),
    (CATALOG["threshold"], {"at": 10**400}, "`at` must be a number, not `1", None),
    (CATALOG["softmax"], {"temperature": 0}, "`temperature` must be above 0, not `0`", None),
    (CATALOG["soft-vote"], {"weights": [1, -2]}, "`weights` must be at least 0, not `-2`", None),
    (CATALOG["soft-vote"], {"weights": []}, "`weights` must not be empty", None),
    (CATALOG["soft-vote"], {"weights": "1, 2"}, "`weights` must be a list of numbers, not `1, 2`", None),
    (CATALOG["soft-vote"], {"weights": {"a": 1}}, "`weights` must be a list of numbers, not a mapping", None),
    (
        CATALOG["one-hot"],
        {"categories": ["a", 1]},
        '`categories` must be a list of texts or a list of whole numbers, not `["a", 1]`',
        None,
    ),
    (CATALOG["one-hot"], {"categories": ["a", "b", "a"]}, "`categories` has `a` twice", None),
    (
        CATALOG["normalise"],
        {"norm": "min-max"},
        "`norm` must be one of `l1`, `l2`, `max`, `minmax`, not `min-max`",
        "minmax",
    ),
    (
        CATALOG["threshold"],
        {"at": 1, "datatype": "bool"},
        "`datatype` must be one of `BOOL`, `INT64`, not `bool`",
        "BOOL",
    ),
    (
        CATALOG["label-map"],
        {"labels": {"a": 1}},
        "`labels` must be a list of texts or a mapping of values to texts, not a mapping",
        None,
    ),
    (ROUTERS["threshold"], {"below": 3}, "`below` must be a list of numbers, not `3`", None),
]


@pytest.mark.parametrize(("component", "values", "message", "nearest"), MESSAGES)
def test_messages(
    component: Component, values: Mapping[str, object], message: str, nearest: str | None
) -> None:
    _, problems = check_parameters(component, values)
    assert len(problems) == 1
    assert problems[0].message.startswith(message)
    assert len(problems[0].message) < 120
    assert problems[0].nearest == nearest


def test_every_problem_is_reported() -> None:
    checked, problems = check_parameters(CATALOG["one-hot"], {"unknwon": "ignore", "datatype": 3})
    assert checked == {"unknown": "error"}
    assert problems == [
        ParameterProblem("unknwon", "`unknwon` is not a parameter of `one-hot`", "unknown"),
        ParameterProblem("categories", "`one-hot` needs the parameter `categories`"),
        ParameterProblem("datatype", "`datatype` must be a datatype such as `FP32`, not `3`"),
    ]


def test_defaults_are_filled_in_and_left_out() -> None:
    assert check_parameters(CATALOG["scale"], {"scale": 2}) == ({"mean": 0, "scale": 2}, [])
    assert check_parameters(CATALOG["clip"], {"low": 2}) == ({"low": 2}, [])


def test_yaml_keys_become_texts() -> None:
    checked, problems = check_parameters(CATALOG["label-map"], {"labels": {0: "no", True: "yes", "a": "b"}})
    assert problems == []
    assert checked == {"labels": {"0": "no", "true": "yes", "a": "b"}}
