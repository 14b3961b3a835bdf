"""What a unit answers besides inference: JSON and nothing else, whatever is asked."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from graphc_runtimes.doors import Doors
from plane_sockets import INFER, Running, ask_json, post

Json = dict[str, Any]
Serve = Callable[..., Running]


class Catalog:
    """Two models, of which one is ready."""

    def __init__(self, versions: tuple[str, ...] = ()) -> None:
        self.names, self.versions = ["graph", "idle"], versions

    async def is_ready(self) -> bool:
        return False

    async def is_model_ready(self, name: str) -> bool:
        return name == "graph"

    async def describe(self) -> object:
        return {"name": "server", "version": "1", "extensions": []}

    async def describe_model(self, name: str) -> object:
        return {"name": name, "platform": "graphc"}

    async def index(self, *, is_ready: bool) -> object:
        return [{"name": name} for name in self.names if not is_ready or name == "graph"]


@pytest.fixture
def running(serve: Serve, double: Json) -> Running:
    """Serve a region with such doors."""
    counted: list[tuple[str, str, int]] = []

    def count(method: str, path: str, status: int) -> None:
        counted.append((method, path, status))

    return serve(double, limits={"others": Doors(Catalog(("2",)), count, "/root")})


NOTHING = {"error": "there is nothing at this path"}
FIXED = {"error": "the models of this unit are fixed: none is loaded or unloaded"}
NOT_READY = {"error": "model `idle` is not ready"}


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v2", 200, {"name": "server", "version": "1", "extensions": []}),
        ("GET", "/v2/", 200, {"name": "server", "version": "1", "extensions": []}),
        ("GET", "/root/v2", 200, {"name": "server", "version": "1", "extensions": []}),
        ("GET", "/v2/health/live", 200, {"live": True}),
        ("GET", "/v2/health/live?x=1", 200, {"live": True}),
        ("GET", "/v2/health/ready", 503, {"error": "the unit is not ready"}),
        ("GET", "/v2/models/graph", 200, {"name": "graph", "platform": "graphc"}),
        ("GET", "/v2/models/%67raph", 200, {"name": "graph", "platform": "graphc"}),
        ("GET", "/v2/models/graph/versions/2", 200, {"name": "graph", "platform": "graphc"}),
        ("GET", "/v2/models/graph/ready", 200, {"name": "graph", "ready": True}),
        ("GET", "/v2/models/idle", 503, NOT_READY),
        ("GET", "/v2/models/idle/ready", 503, NOT_READY),
        ("POST", "/v2/models/idle/infer", 503, NOT_READY),
        ("GET", "/v2/models/other", 404, {"error": "model `other` not found"}),
        ("POST", "/v2/models/other/infer", 404, {"error": "model `other` not found"}),
        ("POST", "/v2/models/gr%2Faph/infer", 404, {"error": "model `gr/aph` not found"}),
        (
            "POST",
            "/v2/models/graph/versions/3/infer",
            404,
            {"error": "model `graph` has no version `3`; there is `2`"},
        ),
        (
            "GET",
            "/v2/models/graph/versions/3",
            404,
            {"error": "model `graph` has no version `3`; there is `2`"},
        ),
        ("GET", "/v2/models/graph/infer", 405, {"error": "this path takes POST"}),
        ("DELETE", "/v2/models/graph", 405, {"error": "this path takes GET"}),
        ("OPTIONS", "/v2/health/live", 405, {"error": "this path takes GET"}),
        ("POST", "/v2/models/graph/infer_stream", 404, {"error": "model `graph` does not answer in streams"}),
        ("POST", "/v2/repository/models/graph/load", 404, FIXED),
        ("POST", "/v2/repository/models/graph/unload", 404, FIXED),
        ("GET", "/v2/docs", 404, NOTHING),
        ("GET", "/v2/docs/dataplane.json", 404, NOTHING),
        ("GET", "/openapi.json", 404, NOTHING),
        ("GET", "/v2/models/graph/docs", 404, NOTHING),
        ("GET", "/v2/models/graph/docs/dataplane.json", 404, NOTHING),
        ("GET", "/", 404, NOTHING),
        ("GET", "//v2//models", 404, NOTHING),
        ("GET", "*", 404, NOTHING),
        ("GET", "/v2/models/%ff%00", 404, {"error": "model `\ufffd\\u0000` not found"}),
        ("GET", "/v2/models/" + "n" * 3000, 404, NOTHING),
        ("GET", "/v2/models/" + "n" * 500, 404, {"error": f"model `{'n' * 80}...` not found"}),
        ("POST", "/v2/repository/index", 200, [{"name": "graph"}, {"name": "idle"}]),
        ("GET", "/v2/repository/index", 405, {"error": "this path takes POST"}),
    ],
)
def test_every_path_is_answered_in_json(
    running: Running, method: str, path: str, status: int, body: Json
) -> None:
    client = running.connect()
    client.send(post(b"", path, method))
    answer = client.read()
    assert (answer.status, answer.json) == (status, body)
    assert answer.headers["content-type"] == "application/json"
    assert client.ask(ask_json(1, 2)).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"ready":true}', 200),
        (b'{"ready":null,"more":1}', 200),
        (b"{}", 200),
        (b"null", 200),
        (b"[]", 400),
        (b"7", 400),
        (b'{"ready":"yes"}', 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 5000, 400),
        (b" " * 70_000, 413),
    ],
)
def test_the_index_takes_what_it_knows(running: Running, body: bytes, status: int) -> None:
    answer = running.connect().ask(body, "/v2/repository/index", content_type="application/octet-stream")
    assert answer.status == status
    assert isinstance(answer.json, list) or list(answer.json) == ["error"]
    if body == b'{"ready":true}':
        assert json.loads(answer.body) == [{"name": "graph"}]


def test_a_head_has_no_body(running: Running) -> None:
    client = running.connect()
    client.send(post(b"", "/v2/health/live", "HEAD"))
    assert client.read_head().status == 200
    assert client.ask(ask_json(1, 2)).status == 200


@pytest.mark.parametrize(
    "path", [INFER + "?x=1", INFER + "/", INFER.replace("graph", "%67raph"), INFER + "#a"]
)
def test_a_target_may_be_written_in_several_ways(running: Running, path: str) -> None:
    client = running.connect()
    for _ in range(3):
        assert client.ask(ask_json(1, 2), path).json["outputs"][0]["data"] == [1.0, 2.0]
    assert client.ask(b"[]", path).json == {"error": "the body is a list, where an object should be"}
