"""The real CRDs of the Gateway API and of Istio take the routes of every strategy, and refuse broken ones."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from graphc.profiles.read_profile import SHIPPED

ROOT: Final = Path(__file__).parents[2]
GOLDENS: Final = ROOT / "tests" / "golden" / "test_compiled_graphs"
ALL: Final = {
    "HTTPRoute": "gateway-all",
    "GRPCRoute": "gateway-all",
    "VirtualService": "istio-all",
    "DestinationRule": "istio-sticky",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
NewNamespace = Callable[..., str]


def route(kind: str) -> Json:
    documents = yaml.safe_load_all((GOLDENS / f"{ALL[kind]}.O1.yaml").read_text())
    # Of a kind the first is by shares and headers; versions by their names follow.
    return next(each for each in documents if each["kind"] == kind)


def apply(kubectl: Kubectl, document: Json, namespace: str) -> subprocess.CompletedProcess[str]:
    document["metadata"]["namespace"] = namespace
    how = ("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", "-")
    return kubectl(*how, text=json.dumps(document))


def break_rule(kind: str, document: Json) -> str:
    """Break a route, and return what the server has to say of it."""
    spec = document["spec"]
    match kind:
        case "HTTPRoute":
            spec["rules"][0]["filters"][1]["requestMirror"]["percent"] = 101
            return "percent"
        case "GRPCRoute":
            spec["rules"][0]["backendRefs"][0]["weight"] = -1
            return "weight"
        case "VirtualService":
            next(each for each in spec["http"] if "mirrors" in each)["mirrors"][0]["destination"].pop("host")
            return "host"
        case _:
            spec["trafficPolicy"]["loadBalancer"]["consistentHash"]["useSourceIp"] = True
            return "consistentHash"


@pytest.mark.parametrize("kind", ALL)
def test_routes_are_taken_whole_and_broken_ones_are_not(
    kind: str, routes: Kubectl, new_namespace: NewNamespace
) -> None:
    namespace, document = new_namespace(), route(kind)
    done = apply(routes, copy.deepcopy(document), namespace)
    assert (done.returncode, done.stderr) == (0, "")
    name = document["metadata"]["name"]
    kept = json.loads(routes("get", kind.lower(), name, "-n", namespace, "-o", "json").stdout)
    assert_within(document["spec"], kept["spec"])
    broken = copy.deepcopy(document)
    word = break_rule(kind, broken)
    refused = apply(routes, broken, namespace)
    assert refused.returncode
    assert word in refused.stderr


def assert_within(wanted: object, kept: Any) -> None:
    """Nothing that was sent is missing or other; the server may add its defaults."""
    match wanted:
        case dict():
            for key, value in cast("Json", wanted).items():
                assert_within(value, kept[key])
        case list():
            items = cast("list[Any]", wanted)
            assert len(items) == len(kept)
            for one, other in zip(items, kept, strict=True):
                assert_within(one, other)
        case _:
            assert wanted == kept


def test_the_gateway_of_the_shipped_profile_is_taken(routes: Kubectl) -> None:
    profile = yaml.safe_load((SHIPPED / "gateway.yaml").read_text())
    done = routes("apply", "--server-side", "--validate=strict", "-k", ROOT / "k8s" / "gateway")
    assert (done.returncode, done.stderr) == (0, "")
    namespace, _, name = profile["ingress"]["gateway"].partition("/")
    assert not routes("get", "gateway", name, "-n", namespace).returncode
