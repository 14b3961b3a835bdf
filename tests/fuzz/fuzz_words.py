"""Words and messages of the formats that are fuzzed, and what an error may be."""

import json
from typing import Final

MOST_ERROR: Final = 4096
"""Characters of the longest error that a client may be sent."""


def check_error(error: Exception | str) -> None:
    """An error says something, and is short."""
    text = str(error)
    assert text
    assert len(text) < MOST_ERROR


def v2_seeds(kind: str) -> list[bytes]:
    """Return V2 messages whose tensors are `inputs` or `outputs`."""
    tensors = [
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.5, -2, 3e10, 0.1]},
        {"name": "n", "shape": [2], "datatype": "INT64", "data": [9007199254740993, -1]},
        {
            "name": "t",
            "shape": [1],
            "datatype": "BYTES",
            "data": ["a\u00e9"],
            "parameters": {"content_type": "str"},
        },
        {"name": "b", "shape": [2, 1], "datatype": "BOOL", "data": [[True], [False]]},
        {
            "name": "r",
            "shape": [1],
            "datatype": "FP64",
            "data": ["AAAAAAAA8D8="],
            "parameters": {"encoding": "base64"},
        },
    ]
    whole = {"id": "1", "parameters": {"tier": "gold"}, kind: tensors}
    return [json.dumps(whole).encode(), *(json.dumps({kind: [each]}).encode() for each in tensors)]


JSON_WORDS: Final = tuple(
    f'"{word}"'.encode()
    for word in (
        *("inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "id", "encoding", "base64"),
        *("content_type", "binary_data_size", "binary_data_output", "binary_data", "error", "detail", "x"),
        *("FP32", "FP16", "FP64", "INT64", "UINT8", "BOOL", "BYTES"),
    )
) + (b"null", b"true", b"[]", b"{}", b"4611686018427387904", b"1e999", b"-1", b"NaN", b"[[", b"]]")

YAML_WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "apiVersion: graphc/v1",
            "kind: InferenceGraph",
            "metadata:",
            "inputs:",
            "nodes:",
            "outputs:",
            "model:",
        ),
        *(
            "component:",
            "python:",
            "router:",
            "cascade:",
            "take:",
            "in:",
            "out:",
            "predictors:",
            "traffic:",
            "on_error:",
        ),
        *(
            "resources:",
            "gpu:",
            "batch:",
            "when:",
            "shadow:",
            "parameters:",
            "${",
            "&a",
            "*a",
            "<<:",
            "!!str",
            "---",
        ),
        *("FP32[batch, 2]", "BYTES[batch]", "scale.onnx", "steps:double", "mean", "threshold", "deadline:"),
    )
)
