"""The components that set a cluster's GPUs up agree with the profiles that graphc comes with."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from graphc.diagnostics import Sink
from graphc.gpus.pools import Gpus
from graphc.profiles.read_profile import find_profile, read_profile

GPU: Final = Path(__file__).parents[2] / "k8s" / "gpu"
COMPONENTS: Final = sorted(path.parent.name for path in GPU.glob("*/README.md"))


def gpus_of(profile: str) -> Gpus:
    sink = Sink()
    source = find_profile(profile, sink)
    assert source is not None
    read = read_profile(source, sink)
    assert read is not None
    assert read.pools is not None
    (found,) = [pool.gpus for pool in read.pools if pool.gpus is not None]
    return found


def inner(component: str, file: str, key: str) -> Any:
    """Return the configuration that a ConfigMap's key holds as text."""
    return yaml.safe_load(yaml.safe_load((GPU / component / file).read_text())["data"][key])


@pytest.mark.parametrize("mode", ["mps", "time-slicing"])
def test_parts_are_as_many_and_called_as_the_profile_says(mode: str) -> None:
    gpus = gpus_of(f"gpu-{mode}")
    told = inner(mode, "device-plugin.yaml", mode)["sharing"]["mps" if mode == "mps" else "timeSlicing"]
    assert told["renameByDefault"] is gpus.renamed
    assert told["resources"] == [{"name": "nvidia.com/gpu", "replicas": gpus.replicas}]
    assert gpus.mode == mode


@pytest.mark.parametrize("strategy", ["mixed", "single"])
def test_slices_are_those_of_the_profile(strategy: str) -> None:
    gpus = gpus_of(f"gpu-mig-{strategy}")
    component = f"mig-{strategy}"
    (told,) = inner(component, "mig-parted.yaml", "config.yaml")["mig-configs"][f"graphc-{strategy}"]
    assert told == {"devices": "all", "mig-enabled": True, "mig-devices": dict(gpus.slices)}
    policy = yaml.safe_load((GPU / component / "cluster-policy.yaml").read_text())["spec"]
    assert policy["mig"]["strategy"] == gpus.strategy == strategy
    assert inner(component, "device-plugin.yaml", "mig")["flags"]["migStrategy"] == strategy


def test_every_component_has_a_page_and_a_line_in_the_table() -> None:
    folders = {path.parent.name for path in GPU.glob("*/kustomization.yaml")}
    components = {
        name
        for name in folders
        if yaml.safe_load((GPU / name / "kustomization.yaml").read_text())["kind"] == "Component"
    }
    assert components == set(COMPONENTS)
    table = (GPU / "README.md").read_text()
    assert all(f"]({name}/README.md)" in table for name in components)
