"""Standard V2 clients, unmodified, against a graph of one unit: binary and plain, REST and gRPC."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from graphc.engine.binary import RequestError, read_request
from graphc.engine.limits import Limits
from graphc.engine.proto import message_class
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.seldon.unit import SeldonUnit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from conftest import Stubs

# tritonclient has no types.
triton_grpc: Any = import_module("tritonclient.grpc")
triton_http: Any = import_module("tritonclient.http")
service_pb2: Any = import_module("tritonclient.grpc.service_pb2")
InferenceServerException: Any = import_module("tritonclient.utils").InferenceServerException

Array = NDArray[Any]
FACTS: dict[str, Any] = {
    "name": "g",
    "versions": ["1"],
    "platform": "graphc",
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 2]}],
}

TENSORS = {
    "BOOL": np.array([True, False]),
    "UINT8": np.array([0, 255], "u1"),
    "UINT16": np.array([0, 65535], "u2"),
    "UINT32": np.array([0, 2**32 - 1], "u4"),
    "UINT64": np.array([0, 2**64 - 1], "u8"),
    "INT8": np.array([-128, 127], "i1"),
    "INT16": np.array([-(2**15), 2**15 - 1], "i2"),
    "INT32": np.array([-(2**31), 2**31 - 1], "i4"),
    "INT64": np.array([9007199254740993, -(2**63)], "i8"),
    "FP16": np.array([0.1, -65504], "f2"),
    "FP32": np.array([0.1, np.nan], "f4"),
    "FP64": np.array([0.1, 1e300], "f8"),
    "BYTES": np.array(["é <b>".encode(), b""], object),
    "binary BYTES": np.array([b"\xff\x00", b"text"], object),
}


@contextmanager
def _engine(stubs: "Stubs", behaviour: dict[str, Any], limits: Limits | None = None) -> Generator[Engine]:
    """Run an engine and its unit in a thread: the clients under test block."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop, engines = asyncio.Event(), list[Engine]()

    async def run() -> None:
        options = EngineOptions(grpc_port=0, graph=ServedGraph("g", FACTS), limits=limits)
        async with (
            stubs.started({"name": "m", "behaviour": behaviour}),
            stubs.engine(SeldonUnit("m", "MODEL"), options) as engine,
        ):
            engines.append(engine)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield engines[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def _http(engine: Engine) -> Generator[Any]:
    client: Any = triton_http.InferenceServerClient(f"127.0.0.1:{engine.http_port}")
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _grpc(engine: Engine) -> Generator[Any]:
    client: Any = triton_grpc.InferenceServerClient(f"127.0.0.1:{engine.grpc_port}")
    try:
        yield client
    finally:
        client.close()


def _input(module: Any, array: Array, datatype: str, **options: bool) -> Any:
    tensor = module.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **options)
    return tensor


@pytest.mark.parametrize("kind", TENSORS)
def test_binary_tensors_go_in_and_out_over_rest(stubs: "Stubs", kind: str) -> None:
    array, datatype = TENSORS[kind], kind.split()[-1]
    with _engine(stubs, {"do": "echo"}) as engine, _http(engine) as client:
        answer = client.infer("g", [_input(triton_http, array, datatype)])
        np.testing.assert_array_equal(answer.as_numpy("x"), array)
        assert "binary_data_size" in answer.get_output("x")["parameters"]
    (call,) = stubs.calls("m")
    assert call.path == "/v2/models/g/infer"
    assert call.headers["Content-Type"] == "application/json"
    assert "binary" not in str(call.body["inputs"][0].get("parameters", {}))
    assert "parameters" not in call.body
    assert "Inference-Header-Content-Length" not in call.headers


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_client_chooses_the_form_of_each_tensor(stubs: "Stubs", binary_in: bool, binary_out: bool) -> None:
    array = np.array([[1.5, 2.0]])
    with _engine(stubs, {"do": "echo"}) as engine, _http(engine) as client:
        inputs = [_input(triton_http, array, "FP64", binary_data=binary_in)]
        outputs = [triton_http.InferRequestedOutput("x", binary_data=binary_out)]
        answer = client.infer("g", inputs, outputs=outputs)
        np.testing.assert_array_equal(answer.as_numpy("x"), array)
        sent_binary = "binary_data_size" in answer.get_output("x").get("parameters", {})
        assert sent_binary is binary_out
    assert stubs.calls("m")[0].body["outputs"][0]["name"] == "x"


