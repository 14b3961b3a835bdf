"""The real kubectl reads YAML as graphc says that it does."""

import json
import subprocess
from collections.abc import Callable
from typing import Final

import pytest
from graphc.diagnostics import Sink
from graphc.seldon.documents import is_manifest
from graphc.source.located import Plain, to_plain
from graphc.source.yaml_reader import read_for_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

Kubectl = Callable[..., subprocess.CompletedProcess[str]]

HEAD: Final = """
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: read, namespace: default}
"""
SCALARS: Final = """
y Y yes YES yEs n N no off OFF on On true TRUE tRUE ~ null Null NULL nUll
0 00 0_ 07 08 010 0420 0o644 0O7 0o 0o_7 089 08_0 0777777777777777777777777 -0420 +010
1_00 1__0 +_1 _1 -_1 + - +- 1_ 1_0.0 1._5 1.5_0 ._5 .5_0 .5__0 .5_ .5e1_0 .5e_1
.5 -.5 +.5 . .e5 1. 1.e3 1_e_1 1e 1e3 1E+3 1e-3
0x10 0X1f -0x1 0x_1 0x 0xg 0b11 0B11 -0b11 +0b11 0b_1 0b2 0b 1:30 1:30:30 -1:30
2024-01-02 2024-1-2 2024-01-02T00:00:00Z 2024-01 2024
2.0 2.5 1e0 1e20 1e21 1e22 1e300 1e999 -1e999 1e-400 -0 -0.0
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616 +9223372036854775808 99999999999999999999
0xffffffffffffffff 0x10000000000000000 nan inf Infinity << = 1,5 5m 1Gi v1
"""
TAGGED: Final = [
    "!!int '3'",
    "!!int 0420",
    "!!float 2",
    "!!float 0_7",
    "!!str 5",
    "!!str yes",
    "!!bool yes",
    "!!null ~",
    "!!binary aGFsbG8=",
    "!!timestamp 2024-01-02",
    "!Ref 5",
    "!Ref {a: 1}",
    "! 5",
    "'yes'",
]
KEYS: Final = """
1 010 1_0 0x10 1.5 1.50 1.10 0.1 1e5 1e6 1e7 123456.5 1234567.5 1e-5 0.0001 2.0 16777217.0 3.4e38 1e39 1e300
y No true 2024-01-02 '0420' 1:30 1e999 -1.5 .inf << =
"""
REFUSED: Final = [
    "{~: a}",
    "{? [a] : b}",
    "{18446744073709551615: a}",
    "{<<: text}",
    "{<<: [5]}",
    "{<<: ~}",
    "[&a [{b: c}], {<<: *a}]",
    "[*nothing]",
    "&a [*a]",
    "!!int a",
    "!!bool 1",
    "!!float yes",
    "!!binary '?'",
]
MERGES: Final = """
one: &one {a: 1, b: 2}
two: &two {b: 3, c: 4}
merged:
  - {<<: *one}
  - {<<: *one, a: 9}
  - {a: 9, <<: *one}
  - {<<: [*one, *two]}
  - {<<: [*two, *one, {d: 5}]}
  - {<<: *one, <<: *two}
  - {<<: {<<: *one, e: 6}, b: 7}
  - {'<<': *one}
  - {!!merge <<: *one}
  - {a: 1, b: 2, a: 3}
  - {<<: *one, a: 8, a: 9}
  - {a: 8, <<: *one, a: 9}
"""


def ask(kubectl: Kubectl, text: str) -> Plain:
    command = ("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-")
    done = kubectl(*command, text=text)
    return json.loads(done.stdout)["spec"] if not done.returncode else None


def read(text: str) -> Plain:
    documents = read_for_cluster(text, "m.yaml", Sink(), is_manifest)
    plain = to_plain(documents[0]) if documents else None
    return plain["spec"] if isinstance(plain, dict) else None


def typed(value: Plain) -> object:
    """Tell `True`, 1 and 1.0 apart; what 64 bits do not hold is written as an integer and read as a float."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    if isinstance(value, list):
        return [typed(each) for each in value]
    if isinstance(value, dict):
        return {key: typed(each) for key, each in value.items()}
    return type(value).__name__, value


def test_scalars(seldon: Kubectl) -> None:
    lines = [f"  - [{each!r}, {each}]\n" for each in SCALARS.split()]
    lines += [f"  - [{each}]\n" for each in TAGGED]
    assert len(lines) > 100
    text = HEAD + "spec:\n  values:\n" + "".join(lines)
    assert typed(read(text)) == typed(ask(seldon, text))


def test_keys(seldon: Kubectl) -> None:
    text = HEAD + "spec:\n  values:\n" + "".join(f"  - {{{each}: {{a: b}}}}\n" for each in KEYS.split())
    assert typed(read(text)) == typed(ask(seldon, text))


def test_merges_and_equal_keys(seldon: Kubectl) -> None:
    text = HEAD + "spec:" + MERGES.replace("\n", "\n  ") + "\n"
    assert typed(read(text)) == typed(ask(seldon, text))


@pytest.mark.parametrize("value", REFUSED)
def test_refused(value: str, seldon: Kubectl) -> None:
    text = HEAD + f"spec: {{values: {value}}}\n"
    assert ask(seldon, text) is None
    assert read(text) is None
