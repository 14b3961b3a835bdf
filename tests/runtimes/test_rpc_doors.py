"""What a unit answers over gRPC besides inference: every method of the protocol, and nothing that changes it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from graphc.engine.proto import message_class
from graphc_runtimes.limits import Limits
from graphc_runtimes.rpc_doors import OLD_SERVICE, RpcDoors, make_options
from graphc_runtimes.rpc_messages import Messages
from grpc import StatusCode, aio

LIMIT_S: Final = 10
SERVICE: Final = "inference.GRPCInferenceService"
PARAMETERS: Final = 6
METHODS: Final = (
    *("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "RepositoryIndex"),
    *("RepositoryModelLoad", "RepositoryModelUnload"),
)
"""Those that MLServer has, but for ModelInfer and streams."""
FIXED: Final = "the models of this unit are fixed: none is loaded or unloaded"

Ask = Callable[..., Any]


class Catalog:
    """Two models, of which one is ready."""

    def __init__(self) -> None:
        self.names, self.versions = ["graph", "idle"], ["2"]
        self.fault: Exception | None = None

    async def is_ready(self) -> bool:
        if self.fault is not None:
            raise self.fault
        return False

    async def is_model_ready(self, name: str) -> bool:
        return name == "graph"

    async def describe(self) -> object:
        return {"name": "server", "version": "1", "extensions": ["binary"]}

    async def describe_model(self, name: str) -> object:
        tensors = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        facts = {"name": name, "platform": "graphc", "versions": ["2"], "inputs": tensors}
        return facts | {"parameters": {"graphc_device": "cpu"}}

    async def index(self, *, is_ready: bool) -> object:
        found = [{"name": name, "state": "READY", "reason": ""} for name in self.names]
        return found[:1] if is_ready else found


def describe() -> FileDescriptor:
    """Return the protocol as MLServer describes it: with parameters of a model."""
    file = FileDescriptorProto()
    cast("Any", message_class("ModelInferRequest")).DESCRIPTOR.file.CopyToProto(file)
    kinds = {each.name: each for each in file.message_type}
    facts, asked = kinds["ModelMetadataResponse"], kinds["ModelInferRequest"]
    facts.nested_type.add().CopyFrom(next(each for each in asked.nested_type if "Entry" in each.name))
    field = facts.field.add()
    field.CopyFrom(next(each for each in asked.field if each.name == "parameters"))
    field.number, field.type_name = PARAMETERS, field.type_name.replace(asked.name, facts.name)
    return DescriptorPool().AddSerializedFile(file.SerializeToString())


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def ask(catalog: Catalog) -> Iterator[Ask]:
    """Serve such doors, and call their methods."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[aio.Server, int]:
        server = aio.server(options=list(make_options(Limits()).items()))
        RpcDoors(catalog, Messages(describe())).install(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(begin(), loop).result(LIMIT_S)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(method: str, service: str = SERVICE, /, raw: bytes | None = None, **fields: object) -> Any:
        if raw is None:
            raw = cast("Any", message_class(f"{method}Request"))(**fields).SerializeToString()
        try:
            answer = cast("Any", channel.unary_unary(f"/{service}/{method}"))(raw, timeout=LIMIT_S)
        except grpc.RpcError as error:
            return cast("Any", error).code(), cast("Any", error).details()
        return cast("Any", message_class(f"{method}Response")).FromString(answer)

    yield call
    channel.close()
    asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(LIMIT_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LIMIT_S)
    loop.close()


def test_health_and_metadata_are_answered(ask: Ask) -> None:
    assert ask("ServerLive").live
    assert not ask("ServerReady").ready
    assert ask("ServerMetadata").name == "server"
    assert ask("ModelReady", name="graph", version="2").ready
    assert not ask("ModelReady", name="idle").ready
    found = ask("ModelMetadata", name="graph")
    assert (found.name, found.platform, list(found.versions)) == ("graph", "graphc", ["2"])
    assert [(each.name, each.datatype, list(each.shape)) for each in found.inputs] == [("x", "FP32", [-1, 2])]
    # The field of the parameters is one that this description of the answer does not have.
    assert b"graphc_device" in found.SerializeToString()


@pytest.mark.parametrize("service", [SERVICE, OLD_SERVICE])
def test_the_models_are_listed_and_stay(ask: Ask, service: str) -> None:
    for name in ("RepositoryModelUnload", "RepositoryModelLoad"):
        assert ask(name, service, raw=b"\x12\x05graph") == (StatusCode.UNIMPLEMENTED, FIXED)
    assert [each.name for each in ask("RepositoryIndex", service).models] == ["graph", "idle"]
    assert [each.name for each in ask("RepositoryIndex", service, ready=True).models] == ["graph"]


@pytest.mark.parametrize("name", ["ModelReady", "ModelMetadata"])
def test_a_model_or_version_that_is_not_there_is_not_found(ask: Ask, name: str) -> None:
    assert ask(name, name="other") == (StatusCode.NOT_FOUND, "model `other` not found")
    told = "model `graph` has no version `3`; there are: `2`"
    assert ask(name, name="graph", version="3") == (StatusCode.NOT_FOUND, told)


def test_a_model_that_is_not_ready_is_not_described(ask: Ask) -> None:
    assert ask("ModelMetadata", name="idle") == (StatusCode.UNAVAILABLE, "model `idle` is not ready")


@pytest.mark.parametrize("name", METHODS)
def test_no_method_fails_by_what_is_no_message(ask: Ask, name: str) -> None:
    found = ask(name, raw=b"\xff\xff\xff")
    if name.startswith("RepositoryModel"):
        assert found == (StatusCode.UNIMPLEMENTED, FIXED)
    else:
        assert found == (StatusCode.INVALID_ARGUMENT, f"the message is no {name}Request")


def test_what_is_not_answered_says_so(ask: Ask) -> None:
    told = "the models of this unit do not answer in streams"
    assert ask("ModelStreamInfer", raw=b"") == (StatusCode.UNIMPLEMENTED, told)
    assert ask("Nothing", raw=b"")[0] is StatusCode.UNIMPLEMENTED
    assert ask("ServerLive", "inference.Other")[0] is StatusCode.UNIMPLEMENTED


def test_what_nobody_expected_is_told_by_an_id(ask: Ask, catalog: Catalog) -> None:
    catalog.fault = ValueError("a secret")
    code, told = ask("ServerReady")
    assert code is StatusCode.INTERNAL
    assert told.startswith("the unit failed, id ")
    catalog.fault = None
    assert not ask("ServerReady").ready


def test_the_options_are_what_the_server_takes() -> None:
    limits = Limits(idle_s=7, patience_s=3, max_body=2**40, max_head=99)
    options = make_options(limits)
    # gRPC's own numbers have 32 bits.
    assert options["grpc.max_receive_message_length"] == 2**31 - 1
    assert options["grpc.absolute_max_metadata_size"] == 99
    assert options["grpc.max_connection_idle_ms"] == options["grpc.keepalive_time_ms"] == 7000
    assert options["grpc.keepalive_timeout_ms"] == 3000
    assert options["grpc.max_concurrent_streams"] == 1024
