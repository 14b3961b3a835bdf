"""What Seldon's operator and executor limit."""

from typing import Final

from graphc.ir.limits import Limits, Most
from graphc.profiles.profile import Profile
from graphc.targets.shipping import CONFIG_MAP_LIMIT, Purpose

# The CRD nests `children` ten levels deep; deeper units are cut off, or refused under strict validation.
LEVELS: Final = Most(10, "a SeldonDeployment")

# The operator writes the label `seldon-app-svc-UNIT`, whose name part Kubernetes limits to 63 characters.
UNIT_NAME: Final = 48

# The executor reads a request in the branches, all at once, and one that is no object, `[]`, ends its process there.
ENTRANCE: Final = (
    "a request that is no object ends the executor's process in branches, and a unit before refuses it"
)

ALONE: Final = "the profile's namespaces refuse Seldon's executor, which a graph of several units needs"


def find_limits(profile: Profile, purpose: Purpose) -> Limits:
    """Return the limits on a cluster; a run on this machine has those of a cluster that takes the executor."""
    return Limits(
        levels=LEVELS,
        files=Most(CONFIG_MAP_LIMIT, "a config map"),
        alone=ALONE if profile.refuses_executor and purpose == "cluster" else None,
        entrance=ENTRANCE,
        calls_in_sequence=True,
        walker="the executor",
        operator="Seldon",
        variables=frozenset({"PREDICTIVE_UNIT_ID"}),
        unit_name=UNIT_NAME,
    )
