"""Pickles that would do harm if they were obeyed: reading them does nothing, and is over soon."""

import importlib
import io
import os
import pickle
import pickletools
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc.artefacts.pickle_machine import _ACTIONS as ACTIONS  # pyright: ignore[reportPrivateUsage]
from graphc.artefacts.pickle_machine import Instance, Name, PickleLimits, PickleMachine, Value
from graphc.artefacts.read_signature import read_signature
from graphc.artefacts.signature import ArtefactFault, Signature
from graphc.artefacts.source import Source
from graphc.diagnostics.codes.artefacts import UNKNOWN_SIGNATURE, UNREADABLE_ARTEFACT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JOBLIB: Final[Any] = importlib.import_module("joblib")
SECONDS: Final = 20.0
"""Of a processor, and far more than reading takes: the machine that tests run on is shared."""


def read_bytes(data: bytes, folder: Path) -> Signature | ArtefactFault:
    path = folder / "model.pkl"
    path.write_bytes(data)
    begin = time.process_time()
    outcome = read_signature(path, "sklearn")
    assert time.process_time() - begin < SECONDS
    return outcome


class Runs:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_create_a_file_creates_none(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "harm"
    data = pickle.dumps(Runs(os.mkdir, str(target)), protocol=protocol)
    outcome = read_bytes(data, tmp_path)
    assert isinstance(outcome, ArtefactFault)
    assert outcome.rule is UNKNOWN_SIGNATURE
    assert not target.exists()
    pickle.loads(data)
    assert target.exists(), "the pickle has to be harmful for this test to mean anything"


def test_an_array_of_objects_runs_nothing_either(tmp_path: Path) -> None:
    target = tmp_path / "harm"
    held = np.empty(1, dtype=object)
    held[0] = Runs(os.mkdir, str(target))
    JOBLIB.dump(held, tmp_path / "held.joblib")
    read_signature(tmp_path / "held.joblib", "sklearn")
    assert not target.exists()
    JOBLIB.load(tmp_path / "held.joblib")
    assert target.exists()


def test_reading_imports_nothing_that_the_pickle_names(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x02cwave\nopen\n(X\x01\x00\x00\x00atR.")
    program = (
        "import sys; from pathlib import Path; from graphc.artefacts.read_signature import read_signature; "
        "read_signature(Path('model.pkl'), 'sklearn'); print({'wave', 'numpy', 'joblib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


HOSTILE: Final[dict[str, bytes]] = {
    "empty": b"",
    "no end": b"\x80\x04",
    "no stack": b"\x80\x04.",
    "no mark": b"\x80\x04t.",
    "unknown opcode": b"\x80\x04\xff.",
    "unknown memo": b"\x80\x04h\x07.",
    "a memo far away": b"\x80\x04Nr\xff\xff\xff\xff.",
    "a text without limit": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "bytes without limit": b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\xff.",
    "a text of negative length": b"\x80\x02T\xff\xff\xff\xff.",
    "a number of negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a number of 900 digits": b"L" + b"9" * 900 + b"L\n.",
    "deep lists": b"(" * 1_000_000 + b"l" * 1_000_000 + b".",
    "deep tuples": b"\x80\x02N" + b"\x85" * 1_000_000 + b".",
    "deep calls": b"\x80\x02cos\nsystem\n" + b")R" * 1_000_000 + b".",
    "deep states": b"\x80\x02N" + b"cos\nsystem\n)R2b" * 100_000 + b".",
    "a key that takes forever to hash": b"\x80\x02}N" + b"2\x86" * 200 + b"Ns.",
    "a list that doubles": b"\x80\x02]" + b"(22e" * 500_000 + b".",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "too many steps": b"\x80\x02" + b"N0" * 1_600_000 + b".",
    "a persistent object": b"\x80\x02Nq\x00Q.",
    "an extension": b"\x80\x02\x82\x01)R.",
    "a name that is no name": b"\x80\x04K\x01K\x02\x93.",
    "a name without end": b"c" + b"a" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("pack", [bytes, zlib.compress], ids=["plain", "compressed"])
def test_hostile_bytes_are_a_fault(name: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    outcome = read_bytes(pack(HOSTILE[name]), tmp_path)
    assert isinstance(outcome, ArtefactFault)
    assert outcome.rule in {UNREADABLE_ARTEFACT, UNKNOWN_SIGNATURE}


@pytest.mark.slow
def test_a_compressed_bomb_is_given_up(tmp_path: Path) -> None:
    engine = zlib.compressobj(9)
    zeros = bytes(1 << 24)
    path = tmp_path / "bomb.joblib"
    with path.open("wb") as file:
        file.write(engine.compress(b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little")))
        for _ in range(80):
            file.write(engine.compress(zeros))
        file.write(engine.flush())
    begin = time.process_time()
    outcome = read_signature(path, "sklearn")
    assert isinstance(outcome, ArtefactFault)
    assert outcome.message == "`bomb.joblib` does not tell its tensors: it is too large once decompressed"
    assert time.process_time() - begin < 2 * SECONDS


@pytest.mark.parametrize(
    "shape", [(1 << 62, 1 << 62), (-1,), (1 << 2000,), (2,) * 65, ("a",), "no shape", None]
)
def test_a_hostile_array_is_a_fault(shape: object, tmp_path: Path) -> None:
    wrapper = importlib.import_module("joblib.numpy_pickle").NumpyArrayWrapper(
        np.ndarray, shape, "C", np.dtype("f8")
    )
    outcome = read_bytes(pickle.dumps(wrapper), tmp_path)
    assert isinstance(outcome, ArtefactFault)
    assert outcome.rule in {UNREADABLE_ARTEFACT, UNKNOWN_SIGNATURE}


def test_a_pipeline_that_holds_itself_is_a_fault(tmp_path: Path) -> None:
    make: Any = importlib.import_module("sklearn.pipeline").Pipeline
    pipeline = make([("self", "passthrough")])
    pipeline.steps = [("self", pipeline)]
    outcome = read_bytes(pickle.dumps(pipeline), tmp_path)
    assert isinstance(outcome, ArtefactFault)
    assert "nested too deeply" in outcome.message


def test_lz4_is_refused_with_its_reason(tmp_path: Path) -> None:
    outcome = read_bytes(b"\x04\x22\x4d\x18" + bytes(20), tmp_path)
    assert isinstance(outcome, ArtefactFault)
    assert outcome.message == "`model.pkl` does not tell its tensors: it is compressed with lz4"


# The machine against pickle itself


def test_every_opcode_is_known() -> None:
    assert {opcode.code.encode("latin-1") for opcode in pickletools.opcodes} == ACTIONS.keys() | {b"."}


PLAIN: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def run_machine(data: bytes) -> Value:
    return PickleMachine(Source(io.BufferedReader(io.BytesIO(data)), len(data)), PickleLimits()).run()  # pyright: ignore[reportArgumentType]


@given(PLAIN, st.integers(3, 5))
def test_plain_values_are_read_as_pickle_reads_them(value: Value, protocol: int) -> None:
    assert run_machine(pickle.dumps(value, protocol=protocol)) == value


@given(
    st.recursive(st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40), st.lists),
    st.integers(0, 2),
)
def test_old_protocols_are_read_as_pickle_reads_them(value: Value, protocol: int) -> None:
    assert run_machine(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_is_noted_and_not_made(protocol: int) -> None:
    noted = run_machine(pickle.dumps(importlib.import_module("fractions").Fraction(1, 3), protocol=protocol))
    assert isinstance(noted, Instance)
    assert noted.maker == Name("fractions", "Fraction")


# Damage


COMPRESSIONS: Final = (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3))
SOUND: Final = sorted(["pickle", "pickle-0", *map(str, COMPRESSIONS)])


@cache
def sound_files() -> dict[str, bytes]:
    make: Any = importlib.import_module("sklearn.linear_model").LogisticRegression
    points = np.random.default_rng(1).random((12, 3))
    model = make().fit(points, np.array(["a", "b"], dtype=object)[np.arange(12) % 2])
    files = {"pickle": pickle.dumps(model), "pickle-0": pickle.dumps(model, protocol=0)}
    for compress in COMPRESSIONS:
        buffer = io.BytesIO()
        JOBLIB.dump(model, buffer, compress=compress)
        files[str(compress)] = buffer.getvalue()
    return files


CHANGES: Final = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8)
QUIET: Final = (HealthCheck.function_scoped_fixture,)


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(name=st.sampled_from(SOUND), share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_a_fault(name: str, share: float, tmp_path: Path) -> None:
    data = sound_files()[name]
    outcome = read_bytes(data[: int(len(data) * share)], tmp_path)
    # What follows the last opcode, as a checksum does, is not read.
    assert isinstance(outcome, ArtefactFault) or len(data) * (1 - share) < 64


@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
@given(
    name=st.sampled_from(SOUND),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
)
def test_a_damaged_file_never_raises(name: str, changes: list[tuple[float, int]], tmp_path: Path) -> None:
    data = bytearray(sound_files()[name])
    for share, byte in changes:
        data[int(share * (len(data) - 1))] = byte
    outcome = read_bytes(bytes(data), tmp_path)
    assert isinstance(outcome, Signature | ArtefactFault)
    assert changes or isinstance(outcome, Signature)


@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_an_answer(data: bytes, tmp_path: Path) -> None:
    assert isinstance(read_bytes(data, tmp_path), Signature | ArtefactFault)
