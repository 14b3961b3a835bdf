"""Answers in parts end to end: a client, the front, units as processes, and a server that streams."""

import json
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from running_servers import Program, running
from streaming_server import END, StreamingServer, chat_events, make_certificate, streaming_server

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: answer, namespace: models}
inputs: {note: "BYTES[batch]"}
servers:
  llm: {kind: openai, url: "https://llm.example.com/v1", token: {secret: llm, key: api-key}}
nodes:
  first:
    python: own:upper
    in: note
    out: {y: "BYTES[batch]"}
  text:
    server: llm
    model: tiny
    in: first
    out: {text: "BYTES[batch]"}
    parameters: {stream: true}
outputs: {text: text}
"""
OWN: Final = """
def upper(x):
    return {"y": [each.upper() for each in x]}
"""
ASKED: Final = {"inputs": [{"name": "note", "datatype": "BYTES", "shape": [1], "data": ["note"]}]}


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamingServer]:
    monkeypatch.setenv("GRAPHC_TOKEN_LLM", "key-of-the-test")
    with streaming_server() as server:
        yield server


def url_of(program: Program) -> str:
    found = program.await_line(r"^answer: (http://127\.0\.0\.1:\d+/v2/models/answer)/infer")
    program.await_line(r"curl")
    return found[1]


def texts(found: bytes) -> list[str]:
    events: list[Any] = [json.loads(each) for each in re.findall(rb"^data: (.*)$", found, re.MULTILINE)]
    return ["".join(each["outputs"][0]["data"]) for each in events]


@pytest.mark.parametrize("options", [[], ["--target", "kubernetes"], ["--target", "kubernetes", "-O0"]])
def test_a_graph_streams_to_its_client(llm: StreamingServer, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "graph.yaml").write_text(GRAPH)
    command = ["run", tmp_path / "graph.yaml", "--port", "0", "--at", f"llm={llm.url}", *options]
    with running(command, tmp_path, "run") as program, httpx.Client(timeout=60) as http:
        url = url_of(program)
        assert texts(http.post(f"{url}/infer_stream", json=ASKED).content) == ["one ", "two ", "three"]
        assert http.post(f"{url}/infer", json=ASKED).json()["outputs"][0]["data"] == ["one two three"]
        assert [each["messages"][0]["content"] for each in llm.asked] == ["NOTE", "NOTE"]
        assert set(llm.authorizations) == {"Bearer key-of-the-test"}
        # A client that leaves ends the call, through all processes.
        llm.say(*chat_events("one ")[:2], 9.0, END)
        with http.stream("POST", f"{url}/infer_stream", json=ASKED) as response:
            assert texts(next(response.iter_raw())) == ["one "]
        assert llm.left.wait(5)
        # What has begun is finished after a signal to end.
        go_on = threading.Event()
        first, one, two, *rest = chat_events("one ", "two ")
        llm.say(first, one, go_on, two, *rest, END)
        with http.stream("POST", f"{url}/infer_stream", json=ASKED) as response:
            parts = response.iter_raw()
            assert texts(next(parts)) == ["one "]
            program.process.send_signal(signal.SIGTERM)
            threading.Timer(1.0, go_on.set).start()
            assert texts(b"".join(parts)) == ["two "]
        assert program.process.wait(30) == 0


@pytest.mark.parametrize(
    ("kind", "reference"), [("config_map", "configMapKeyRef"), ("secret", "secretKeyRef")]
)
def test_a_server_is_trusted_by_certificates_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reference: str
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    ca = f"ca: {{{kind}: trust, key: ca.crt}}"
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("token: {secret: llm, key: api-key}", ca))
    compiled = CliRunner().invoke(main, ["compile", str(tmp_path / "graph.yaml")])
    (deployment,) = (
        each for each in yaml.safe_load_all(compiled.stdout) if each["kind"] == "SeldonDeployment"
    )
    (container,) = deployment["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    (variable,) = (each for each in container["env"] if each["name"] == "GRAPHC_CA_LLM")
    assert variable["valueFrom"] == {reference: {"name": "trust", "key": "ca.crt"}}
    with streaming_server(make_certificate(tmp_path)) as secure:
        command = ["run", tmp_path / "graph.yaml", "--port", "0", "--at", f"llm={secure.url}"]
        told = CliRunner().invoke(main, [*map(str, command), "--once", "--input", 'note=["note"]'])
        assert "export `GRAPHC_CA_LLM` before the run" in told.stderr
        monkeypatch.setenv("GRAPHC_CA_LLM", (tmp_path / "ca.pem").read_text())
        with running(command, tmp_path, "run") as program, httpx.Client(timeout=60) as http:
            url = url_of(program)
            assert texts(http.post(f"{url}/infer_stream", json=ASKED).content) == ["one ", "two ", "three"]
            assert http.post(f"{url}/infer", json=ASKED).json()["outputs"][0]["data"] == ["one two three"]


def test_executors_have_no_streams_here_either(llm: StreamingServer, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("servers:", "allow_loss: [GC333]\nservers:"))
    command = ["run", tmp_path / "graph.yaml", "--port", "0", "--at", f"llm={llm.url}", "-O0"]
    with running(command, tmp_path, "run") as program, httpx.Client(timeout=60) as http:
        url = url_of(program)
        assert http.post(f"{url}/infer_stream", json=ASKED).status_code == 404
        assert http.post(f"{url}/infer", json=ASKED).json()["outputs"][0]["data"] == ["one two three"]
        assert "GC333" in program.log.read_text()
