"""`graphc infer`: ask for the model's inputs, make them from files, call, and show the answer."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from graphc.client.answer import InferAnswer
from graphc.client.call import Call, Caller, Parameter
from graphc.client.inputs import read_inputs
from graphc.client.rest import MOST_BYTES, RestCaller
from graphc.client.target import Target


@dataclass(frozen=True, slots=True)
class InferOptions:
    """What the command line says about a call; the timeout is in seconds."""

    inputs: Sequence[str]
    parameters: Mapping[str, Parameter]
    headers: Sequence[tuple[str, str]]
    timeout: float


async def infer(target: Target, options: InferOptions) -> InferAnswer:
    """Call a model; raises InferError."""
    async with connect(target, options) as caller:
        model = target.model or await caller.find_model()
        tensors = read_inputs(options.inputs, await caller.read_inputs(model))
        return await caller.infer(Call(model, tensors, options.parameters, target.version))


@asynccontextmanager
async def connect(target: Target, options: InferOptions) -> AsyncGenerator[Caller]:
    """Open a connection to a server."""
    if target.grpc:
        # gRPC is slow to import, and only calls over it need it.
        from grpc import aio

        from graphc.client.rpc import GrpcCaller

        sizes = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.max_send_message_length", -1)]
        async with aio.insecure_channel(target.base, options=sizes) as channel:
            yield GrpcCaller(channel, target.base, options.headers, options.timeout)
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=options.timeout)) as http:
        yield RestCaller(http, target.base, options.headers)
