"""Checks that the runtime image has what a pickled model needs, and the version that wrote it."""

from collections.abc import Callable, Iterator, Sequence

from graphc.artefacts.signature import ArtefactFault, Origin
from graphc.diagnostics.codes.artefacts import MISSING_CLASS, OTHER_VERSION
from graphc.diagnostics.printable import quoted
from graphc.runtime_image import RuntimeImage, read_image
from graphc.spec.fields import InferenceGraph

_IMAGE: str = "graphc-runtime"


def judges_image(fields: InferenceGraph) -> bool:
    """Say whether the units of a graph run in the image that graphc knows."""
    runtime = fields.runtime
    return runtime.image.rpartition("/")[2] == _IMAGE and runtime.tag is None and runtime.digest is None


def find_origin_faults(
    called: str, origin: Origin, brings: Callable[[str], bool] = lambda _: False
) -> Iterator[ArtefactFault]:
    """Yield what the runtime image lacks that a model needs; `brings` tells what requirements add to it."""
    if not origin.needs and origin.version is None:
        return
    image = read_image()
    missing = [each for each in origin.needs if not image.has_module(each[0]) and not brings(each[0])]
    if missing:
        yield _missing(called, missing)
    # Requirements may bring another version, which is then the graph's own affair.
    if not brings("sklearn") and (fault := _other_version(called, origin.version, image)):
        yield fault


def _missing(called: str, missing: Sequence[tuple[str, str]]) -> ArtefactFault:
    module, name = missing[0]
    if module == "__main__":
        message = f"`{called}` needs {quoted(name)}, which was defined in the script that wrote it"
        advice = "define it in a module of its own, and run the model from a Python node"
    else:
        message = (
            f"`{called}` needs {quoted(name)} of {quoted(module)}, a module that the runtime image lacks"
        )
        advice = "run it from a Python node, or in an image that has the module, named in `runtime:`"
    return ArtefactFault(MISSING_CLASS, message, advice)


def _other_version(called: str, version: str | None, image: RuntimeImage) -> ArtefactFault | None:
    own = image.packages["scikit-learn"]
    if version is None or version == own:
        return None
    message = f"`{called}` was written by scikit-learn {quoted(version)}, and the runtime image has `{own}`"
    return ArtefactFault(OTHER_VERSION, message, f"fit it anew and save it with scikit-learn {own}")
