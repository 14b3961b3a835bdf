"""An editor accepts the profiles that graphc accepts, and names the field of those that it does not."""

import json
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from graphc.profiles.read_profile import SHIPPED, shipped_profiles
from jsonschema import Draft202012Validator

Json = dict[str, Any]

BROKEN: Final[dict[str, tuple[Json, str]]] = {
    "no such ingress": ({"ingress": {"kind": "nginx"}}, "'nginx' is not one of"),
    "no kind": ({"ingress": {"host": "x"}}, "'kind' is a required property"),
    "no gateway": ({"ingress": {"kind": "gateway"}}, "'gateway' is a required property"),
    "another ingress's field": ({"ingress": {"kind": "none", "host": "x"}}, "'host' was unexpected"),
    "unknown field": ({"pool": []}, "'pool' was unexpected"),
    "no memory": ({"pools": [{"name": "a", "cpu": 4}]}, "is not valid under any of the given schemas"),
}


def schema() -> Json:
    done = CliRunner().invoke(main, ["schema", "--profile"])
    assert done.exit_code == 0, done.output
    found: Json = json.loads(done.output)
    Draft202012Validator.check_schema(found)
    return found


def problems(document: Json) -> list[str]:
    validator: Any = Draft202012Validator(schema())
    return [str(each.message) for each in validator.iter_errors(document)]


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_accepted(name: str) -> None:
    assert problems(yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())) == []


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_named(what: str) -> None:
    change, words = BROKEN[what]
    document = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": "ours"}}
    found = problems(document | change)
    assert len(found) == 1, found
    assert words in found[0]