def test_several_binary_inputs_are_told_apart(stubs: "Stubs") -> None:
    arrays = {"a": np.array([1, 2], "i4"), "b": np.array([b"x", b"yz"], object), "c": np.array([0.5])}
    types = {"a": "INT32", "b": "BYTES", "c": "FP64"}
    with _engine(stubs, {"do": "echo"}) as engine, _http(engine) as client:
        inputs: list[Any] = []
        for name, array in arrays.items():
            tensor = triton_http.InferInput(name, list(array.shape), types[name])
            tensor.set_data_from_numpy(array, binary_data=name != "a")
            inputs.append(tensor)
        answer = client.infer("g", inputs)
        for name, array in arrays.items():
            np.testing.assert_array_equal(answer.as_numpy(name), array)


def test_what_json_cannot_hold_is_refused(stubs: "Stubs") -> None:
    array = np.array([np.inf])
    with _engine(stubs, {"do": "echo"}) as engine:
        for module, connect in ((triton_http, _http), (triton_grpc, _grpc)):
            with connect(engine) as client, pytest.raises(InferenceServerException, match="infinity"):
                client.infer("g", [_input(module, array, "FP64")])


@pytest.mark.parametrize(
    ("body", "length", "message"),
    [
        (b"{}", "3", "does not fit the body"),
        (b"{}", "x", "does not fit the body"),
        (b"{}", "-1", "does not fit the body"),
        (b'{"inputs":[]}??', "13", "2 bytes of the body belong to no input"),
        (b'{"inputs":[{"name":"x","parameters":{"binary_data_size":4}}]}', None, "does not fit the body"),
        (b'{"inputs":[{"name":"x","parameters":{"binary_data_size":true}}]}', None, "does not fit the body"),
        (
            b'{"inputs":[{"name":"x","datatype":"FP64","parameters":{"binary_data_size":4}}]}1234',
            "79",
            "4 bytes are no whole number of FP64 values",
        ),
        (
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":4}}]}\x05\0\0\0',
            "92",
            "a BYTES element is cut short",
        ),
        (
            b'{"inputs":[{"name":"x","datatype":"FP65","parameters":{"binary_data_size":4}}]}1234',
            "79",
            "`FP65` is not a datatype of the V2 protocol",
        ),
    ],
)
def test_binary_requests_out_of_shape_are_refused(body: bytes, length: str | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_request(body, length, "application/json")


@pytest.mark.parametrize("kind", TENSORS)
def test_raw_tensors_go_in_and_out_over_grpc(stubs: "Stubs", kind: str) -> None:
    array, datatype = TENSORS[kind], kind.split()[-1]
    with _engine(stubs, {"do": "echo"}) as engine, _grpc(engine) as client:
        answer = client.infer("g", [_input(triton_grpc, array, datatype)], request_id="7")
        np.testing.assert_array_equal(answer.as_numpy("x"), array)
        assert answer.get_response().id == "7"
        assert len(answer.get_response().raw_output_contents) == 1
    assert stubs.calls("m")[0].path == "/v2/models/g/infer"


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 1]),
        ("INT64", "int64_contents", [9007199254740993, -1]),
        ("UINT32", "uint_contents", [1, 2]),
        ("UINT64", "uint64_contents", [2**64 - 1, 0]),
        ("FP32", "fp32_contents", [0.5, 2.0]),
        ("FP64", "fp64_contents", [0.1, 1e300]),
        ("BYTES", "bytes_contents", [b"a", "é".encode()]),
        ("BYTES", "bytes_contents", [b"\xff", b""]),
    ],
)
def test_typed_contents_go_in_and_out_over_grpc(
    stubs: "Stubs", datatype: str, field: str, values: list[Any]
) -> None:
    request = service_pb2.ModelInferRequest(model_name="g", id="1")
    request.parameters["flag"].bool_param = True
    request.parameters["score"].double_param = 0.5
    tensor = request.inputs.add(name="x", datatype=datatype, shape=[2])
    tensor.parameters["note"].string_param = "n"
    getattr(tensor.contents, field).extend(values)
    with _engine(stubs, {"do": "echo"}) as engine:
        response = _call(engine, "ModelInfer", request, service_pb2.ModelInferResponse)
    (output,) = response.outputs
    assert list(getattr(output.contents, field)) == values
    assert list(output.shape) == [2]
    assert output.parameters["note"].string_param == "n"
    assert response.parameters["flag"].bool_param is True
    assert response.parameters["score"].double_param == 0.5
    assert not response.raw_output_contents


