"""The recordings of the real executor, replayed against the local engine."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from graphc.engine.tree import read_tree
from graphc.seldon.node import node_of
from graphc.seldon.unit import SeldonUnit

if TYPE_CHECKING:
    from conftest import Call, Stubs

Json = Any
RECORDINGS = Path(__file__).parents[3] / "shared" / "seldon" / "executor-v2-rest.json"


def _cases() -> list[Json]:
    if not RECORDINGS.exists():
        return []
    return json.loads(RECORDINGS.read_bytes())["cases"]


CASES = _cases()
pytestmark = pytest.mark.skipif(not CASES, reason="the recordings of the executor are not here")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_walks_as_the_executor_did(case: Json, stubs: "Stubs") -> None:
    async def replay() -> None:
        async with stubs.started(case["graph"]), stubs.engine(_tree(stubs, case)) as engine:
            await _replay_exchanges(case, stubs, engine.http_port)

    asyncio.run(replay())


@pytest.mark.parametrize("case", CASES[::24], ids=[case["id"] for case in CASES[::24]])
def test_the_command_walks_as_the_executor_did(case: Json, stubs: "Stubs", tmp_path: Path) -> None:
    async def replay() -> None:
        async with stubs.started(case["graph"]):
            manifest = tmp_path / "deployment.json"
            manifest.write_text(json.dumps(stubs.document(case["graph"])))
            async with _command(manifest) as port:
                await _replay_exchanges(case, stubs, port)

    asyncio.run(replay())


def test_all_kinds_of_exchange_are_recorded() -> None:
    exchanges = [exchange for case in CASES for exchange in case["exchanges"]]
    paths = {exchange["request"]["path"] for exchange in exchanges}
    assert len(exchanges) > 200
    assert {
        "/v2/models/infer",
        "/v2/models/graph-name/infer",
        "/v2/models/u0",
        "/v2/models/u0/ready",
    } <= paths


def _tree(stubs: "Stubs", case: Json) -> SeldonUnit:
    root = read_tree(node_of(stubs.document(case["graph"])))
    assert isinstance(root, SeldonUnit)
    return root


@asynccontextmanager
async def _command(manifest: Path) -> AsyncGenerator[int]:
    command = [sys.executable, "-c", "from graphc.cli import main; main()", "engine", str(manifest)]
    process = await asyncio.create_subprocess_exec(
        *command, "--predictor", "main", "--http-port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        line = (await process.stdout.readline()).decode().strip()
        yield int(line.rpartition(":")[2])
    finally:
        process.terminate()
        assert await process.wait() == 0


async def _replay_exchanges(case: Json, stubs: "Stubs", port: int) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for exchange in case["exchanges"]:
            for stub in stubs.by_name.values():
                stub.calls.clear()
            assert await _send(session, exchange["request"]) == exchange["response"]
            got = {name: [_as_recorded(call) for call in stub.calls] for name, stub in stubs.by_name.items()}
            assert _sorted(got) == _sorted(exchange["calls"])


async def _send(session: aiohttp.ClientSession, request: Json) -> Json:
    body = None if request["body"] is None else json.dumps(request["body"])
    headers = {"Content-Type": "application/json", "X-Trace": "t1"} if body else {}
    async with session.request(request["method"], request["path"], data=body, headers=headers) as response:
        text = await response.text()
        puid = bool(response.headers.get("Seldon-Puid"))
        return {"status": response.status, "body": _parse(text), "puid": puid}


def _parse(text: str) -> Json:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"text": text}


def _as_recorded(call: "Call") -> Json:
    if call.method == "GET":
        return {"method": "GET", "path": call.path}
    headers = call.headers
    return {
        "method": call.method,
        "path": call.path,
        "body": call.body,
        "puid": bool(headers.get("Seldon-Puid")),
        "x-trace": headers.get("X-Trace"),
    }


def _sorted(calls: dict[str, list[Json]]) -> Json:
    return {name: sorted(each, key=json.dumps) for name, each in calls.items() if each}
