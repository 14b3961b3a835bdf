"""Runs a class that the user wrote for MLServer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.payloads import from_outputs, to_inputs
from graphc_runtimes.region import PythonNode
from graphc_runtimes.serving import (
    InferenceRequest,
    InferenceResponse,
    MLModel,
    ModelParameters,
    ModelSettings,
)
from graphc_runtimes.without_pandas import register_codec


async def load_class(node: PythonNode, entry: type, folder: Path | None) -> Runner:
    """Load an MLServer model, with the settings that lie beside it if any; raises LoadError."""
    if not issubclass(entry, MLModel):
        raise LoadError(f"`{node.entry}` is a class, and not one of MLServer's models")
    if entry.predict is MLModel.predict:
        raise LoadError(f"`{node.entry}` has no `predict`")
    # Its settings may name any of MLServer's codecs by a content type.
    register_codec()
    model = entry(_settings(node, entry, folder))
    if not await model.load():
        raise LoadError(f"`{node.entry}` says that it did not load")
    loop = asyncio.get_running_loop()

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        request = InferenceRequest(inputs=to_inputs(inputs))
        # Nodes run in a thread, and the model's own code expects the server's event loop.
        answer = asyncio.run_coroutine_threadsafe(_ask(model, request), loop).result()
        if isinstance(answer, InferenceResponse):
            return from_outputs(answer.outputs)
        try:
            raise answer
        finally:
            # The exception has this frame, and would be held by it.
            del answer

    return run


async def _ask(model: MLModel, request: InferenceRequest) -> InferenceResponse | BaseException:
    """Return what a model answers, or raises: `SystemExit` out of a task would end the event loop, and the unit."""
    try:
        answer = cast("object", await model.predict(request))
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return error
    if not isinstance(answer, InferenceResponse):
        return ArrayError("gave something else than an `InferenceResponse`")
    return answer


def _settings(node: PythonNode, entry: type[MLModel], folder: Path | None) -> ModelSettings:
    written = folder / "model-settings.json" if folder else None
    if written and written.is_file():
        settings = ModelSettings.parse_file(str(written))
        settings.name = node.name
        return settings
    parameters = ModelParameters(uri=str(folder) if folder else None)
    return ModelSettings(name=node.name, implementation=entry, parameters=parameters)
