"""Choice nodes: which branch each row takes, or the request as a whole."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from graphc_components.catalog import ROUTERS, Value, check_parameters
from graphc_components.datatypes import Array

from graphc_runtimes.deadline import Limit
from graphc_runtimes.errors import LoadError, RequestError, RunError
from graphc_runtimes.region import ChoiceNode, Region

_BY_TEXT: Final = ("parameter", "header")


# Nothing changes one, but `frozen` would make one a microsecond dearer for each request.
@dataclass(slots=True)
class Call:
    """What travels beside tensors: a request's parameters, headers, id and time, what failed so far and was said."""

    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    deadline: Limit | None = None
    identity: str = ""
    """The request's id, for the log: over REST that of the answer, where the client gave none."""
    fallbacks: list[str] = field(default_factory=list[str])
    """The nodes that failed and whose policy stood in, as they come up."""
    tags: dict[str, object] = field(default_factory=dict[str, object])
    """What nodes say beside their tensors, by `node.tag`: parameters of the answer."""

    def parameter(self, name: str) -> str | None:
        """Return a request parameter as text."""
        return _text(self.parameters.get(name))

    def header(self, name: str) -> str | None:
        """Return a header by its name, in upper or lower case."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Looks:
    """The parameters and headers of a request that the choices of a region look at."""

    parameters: tuple[str, ...]
    headers: tuple[str, ...]

    def __bool__(self) -> bool:
        """Say whether they look at any."""
        return bool(self.parameters or self.headers)

    def find(self, call: Call) -> tuple[Hashable, ...]:
        """Return what they find there."""
        return (*map(call.parameter, self.parameters), *map(call.header, self.headers))


def find_looks(region: Region) -> Looks:
    """Return what the choices of a region look at beside tensors."""
    found: set[tuple[str, str]] = set()
    for node in region.nodes:
        if not isinstance(node, ChoiceNode):
            continue
        if node.router in _BY_TEXT:
            found.add((node.router, str(node.parameters["name"])))
        key = cast("Mapping[str, str]", node.parameters.get("key") or {})
        found.update(key.items())
    return Looks(
        tuple(sorted(name for source, name in found if source == "parameter")),
        tuple(sorted(name for source, name in found if source == "header")),
    )


def check_choice(node: ChoiceNode) -> None:
    """Refuse a choice that could be made for no request; raises LoadError."""
    if node.router in _BY_TEXT:
        sound = isinstance(node.parameters.get("name"), str) and isinstance(
            node.parameters.get("equals"), list
        )
        problems = [] if sound else ["it needs a `name` and a list of values, `equals`"]
    else:
        _, found = check_parameters(ROUTERS[node.router], _own(node))
        problems = [problem.message for problem in found]
    if problems:
        raise LoadError(f"node `{node.name}`: {'; '.join(problems)}")


def choose(node: ChoiceNode, value: Array | None, call: Call) -> Array:
    """Return the branch of each row (INT32), or one element for the request; raises RequestError."""
    match node.router:
        case "parameter" | "header":
            choice = _match_text(node, value, call)
        case "random":
            choice = _draw(node, value, call)
        case _:
            choice = _of_tensor(node, value)
    if node.per == "request":
        choice = _agree(node, choice)
    _check_taken(node, choice)
    return choice


def _own(node: ChoiceNode) -> dict[str, object]:
    """Return the parameters that the router's function knows."""
    return {name: value for name, value in node.parameters.items() if name not in {"branches", "key"}}


def _checked(node: ChoiceNode) -> dict[str, Value]:
    return check_parameters(ROUTERS[node.router], _own(node))[0]


def _of_tensor(node: ChoiceNode, value: Array | None) -> Array:
    if value is None:
        raise RunError(f"node `{node.name}` has no tensor to choose by")
    return cast("Array", ROUTERS[node.router].function(value, **_checked(node)))


def _match_text(node: ChoiceNode, value: Array | None, call: Call) -> Array:
    name = str(node.parameters["name"])
    given = call.parameter(name) if node.router == "parameter" else call.header(name)
    options = [_text(each) for each in cast("Sequence[object]", node.parameters["equals"])]
    index = len(options) if given is None or given not in options else options.index(given)
    return np.full(_rows(node, value), index, np.int32)


def _draw(node: ChoiceNode, value: Array | None, call: Call) -> Array:
    draw = ROUTERS["random"].function
    return cast("Array", draw(_rows(node, value), key=_key(node, call), **_checked(node)))


def _key(node: ChoiceNode, call: Call) -> str | None:
    source = cast("Mapping[str, str]", node.parameters.get("key") or {})
    if "header" in source:
        return call.header(source["header"])
    return call.parameter(source["parameter"]) if "parameter" in source else None


def _rows(node: ChoiceNode, value: Array | None) -> int:
    return 1 if value is None or node.per == "request" else len(value)


def _text(value: object) -> str | None:
    """Return a parameter's text as JSON writes it; the executor writes 5.0 as 5."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _agree(node: ChoiceNode, choice: Array) -> Array:
    taken = np.unique(choice)
    if taken.size > 1:
        raise RequestError(
            f"node `{node.name}`: rows disagree on the branch, and it is chosen for the whole request"
        )
    # A request without rows takes the first branch: no row speaks for another.
    return taken.astype(np.int32) if taken.size else np.zeros(1, np.int32)


def _check_taken(node: ChoiceNode, choice: Array) -> None:
    branches = node.parameters.get("branches")
    if isinstance(branches, int) and choice.size and int(choice.max()) >= branches:
        raise RequestError(f"node `{node.name}`: no branch is for this request, and there is no other")
