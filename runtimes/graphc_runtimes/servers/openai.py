"""OpenAI's API, which many servers speak: chat, completions and embeddings, https://platform.openai.com/docs/api-reference.

The URL ends with the version, `/v1`, as the clients of OpenAI have it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from graphc_components.datatypes import Array, bytes_of

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load_object, read_outputs

_PATHS: Final = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}
_SAMPLING: Final = ("max_tokens", "temperature", "top_p", "seed", "stop")


def make_dialect(asked: Asked) -> Dialect:
    """Return how an endpoint is asked: once for all rows for embeddings, else once a row."""
    return _Embeddings(asked) if asked.text("task") == "embeddings" else _Completions(asked)


def _texts(inputs: Mapping[str, Array]) -> list[str]:
    """Return the texts of the rows; raises ArrayError."""
    if len(inputs) != 1:
        raise ArrayError("cannot ask its server: it takes one tensor of texts")
    array = next(iter(inputs.values()))
    if array.dtype.kind != "O" or array.size != len(array):
        raise ArrayError("cannot ask its server: it takes one text a row")
    try:
        return [each.decode() for each in bytes_of(array)]
    except UnicodeDecodeError:
        raise ArrayError("cannot ask its server: a text is not UTF-8") from None


class _Completions:
    """Asks for a text a row."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._is_chat = asked.text("task") != "completions"
        self._path = _PATHS["chat" if self._is_chat else "completions"]
        self._fields: dict[str, object] = {"model": asked.model}
        self._fields |= {name: asked.parameters[name] for name in _SAMPLING if name in asked.parameters}

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        return [Call(self._path, orjson.dumps(self._fields | self._prompt(text))) for text in _texts(inputs)]

    def _prompt(self, text: str) -> dict[str, object]:
        if not self._is_chat:
            return {"prompt": text}
        system = self._asked.text("system")
        first = [] if system is None else [{"role": "system", "content": system}]
        return {"messages": [*first, {"role": "user", "content": text}]}

    def read(self, answers: Sequence[Answer], inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        texts: list[Json] = [self._read_text(load_object(each.body)) for each in answers]
        shape = next(iter(inputs.values())).shape
        output, declared = next(iter(self._asked.outputs.items()))
        found = read_outputs({output: texts}, {output: declared})
        return {output: found[output].reshape(shape if len(declared.shape) == len(shape) else (-1,))}

    def _read_text(self, found: Mapping[str, Json]) -> str:
        choices = found.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            raise AnswerError("answered without `choices`")
        message = choice.get("message") if self._is_chat else choice
        text = message.get("content" if self._is_chat else "text") if isinstance(message, dict) else None
        if not isinstance(text, str):
            raise AnswerError("answered with a choice that has no text")
        return text


class _Embeddings:
    """Asks for the vectors of all rows at once."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._fields: dict[str, object] = {"model": asked.model, "encoding_format": "float"}
        if "dimensions" in asked.parameters:
            self._fields["dimensions"] = asked.parameters["dimensions"]

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        return [Call(_PATHS["embeddings"], orjson.dumps(self._fields | {"input": _texts(inputs)}))]

    def read(self, answers: Sequence[Answer], inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        rows = load_object(answers[0].body).get("data")
        wanted = len(next(iter(inputs.values())))
        if not isinstance(rows, list) or len(rows) != wanted:
            raise AnswerError(f"answered without a list of {wanted} vectors as `data`")
        # The rows say which text each is of.
        vectors: list[Json] = [None] * wanted
        for place, row in enumerate(rows):
            index = row.get("index", place) if isinstance(row, dict) else None
            if not isinstance(row, dict) or type(index) is not int or not 0 <= index < wanted:
                raise AnswerError("answered with a row of `data` that is none of those asked for")
            vectors[index] = row.get("embedding")
        output, declared = next(iter(self._asked.outputs.items()))
        return read_outputs({output: vectors}, {output: declared})
