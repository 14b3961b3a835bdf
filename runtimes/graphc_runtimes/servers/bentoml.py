"""BentoML's HTTP API: a POST of an object of arguments to a route, https://docs.bentoml.com (Call an API endpoint)."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load, read_outputs, write_inputs


def make_dialect(asked: Asked) -> Dialect:
    """Return how a BentoML service is asked for one of its APIs."""
    return _Api(asked)


class _Api:
    """Asks for one API of a service."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._path = f"/{quote(asked.text('api') or asked.model, safe='/')}"

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        return [Call(self._path, orjson.dumps(write_inputs(inputs)))]

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        found, declared = _load(answers[0]), self._asked.outputs
        is_named = isinstance(found, dict) and not declared.keys().isdisjoint(found)
        if not is_named and len(declared) == 1:
            # An API that returns one value answers with it alone.
            return read_outputs({next(iter(declared)): found}, declared)
        return read_outputs(found if isinstance(found, dict) else {}, declared)


def _load(answer: Answer) -> Json:
    """Return what an API answers: JSON, or the text of one that returns a text."""
    if not answer.headers.get("content-type", "").startswith("text/"):
        return load(answer.body)
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise AnswerError("answered with a text that is not UTF-8") from None
