"""All checks of a SeldonDeployment, in the order in which a cluster makes them."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Sink
from graphc.lint.check_explainers import check_explainers
from graphc.lint.check_fields import check_fields
from graphc.lint.check_identity import check_identity
from graphc.lint.check_names import check_names
from graphc.lint.check_places import check_places
from graphc.lint.check_pods import check_pods
from graphc.lint.check_ports import check_ports
from graphc.lint.check_predictors import check_predictors
from graphc.lint.check_repeated import check_repeated
from graphc.lint.check_resources import check_resources
from graphc.lint.check_room import check_room
from graphc.lint.check_scaling import check_scaling
from graphc.lint.check_servers import check_servers
from graphc.lint.check_settings import check_settings
from graphc.lint.check_units import check_units
from graphc.lint.check_values import check_values
from graphc.profiles.profile import Installation
from graphc.seldon.deployment import Deployment, read_deployment
from graphc.seldon.node import ManifestNode
from graphc.source.located import Fields

# The API server looks at fields before the webhook sees a manifest; the operator's defaults come after both.
CHECKS: Final[tuple[Callable[[Deployment, Sink], None], ...]] = (
    check_settings,
    check_predictors,
    check_units,
    check_names,
    check_pods,
    check_values,
    check_places,
    check_ports,
    check_room,
    check_resources,
    check_scaling,
    check_explainers,
)

CHECKS_OF_INSTALLATION: Final[tuple[Callable[[Deployment, Installation, Sink], None], ...]] = (
    check_servers,
    check_repeated,
)
UNKNOWN: Final = Installation()


def check_manifest(document: Fields, sink: Sink, installation: Installation = UNKNOWN) -> None:
    """Report what a cluster would refuse, fail on, or accept and not do."""
    fields = Sink()
    check_identity(ManifestNode(document), fields)
    check_fields(document, fields, installation.seldon)
    for diagnostic in fields:
        sink.report(diagnostic)
    if fields.has_errors:
        return
    deployment = read_deployment(ManifestNode(document))
    for check in CHECKS:
        check(deployment, sink)
    for check in CHECKS_OF_INSTALLATION:
        check(deployment, installation, sink)
