"""One plain MLServer model that does it all: its own codecs, its own event loop, nothing of ours."""

import os
from pathlib import Path

from computation import load
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Whole(MLModel):
    """Runs the sessions in `predict`."""

    async def load(self) -> bool:
        """Open the sessions."""
        self._compute = load(os.environ["CASE"], Path(os.environ["MODELS"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a V2 request."""
        outputs = self._compute(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in outputs.items()],
        )
