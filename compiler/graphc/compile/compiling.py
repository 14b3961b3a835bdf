"""A graph file's document on its way to what a target makes of it: what is known of it, and the steps that find it.

A step gives a pass what it takes, and keeps what it returns. No step asks for what no earlier one has found.
"""

from dataclasses import dataclass, field
from pathlib import Path

from graphc.compile.check_losses import check_allowed, check_losses, find_losses
from graphc.compile.check_outputs import check_outputs
from graphc.compile.describe import describe_graph
from graphc.compile.request import Request
from graphc.compile.versions import Versions
from graphc.diagnostics import Sink
from graphc.frontend.assemble import type_of_outputs
from graphc.frontend.check_gates import check_compared, check_decidable, check_gates
from graphc.frontend.check_predictors import check_predictors
from graphc.frontend.predictors import main_predictor, predictors_of
from graphc.source.located import Located
from graphc.source.parameters import declared_names
from graphc.spec.read_spec import GraphSpec
from graphc.targets.interface import Deployable, Emission, Loss, Target


@dataclass(slots=True)
class Compiling:
    """What is known of the graph."""

    spec: GraphSpec
    document: Located
    folder: Path
    request: Request
    target: Target
    is_sound: bool
    """Whether nothing was wrong with the document itself."""
    versions: Versions = field(init=False)
    deployable: Deployable = field(init=False)
    losses: tuple[Loss, ...] = ()
    emission: Emission | None = None

    def check_predictors(self, sink: Sink) -> None:
        check_predictors(self.spec, declared_names(self.document), sink)

    def check_gates(self, sink: Sink) -> None:
        check_gates(self.spec, predictors_of(self.spec), sink)

    def check_allowed(self, sink: Sink) -> None:
        check_allowed(self.spec, sink)

    def check_decidable(self, sink: Sink) -> None:
        # A shadow that is being promoted in a file that runs was paired before.
        if self.request.purpose == "cluster":
            check_decidable(self.spec, predictors_of(self.spec), sink)

    def check_outputs(self, sink: Sink) -> None:
        check_outputs(self.versions, sink)

    def check_compared(self, sink: Sink) -> None:
        outputs = type_of_outputs(self.versions.each[main_predictor(self.spec)].graph)
        check_compared(self.spec, predictors_of(self.spec), outputs.values(), sink)

    def describe_graph(self) -> None:
        self.deployable = describe_graph(self.versions, self.request)

    def find_losses(self) -> None:
        self.losses = tuple(find_losses(self.target, self.deployable, self.spec))

    def check_losses(self, sink: Sink) -> None:
        check_losses(self.losses, sink)

    def emit(self, sink: Sink) -> None:
        self.emission = self.target.emit(self.deployable, sink)
