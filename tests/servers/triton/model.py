"""Every model of the repository: its name says what it does."""

import json
import time

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        self.name, self.version = args["model_name"], int(args["model_version"])
        self.outputs = [each["name"] for each in json.loads(args["model_config"])["output"]]
        if self.name == "late":
            time.sleep(2)

    def execute(self, requests):
        if self.name == "stream":
            for request in requests:
                sender = request.get_response_sender()
                for _ in range(2):
                    sender.send(self.answer(request, 1))
                sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            return None
        return [self.answer(request, len(requests)) for request in requests]

    def answer(self, request, joined):
        inputs = {each.name(): each.as_numpy() for each in request.inputs()}
        try:
            found = joined_rows(joined, **inputs) if self.name == "joined" else self.compute(**inputs)
        except ValueError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        arrays = found if isinstance(found, tuple) else (found,)
        return triton.InferenceResponse(
            [triton.Tensor(*pair) for pair in zip(self.outputs, arrays, strict=True)]
        )

    def compute(self, **inputs):
        return getattr(self, self.name, self.plain)(**inputs)

    def plain(self, x):
        if (x < 0).any():
            raise ValueError("a row is negative")
        return x * 2

    def versions(self, x):
        return x + self.version

    def types(self, text, half, flag, wide, byte):
        return np.char.upper(text.astype("S")).astype(object), half * 2, ~flag, wide + 1, byte + 1

    def slow(self, x):
        time.sleep(float(x.max()))
        return x


def joined_rows(joined, x):
    time.sleep(0.1)
    return x, np.full((len(x), 1), joined, np.int32)
