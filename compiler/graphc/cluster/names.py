"""Finds the graph that a command line names: by its name, or by the file that describes it."""

from pathlib import Path

from graphc.cluster.problem import ClusterError
from graphc.diagnostics import Sink
from graphc.source.files import read_source
from graphc.source.located import to_plain
from graphc.source.yaml_reader import read_documents
from graphc.unchecked import text


def find_name(written: str) -> tuple[str, str | None]:
    """Return a graph's name, and the namespace that its file says; a name stands for itself."""
    if not written.endswith((".yaml", ".yml")):
        return written, None
    if not Path(written).is_file():
        raise ClusterError(f"{written} is not there")
    sink = Sink()
    source = read_source(written, sink)
    found = [to_plain(each) for each in read_documents(source.text, written, sink)] if source else []
    graphs = [
        each for each in found if text(each, "kind") == "InferenceGraph" and text(each, "metadata", "name")
    ]
    if len(graphs) != 1:
        raise ClusterError(f"{written} holds {len(graphs)} graphs; say the name of one")
    return text(graphs[0], "metadata", "name"), text(graphs[0], "metadata", "namespace") or None
