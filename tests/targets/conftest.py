"""A target beside those that graphc has."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from graphc import targets

ECHO: Final = '''
"""A target that names what it was given."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import INGRESS_CANNOT, SECOND_SHADOW
from graphc.targets.interface import Deployable, Emission, Target


def emit(deployable: Deployable, sink: Sink) -> Emission | None:
    if deployable.profile.ingress.kind == "istio":
        sink.report(Diagnostic(INGRESS_CANNOT, "echo has no ingress", deployable.settings.at))
        return None
    units = [unit.name for version in deployable.versions for unit in version.plan.root.walk()]
    return Emission(({"kind": "Echo", "units": units},), ())


def check_losses(deployable: Deployable, sink: Sink) -> None:
    if len(deployable.versions) > 1:
        sink.report(Diagnostic(SECOND_SHADOW, "echo has one version", deployable.settings.at))


TARGET = Target("echo", emit, losses=(SECOND_SHADOW,), check_losses=check_losses)
'''


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another target, for as long as a test runs."""
    package = tmp_path / "echo"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "target.py").write_text(ECHO)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path)])
    yield
    for name in [each for each in sys.modules if each.startswith("graphc.targets.echo")]:
        del sys.modules[name]
    if hasattr(targets, "echo"):
        delattr(targets, "echo")
