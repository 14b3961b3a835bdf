"""Checks that merged models can be compared with their parts here."""

from importlib.util import find_spec

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import NO_ONNXRUNTIME


def check_merging(sink: Sink) -> None:
    """Report that onnxruntime is missing, which tells whether a merged model is right."""
    if find_spec("onnxruntime") is None:
        message = "-O2 compares merged models with their parts, and onnxruntime is not installed"
        hint = "install `graphc-compiler[merge]`, or compile with -O1"
        sink.report(Diagnostic(NO_ONNXRUNTIME, message, help=hint))
