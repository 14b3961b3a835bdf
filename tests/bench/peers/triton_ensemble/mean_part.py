"""The Triton model that every step of the ensemble is: which one, its parameters say."""

import json
import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self.part = parameters["part"]["string_value"]
        if self.part != "mean":
            sys.path.append(parameters["here"]["string_value"])
            from mean_graph import load

            self.session = load(Path(parameters["models"]["string_value"]) / f"{self.part}.onnx")
            self.output = "scaled" if self.part == "scale" else "probabilities"

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        inputs = [tensor.as_numpy() for tensor in request.inputs()]
        if self.part == "mean":
            y = np.mean(inputs, axis=0)
        else:
            (y,) = self.session.run([self.output], {"X": inputs[0]})
        return triton.InferenceResponse([triton.Tensor("y", y)])
