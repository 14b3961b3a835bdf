"""What plain Kubernetes limits."""

from typing import Final

from graphc.ir.limits import Limits, Most
from graphc.profiles.profile import Profile
from graphc.targets.shipping import CONFIG_MAP_LIMIT, Purpose

# A volume is called after its node or unit, with words before it, and Kubernetes limits its name to 63 characters.
NAME: Final = 48


def find_limits(_profile: Profile, _purpose: Purpose) -> Limits:
    """Return the limits on a cluster: those of graphc's engine, and of config maps and names."""
    return Limits(files=Most(CONFIG_MAP_LIMIT, "a config map"), unit_name=NAME)
