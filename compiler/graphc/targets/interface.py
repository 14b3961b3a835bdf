"""What a target is: a graph's plans and a cluster's profile in; documents and diagnostics out.

A target is a package beside this module with a `target.py` that holds a `TARGET`; `find.py` finds it there. What it
cannot express it reports, so that nothing that a file asks for is left out without a word.
"""

from collections.abc import Callable, Mapping
from dataclasses import field

from graphc.compare.gates import ANNOTATION as GATES
from graphc.compare.settings import ANNOTATION as COMPARE
from graphc.diagnostics import Diagnostic, Rule, Sink, Span
from graphc.hardware.assign import Landing
from graphc.hardware.peak import PodAsk
from graphc.ir.graph import Autoscaling, Resources, Value
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan
from graphc.packages.requirements import Requirements
from graphc.profiles.profile import Profile
from graphc.records import record
from graphc.rollout.shares import Rollout
from graphc.targets.shipping import LocalShipment, Purpose, Store
from graphc.targets.storing import Upload

Data = dict[str, Value]


@record
class Comparing:
    """How versions are compared: the annotations that say it, and the service that hears of their answers."""

    gates: str
    settings: str | None
    url: str | None
    url_at: Span

    def annotations(self) -> dict[str, str]:
        """Return what the deployment carries of it."""
        found = {} if self.gates == "{}" else {GATES: self.gates}
        return found if self.settings is None else found | {COMPARE: self.settings}


@record
class Settings:
    """What a graph file says of its deployment as a whole."""

    name: str
    namespace: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    image: str
    requirements: Requirements
    """What the image has beyond the runtime's own."""
    pull_secret: str | None
    resources: Resources | None
    autoscaling: Autoscaling | None
    workers: int | None
    replicas: int | None
    store: Store | None
    service_account: str | None
    executor: bool | None
    comparing: Comparing
    at: Span
    sticky_at: Span
    executor_at: Span
    store_at: Span
    calls_at: Span | None
    """Where the file asks for calls over gRPC."""


@record
class Version:
    """A predictor: a plan, and what it has otherwise than the graph."""

    name: str
    plan: Plan
    replicas: int | None
    autoscaling: Autoscaling | None
    settings: Settings
    at: Span
    alias: str | None = None
    """Another name by which clients ask for it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which clients ask for it."""
        return (self.name,) if self.alias is None else (self.name, self.alias)

    @property
    def scaling(self) -> Autoscaling | None:
        """How replicas follow the load where a container says nothing of its own; None where they are fixed."""
        if self.autoscaling is not None or self.replicas is not None:
            return self.autoscaling
        return self.settings.autoscaling

    def count_pods(self, own: int | None) -> int:
        """Return how many pods there are of a container that says so itself, or leaves it to the version."""
        counts = (own, self.replicas, self.settings.replicas, 1)
        return next(count for count in counts if count is not None)


@record
class Deployable:
    """What a target is given: a checked graph's versions, how they share the requests, and the cluster."""

    settings: Settings
    versions: tuple[Version, ...]
    rollout: Rollout
    profile: Profile
    purpose: Purpose

    @property
    def is_for_cluster(self) -> bool:
        """Whether it is no run on this machine."""
        return self.purpose == "cluster"


@record
class UnitImage:
    """The image of the units that name none of their own, and what it has beyond the runtime's."""

    name: str
    requirements: Requirements


@record
class Emission:
    """The documents, and for a run on this machine the files that stand for mounted artefacts."""

    documents: tuple[Data, ...]
    local: tuple[tuple[str, LocalShipment], ...]
    """With the predictor that each is for: its nodes may have other files than those of the next."""
    landings: Mapping[str, tuple[Landing, ...]] = field(default_factory=dict[str, tuple[Landing, ...]])
    """By predictor, where its units run; nothing of a cluster whose nodes are not known."""
    pods: tuple[PodAsk, ...] = ()
    """What the pods take of nodes, in the order of the documents."""
    uploads: tuple[Upload, ...] = ()
    """What the store has to hold before pods start."""
    images: Mapping[str, UnitImage] = field(default_factory=dict[str, UnitImage])
    """By predictor, the image that its units run in."""


@record
class Loss:
    """What a target does not do as a graph file asks, and whether the file allows it."""

    diagnostic: Diagnostic
    is_allowed: bool


@record
class Target:
    """A way to run graphs; `emit` returns None, with the reasons in the sink, where one cannot run so."""

    name: str
    emit: Callable[[Deployable, Sink], Emission | None]
    find_limits: Callable[[Profile, Purpose], Limits] = lambda _profile, _purpose: Limits()
    """Returns what plans have to keep for it on a cluster; by default the limits of graphc's own engine."""
    losses: tuple[Rule, ...] = ()
    """The rules of what it does not do as a file asks; a file may allow each of them."""
    check_losses: Callable[[Deployable, Sink], None] = lambda _deployable, _sink: None
    """Reports breaches of those rules, and of no others."""
