"""Checks that documents can be applied as people are used to."""

import json
from collections.abc import Sequence
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import NEEDS_SERVER_SIDE
from graphc.targets.interface import Data, Deployable

# Kubernetes limits all annotations of an object together, and client-side apply writes the object into one.
MAX_ANNOTATION: Final = 262_144 - 1024


def check_size(documents: Sequence[Data], deployable: Deployable, sink: Sink) -> None:
    """Warn of documents that only the server can apply."""
    for document in documents if deployable.is_for_cluster else ():
        size = len(json.dumps(document, separators=(",", ":")).encode())
        if size > MAX_ANNOTATION:
            metadata = document["metadata"]
            name = metadata["name"] if isinstance(metadata, dict) else ""
            limit = f"`kubectl apply` keeps a copy in an annotation of {MAX_ANNOTATION:,}"
            message = f"`{name}` has {size:,} bytes, and {limit}"
            hint = "apply it with `kubectl apply --server-side`, which keeps none"
            sink.report(Diagnostic(NEEDS_SERVER_SIDE, message, deployable.settings.at, hint))
