"""Checks that the pods of a cluster can reach the store that units get their artefacts from."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import STORE_HERE
from graphc.targets.interface import Settings


def check_store(settings: Settings, sink: Sink) -> None:
    """Report a store that is a folder of this machine."""
    store = settings.store
    if store is not None and store.uri.startswith("file:"):
        message = f"`{store.uri}` is a folder of this machine, which no pod of a cluster has"
        hint = "push to a claim that the pods mount, as in `artifacts: pvc://models/team`, or to a bucket"
        sink.report(Diagnostic(STORE_HERE, message, settings.store_at, hint))
