"""Addresses that `graphc infer` and `graphc bench` take, those of gateways among them."""

import pytest
from graphc.client.failure import InferError
from graphc.client.target import parse_target


@pytest.mark.parametrize(
    ("text", "base", "model"),
    [
        ("http://host:80/v2/models/m", "http://host:80", "m"),
        ("http://host:80/v2/models/m/infer", "http://host:80", "m"),
        ("host:80/v2/models/m", "http://host:80", "m"),
        ("http://host:80", "http://host:80", None),
        ("http://host:80/v2", "http://host:80", None),
        ("http://host/seldon/ns/fraud/v2/models/fraud", "http://host/seldon/ns/fraud", "fraud"),
        ("https://host/seldon/ns/fraud/v2/models/fraud/infer", "https://host/seldon/ns/fraud", "fraud"),
        ("http://host/seldon/ns/fraud/v2/v2/models/fraud/infer", "http://host/seldon/ns/fraud/v2", "fraud"),
        ("http://host/v2/v2/models/fraud", "http://host/v2", "fraud"),
        ("http://host/seldon/ns/fraud/v2", "http://host/seldon/ns/fraud", None),
        ("http://host/a%2Fb/v2/models/m%20n", "http://host/a%2Fb", "m n"),
    ],
)
def test_what_stands_before_the_protocol_is_kept(text: str, base: str, model: str | None) -> None:
    target = parse_target(text)
    assert (target.grpc, target.base, target.model) == (False, base, model)


@pytest.mark.parametrize(
    "text",
    [
        "http://host/other",
        "http://host/v2/models",
        "http://host/v2/models/",
        "http://host/v2/models/m/explain",
        "http://host/v2/models/m/infer/more",
        "grpc://host:1/a/b",
        "ftp://host/v2/models/m",
        "http://",
        "http://host:port",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InferError):
        parse_target(text)


def test_grpc_has_a_model_and_no_path() -> None:
    assert parse_target("grpc://host:1/m").model == "m"
    assert parse_target("grpc://host:1/v2/models/m").model == "m"
    assert parse_target("host:1", grpc=True).model is None
    with pytest.raises(InferError, match="which gRPC has no place for"):
        parse_target("http://host:1/seldon/ns/g/v2/models/g", grpc=True)
