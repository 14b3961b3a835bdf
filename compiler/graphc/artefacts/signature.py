"""What an artefact says of itself: its tensors, or the reason why it does not say."""

from typing import Final

from graphc_components.tensors import Dim

from graphc.diagnostics.diagnostic import Rule
from graphc.records import record

DECLARE: Final = "declare the tensors it gives under `out:`"
"""The help where an artefact does not tell its tensors."""


@record
class ArtefactTensor:
    """A tensor of an artefact; `datatype` None means any numeric, `shape` None means unknown."""

    name: str
    datatype: str | None
    shape: tuple[Dim, ...] | None


@record
class Skipped:
    """An output that no V2 message can carry; a problem only where a graph reads it."""

    name: str
    reason: str
    cure: str = ""


@record
class Opset:
    """A version of one ONNX operator set; the empty domain is ONNX's own."""

    domain: str
    version: int


@record
class WeightFile:
    """A file that must lie beside a model: its path relative to it, and the least bytes that it holds."""

    path: str
    least_size: int = 0


@record
class Origin:
    """What a pickled model says of who wrote it: the version of scikit-learn, and what it imports of others."""

    version: str | None = None
    needs: tuple[tuple[str, str], ...] = ()
    """Modules with the names that it imports from them, those left out that scikit-learn itself brings."""


@record
class Column:
    """A column of the data frame that a model was fitted on: `text`, `numbers`, or unknown."""

    name: str
    kind: str | None
    needed: bool
    """Whether the model looks at it; what it drops may be left out."""


@record
class Signature:
    """The tensors of an artefact, the files that must lie beside it, and what its unit has to have."""

    inputs: tuple[ArtefactTensor, ...]
    outputs: tuple[ArtefactTensor, ...]
    optional_inputs: tuple[ArtefactTensor, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    weights: tuple[WeightFile, ...] = ()
    ir_version: int | None = None
    opsets: tuple[Opset, ...] = ()
    origin: Origin = Origin()
    only_gpu: tuple[str, ...] = ()
    """Operators that the runtime image does not run on processors."""
    columns: tuple[Column, ...] = ()
    """What it takes by name in place of its input, a tensor for each column; without an input, only so."""

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files that must lie beside it, relative to it."""
        return tuple(each.path for each in self.weights)

    def find_output(self, name: str) -> ArtefactTensor | Skipped | None:
        """Return the output of that name, or why it cannot be used."""
        return next((each for each in (*self.outputs, *self.skipped) if each.name == name), None)


@record
class ArtefactFault:
    """Why an artefact cannot be used: the rule it breaks, and a diagnostic's words without its place."""

    rule: Rule
    message: str
    help: str | None = None
    origin: Origin = Origin()
