"""What a local run takes from manifests: one SeldonDeployment that it can run, and config maps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.diagnostics.printable import quoted
from graphc.run.config_map import KIND as CONFIG_MAP
from graphc.run.config_map import ConfigMap, read_config_map
from graphc.run.problem import Findings
from graphc.run.volumes import LABEL
from graphc.seldon.deployment import Deployment, Predictor, read_deployment
from graphc.seldon.documents import KIND
from graphc.seldon.node import ManifestNode


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every document that a local run reads."""

    deployments: tuple[Deployment, ...]
    config_maps: Mapping[str, ConfigMap]


def read_manifest(documents: Sequence[ManifestNode], findings: Findings) -> Manifest:
    """Find the SeldonDeployments and config maps among documents; report what no local run can run."""
    config_maps = [read_config_map(each, findings) for each in documents if each.text("kind") == CONFIG_MAP]
    deployments = tuple(read_deployment(each) for each in documents if each.text("kind") == KIND)
    for each in deployments:
        _check_deployment(each, findings)
    if not deployments and not findings.problems:
        findings.refuse("there is no SeldonDeployment among the documents, and no Deployment of a graph")
    return Manifest(deployments, {each.name: each for each in config_maps})


def choose_predictors(deployment: Deployment, name: str | None, findings: Findings) -> list[Predictor]:
    """Return the predictor of that name, or all of them; none, with the reason, where that cannot be."""
    if name is None:
        if all(each.is_shadow for each in deployment.predictors):
            findings.refuse(f"`{deployment.name}` has no live predictor")
        _check_names(deployment, deployment.predictors, findings)
        return list(deployment.predictors)
    found = [each for each in deployment.predictors if each.name == name]
    if not found:
        names = ", ".join(f"`{each.name}`" for each in deployment.predictors)
        findings.refuse(f"`{deployment.name}` has no predictor `{name}`", f"it has {names or 'none'}")
    _check_names(deployment, found, findings)
    return found


def _check_names(deployment: Deployment, predictors: Sequence[Predictor], findings: Findings) -> None:
    """Refuse names that no predictor can have on a cluster either: they become part of Services' names."""
    for name, count in Counter(each.name for each in predictors).items():
        if not LABEL.match(name):
            findings.refuse(f"{quoted(name)} is not a name that a predictor can have")
        elif count > 1:
            findings.refuse(f"`{deployment.name}` has {count} predictors of the name `{name}`")


def _check_deployment(deployment: Deployment, findings: Findings) -> None:
    if not deployment.name:
        findings.refuse("a SeldonDeployment has no name")
    if not deployment.speaks_v2:
        findings.refuse(
            f"`{deployment.name}` speaks protocol `{deployment.protocol}`; a local run speaks v2 only"
        )
    for predictor in deployment.predictors:
        if not predictor.graph.name:
            findings.refuse(f"predictor `{predictor.name}` has no graph")
    if not deployment.predictors:
        findings.refuse(f"`{deployment.name}` has no predictors")
