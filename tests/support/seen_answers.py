"""Answers as a front would see them, for tests of what compares them."""

import json
from collections.abc import Sequence

from graphc.compare.observer import Seen


def body_of(*outputs: tuple[str, str, Sequence[int], Sequence[object]]) -> bytes:
    listed = [
        {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}
        for name, datatype, shape, data in outputs
    ]
    return json.dumps({"model_name": "score", "outputs": listed}).encode()


def live(request: str, body: bytes = b"", **more: object) -> Seen:
    return _seen(request, "main", False, body, more)


def seen_by(predictor: str, request: str, **more: object) -> Seen:
    return _seen(request, predictor, False, b"", more)


def shadow(request: str, body: bytes = b"", **more: object) -> Seen:
    return _seen(request, "ghost", True, body, more)


def _seen(request: str, predictor: str, is_shadow: bool, body: bytes, more: dict[str, object]) -> Seen:
    fields: dict[str, object] = {
        "request": request,
        "predictor": predictor,
        "shadow": is_shadow,
        "status": 200,
        "seconds": 0.01,
        "body": body,
        "mirrored": None if is_shadow else ("ghost",),
    }
    return Seen(**{**fields, **more})  # pyright: ignore[reportArgumentType]
