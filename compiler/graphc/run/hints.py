"""What a run says once of a request that its cluster would not answer."""

from collections.abc import Callable
from typing import Final, Literal

Kind = Literal["call", "raw"]

_TEXTS: Final = {
    "call": "a gRPC call came that ends Seldon's executor on a cluster: it serves chains of models alone. "
    "Say `transport: grpc` in the graph, keep it in one unit (`placement: fused`), or allow it here with --lenient",
    "raw": "a request held raw tensors, which Seldon's executor cannot read over REST. Send JSON "
    "(`binary_data=False`), keep the graph in one unit (`placement: fused`), or allow it here with --lenient",
}


class Hints:
    """Says each hint once."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say, self._said = say, set[Kind]()

    def say(self, kind: Kind) -> None:
        """Say a hint, if it is the first of its kind."""
        if self._say is not None and kind not in self._said:
            self._say(f"hint: {_TEXTS[kind]}")
        self._said.add(kind)
