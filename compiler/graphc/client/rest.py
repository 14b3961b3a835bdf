"""Calls over HTTP."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import quote

import aiohttp
import numpy as np
from graphc_components.tensors import TensorType

from graphc.client.answer import InferAnswer, read_answer, read_error, read_types
from graphc.client.call import Call
from graphc.client.failure import InferError
from graphc.client.tensor import Tensor
from graphc.engine.raw import from_bytes

_REFUSAL: Final = "refused the request"
Headers = Sequence[tuple[str, str]]

MOST_BYTES: Final = 1 << 30
"""A larger answer is not read: servers are strangers."""


class RestCaller:
    """Calls one server over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, base: str, headers: Headers) -> None:
        self._http, self._base, self._headers = http, base, headers

    async def find_model(self) -> str:
        """Ask the repository index, which is the only list of models that V2 has."""
        text = await self._ask("POST", "/v2/repository/index", {}, "has no list of its models")
        names = _read_names(text)
        if len(names) == 1:
            return names[0]
        known = ", ".join(f"`{name}`" for name in names) or "none"
        raise InferError(f"{self._base} does not serve exactly one model: {known}; name one with --model")

    async def read_inputs(self, model: str) -> Mapping[str, TensorType]:
        """Ask for the metadata."""
        text = await self._ask("GET", _path(model), None, f"does not know model `{model}`")
        try:
            facts = cast("object", json.loads(text))
        except (ValueError, RecursionError) as error:
            raise InferError(f"the metadata of `{model}` is not JSON") from error
        return read_types(cast("dict[str, object]", facts).get("inputs")) if isinstance(facts, dict) else {}

    async def infer(self, call: Call) -> InferAnswer:
        """Post the request as JSON."""
        path = infer_path(call.model, call.version)
        return read_answer(await self._ask("POST", path, write_call(call), _REFUSAL))

    @asynccontextmanager
    async def post(self, path: str, call: Call) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Post a request, and give an answer of 200 to be read; raises InferError, for what is read of it, too."""
        body, url, has_begun = write_call(call), f"{self._base}{path}", False
        try:
            async with self._http.post(url, json=body, headers=list(self._headers)) as response:
                if response.status != 200:
                    raise self._refused(response.status, await _read(response), _REFUSAL)
                has_begun = True
                yield response
        except TimeoutError as error:
            late = "did not go on in time" if has_begun else "did not answer in time"
            raise InferError(f"{self._base} {late}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if has_begun:
                raise InferError(f"{self._base} broke off its answer") from error
            raise InferError(f"{self._base} cannot be reached: {_reason(error)}") from error

    async def _ask(self, method: str, path: str, body: object, refusal: str) -> str:
        url = f"{self._base}{path}"
        try:
            async with self._http.request(method, url, json=body, headers=list(self._headers)) as response:
                text = await _read(response)
        except TimeoutError as error:
            raise InferError(f"{self._base} did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise InferError(f"{self._base} cannot be reached: {_reason(error)}") from error
        if response.status != 200:
            raise self._refused(response.status, text, refusal)
        return text

    def _refused(self, status: int, text: str, refusal: str) -> InferError:
        return InferError(f"{self._base} {refusal} (status {status}): {read_error(text)}")


def write_call(call: Call) -> dict[str, object]:
    """Return a request as V2 JSON; raises InferError."""
    body: dict[str, object] = {"inputs": [write_tensor(each) for each in call.tensors]}
    return body | ({"parameters": dict(call.parameters)} if call.parameters else {})


def write_tensor(tensor: Tensor) -> dict[str, object]:
    """Return a tensor as V2 JSON; raises InferError."""
    fields: dict[str, object] = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}
    if tensor.datatype == "BYTES":
        data, content_type = from_bytes(cast("list[bytes]", tensor.array.ravel().tolist()))
        extra = {} if content_type is None else {"parameters": {"content_type": content_type}}
        return fields | extra | {"data": data}
    return fields | {"data": _numbers(tensor)}


def _numbers(tensor: Tensor) -> list[object]:
    """Return numbers as JSON has them: NaN, a missing value, as null; raises InferError for infinities."""
    array = tensor.array.ravel()
    numbers = cast("list[object]", array.tolist())
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return numbers
    if np.isinf(array).any():
        raise InferError(f"input `{tensor.name}` has infinite values, which JSON cannot hold; use --grpc")
    return [None if number != number else number for number in numbers]


async def _read(response: aiohttp.ClientResponse) -> str:
    """Return the body of an answer; raises InferError where it does not end, which a compressed one need not."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > MOST_BYTES:
            raise InferError(f"the answer has more than {MOST_BYTES >> 20} MiB")
    return found.decode("utf-8", "replace")


def infer_path(model: str, version: str | None) -> str:
    """Return where a model, or one version of it, is asked."""
    own = "" if version is None else f"/versions/{quote(version, safe='')}"
    return f"{_path(model)}{own}/infer"


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _read_names(text: str) -> list[str]:
    try:
        listed = cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return []
    items = cast("list[object]", listed) if isinstance(listed, list) else []
    models = [cast("dict[str, object]", each) for each in items if isinstance(each, dict)]
    return [name for model in models if isinstance(name := model.get("name"), str)]


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.os_error.strerror or str(error.os_error)).lower()
    return str(error) or type(error).__name__
