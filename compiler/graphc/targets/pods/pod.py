"""Emits a pod: its containers, what they mount, and where it may run."""

from graphc.ir.graph import Value
from graphc.targets.interface import Data, Version
from graphc.targets.pods.container import (
    Tell,
    emit_container,
    emit_loaders,
    emit_server_loaders,
    emit_server_volumes,
    emit_servers,
    emit_volumes,
    tell_nothing,
)
from graphc.targets.pods.layout import Layout, Pod


def emit_spec(layout: Layout, version: Version, pod: Pod, tell: Tell = tell_nothing) -> Data:
    """Return the pod's own part; `tell` gives the variables that a target adds to a container."""
    settings = version.settings
    spec: Data = dict(pod.hardware.pod)
    if settings.service_account is not None:
        spec["serviceAccountName"] = settings.service_account
    else:
        # Nothing in a unit asks the API server.
        spec["automountServiceAccountToken"] = False
    if settings.pull_secret is not None:
        spec["imagePullSecrets"] = [{"name": settings.pull_secret}]
    loaders = [loader for container in pod.containers for loader in emit_loaders(container)]
    loaders += emit_server_loaders(pod)
    if loaders:
        spec["initContainers"] = list[Value](loaders)
    if layout.deployable.is_for_cluster:
        spec["terminationGracePeriodSeconds"] = pod.containers[0].ending.pod_seconds
    units = [emit_container(container, tell(container)) for container in pod.containers]
    spec["containers"] = [*units, *emit_servers(pod)]
    volumes = {str(volume["name"]): volume for each in pod.containers for volume in emit_volumes(each)}
    volumes |= {str(volume["name"]): volume for volume in emit_server_volumes(pod)}
    if volumes:
        spec["volumes"] = list[Value](volumes.values())
    return spec
