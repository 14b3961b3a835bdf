"""Runs the nodes of a region over the tensors of one message; nothing here knows how they travelled."""

import logging
import re
from collections.abc import Mapping
from typing import Final, Protocol

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.choose import Call, choose
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.region import ChoiceNode, MergeNode, Node, Read, Region, RunnableNode
from graphc_runtimes.rows import gather, holds, scatter, select

# Below MLServer's own logger, whose format and level it then has.
_LOG: Final = logging.getLogger("mlserver.graphc")
_PATH: Final = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.@+~-]+){2,}[/\\]?")


class Runner(Protocol):
    """A loaded node: named input tensors to its outputs, of which it may compute those in use only."""

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Run once."""
        ...


def execute(
    region: Region, runners: Mapping[str, Runner], tensors: Mapping[str, Array], call: Call
) -> dict[str, Array]:
    """Return every tensor there is once the nodes ran; what a branch not taken gives is absent.

    Raises RequestError and RunError.
    """
    environment = dict(tensors)
    for node in region.nodes:
        if holds(node.when, environment):
            results = _run(node, runners, environment, call)
            environment.update({node.outputs[name]: array for name, array in results.items()})
    return environment


def _run(
    node: Node, runners: Mapping[str, Runner], environment: Mapping[str, Array], call: Call
) -> Mapping[str, Array]:
    try:
        return _dispatch(node, runners, environment, call)
    except (RequestError, RunError):
        raise
    except ArrayError as error:
        raise RunError(f"node `{node.name}` {error}") from None
    except ComponentError as error:
        raise RunError(f"node `{node.name}` failed: {error}") from None
    # Models and the user's own Python raise what they like, and the client must learn which node it was.
    except Exception as error:
        _LOG.exception("node `%s` failed", node.name)
        raise RunError(f"node `{node.name}` failed: {describe(error)}") from error


def _dispatch(
    node: Node, runners: Mapping[str, Runner], environment: Mapping[str, Array], call: Call
) -> Mapping[str, Array]:
    match node:
        case ChoiceNode():
            return _choose(node, environment, call)
        case MergeNode():
            return _merge(node, environment)
        case _:
            return _run_node(node, runners[node.name], environment)


def _choose(node: ChoiceNode, environment: Mapping[str, Array], call: Call) -> dict[str, Array]:
    read = node.inputs.get("value")
    value = None if read is None else _gather(node, read, environment)
    return {"choice": choose(node, value, call)}


def _merge(node: MergeNode, environment: Mapping[str, Array]) -> dict[str, Array]:
    choice = gather(node.choice, environment)
    if choice is None:
        return {}
    join = scatter if node.per == "row" else select
    return {
        name: join(choice, [gather(branch[name], environment) for branch in node.branches])
        for name in node.outputs
    }


def _run_node(node: RunnableNode, runner: Runner, environment: Mapping[str, Array]) -> Mapping[str, Array]:
    inputs = {name: _gather(node, read, environment) for name, read in node.inputs.items()}
    results = runner(inputs)
    for name in node.outputs:
        if name not in results:
            raise RunError(f"node `{node.name}` gave no output `{name}`")
    return {name: results[name] for name in node.outputs}


def _gather(node: Node, read: Read, environment: Mapping[str, Array]) -> Array:
    array = gather(read, environment)
    if array is None:
        raise RunError(f"node `{node.name}` reads `{read.tensor}`, which is absent")
    return array


def describe(error: BaseException) -> str:
    """Return an exception's type and first line, without the paths of this container."""
    first = str(error).strip().split("\n", 1)[0][:300]
    first = _PATH.sub("...", first)
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
