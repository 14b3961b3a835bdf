"""Where artefacts lie, what serves them, and files that cannot be opened."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from graphc.artefacts.locations import FRAMEWORKS, check_location, framework_of, is_uri
from graphc.artefacts.read_signature import content_hash, read_signature
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import MISSING_ARTEFACT, UNKNOWN_FRAMEWORK, UNKNOWN_SCHEME


@pytest.mark.parametrize(("suffix", "framework"), FRAMEWORKS.items())
@pytest.mark.parametrize("place", ["lr", "models/lr", "s3://bucket/v1.2/lr", "pvc://claim/lr"])
def test_the_suffix_tells_the_framework(place: str, suffix: str, framework: str) -> None:
    assert framework_of(place + suffix) == framework


def test_a_query_is_no_part_of_the_suffix() -> None:
    assert framework_of("https://host/lr.onnx?version=1.2") == "onnx"


@pytest.mark.parametrize(
    ("location", "message", "advice"),
    [
        ("lr.onx", "`lr.onx` has the suffix `.onx`, which names no framework", "did you mean `.onnx`?"),
        (
            "models/lr.pt",
            "`models/lr.pt` has the suffix `.pt`, which names no framework",
            "use one of `.onnx`, `.joblib`, `.pkl`, `.ubj`, `.json`, `.txt`",
        ),
        (
            "s3://b.onnx/lr",
            "`s3://b.onnx/lr` has no suffix, which would name its framework",
            "use one of `.onnx`, `.joblib`, `.pkl`, `.ubj`, `.json`, `.txt`",
        ),
        (
            ".onnx",
            "`.onnx` has no suffix, which would name its framework",
            "use one of `.onnx`, `.joblib`, `.pkl`, `.ubj`, `.json`, `.txt`",
        ),
    ],
)
def test_an_unknown_suffix_is_a_fault(location: str, message: str, advice: str) -> None:
    assert framework_of(location) == ArtefactFault(UNKNOWN_FRAMEWORK, message, advice)


@pytest.mark.parametrize(
    "location", ["lr.onnx", "./a/lr.onnx", "s3://b/lr.onnx", "gs://b/a", "pvc://claim/a"]
)
def test_a_known_scheme_is_fine(location: str) -> None:
    assert check_location(location) is None


def test_an_unknown_scheme_is_a_fault() -> None:
    assert is_uri("ftp://host/lr.onnx")
    fault = check_location("ftp://host/lr.onnx")
    assert fault is not None
    assert fault.rule is UNKNOWN_SCHEME
    assert fault.message == "`ftp://host/lr.onnx` has the scheme `ftp`, which no unit can fetch"


@pytest.mark.parametrize("framework", ["onnx", "sklearn", "xgboost"])
@pytest.mark.parametrize("name", ["absent", "a" * 5000, "nul\0"])
def test_a_file_that_cannot_be_opened_is_a_fault(framework: str, name: str, tmp_path: Path) -> None:
    assert isinstance(read_signature(tmp_path / name, framework), ArtefactFault)


def test_an_absent_file_is_called_what_the_graph_calls_it(tmp_path: Path) -> None:
    fault = read_signature(tmp_path / "lr.onnx", "onnx", called="models/lr.onnx")
    assert fault == ArtefactFault(MISSING_ARTEFACT, "there is no file `models/lr.onnx`")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    fault = read_signature(tmp_path, "onnx", called="models")
    assert fault == ArtefactFault(MISSING_ARTEFACT, "`models` is a folder, not a file")


def test_an_unknown_framework_is_a_fault(tmp_path: Path) -> None:
    fault = read_signature(tmp_path / "m.pt", "torch")
    assert isinstance(fault, ArtefactFault)
    assert fault.rule is UNKNOWN_FRAMEWORK


def test_a_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"abc" * 100_000)
    assert content_hash(tmp_path / "m") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_the_readers_import_nothing_heavy() -> None:
    program = (
        "import sys; import graphc.artefacts.read_signature, graphc.artefacts.python_reader; "
        "import graphc.artefacts.locations; "
        "print({'numpy', 'onnx', 'joblib', 'sklearn', 'xgboost', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
