"""What is fuzzed: every reader of bytes that a stranger sends, with what must hold of it whatever the bytes are.

A target's `check` returns if the reader did what it promises, and raises otherwise; its seeds are inputs that get far
into the reader. `python tests/fuzz/fuzz.py TARGET` looks for others, guided by coverage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fuzz_files import (
    check_graph,
    check_manifest,
    check_onnx,
    check_pickle,
    check_profile,
    check_xgboost,
    graph_seeds,
    manifest_seeds,
    onnx_seeds,
    pickle_seeds,
    profile_seeds,
    xgboost_seeds,
)
from fuzz_unit import (
    binary_seeds,
    check_unit_binary,
    check_unit_grpc,
    check_unit_http,
    check_unit_json,
    http_request_seeds,
)
from fuzz_wire import (
    check_client_answer,
    check_cloud_event,
    check_executor_json,
    check_front_request,
    check_grpc_message,
    check_http_answer,
    event_seeds,
    grpc_seeds,
    http_seeds,
)
from fuzz_words import JSON_WORDS, YAML_WORDS, v2_seeds


@dataclass(frozen=True)
class Target:
    """A reader: its check, inputs to begin with, words of its format, and the modules whose branches are counted."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: Sequence[bytes]
    modules: Sequence[str]
    longest: int = 4096


def _v2_requests() -> list[bytes]:
    return v2_seeds("inputs")


def _v2_answers() -> list[bytes]:
    return v2_seeds("outputs")


_RUNTIME: Final = ("graphc_runtimes",)

TARGETS: Final = {
    each.name: each
    for each in (
        Target("unit-json", check_unit_json, _v2_requests, JSON_WORDS, _RUNTIME),
        Target("unit-binary", check_unit_binary, binary_seeds, JSON_WORDS, _RUNTIME),
        Target("unit-grpc", check_unit_grpc, grpc_seeds, JSON_WORDS, _RUNTIME),
        Target("unit-http", check_unit_http, http_request_seeds, JSON_WORDS, _RUNTIME, 2048),
        Target("graph", check_graph, graph_seeds, YAML_WORDS, ("graphc",)),
        Target("manifest", check_manifest, manifest_seeds, YAML_WORDS, ("graphc",)),
        Target("profile", check_profile, profile_seeds, YAML_WORDS, ("graphc",)),
        Target("onnx", check_onnx, onnx_seeds, (), ("graphc.artefacts",), 20_000),
        Target("pickle", check_pickle, pickle_seeds, (), ("graphc.artefacts",), 8192),
        Target("xgboost", check_xgboost, xgboost_seeds, JSON_WORDS, ("graphc.artefacts",), 20_000),
        Target(
            "http-answer", check_http_answer, http_seeds, (b"HTTP/1.1 ", b"\r\n\r\n"), ("graphc.http1",), 512
        ),
        Target("executor-json", check_executor_json, _v2_answers, JSON_WORDS, ("graphc.engine",)),
        Target("front-request", check_front_request, _v2_requests, JSON_WORDS, ("graphc.engine",)),
        Target("grpc-message", check_grpc_message, grpc_seeds, JSON_WORDS, ("graphc.engine",)),
        Target(
            "client-answer", check_client_answer, _v2_answers, JSON_WORDS, ("graphc.client", "graphc.engine")
        ),
        Target(
            "cloud-event", check_cloud_event, event_seeds, JSON_WORDS, ("graphc.compare", "graphc.client")
        ),
    )
}
