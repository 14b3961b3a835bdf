"""Who posts is found out from the cluster: a pod is believed of its own graph and predictor, and of nothing else."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from graphc.compare.serve import CompareService, ServeOptions, choose_trust
from graphc.compare.trust import ApiServer, Everybody, Origin, PodsOfGraph, TrustError, TrustLimits

FRAUD = Origin("models", "fraud", "main")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def pod(namespace: str, labels: object) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace, "labels": labels}}


def of_graph(origin: Origin) -> dict[str, Any]:
    return pod(origin.namespace, {"seldon-deployment-id": origin.graph, "version": origin.predictor})


def without_seldon(origin: Origin) -> dict[str, Any]:
    names = {"app.kubernetes.io/part-of": origin.graph, "graphc.dev/predictor": origin.predictor}
    return pod(origin.namespace, names)


def listing(*pods: object) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "PartialObjectMetadataList", "items": list(pods)})

    return answer


@asynccontextmanager
async def trusting(answer: Answer, limits: TrustLimits | None = None) -> AsyncGenerator[PodsOfGraph]:
    app = web.Application()
    app.router.add_get("/api/v1/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    trust = PodsOfGraph(ApiServer(f"http://127.0.0.1:{port}", None, None), limits or TrustLimits())
    try:
        yield trust
    finally:
        await trust.close()
        await runner.cleanup()


async def ask(answer: Answer, origin: Origin, address: str = "10.0.0.7") -> bool:
    async with trusting(answer) as trust:
        return await trust.admits(address, origin)


def test_a_pod_speaks_for_its_own_graph_and_predictor_alone() -> None:
    for made in (of_graph, without_seldon):
        _speaks_for_itself_alone(listing(made(FRAUD)))


def _speaks_for_itself_alone(answer: Answer) -> None:
    assert asyncio.run(ask(answer, FRAUD))
    for other in (
        Origin("elsewhere", "fraud", "main"),
        Origin("models", "credit", "main"),
        Origin("models", "fraud", "canary"),
        Origin("", "fraud", "main"),
    ):
        assert not asyncio.run(ask(answer, other))


@pytest.mark.parametrize(
    "item",
    [
        None,
        3,
        {},
        {"metadata": []},
        pod("models", None),
        pod("models", ["seldon-deployment-id"]),
        pod("models", {"seldon-deployment-id": "fraud"}),
        pod("models", {"seldon-deployment-id": "fraud", "version": 1}),
        pod("", {"seldon-deployment-id": "fraud", "version": "main"}),
    ],
)
def test_a_pod_that_says_less_is_believed_nothing(item: object) -> None:
    assert not asyncio.run(ask(listing(item), FRAUD))
    assert asyncio.run(ask(listing(item, of_graph(FRAUD)), FRAUD))


def test_the_server_is_asked_by_the_address_for_metadata_alone() -> None:
    asked = list[tuple[str, str]]()

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.query["fieldSelector"], request.headers["Accept"]))
        return web.json_response({"items": []})

    for address in ("10.0.0.7", "::ffff:10.0.0.7", "fd00::1%eth0", "nonsense,status.podIP!=1"):
        asyncio.run(ask(answer, FRAUD, address))
    selectors = [each for each, _ in asked]
    assert selectors == [
        "status.podIP=10.0.0.7",
        "status.podIP=10.0.0.7",
        "status.podIP=fd00::1",
        "status.podIP=0.0.0.0",
    ]
    assert all("PartialObjectMetadata" in accept for _, accept in asked)


def test_an_answer_holds_for_a_while_and_is_asked_for_once() -> None:
    asked = list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["fieldSelector"])
        await asyncio.sleep(0.05)
        return web.json_response({"items": [of_graph(FRAUD)]})

    async def talk() -> None:
        async with trusting(answer, TrustLimits(known_s=1000, addresses=2)) as trust:
            found = await asyncio.gather(*(trust.admits("10.0.0.7", FRAUD) for _ in range(20)))
            assert all(found)
            assert len(asked) == 1
            for last in (8, 9):
                await trust.admits(f"10.0.0.{last}", FRAUD)
            # The oldest of more than two addresses is forgotten.
            assert await trust.admits("10.0.0.7", FRAUD)
            assert len(asked) == 4

    asyncio.run(talk())


def test_a_pod_that_ends_is_believed_no_longer_than_its_answer_holds() -> None:
    pods = [of_graph(FRAUD)]

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"items": pods})

    async def talk() -> None:
        async with trusting(answer, TrustLimits(known_s=0.0)) as trust:
            assert await trust.admits("10.0.0.7", FRAUD)
            pods.clear()
            assert not await trust.admits("10.0.0.7", FRAUD)

    asyncio.run(talk())


async def _forbidden(_: web.Request) -> web.Response:
    return web.Response(status=403)


async def _garbage(_: web.Request) -> web.Response:
    return web.Response(text="[" * 100_000)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write(b" " * 65_536)
    return response


@pytest.mark.parametrize("answer", [_forbidden, _garbage, _endless])
def test_without_a_sound_answer_nobody_is_believed(answer: Answer) -> None:
    with pytest.raises(TrustError):
        asyncio.run(ask(answer, FRAUD))


def test_posts_of_strangers_are_refused() -> None:
    headers = {
        "ce-type": "io.seldon.serving.inference.request",
        "ce-requestid": "r",
        "ce-inferenceservicename": "fraud",
        "ce-namespace": "models",
        "ce-endpoint": "main",
        "content-length": "2",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def talk(trust: PodsOfGraph) -> tuple[bytes, CompareService]:
        service = CompareService(ServeOptions(host="127.0.0.1", port=0, trust=trust))
        reader, writer = await asyncio.open_connection("127.0.0.1", await service.start())
        writer.write(f"POST /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n{{}}".encode())
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        await service.stop()
        return answer, service

    async def strangers() -> None:
        async with trusting(listing()) as trust:
            answer, service = await talk(trust)
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert service.refused == {"not a pod of the graph": 1}
        async with trusting(_forbidden) as trust:
            answer, service = await talk(trust)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith(
                "the API server answers 403"
            )
            assert service.refused == {"origin unknown": 1}

        async with trusting(listing(of_graph(FRAUD))) as trust:
            answer, service = await talk(trust)
            assert answer.startswith(b"HTTP/1.1 202 ")
            assert service.refused == {}

    asyncio.run(strangers())


def test_whom_a_service_believes_follows_where_it_runs() -> None:
    on_cluster = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT_HTTPS": "443"}
    assert isinstance(choose_trust(None, "0.0.0.0", on_cluster), PodsOfGraph)
    assert isinstance(choose_trust(None, "127.0.0.1", {}), Everybody)
    assert isinstance(choose_trust("anybody", "0.0.0.0", on_cluster), Everybody)
    with pytest.raises(TrustError, match="strangers can post"):
        choose_trust(None, "0.0.0.0", {})
    with pytest.raises(TrustError, match="no cluster"):
        choose_trust("pods", "127.0.0.1", {})


def test_a_pods_account_is_read_as_it_is_now(tmp_path: Path) -> None:
    server = ApiServer.of_pod({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert server.url == "https://[fd00::1]:443"
    with pytest.raises(TrustError, match="token"):
        server.headers()
    for token in ("one", "two"):
        (tmp_path / "token").write_text(f"{token}\n")
        assert server.headers()["Authorization"] == f"Bearer {token}"
    with pytest.raises(TrustError, match="certificate"):
        server.tls()
