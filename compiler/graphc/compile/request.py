"""What to compile, and how."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import field

from graphc.artefacts.read_signature import Signatures
from graphc.lower.options import Options
from graphc.profiles.profile import Profile
from graphc.records import record
from graphc.targets.find import DEFAULT
from graphc.targets.shipping import Purpose


@record
class Request:
    """What to compile, and how; `takes_manifests` lets objects of Kubernetes' stand among the graphs."""

    paths: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    options: Options = field(default_factory=Options)
    purpose: Purpose = "cluster"
    target: str | None = None
    """What the graphs are to run on, by the name of a folder of targets; the cluster's where it is None."""
    takes_manifests: bool = False
    costs: str | None = None
    """A file of measured costs."""
    profile: str | None = None
    """The file of a cluster's profile, or the name of one that comes with graphc."""
    cluster: Profile = field(default_factory=Profile)
    """The profile itself; what `profile` names takes its place."""
    signatures: Signatures = field(default_factory=Signatures)

    @property
    def target_name(self) -> str:
        """The target that the request names, else the cluster's, else the default."""
        return self.target or self.cluster.target or DEFAULT
