"""The models of Seldon's units, as MLServer documents them: a custom runtime, and one with its own path."""

from pathlib import Path

import numpy as np
from mean_graph import load
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(MLModel):
    """One ONNX model of one input and, of its outputs, the last."""

    async def load(self) -> bool:
        self.session = load(Path(self.settings.parameters.uri))
        self.output = self.session.get_outputs()[-1].name
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        (y,) = self.session.run([self.output], {"X": x})
        output = NumpyCodec.encode_output("y", y)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])


class Mean(MLModel):
    """The combiner: the executor gives it an array of its children's answers."""

    async def load(self) -> bool:
        return True

    @custom_handler(rest_path="/v2/models/mean/aggregate")
    async def aggregate(self, answers: list[InferenceResponse]) -> InferenceResponse:
        found = [NumpyCodec.decode_output(answer.outputs[0]) for answer in answers]
        output = NumpyCodec.encode_output("y", np.mean(found, axis=0))
        return InferenceResponse(id=answers[0].id, model_name=self.name, outputs=[output])
