"""TensorFlow Serving's REST API, by columns: https://www.tensorflow.org/tfx/serving/api_rest (Predict API)."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load_object, read_outputs, write_inputs


def make_dialect(asked: Asked) -> Dialect:
    """Return how TensorFlow Serving is asked for a model's signature."""
    return _Predict(asked)


class _Predict:
    """Asks for one signature of one model."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._path = f"/v1/models/{quote(asked.model, safe='')}"
        if asked.version is not None:
            self._path += f"/versions/{quote(asked.version, safe='')}"
        elif (label := asked.text("label")) is not None:
            self._path += f"/labels/{quote(label, safe='')}"

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        fields = {
            "signature_name": self._asked.text("signature"),
            "inputs": write_inputs(inputs),
        }
        return [Call(f"{self._path}:predict", orjson.dumps(fields))]

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        found = load_object(answers[0].body)
        if "outputs" not in found:
            raise AnswerError("answered without `outputs`")
        outputs: Json = found["outputs"]
        declared = self._asked.outputs
        if not isinstance(outputs, dict) and len(declared) == 1:
            # A signature of one output answers without its name.
            outputs = {next(iter(declared)): outputs}
        if not isinstance(outputs, dict):
            raise AnswerError("answered without `outputs`")
        return read_outputs(outputs, declared)
