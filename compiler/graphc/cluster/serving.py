"""What graphc has to know of a target's objects to change a graph in a cluster.

A graph is a set of objects, whatever its target: they are labelled, graphc remembers which there are, and it applies,
prunes and takes them back as a whole. A `Serving` tells the rest: what the objects say, and when they serve.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc.cluster.client import Cluster, Kind, Ref
from graphc.cluster.made import Made
from graphc.cluster.share_moves import Moves
from graphc.cluster.trouble import Trouble
from graphc.cluster.view import FindMap
from graphc.ir.graph import Value
from graphc.seldon.deployment import Deployment
from graphc.unchecked import Data


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a predictor is."""

    predictor: str
    ready: int
    wanted: int
    is_current: bool
    """Whether its pods are as the objects now say, and no other is left."""

    @property
    def is_done(self) -> bool:
        """Whether all of its pods are there, and new."""
        return self.is_current and self.ready >= self.wanted


@dataclass(frozen=True, slots=True)
class Sight:
    """How a graph's objects are at one look."""

    live: tuple[Data, ...]
    """Those that say what serves."""
    deployments: tuple[Data, ...]
    """Those that make the pods: the operator's, or graphc's own."""
    state: str
    """`Available` where all is well; empty where nobody has said anything yet."""
    description: str
    progress: tuple[Progress, ...]
    missing: tuple[Ref, ...] = ()
    """Objects that should be there."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a graph's documents say."""

    deployment: Deployment
    """Its predictors, with their pods, as a SeldonDeployment has them."""
    view: Data
    made: Made | None
    """The Deployments and Services; None where an operator makes them."""


@dataclass(frozen=True, slots=True)
class Meter:
    """What counts and times a predictor's requests in Prometheus, by their `code`."""

    count: str
    buckets: str
    selector: str


class Serving(Protocol):
    """How the objects of a target are read."""

    @property
    def target(self) -> str:
        """The target's name."""
        ...

    @property
    def main(self) -> Kind:
        """The objects that say what serves."""
        ...

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of objects that a graph may have made, whatever is remembered of it."""
        ...

    @property
    def has_operator(self) -> bool:
        """Whether an operator makes the pods: it ends predictors that a version drops as soon as that is applied."""
        ...

    @property
    def unready(self) -> str:
        """What is said of a predictor whose pods are not as the objects say."""
        ...

    def read(self, documents: Sequence[Mapping[str, Value]]) -> Deployment:
        """Return what documents say of a graph's predictors."""
        ...

    def read_whole(self, documents: Sequence[Data], find_map: FindMap) -> Reading:
        """Return all that documents say, for finding what a change does."""
        ...

    def annotation(self, documents: Sequence[Data], name: str) -> str:
        """Return what a graph says of itself by an annotation, empty where it says nothing."""
        ...

    def tells(self, ref: Ref) -> bool:
        """Say whether somebody who changes the object has changed the graph."""
        ...

    def look(self, cluster: Cluster, namespace: str, graph: str, wanted: Sequence[Ref] = ()) -> Sight | None:
        """Look at a graph; None where it is not there. Of the objects that are `wanted` none may be missing."""
        ...

    def list_pods(self, cluster: Cluster, namespace: str, deployment: Data) -> Iterator[Data]:
        """Yield the pods of a Deployment that are as it now says: those of the version before are on their way out."""
        ...

    def list_complaints(self, cluster: Cluster, namespace: str, graph: str) -> list[Trouble]:
        """Return what an operator complained of."""
        ...

    def version_of(self, deployment: Data) -> str:
        """Return the predictor that a Deployment is of."""
        ...

    def find_meter(
        self, documents: Sequence[Data], graph: str, namespace: str, predictor: str
    ) -> Meter | None:
        """Return what counts a predictor's requests; None where nothing does."""
        ...

    def move(self, document: Data, moves: Moves) -> None:
        """Change the shares that a document states, routes aside."""
        ...
