"""Reading Triton's configurations: what they say, and that no bytes do more than be refused."""

import random
from pathlib import Path
from typing import Final

import pytest
from graphc.artefacts.protobuf_text import MOST, ProtobufTextError, read_message
from graphc.artefacts.triton_config import read_triton_config
from graphc.artefacts.triton_repository import read_repository

REAL: Final = sorted((Path(__file__).parents[1] / "servers" / "triton").glob("*.pbtxt"))

WHOLE: Final = rb"""# A comment
name: 'it\'s' "one"  max_batch_size: 0x8;
input { name: "x", data_type: TYPE_INT64 dims: -1 dims: [2, 3] optional: true }
input: [ { name: "s" data_type: TYPE_STRING dims [] }, < name: "h" data_type: TYPE_FP16 > ]
version_policy: { latest { num_versions: 2 } }
parameters { key: "k" value: { string_value: "v" } }
optimization { priority: PRIORITY_MAX cuda { graphs: true } } rate: -1.5e-3
"""


def test_everything_of_the_format_is_read() -> None:
    text = WHOLE.replace(b"0x8", b"8").replace(b"dims []", b"dims: []")
    found = read_triton_config(text)
    assert [(each.name, each.datatype, each.dims, each.is_optional) for each in found.inputs] == [
        ("x", "INT64", (-1, 2, 3), True),
        ("s", "BYTES", (), False),
        ("h", "FP16", (), False),
    ]
    assert found.type_of(found.inputs[0]) == "INT64[batch, n, 2, 3]"
    assert found.served({1, 3, 7}) == {3, 7}
    assert found.outputs == ()
    name = read_message(text).scalar("name")
    assert name is not None
    assert name.text == "it'sone"


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.stem)
def test_what_the_real_triton_serves_is_read(file: Path) -> None:
    found = read_triton_config(file.read_bytes())
    assert found.inputs
    assert found.outputs
    assert found.is_decoupled == (file.stem == "stream")
    assert found.is_sequence == (file.stem == "sequence")
    assert found.specific == ((1, 2) if file.stem == "versions" else ())
    assert len(found.steps) == (2 if file.stem == "ensemble" else 0)


def test_the_real_repository_has_no_faults(tmp_path: Path) -> None:
    files = [(f"{file.stem}/config.pbtxt", file) for file in REAL]
    found = read_repository([*files, *((f"{file.stem}/1/model.py", file) for file in REAL)])
    assert found.faults == ()
    assert found.models["plain"].versions == {1}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"input [", 1, "ends within a field"),
        (b"a: 1\ninput { name: \"x\"", 2, "ends within a field"),
        (b"a: 1\n}\n", 2, "where a field's name should"),
        (b"a: 'b\n'", 1, "none of the format's marks"),
        (b"a 1", 1, "where a value should"),
        (b"a: ,", 1, "where a value should"),
        (b"a: [1 2]", 1, "where a comma should"),
        (b"\n\xff", 2, "not UTF-8"),
        (b"a {" * 40, 1, "deep within each other"),
        (b"a" * (MOST + 1), 1, "more than 1,048,576 bytes"),
        (b"max_batch_size: 1.5", 1, "`max_batch_size` is no whole number"),
        (b"max_batch_size: 999999999999999999999", 1, "`max_batch_size` is no whole number"),
        (b"\ninput { data_type: TYPE_FP32 }", 2, "a `name` is missing"),
        (b"input { name: \"x\" data_type: FP32 }", 1, "the `data_type` of `x` is missing, or is no type"),
        (b"input { name: \"x\" data_type: TYPE_FP32 dims: -2 }", 1, "the `dims` of `x` are not those of a tensor"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_told_with_its_line(text: bytes, line: int, reason: str) -> None:
    with pytest.raises(ProtobufTextError) as caught:
        read_triton_config(text)
    assert str(caught.value).startswith(f"{line}: ")
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


def test_no_bytes_do_more_than_be_refused() -> None:
    drawn = random.Random(0)
    originals = [WHOLE, *(file.read_bytes() for file in REAL)]
    refused = 0
    for _ in range(3000):
        text = bytearray(drawn.choice(originals))
        for _ in range(drawn.randrange(1, 4)):
            place = drawn.randrange(len(text))
            text[place : place + drawn.randrange(3)] = drawn.choice(
                [b"", b"{", b"}", b"[", b"]", b'"', b"\\", b":", b"<", bytes([drawn.randrange(256)])]
            )
        try:
            read_triton_config(bytes(text))
        except ProtobufTextError:
            refused += 1
    assert 500 < refused < 3000
