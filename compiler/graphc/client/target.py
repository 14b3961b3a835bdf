"""Where to call: a URL of the V2 protocol over HTTP, or an address and a model over gRPC."""

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from graphc.client.failure import InferError


@dataclass(frozen=True, slots=True)
class Target:
    """A server and the model to call there; the model is None until it is found out."""

    grpc: bool
    base: str
    model: str | None
    version: str | None = None
    """The version of the model, which may be any where it is None."""

    def __str__(self) -> str:
        """Write the server."""
        return f"grpc://{self.base}" if self.grpc else self.base


def parse_target(text: str, model: str | None = None, *, grpc: bool = False) -> Target:
    """Read `http://host:port[/PREFIX][/v2/models/NAME[/infer]]` or `grpc://host:port[/NAME]`; raises InferError.

    A gateway serves the protocol below a prefix, such as `/seldon/NAMESPACE/GRAPH`; a version may have one of its own.
    """
    parts = urlsplit(text if "://" in text else f"{'grpc' if grpc else 'http'}://{text}")
    if parts.scheme not in {"http", "https", "grpc"}:
        raise InferError(f"`{parts.scheme}` is not a scheme to call: use http, https or grpc")
    try:
        netloc, _ = parts.netloc, parts.port
    except ValueError:
        netloc = ""
    if not netloc:
        raise InferError(f"`{text}` names no host")
    prefix, found, version = _read_path(text, parts.path, bare=parts.scheme == "grpc")
    if model and found and model != found:
        raise InferError(f"`{text}` names model `{found}`, and `--model` names `{model}`")
    if grpc or parts.scheme == "grpc":
        if prefix:
            raise InferError(
                f"`{text}` has a path, which gRPC has no place for; a gateway routes it by its host"
            )
        return Target(True, netloc, model or found, version)
    return Target(False, f"{parts.scheme}://{netloc}{prefix}", model or found, version)


def _read_path(text: str, path: str, *, bare: bool) -> tuple[str, str | None, str | None]:
    """Return what stands before the protocol's own path, as it is written, and the model and version named."""
    steps = [step for step in path.split("/") if step]
    if bare and len(steps) == 1 and steps != ["v2"]:
        return "", unquote(steps[0]), None
    # The last of them: a version's own path may be `/v2`, too.
    start = next((at for at in reversed(range(len(steps))) if steps[at : at + 2] == ["v2", "models"]), None)
    if start is None:
        if steps and steps[-1] != "v2":
            raise _no_address(text)
        return _prefix(steps[:-1]), None, None
    rest = steps[start + 2 :]
    version = unquote(rest[2]) if len(rest) > 2 and rest[1] == "versions" else None
    end = rest[1:] if version is None else rest[3:]
    if not rest or end not in ([], ["infer"]):
        raise _no_address(text)
    return _prefix(steps[:start]), unquote(rest[0]), version


def with_version(target: Target, version: str | None) -> Target:
    """Return the target with the version that is asked for beside it; raises InferError where it names another."""
    if version is None:
        return target
    if target.version not in {None, version}:
        raise InferError(f"the address names version `{target.version}`, and `--version` names `{version}`")
    return replace(target, version=version)


def _prefix(steps: list[str]) -> str:
    return "".join(f"/{step}" for step in steps)


def _no_address(text: str) -> InferError:
    return InferError(
        f"`{text}` is no address such as http://host:port/v2/models/NAME or grpc://host:port/NAME"
    )
