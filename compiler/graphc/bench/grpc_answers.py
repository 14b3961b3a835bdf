"""Answers over gRPC as V2 JSON, and whether two of them say the same."""

from typing import cast

from graphc.bench.expect import compare_answers
from graphc.client.rpc import write_answer
from graphc.engine.proto import InferResponse, message_class


def write_message(message: bytes) -> bytes:
    """Return an answer as V2 JSON."""
    return write_answer(
        cast("InferResponse", message_class("ModelInferResponse").FromString(message))
    ).encode()


def compare_messages(message: bytes, _: int | None, wanted: bytes, __: int | None) -> str:
    """Return how an answer differs from the wanted one: tensors by name, numbers within the tolerance."""
    return compare_answers(write_message(message), None, write_message(wanted), None)
