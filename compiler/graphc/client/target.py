"""Where to call: a URL of the V2 protocol over HTTP, or an address and a model over gRPC."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from graphc.client.failure import InferError


@dataclass(frozen=True, slots=True)
class Target:
    """A server and the model to call there; the model is None until it is found out."""

    grpc: bool
    base: str
    model: str | None

    def __str__(self) -> str:
        """Write the server."""
        return f"grpc://{self.base}" if self.grpc else self.base


def parse_target(text: str, model: str | None = None, *, grpc: bool = False) -> Target:
    """Read `http://host:port[/v2/models/NAME[/infer]]` or `grpc://host:port[/NAME]`; raises InferError."""
    parts = urlsplit(text if "://" in text else f"{'grpc' if grpc else 'http'}://{text}")
    if parts.scheme not in {"http", "https", "grpc"}:
        raise InferError(f"`{parts.scheme}` is not a scheme to call: use http, https or grpc")
    try:
        netloc, _ = parts.netloc, parts.port
    except ValueError:
        netloc = ""
    if not netloc:
        raise InferError(f"`{text}` names no host")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    over_grpc = grpc or parts.scheme == "grpc"
    found = _read_model(text, steps, bare=parts.scheme == "grpc")
    if model and found and model != found:
        raise InferError(f"`{text}` names model `{found}`, and `--model` names `{model}`")
    return Target(over_grpc, netloc if over_grpc else f"{parts.scheme}://{netloc}", model or found)


def _read_model(text: str, steps: list[str], *, bare: bool) -> str | None:
    if not steps or steps == ["v2"]:
        return None
    if bare and len(steps) == 1:
        return steps[0]
    if steps[:2] == ["v2", "models"] and (len(steps) == 3 or (len(steps) == 4 and steps[3] == "infer")):
        return steps[2]
    raise InferError(
        f"`{text}` is no address such as http://host:port/v2/models/NAME or grpc://host:port/NAME"
    )
