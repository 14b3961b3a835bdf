"""One module for each way to run a node; a framework is imported only where a node needs it."""

import asyncio

from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner, describe
from graphc_runtimes.region import ComponentNode, ModelNode, PythonNode, RunnableNode


async def load_runner(node: RunnableNode, environment: Environment) -> Runner:
    """Load a node without blocking the event loop; raises LoadError, which names the node."""
    try:
        if isinstance(node, PythonNode):
            from graphc_runtimes.adapters.python import load_python

            return await load_python(node, environment)
        return await asyncio.to_thread(_load, node, environment)
    except LoadError as error:
        raise LoadError(f"node `{node.name}`: {error}") from error.__cause__
    # A framework or the user's own module raises what it likes, and the log must say which node it was.
    except Exception as error:
        raise LoadError(f"node `{node.name}`: {describe(error)}") from error


def _load(node: ComponentNode | ModelNode, environment: Environment) -> Runner:
    if isinstance(node, ComponentNode):
        from graphc_runtimes.adapters.component import load_component

        return load_component(node)
    match node.framework:
        case "onnx":
            from graphc_runtimes.adapters.onnx import load_onnx as load
        case "sklearn":
            from graphc_runtimes.adapters.sklearn import load_sklearn as load
        case "xgboost":
            from graphc_runtimes.adapters.xgboost import load_xgboost as load
        case "lightgbm":
            from graphc_runtimes.adapters.lightgbm import load_lightgbm as load
    return load(node, environment)
