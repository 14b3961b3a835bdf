# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
"""A model of MLServer's that doubles what it is given."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Doubler(MLModel):
    """Answers with `y`, twice its first input."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return twice the first input."""
        x = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", 2 * x)])