def _call(engine: Engine, method: str, request: Any, answer: Any) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{engine.grpc_port}") as channel:
        call: Any = channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(request, timeout=10, metadata=(("x-tier", "gold"), ("seldon-puid", "p-7")))


def test_grpc_metadata_goes_to_the_units_as_headers(stubs: "Stubs") -> None:
    request = service_pb2.ModelInferRequest(model_name="g")
    request.inputs.add(name="x", datatype="INT64", shape=[0])
    with _engine(stubs, {"do": "echo"}) as engine:
        _call(engine, "ModelInfer", request, service_pb2.ModelInferResponse)
    headers = {name.lower(): value for name, value in stubs.calls("m")[0].headers.items()}
    assert (headers["x-tier"], headers["seldon-puid"]) == ("gold", "p-7")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("connect", [_http, _grpc])
def test_the_graph_answers_to_its_name(stubs: "Stubs", connect: Any) -> None:
    with _engine(stubs, {"do": "echo"}) as engine, connect(engine) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("g")
        assert client.is_model_ready("m")
        http = connect is _http
        server, model = client.get_server_metadata(), client.get_model_metadata("g", "1")
        name = model["inputs"][0]["name"] if http else model.inputs[0].name
        shape = model["inputs"][0]["shape"] if http else list(model.inputs[0].shape)
        assert (name, shape) == ("x", [-1, 2])
        assert (server["name"] if http else server.name) == "graphc"
        with pytest.raises(InferenceServerException, match="Failed to find model nobody"):
            client.get_model_metadata("nobody")


@pytest.mark.parametrize("connect", [_http, _grpc])
def test_a_units_error_reaches_the_client(stubs: "Stubs", connect: Any) -> None:
    told = {"do": "fail", "status": 400, "message": "no such column"}
    module = triton_http if connect is _http else triton_grpc
    with _engine(stubs, told) as engine, connect(engine) as client:
        with pytest.raises(InferenceServerException, match="no such column") as raised:
            client.infer("g", [_input(module, np.array([1.0]), "FP64")])
        assert raised.value.status() in {"400", "StatusCode.INVALID_ARGUMENT"}


NOT_V2 = [
    b"<html>",
    b"[1]",
    b'{"outputs": [{"name": "x", "datatype": "FP64", "shape": [1e999], "data": [1]}]}',
    b'{"outputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1000]}]}',
    b'{"outputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1.5]}]}',
    b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": ["a"]}]}',
    b'{"outputs": [{"name": "\\ud800", "datatype": "FP32", "shape": [1], "data": [1]}]}',
    b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}',
    b'{"outputs": [{"name": "x", "datatype": "FP16", "shape": [1], "data": [1e10]}]}',
]


