"""One module for each way to run a node; a framework is imported only where a node needs it."""

import asyncio
import traceback
from pathlib import Path
from typing import Final

from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.faults import describe
from graphc_runtimes.region import ComponentNode, ModelNode, PythonNode, RunnableNode, ServerNode

_ONNXRUNTIME: Final = "[ONNXRuntimeError] : "


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
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        said = f"node `{node.name}`: {describe(error)}{_place(error, environment)}"
        raise LoadError(said.replace(_ONNXRUNTIME, "")) from error


def _place(error: BaseException, environment: Environment) -> str:
    """Return the last line of the user's own files that led to an error; nothing where there was none."""
    root = str(environment.artifacts)
    lines = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(root)]
    if not lines:
        return ""
    # The first part of the path is the node's folder.
    path = Path(*Path(lines[-1].filename).relative_to(root).parts[1:])
    return f" (`{path}`, line {lines[-1].lineno})"


def _load(node: ComponentNode | ModelNode | ServerNode, environment: Environment) -> Runner:
    if isinstance(node, ServerNode):
        from graphc_runtimes.adapters.server import load_server

        return load_server(node)
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
