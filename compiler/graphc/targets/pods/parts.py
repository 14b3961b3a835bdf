"""Parts that the containers of units and of other servers share."""

import math
from typing import Final

from graphc.ir.graph import Resources, Value, Variable
from graphc.targets.interface import Data

START_PROBE_SECONDS: Final = 1
"""A container that starts is asked more often than one that runs: that it is found ready late, a pod serves late."""


def probe_start(get: Data, seconds: float) -> Data:
    """Return the probe of a container that has so many seconds to start."""
    return {
        "httpGet": get,
        "periodSeconds": START_PROBE_SECONDS,
        "failureThreshold": math.ceil(seconds / START_PROBE_SECONDS),
    }


def emit_variable(variable: Variable) -> Data:
    """Return an environment variable: a text, or one key of a Secret or of a config map."""
    if variable.value is not None:
        return {"name": variable.name, "value": variable.value}
    kind = "secretKeyRef" if variable.is_secret else "configMapKeyRef"
    return {
        "name": variable.name,
        "valueFrom": {kind: {"name": variable.secret, "key": variable.key}},
    }


def emit_resources(resources: Resources | None, gpu: tuple[str, int] | None) -> Data:
    """Return what a container asks for, with a number of GPUs by the name of their resource; empty for nothing."""
    if resources is None:
        return {}
    requests: Data = {}
    limits: Data = {}
    if resources.cpu is not None:
        requests["cpu"] = resources.cpu
    if resources.memory is not None:
        requests["memory"] = limits["memory"] = resources.memory
    if gpu is not None:
        requests[gpu[0]] = limits[gpu[0]] = gpu[1]
    return {name: each for name, each in (("requests", requests), ("limits", limits)) if each}


def restrict(*, writes_nothing: bool = True) -> Data:
    """Return what Kubernetes' `restricted` pod security standard asks of a container.

    Images of other frameworks write to their own root file system; graphc's do not.
    """
    own: dict[str, Value] = {"readOnlyRootFilesystem": True} if writes_nothing else {}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        **own,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
