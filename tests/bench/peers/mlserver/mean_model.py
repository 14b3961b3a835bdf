"""The model that MLServer loads: its documentation's way of a custom runtime."""

from pathlib import Path

from mean_graph import MeanGraph
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class MeanModel(MLModel):
    async def load(self) -> bool:
        self.graph = MeanGraph(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("y", self.graph(x))
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])
