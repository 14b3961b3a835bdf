"""From an empty folder to an answer: two files of Python, a package of an index, a model that no config map holds."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

# scikit-learn and joblib carry no types.
JOBLIB: Final[Any] = importlib.import_module("joblib")
NEIGHBORS: Final[Any] = importlib.import_module("sklearn.neighbors")

FILES: Final = {
    "graph.yaml": """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: names}
inputs: {name: "BYTES[batch]"}
requirements: [unidecode==1.3.8]
artifacts: STORE
nodes:
  letters: {python: "letters:count", in: {name: name}, out: {counts: "FP64[batch, 8]"}}
  nearest: {model: nearest.joblib, in: {X: letters}}
outputs: {nearest: nearest.predict}
""",
    "letters.py": """\
import numpy as np
from plain import plain


def count(name):
    texts = [plain(each) for each in name]
    return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float64)
""",
    "plain.py": """\
from unidecode import unidecode


def plain(name):
    return unidecode(name.decode()).lower()
""",
}
NAMES: Final = ["Ábaco", "Chloë", "Über", "façade"]
COUNTS: Final = [
    [2, 1, 1, 0, 0, 0, 0, 0],
    [0, 0, 1, 0, 1, 0, 0, 1],
    [0, 1, 0, 0, 1, 0, 0, 0],
    [2, 0, 1, 1, 1, 1, 0, 0],
]


def graphc(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from graphc.cli import start; start()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_an_empty_folder_to_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "graph", tmp_path / "store"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("STORE", store.as_uri()))
    rows = np.random.default_rng(0).integers(0, 4, (250_000, 8)).astype(np.float64)
    model = NEIGHBORS.KNeighborsClassifier(1, algorithm="brute").fit(rows, np.arange(len(rows)) % 1000)
    JOBLIB.dump(model, folder / "nearest.joblib")
    assert (folder / "nearest.joblib").stat().st_size > 15_000_000
    body = {"inputs": [{"name": "name", "datatype": "BYTES", "shape": [len(NAMES)], "data": NAMES}]}
    (folder / "request.json").write_text(json.dumps(body))

    graphc("check", "graph.yaml")
    assert "1 pushed" in graphc("push", "graph.yaml").stdout
    graphc("image", "graph.yaml", "-o", "image")
    assert "unidecode==1.3.8" in Path("image/requirements.lock").read_text()
    graphc("compile", "graph.yaml", "-o", "manifest.yaml")
    # Where the manifest runs there is nothing else of the graph.
    for name in (*FILES, "nearest.joblib"):
        (folder / name).unlink()
    ports = ("--port", "0", "--grpc-port", "0")
    # The store lies outside the manifest's folder, which a manifest alone may not lead to.
    ran = graphc(
        "run", "manifest.yaml", "--once", "--request", "request.json", "--mount", f"store={store}", *ports
    )
    (output,) = json.loads(ran.stdout)["outputs"]
    assert output["data"] == model.predict(np.array(COUNTS, dtype=np.float64)).tolist()
