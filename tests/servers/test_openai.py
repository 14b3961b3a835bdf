"""Real servers that speak OpenAI's API, each with a Llama of random weights: llama.cpp's, and `transformers serve`."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.server_start import Started
from graphc_components.datatypes import Array, bytes_array
from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.servers.streamed_http import Stop
from graphc_runtimes.streams import StreamRunner
from real_servers import RealServer, asking, environment, run_beside, serve

pytestmark = pytest.mark.slow

HERE: Final = Path(__file__).parent / "openai"
KEY: Final = "key-of-the-test"
TEXTS: Final = bytes_array([f"text {index}".encode() for index in range(12)], (12,))
OUT: Final = {"answer": "BYTES[batch]"}
GREEDY: Final = {"max_tokens": 6, "temperature": 0}
# Greedy answers of rows that are asked at once come out of other sums than those of one row alone.
ONE: Final = TEXTS[:1]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("llama")
    bin_folder = environment("llamacpp") / "bin"
    words = (str(HERE / "random_llama.py"), str(folder / "model.gguf"))
    with serve(
        lambda ports: Started(("python", *words, str(ports.http), KEY)), bin_folder, folder, "/health"
    ) as it:
        yield it


@pytest.fixture(scope="module")
def transformers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("transformers")
    bin_folder = environment("transformers") / "bin"
    model = folder / "model"
    subprocess.run([bin_folder / "python", HERE / "write_llama.py", model], check=True, capture_output=True)
    with serve(
        lambda ports: Started(
            ("transformers", "serve", str(model), "--device", "cpu", "--port", str(ports.http)),
            {"HF_HUB_OFFLINE": "1"},
        ),
        bin_folder, folder, "/health",
    ) as it:  # fmt: skip
        yield it


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_TOKEN_SCORE", KEY)


def ask(server: RealServer, task: str, out: Mapping[str, str], texts: Array, **more: Any) -> Array:
    parameters = {"task": task, **more.pop("parameters", {})}
    more = {"token": "GRAPHC_TOKEN_SCORE", "model": "tiny"} | more
    run = asking("openai", f"{server.url}/v1", ["text"], out, parameters=parameters, **more)
    return run({"text": texts})[next(iter(out))]


def post(server: RealServer, path: str, body: Mapping[str, object]) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(f"{server.url}/v1{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_llama_cpp_answers_chats_and_completions_as_asked_by_hand(llama: RealServer) -> None:
    by_hand = post(llama, "/completions", {"model": "tiny", "prompt": "text 0", **GREEDY})
    assert ask(llama, "completions", OUT, ONE, parameters=GREEDY).tolist() == [
        by_hand["choices"][0]["text"].encode()
    ]
    messages = [{"role": "system", "content": "Shout."}, {"role": "user", "content": "text 0"}]
    by_hand = post(llama, "/chat/completions", {"model": "tiny", "messages": messages, **GREEDY})
    assert ask(llama, "chat", OUT, ONE, parameters={**GREEDY, "system": "Shout."}).tolist() == [
        by_hand["choices"][0]["message"]["content"].encode()
    ]
    more = {**GREEDY, "top_p": 0.9, "seed": 4, "stop": ["\n"]}
    assert ask(llama, "chat", OUT, TEXTS, parameters=more).shape == (12,)


def test_llama_cpp_embeds_rows_in_their_order(llama: RealServer) -> None:
    out = {"v": "FP32[batch, 32]"}
    vectors = ask(llama, "embeddings", out, TEXTS)
    for row in (0, 7):
        rows = post(llama, "/embeddings", {"model": "tiny", "input": [f"text {row}"]})["data"]
        np.testing.assert_allclose(vectors[row], rows[0]["embedding"], atol=1e-3)
    assert not np.allclose(vectors[0], vectors[7], atol=1e-3)
    with pytest.raises(ServerFaultError, match=r"\(An OpenAI-compatible endpoint\) gave an output `v` that"):
        ask(llama, "embeddings", {"v": "BYTES[batch]"}, ONE)


def test_llama_cpp_refuses_a_wrong_token_without_its_being_told(
    llama: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_TOKEN_SCORE", "another-key")
    with pytest.raises(ServerFaultError, match="answered 401: Invalid API Key") as caught:
        ask(llama, "chat", OUT, ONE)
    assert "another" not in str(caught.value)
    with pytest.raises(ServerFaultError, match="answered 401: Invalid API Key"):
        ask(llama, "chat", OUT, ONE, token=None)


def test_llama_cpp_tells_what_is_wrong_and_answers_the_next_request(llama: RealServer) -> None:
    with pytest.raises(ServerFaultError, match=r"answered 400: .*exceed"):
        ask(llama, "completions", OUT, bytes_array([b"a" * 5000], (1,)), parameters=GREEDY)
    with pytest.raises(ServerFaultError, match="in time"):
        ask(llama, "completions", OUT, ONE, parameters={"max_tokens": 500, "temperature": 0}, timeout_ms=1)
    assert ask(llama, "completions", OUT, ONE, parameters=GREEDY).shape == (1,)


@pytest.mark.heavy
def test_transformers_answers_chats_and_completions_as_asked_by_hand(transformers: RealServer) -> None:
    model = str(transformers.log.parent / "model")
    by_hand = post(transformers, "/completions", {"model": model, "prompt": "text 0", **GREEDY})
    found = ask(transformers, "completions", OUT, ONE, parameters=GREEDY, model=model)
    assert found.tolist() == [by_hand["choices"][0]["text"].encode()]
    messages = [{"role": "user", "content": "text 0"}]
    by_hand = post(transformers, "/chat/completions", {"model": model, "messages": messages, **GREEDY})
    found = ask(transformers, "chat", OUT, ONE, parameters=GREEDY, model=model)
    assert found.tolist() == [by_hand["choices"][0]["message"]["content"].encode()]
    assert ask(transformers, "chat", OUT, TEXTS, parameters=GREEDY, model=model).shape == (12,)


def stream(server: RealServer, task: str, **more: Any) -> list[bytes]:
    """Return the texts of the parts in which a server answers one row."""
    parameters = {"task": task, "stream": True, **GREEDY}
    asked = {"token": "GRAPHC_TOKEN_SCORE", "model": "tiny", "parameters": parameters} | more
    run = asking("openai", f"{server.url}/v1", ["text"], OUT, **asked)
    assert isinstance(run, StreamRunner)
    return [part["answer"].item() for part in run.stream({"text": ONE}, Stop())]


@pytest.mark.parametrize("task", ["chat", "completions"])
def test_llama_cpp_streams_parts_of_what_it_answers_as_a_whole(llama: RealServer, task: str) -> None:
    parts = stream(llama, task)
    assert b"".join(parts) == ask(llama, task, OUT, ONE, parameters=GREEDY).item()
    assert len(parts) > 1


def test_llama_cpp_refuses_a_stream_before_it_begins(llama: RealServer) -> None:
    with pytest.raises(ServerFaultError, match="answered 401: Invalid API Key"):
        stream(llama, "chat", token=None)
    with pytest.raises(ServerFaultError, match="in time"):
        stream(llama, "chat", timeout_ms=1)
    assert stream(llama, "chat")


@pytest.mark.heavy
@pytest.mark.parametrize("task", ["chat", "completions"])
def test_transformers_streams_parts_of_what_it_answers_as_a_whole(
    transformers: RealServer, task: str
) -> None:
    model = str(transformers.log.parent / "model")
    parts = stream(transformers, task, model=model)
    whole = ask(transformers, task, OUT, ONE, parameters=GREEDY, model=model).item()
    assert b"".join(parts) == whole


@pytest.mark.heavy
def test_transformers_tells_what_is_wrong(transformers: RealServer) -> None:
    with pytest.raises(ServerFaultError, match=r"answered 400: Server is pinned to .*; requested 'other'"):
        ask(transformers, "chat", OUT, ONE, model="other")
    with pytest.raises(ServerFaultError, match="answered 404: Not Found"):
        ask(transformers, "embeddings", {"v": "FP32[batch, 32]"}, ONE)


GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: words}
inputs: {note: "BYTES[batch]"}
servers:
  llm: {kind: openai, url: "https://llm.example.com/v1", token: {secret: llm, key: api-key}}
nodes:
  summary:
    server: llm
    model: tiny
    in: note
    out: {text: "BYTES[batch]"}
    parameters: {task: completions, max_tokens: 6, temperature: 0}
outputs: {summary: summary}
"""


def test_a_graph_asks_it_with_the_token_of_this_machine(
    llama: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_TOKEN_LLM", KEY)
    found = run_beside(tmp_path, GRAPH, "llamacpp", 'note=["text 0"]', at={"llm": f"{llama.url}/v1"})
    assert found["summary"] == [ask(llama, "completions", OUT, ONE, parameters=GREEDY).item().decode()]
