from collections.abc import Callable

import numpy as np
import pytest
from graphc_components.datatypes import bytes_array
from graphc_runtimes.choose import Call, check_choice, choose
from graphc_runtimes.errors import LoadError, RequestError, RunError
from graphc_runtimes.region import ChoiceNode, Region

MakeChoice = Callable[..., ChoiceNode]


@pytest.fixture
def choice(region: Callable[..., Region], node: Callable[..., dict[str, object]]) -> MakeChoice:
    def make(router: str, parameters: dict[str, object], per: str = "row") -> ChoiceNode:
        fields = node(
            "pick",
            {},
            {"choice": "pick.choice"},
            kind="choice",
            router=router,
            per=per,
            parameters=parameters,
        )
        (made,) = region([fields]).nodes
        assert isinstance(made, ChoiceNode)
        check_choice(made)
        return made

    return make


def test_routers_of_tensors_choose_for_each_row(choice: MakeChoice) -> None:
    amounts = np.array([5.0, 150.0, np.nan])
    assert choose(choice("threshold", {"below": [100]}), amounts, Call()).tolist() == [0, 1, 1]
    tiers = bytes_array([b"gold", b"tin"], [2])
    assert choose(choice("equals", {"equals": ["silver", "gold"]}), tiers, Call()).tolist() == [1, 2]
    sure = np.array([[0.05, 0.95], [0.5, 0.5]])
    assert choose(choice("confidence", {"until": 0.9}), sure, Call()).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("value", "branch"),
    [("gold", 0), ("5", 1), (5, 1), (5.0, 1), (True, 2), ("true", 2), (0.5, 3), ("tin", 4), (None, 4)],
)
def test_a_parameter_is_compared_as_text(choice: MakeChoice, value: object, branch: int) -> None:
    made = choice("parameter", {"name": "tier", "equals": ["gold", 5, True, 0.5]}, per="request")
    result = choose(made, None, Call(parameters={"tier": value}))
    assert result.dtype == np.int32
    assert result.tolist() == [branch]


def test_a_header_is_found_whatever_its_case(choice: MakeChoice) -> None:
    made = choice("header", {"name": "X-Tier", "equals": ["gold"]}, per="request")
    assert choose(made, None, Call(headers={"x-tier": "gold"})).tolist() == [0]
    assert choose(made, None, Call(headers={"x-other": "gold"})).tolist() == [1]


def test_no_branch_is_the_clients_mistake(choice: MakeChoice) -> None:
    made = choice("header", {"name": "X-Tier", "equals": ["gold"], "branches": 1}, per="request")
    with pytest.raises(RequestError, match="node `pick`: no branch is for this request"):
        choose(made, None, Call())


def test_a_random_choice_sticks_to_its_key(choice: MakeChoice) -> None:
    parameters: dict[str, object] = {"weights": [1, 1], "salt": "pick", "key": {"header": "X-User"}}
    made = choice("random", parameters, per="request")
    chosen = {
        user: choose(made, None, Call(headers={"x-user": user})).tolist() for user in map(str, range(40))
    }
    assert {branch for (branch,) in chosen.values()} == {0, 1}
    for user, branch in chosen.items():
        assert choose(made, None, Call(headers={"X-USER": user})).tolist() == branch


def test_a_random_choice_without_a_key_is_made_for_each_row(choice: MakeChoice) -> None:
    made = choice("random", {"weights": [1, 1], "salt": ""})
    assert set(choose(made, np.zeros(200), Call()).tolist()) == {0, 1}
    whole = choice("random", {"weights": [1, 1], "salt": ""}, per="request")
    assert choose(whole, np.zeros(200), Call()).shape == (1,)


def test_a_key_may_be_a_parameter(choice: MakeChoice) -> None:
    made = choice("random", {"weights": [1, 1], "key": {"parameter": "user"}}, per="request")
    draws = {tuple(choose(made, None, Call(parameters={"user": 7})).tolist()) for _ in range(20)}
    assert len(draws) == 1


def test_a_router_of_tensors_without_one_fails(choice: MakeChoice) -> None:
    with pytest.raises(RunError, match="node `pick` has no tensor to choose by"):
        choose(choice("threshold", {"below": [1]}), None, Call())


@pytest.mark.parametrize(
    ("router", "parameters", "message"),
    [
        ("threshold", {}, "node `pick`: `threshold` needs the parameter `below`"),
        ("random", {"weights": [1], "wieght": 2}, "`wieght` is not a parameter of `random`"),
        ("header", {"equals": []}, "node `pick`: it needs a `name` and a list of values"),
    ],
)
def test_a_choice_that_could_never_be_made_does_not_load(
    choice: MakeChoice, router: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        choice(router, parameters)
