"""Reading SavedModels: what TensorFlow wrote is read, and hostile bytes are refused and do no more."""

import os
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from graphc.artefacts.described import DescribedTensor
from graphc.artefacts.saved_model import SavedSignature, read_saved_model
from graphc.artefacts.source import MalformedError, RefusedError
from graphc.artefacts.tensorflow_folder import SavedFolder, read_saved_folder
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request

WRITTEN: Final = Path(__file__).parents[1] / "reject/saved_models/folder/1/saved_model.pb"
"""By TensorFlow 2.21.0, of tests/servers/tensorflow/make_models.py."""
ROOT: Final = "/mnt/graphc/server-own"


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value % 2**64)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def message(field: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def entry(field: int, name: str, value: bytes) -> bytes:
    return message(field, message(1, name.encode()), message(2, value))


def tensor(dtype: int, *dims: int) -> bytes:
    return number(2, dtype) + message(3, *(message(2, number(1, dim)) for dim in dims))


def saved(*signatures: bytes, tag: str = "serve") -> bytes:
    return message(2, message(1, message(4, tag.encode())), *signatures)


ONE: Final = entry(5, "s", entry(1, "x", tensor(1, -1, 3)) + entry(2, "y", tensor(9, 0)))


def read(folder: Path, content: bytes) -> Mapping[str, SavedSignature]:
    path = folder / "saved_model.pb"
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_saved_model(file)


def test_what_tensorflow_wrote_is_read() -> None:
    with WRITTEN.open("rb") as file:
        found = read_saved_model(file)
    row, x = DescribedTensor("FP32", (None,)), DescribedTensor("FP32", (None, 3))
    texts, wide = DescribedTensor("BYTES", (None,)), DescribedTensor("INT64", (None,))
    assert found["serving_default"] == SavedSignature({"x": x}, {"y": x})
    assert found["describe"] == SavedSignature(
        {"x": x, "text": texts, "wide": wide},
        {"total": row, "shouted": texts, "wide": wide, "positive": DescribedTensor("BOOL", (None,))},
    )


def test_the_graph_that_is_served_is_read_and_what_is_not_known_is_none(tmp_path: Path) -> None:
    odd = entry(5, "odd", entry(1, "any", number(2, 1) + message(3, number(3, 1))) + entry(2, "c", tensor(8)))
    optional = entry(5, "more", entry(1, "k", tensor(3)) + entry(4, "k", b""))
    found = read(tmp_path, number(1, 1) + saved(tag="train") + saved(ONE, odd, optional))
    assert found == {
        "s": SavedSignature({"x": DescribedTensor("FP32", (None, 3))}, {"y": DescribedTensor("INT64", (0,))}),
        "odd": SavedSignature({"any": DescribedTensor("FP32", None)}, {"c": DescribedTensor(None, ())}),
        "more": SavedSignature({"k": DescribedTensor("INT32", ())}, {}, frozenset({"k"})),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is no SavedModel"),
        (b"\x08\x01", "it is no SavedModel"),
        (b"not protobuf at all", "unknown wire type|ends too early|no number"),
        (saved(ONE, tag="train"), "it has no graph with the tag `serve`"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "it ends too early"),
        (b"\x12" + b"\xff" * 11, "a number in it is too long"),
        (saved(b"\x2a\x7f"), "it ends too early"),
        (saved(message(5, message(1, b"\xff"))), "a name in it is not text"),
        (saved(message(5, message(1, b"a" * 70_000))), "a name in it is too long"),
        (saved(entry(5, "s", entry(1, "x", tensor(1, *[1] * 70)))), "too many dimensions"),
        (saved(*[entry(5, "a" * 60_000, b"")] * 80), "its signatures are too long"),
        (saved(entry(5, "s", entry(1, "x", b"\x18\x00" * 110_000))), "it takes too long to read"),
        (number(1, 1) * 110_000, "it takes too long to read"),
        (b"\x13" * 50_000, "unknown wire type"),
        (message(2, *[message(1)] * 110_000), "it takes too long to read"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises((MalformedError, RefusedError), match=words):
        read(tmp_path, content)


def test_no_cut_and_no_flipped_byte_does_more_than_be_refused(tmp_path: Path) -> None:
    whole, chance, refused = WRITTEN.read_bytes(), random.Random(15), 0
    cuts = [whole[: chance.randrange(len(whole))] for _ in range(300)]
    flips = [bytearray(whole) for _ in range(300)]
    for each in flips:
        for _ in range(3):
            each[chance.randrange(len(each))] = chance.randrange(256)
    for content in (*cuts, *map(bytes, flips)):
        try:
            read(tmp_path, content)
        except (MalformedError, RefusedError):
            refused += 1
    # What is cut within the only graph is never read.
    assert refused >= 300


def read_folder(folder: Path, config: str) -> SavedFolder:
    (folder / "models.config").write_text(config)
    files = [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*")) if not path.is_dir()]
    return read_saved_folder(files, ROOT)


def config(more: str = "", base: str = f"{ROOT}/deep/m") -> str:
    return f'model_config_list {{ config {{ name: "m" base_path: "{base}" {more} }} }}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in ("1", "2", "0010", "new", "9" * 30):
        (tmp_path / "deep/m" / version).mkdir(parents=True)
        (tmp_path / "deep/m" / version / "saved_model.pb").write_bytes(saved(ONE))
    return tmp_path


@pytest.mark.parametrize(
    ("more", "versions"),
    [
        ("", {10}),
        ("model_version_policy { all {} }", {1, 2, 10}),
        ("model_version_policy { latest { num_versions: 2 } }", {2, 10}),
        ("model_version_policy { specific { versions: 1 versions: 7 } }", {1}),
    ],
)
def test_the_versions_of_the_policy_are_served(folder: Path, more: str, versions: set[int]) -> None:
    found = read_folder(folder, config(more))
    model = found.models["m"]
    assert model is not None
    assert (model.versions.keys(), found.faults) == (versions, [])


def test_models_elsewhere_are_not_looked_at_and_ways_up_lead_nowhere(folder: Path) -> None:
    assert read_folder(folder, config(base="/models/m")).models == {"m": None}
    for base in (f"{ROOT}/deep/../deep/m", f"{ROOT}/../server-own/deep/m"):
        model = read_folder(folder, config(base=base)).models["m"]
        assert model is None or not model.versions


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model_config_list {", "`models.config:1`"),
        ('model_config_list { config { name: "m" } }', "a `base_path` is missing"),
        (config("model_version_policy { specific { versions: -1 } }"), "`versions` is no version"),
        ("a {" * 10_000, "`models.config:1`"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_a_fault(folder: Path, content: str, words: str) -> None:
    found = read_folder(folder, content)
    assert len(found.faults) == 1
    assert words in found.faults[0]


GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: g}
inputs: {x: "FP32[batch, 3]"}
servers:
  own: {kind: tensorflow, image: registry.example.com/serving, models: models}
nodes:
  m: {server: own, in: {x: x}, parameters: {signature: s}, out: {y: "INT64[0]"}}
outputs: {y: m}
"""


def problems(folder: Path) -> list[str]:
    (folder / "graph.yaml").write_text(GRAPH)
    return [each.message for each in compile_files(Request([str(folder / "graph.yaml")])).sink]


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    version = tmp_path / "graph/models/m/1"
    version.mkdir(parents=True)
    (tmp_path / "graph/models/models.config").write_text(config(base=f"{ROOT}/m"))
    (tmp_path / "secret.pb").write_bytes(saved(ONE))
    (version / "saved_model.pb").symlink_to(tmp_path / "secret.pb")
    found = problems(tmp_path / "graph")
    assert any("link" in each for each in found)
    assert not any("secret" in each for each in found)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    version = tmp_path / "models/m/1"
    version.mkdir(parents=True)
    (tmp_path / "models/models.config").write_text(config(base=f"{ROOT}/m"))
    os.mkfifo(version / "saved_model.pb")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(problems(tmp_path)), daemon=True)
    thread.start()
    thread.join(60)
    assert found
