"""A graph that `graphc run` serves beside a program."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from graphc.bench.failure import BenchError
from graphc.bench.serve import serve

_INFER: Final = "/infer"


@dataclass(frozen=True, slots=True)
class Served:
    """Where a graph answers; it ends with the block that serves it."""

    name: str
    url: str
    """The model's URL, `http://HOST:PORT/v2/models/NAME`; `/infer` behind it answers requests."""
    grpc: str | None
    """`grpc://HOST:PORT/NAME`."""
    pid: int


@contextmanager
def serve_file(path: str, options: Sequence[str], seconds: float) -> Generator[Served]:
    """Run `graphc run` on a file until the block ends; raises RuntimeError where it is not ready in time."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(serve(path, options, seconds))
        except BenchError as error:
            raise RuntimeError(str(error)) from error
        name = found.grpc.rpartition("/")[2]
        yield Served(name, found.url.removesuffix(_INFER), found.grpc, found.pid)
