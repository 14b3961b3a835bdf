"""OpenAI's API, which many servers speak: chat, completions and embeddings, https://platform.openai.com/docs/api-reference.

The URL ends with the version, `/v1`, as the clients of OpenAI have it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson
from graphc_components.datatypes import Array, bytes_of

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load_object, read_outputs
from graphc_runtimes.servers.words import say_error

_PATHS: Final = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}
_DONE: Final = b"[DONE]"
"""The data of the event that ends a stream."""
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
        return self._give([self._read_text(load_object(each.body)) for each in answers], inputs)

    def _give(self, texts: list[Json], inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        shape = next(iter(inputs.values())).shape
        output, declared = next(iter(self._asked.outputs.items()))
        found = read_outputs({output: texts}, {output: declared})
        return {output: found[output].reshape(shape if len(declared.shape) == len(shape) else (-1,))}

    def ask_parts(self, inputs: Mapping[str, Array]) -> Call:
        texts = _texts(inputs)
        if len(texts) != 1:
            raise RequestError(f"a stream answers one row, and the request has {len(texts)}")
        return Call(self._path, orjson.dumps(self._fields | self._prompt(texts[0]) | {"stream": True}))

    def read_parts(
        self, events: Iterator[bytes], inputs: Mapping[str, Array], /
    ) -> Iterator[Mapping[str, Array]]:
        has_text = has_end = False
        for event in events:
            if event.strip() == _DONE:
                has_end = True
                break
            found = _load_event(event)
            choices = found.get("choices")
            # What an answer cost has an event of its own, without choices.
            for choice in choices if isinstance(choices, list) else ():
                text, is_last = self._read_part(choice)
                has_end = has_end or is_last
                if text:
                    has_text = True
                    yield self._give([text], inputs)
        if not has_end:
            raise AnswerError("ended its stream before its answer was whole")
        if not has_text:
            yield self._give([""], inputs)

    def _read_part(self, choice: Json) -> tuple[str, bool]:
        """Return the text of a choice of an event, and whether it is the last one."""
        holder = choice.get("delta") if isinstance(choice, dict) and self._is_chat else choice
        if not isinstance(choice, dict) or not isinstance(holder, dict):
            raise AnswerError("streamed a choice that has no text")
        # The first event of a chat says who speaks, and the last one why it ends.
        text = holder.get("content" if self._is_chat else "text")
        if not isinstance(text, str | None):
            raise AnswerError("streamed a choice that has no text")
        return text or "", choice.get("finish_reason") is not None

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


def _load_event(event: bytes) -> Mapping[str, Json]:
    """Return the object that an event is; raises AnswerError, with the server's own words where it tells a failure."""
    try:
        found = load_object(event)
    except AnswerError:
        raise AnswerError("streamed an event that is no JSON object") from None
    if found.get("error") is not None:
        said, told = say_error(event), "failed within its stream"
        raise AnswerError(f"{told}: {said}" if said else told, told)
    return found


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