def test_what_nobody_expected_is_answered_over_grpc(
    stubs: "Stubs", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("a payload")

    tensor = _input(triton_grpc, np.array([1.0]), "FP64")
    with _engine(stubs, {"do": "echo"}) as engine, _grpc(engine) as client:
        with monkeypatch.context() as patch:
            patch.setattr("graphc.engine.service.walk", fail)
            with pytest.raises(InferenceServerException, match="unexpected failure") as raised:
                client.infer("g", [tensor])
        assert raised.value.status() == "StatusCode.INTERNAL"
        assert str(raised.value).rpartition(" ")[2] in caplog.text
        assert "payload" not in caplog.text + str(raised.value)
        assert client.infer("g", [tensor]).as_numpy("x") is not None


def test_calls_share_the_room_for_bytes_in_flight(stubs: "Stubs") -> None:
    limits = Limits(in_flight=100_000)
    with _engine(stubs, {"do": "echo"}, limits) as engine, _grpc(engine) as client:
        with pytest.raises(InferenceServerException) as raised:
            client.infer("g", [_input(triton_grpc, np.zeros(20_000), "FP64")])
        assert raised.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        for _ in range(20):
            assert (
                client.infer("g", [_input(triton_grpc, np.zeros(10_000), "FP64")]).as_numpy("x") is not None
            )


@pytest.mark.parametrize("shape", [[1], [3], [2**62, 4], [0, 2**62, 4], [-1], [1] * 100])
def test_a_shape_is_held_against_the_values_that_are_there(stubs: "Stubs", shape: list[int]) -> None:
    with _engine(stubs, {"do": "echo"}) as engine, _grpc(engine) as client:
        for array, datatype in ((np.array([1.0, 2.0]), "FP64"), (np.array([b"a", b"b"], object), "BYTES")):
            tensor = _input(triton_grpc, array, datatype)
            tensor.set_shape(shape)
            with pytest.raises(InferenceServerException, match="input `x`") as raised:
                client.infer("g", [tensor])
            assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert not stubs.calls("m")


@pytest.mark.parametrize("body", NOT_V2)
def test_an_answer_that_is_not_v2_is_an_error_over_grpc(stubs: "Stubs", body: bytes) -> None:
    with _engine(stubs, {"do": "bytes", "body": body}) as engine, _grpc(engine) as client:
        with pytest.raises(InferenceServerException, match="no V2 response") as raised:
            client.infer("g", [_input(triton_grpc, np.array([1.0]), "FP64")])
        assert raised.value.status() == "StatusCode.INTERNAL"


def test_a_value_beyond_its_datatype_stays_json(stubs: "Stubs") -> None:
    output = b'{"name": "x", "datatype": "INT8", "shape": [1], "data": [1000]}'
    told = {"do": "bytes", "body": b'{"outputs": [' + output + b"]}"}
    with _engine(stubs, told) as engine, _http(engine) as client:
        answer = client.infer("g", [_input(triton_http, np.array([1.0]), "FP64")])
        assert answer.get_output("x")["data"] == [1000]


def test_a_name_cannot_climb_out_of_the_models_over_grpc(stubs: "Stubs") -> None:
    with _engine(stubs, {"do": "echo"}) as engine, _grpc(engine) as client:
        with pytest.raises(InferenceServerException, match="no model") as raised:
            client.infer("../../admin", [_input(triton_grpc, np.array([1.0]), "FP64")])
        assert raised.value.status() == "StatusCode.NOT_FOUND"
    assert not stubs.calls("m")


@pytest.mark.parametrize("name", ["ModelInferRequest", "ModelInferResponse", "ModelMetadataResponse"])
def test_the_messages_are_those_of_the_protocol(name: str) -> None:
    theirs = getattr(service_pb2, name).DESCRIPTOR
    ours: Any = message_class(name)
    assert _shape(ours.DESCRIPTOR) == _shape(theirs)


def _shape(message: Any) -> Any:
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            _shape(field.message_type) if field.message_type else None,
        )
        for field in message.fields
    }
