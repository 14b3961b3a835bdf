"""What Kubernetes demands of single fields of a pod, by the record that they stand in."""

from collections.abc import Callable, Mapping
from typing import Final

from graphc.lint.words import (
    has_no_backsteps,
    is_absolute_path,
    is_address,
    is_data_key,
    is_field_path,
    is_header_name,
    is_inner_path,
    is_label,
    is_label_value,
    is_port_name,
    is_qualified_name,
    is_resource_path,
    is_search_domain,
    is_subdomain,
    is_variable_name,
)

UNBOUNDED: Final = 2**63
_ID: Final = (0, 2**31 - 1)
_MODE: Final = (0, 0o777)
_PORT: Final = (1, 65535)
_COUNT: Final = (0, UNBOUNDED)
_POSITIVE: Final = (1, UNBOUNDED)

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "ContainerPort.containerPort": _PORT,
    "ContainerPort.hostPort": (0, 65535),
    "GRPCAction.port": _PORT,
    "HTTPGetAction.port": _PORT,
    "TCPSocketAction.port": _PORT,
    "Probe.initialDelaySeconds": _COUNT,
    "Probe.timeoutSeconds": _COUNT,
    "Probe.periodSeconds": _COUNT,
    "Probe.successThreshold": _COUNT,
    "Probe.failureThreshold": _COUNT,
    "Probe.terminationGracePeriodSeconds": _POSITIVE,
    "SecurityContext.runAsUser": _ID,
    "SecurityContext.runAsGroup": _ID,
    "PodSecurityContext.runAsUser": _ID,
    "PodSecurityContext.runAsGroup": _ID,
    "PodSecurityContext.fsGroup": _ID,
    "PodSecurityContext.supplementalGroups": _ID,
    "ConfigMapVolume.defaultMode": _MODE,
    "SecretVolume.defaultMode": _MODE,
    "DownwardVolume.defaultMode": _MODE,
    "ProjectedVolume.defaultMode": _MODE,
    "KeyToPath.mode": _MODE,
    "DownwardFile.mode": _MODE,
    "ServiceAccountToken.expirationSeconds": (600, 2**32),
    "TopologySpreadConstraint.maxSkew": _POSITIVE,
    "TopologySpreadConstraint.minDomains": _POSITIVE,
    "PreferredNode.weight": (1, 100),
    "PreferredPod.weight": (1, 100),
}

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "Container.imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "Container.terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    "ContainerPort.protocol": ("TCP", "UDP", "SCTP"),
    "HTTPGetAction.scheme": ("HTTP", "HTTPS"),
    "PodSpec.restartPolicy": ("Always",),
    "PodSpec.dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
    "PodSpec.preemptionPolicy": ("PreemptLowerPriority", "Never"),
    "PodOS.name": ("linux", "windows"),
    "SecurityContext.procMount": ("Default",),
    "SeccompProfile.type": ("Localhost", "RuntimeDefault", "Unconfined"),
    "PodSecurityContext.fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "Toleration.operator": ("Equal", "Exists"),
    "Toleration.effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "TopologySpreadConstraint.whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    "VolumeMount.mountPropagation": ("None", "HostToContainer", "Bidirectional"),
    "HostPath.type": (
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ),
}
"""An empty text counts as absent."""

SHAPES: Final[Mapping[str, Callable[[str], bool]]] = {
    "Container.name": is_label,
    "Volume.name": is_label,
    "ContainerPort.name": is_port_name,
    "HTTPGetAction.port": is_port_name,
    "TCPSocketAction.port": is_port_name,
    "EnvVar.name": is_variable_name,
    "EnvFromSource.prefix": is_variable_name,
    "EnvSource.name": is_subdomain,
    "KeySelector.name": is_subdomain,
    "KeySelector.key": is_data_key,
    "PodSpec.hostname": is_label,
    "PodSpec.subdomain": is_label,
    "PodSpec.nodeName": is_subdomain,
    "PodSpec.serviceAccountName": is_subdomain,
    "PodSpec.serviceAccount": is_subdomain,
    "PodSpec.priorityClassName": is_subdomain,
    "PodSpec.runtimeClassName": is_subdomain,
    "ReadinessGate.conditionType": is_qualified_name,
    "NFS.path": is_absolute_path,
    "PodAffinityTerm.namespaces": is_label,
    "PodAffinityTerm.topologyKey": is_qualified_name,
    "Toleration.key": is_qualified_name,
    "Toleration.value": is_label_value,
    "SelectorRequirement.key": is_qualified_name,
    "DNSConfig.nameservers": is_address,
    "DNSConfig.searches": is_search_domain,
    "HTTPHeader.name": is_header_name,
    "HostAlias.ip": is_address,
    "HostAlias.hostnames": is_subdomain,
    "HostPath.path": has_no_backsteps,
    "ObjectFieldSelector.fieldPath": is_field_path,
    "ResourceFieldSelector.resource": is_resource_path,
    "VolumeMount.subPath": is_inner_path,
    "VolumeMount.subPathExpr": is_inner_path,
    "KeyToPath.path": is_inner_path,
    "DownwardFile.path": is_inner_path,
    "ServiceAccountToken.path": is_inner_path,
}
"""An empty text counts as absent, unless it is a list's item."""

NOT_EMPTY: Final = frozenset(
    {
        "Container.name",
        "DNSOption.name",
        "EnvVar.name",
        "EnvSource.name",
        "ExecAction.command",
        "HostAlias.ip",
        "HTTPGetAction.port",
        "KeySelector.key",
        "KeySelector.name",
        "ObjectFieldSelector.fieldPath",
        "ResourceFieldSelector.resource",
        "SeccompProfile.type",
        "ReadinessGate.conditionType",
        "ServiceAccountToken.path",
        "TCPSocketAction.port",
        "VolumeMount.name",
        "VolumeMount.mountPath",
        "VolumeDevice.name",
        "VolumeDevice.devicePath",
        "Volume.name",
        "ConfigMapVolume.name",
        "SecretVolume.secretName",
        "PersistentVolumeClaim.claimName",
        "HostPath.path",
        "NFS.server",
        "NFS.path",
        "KeyToPath.key",
        "KeyToPath.path",
        "ProjectedFiles.name",
        "DownwardFile.path",
        "PodAffinityTerm.topologyKey",
        "TopologySpreadConstraint.topologyKey",
        "TopologySpreadConstraint.whenUnsatisfiable",
        "SelectorRequirement.key",
    }
)
"""Fields that must be there, and hold something."""

_SOURCES: Final = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc"
    " flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath iscsi nfs persistentVolumeClaim"
    " photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume"
)
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")

EXCLUSIVE: Final[Mapping[str, tuple[tuple[str, ...], bool]]] = {
    "Volume": (tuple(_SOURCES.split()), False),
    "Probe": (_HANDLERS, True),
    "LifecycleHandler": (_HANDLERS, True),
    "EnvVarSource": (("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"), True),
    "EnvFromSource": (("configMapRef", "secretRef"), True),
    "VolumeProjection": (("secret", "configMap", "downwardAPI", "serviceAccountToken"), False),
    "DownwardFile": (("fieldRef", "resourceFieldRef"), True),
    "VolumeMount": (("subPath", "subPathExpr"), False),
}
"""Groups of fields: at most one of each may be set; and whether one must be."""
