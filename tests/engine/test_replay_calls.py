"""The recordings of the real executor over gRPC, replayed against the local engine."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from call_stubs import CallStubs, Reply, read, send, unroll
from graphc.engine.proto import message_class
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.tree import read_tree
from graphc.seldon.node import node_of
from graphc.seldon.unit import SeldonUnit

Json = Any
RECORDINGS = Path(__file__).parents[3] / "shared" / "seldon" / "executor-v2-grpc.json"
SIBLING = "<any sibling's>"
OUR_WORDS = {
    # gRPC's C library refuses it before anybody sees the header, in words of its own.
    'grpc: Decompressor is not installed for grpc-encoding "gzip"': "Compression algorithm 'gzip' is disabled.",
}


def _cases() -> list[Json]:
    if not RECORDINGS.exists():
        return []
    return json.loads(RECORDINGS.read_bytes())["cases"]


CASES = _cases()
pytestmark = pytest.mark.skipif(not CASES, reason="the recordings of the executor are not here")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_answers_calls_as_the_executor_did(case: Json) -> None:
    async def replay() -> None:
        stubs = CallStubs()
        async with stubs.started(case["graph"]):
            root = read_tree(node_of(stubs.document(case["graph"])), admitted=True)
            assert isinstance(root, SeldonUnit)
            engine = Engine(root, EngineOptions(grpc_port=0, as_seldon=True))
            await engine.start()
            try:
                assert engine.grpc_port is not None
                await _replay_exchanges(case, stubs, engine.grpc_port)
            finally:
                await engine.stop()

    asyncio.run(replay())


@pytest.mark.parametrize("case", CASES[::12], ids=[case["id"] for case in CASES[::12]])
def test_the_command_answers_calls_as_the_executor_did(case: Json, tmp_path: Path) -> None:
    async def replay() -> None:
        stubs = CallStubs()
        async with stubs.started(case["graph"]):
            manifest = tmp_path / "deployment.json"
            manifest.write_text(json.dumps(stubs.document(case["graph"])))
            async with _command(manifest) as port:
                await _replay_exchanges(case, stubs, port)

    asyncio.run(replay())


def test_all_kinds_of_exchange_are_recorded() -> None:
    exchanges = [exchange for case in CASES for exchange in case["exchanges"]]
    ends = {each["response"]["code"] for each in exchanges}
    assert len(exchanges) == 99
    assert sum("died" in each["response"] for each in exchanges) > 10
    assert {"OK", "UNKNOWN", "UNIMPLEMENTED", "UNAVAILABLE", "NOT_FOUND", "INTERNAL"} <= ends


@asynccontextmanager
async def _command(manifest: Path) -> AsyncGenerator[int]:
    command = [sys.executable, "-c", "from graphc.cli import main; main()", "engine", str(manifest)]
    process = await asyncio.create_subprocess_exec(
        *command, "--as-seldon", "--http-port", "0", "--grpc-port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        await process.stdout.readline()
        line = (await process.stdout.readline()).decode().strip()
        yield int(line.rpartition(":")[2])
    finally:
        process.terminate()
        assert await process.wait() == 0


async def _replay_exchanges(case: Json, stubs: CallStubs, port: int) -> None:
    for exchange in case["exchanges"]:
        for stub in stubs.by_name.values():
            stub.calls.clear()
        reply = await send(port, exchange["request"])
        _check_reply(reply, exchange["response"], stubs)
        got = {name: [_as_recorded(each) for each in stub.calls] for name, stub in stubs.by_name.items()}
        expected = {
            name: [{key: value for key, value in each.items() if key != "answer"} for each in calls]
            for name, calls in exchange["calls"].items()
        }
        assert _with_any_sibling({name: calls for name, calls in got.items() if calls}, expected) == unroll(
            expected
        )


def _check_reply(reply: Reply, expected: Json, stubs: CallStubs) -> None:
    assert reply.code == expected["code"]
    if "died" in expected:
        assert "executor would end here" in reply.details
        assert expected["says"] in reply.details
        return
    details = unroll(expected.get("details", ""))
    for name, stub in stubs.by_name.items():
        details = details.replace(f"<{name}>", f"127.0.0.1:{stub.port}")
    assert reply.details == OUR_WORDS.get(details, details)
    assert _mask(reply.headers) == expected["headers"]
    assert _mask(reply.trailers) == expected["trailers"]
    if "message" in expected:
        name = "ModelInferResponse"
        if "ready" in expected["message"] or "versions" in expected["message"] or not expected["message"]:
            name = "ModelReadyResponse" if "versions" not in expected["message"] else "ModelMetadataResponse"
        assert read(message_class(name).FromString(reply.message)) == unroll(expected["message"])


def _as_recorded(call: Json) -> Json:
    return {**call, "metadata": _mask(call["metadata"])}


def _mask(pairs: Json) -> Json:
    known: dict[str, Json] = {"seldon-puid": "<puid>", "uber-trace-id": "<trace>"}
    written: list[list[Json]] = [
        [key, {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value]
        for key, value in pairs
    ]
    assert all(value for key, value in written if key in known)
    return sorted(([key, known.get(key, value)] for key, value in written), key=json.dumps)


def _with_any_sibling(got: Json, expected: Json) -> Json:
    """Return what units got, with names masked where the recording has any sibling's."""
    for name, calls in expected.items():
        for index, call in enumerate(calls):
            if call["message"].get("model_name") == SIBLING:
                assert got[name][index]["message"]["model_name"] in expected
                got[name][index]["message"]["model_name"] = SIBLING
    return got
