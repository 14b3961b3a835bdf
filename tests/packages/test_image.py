"""The image of a graph's units: what it is built of, and the environment that stands for it on this machine."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.packages.environment import MOST_KEPT, find_environment, make_environment
from graphc.packages.wheels import make_wheels
from graphc.runtime_image import read_image
from graphc.trial import pythons

GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {text: "BYTES[batch]"}
requirements: [%s]
nodes:
  near: {python: "near:score", in: {text: text}, out: {score: "FP64[batch]"}}
outputs: {score: near}
"""
MODULE: Final = """\
import sys

from unidecode import unidecode


def score(text):
    return [float(unidecode(each.decode()) == "graph" and "environments" in sys.executable) for each in text]
"""

# Stands for uv: notes what it is asked, and makes what is expected of it.
UV: Final = """\
#!{python}
import os, pathlib, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(words) + chr(10))
if "impossible" in "".join(open(each).read() for each in words if each == "requirements.in"):
    sys.exit("  No solution found when resolving dependencies:\\n  ╰─▶ Because there is no impossible==9")
if words[:2] == ["pip", "compile"]:
    asked = open("requirements.in").read().split(chr(10))
    lines = [each.split("=")[0] + "==1.0 \\\\\\n    --hash=sha256:" + "a" * 64 for each in asked if each]
    open(words[words.index("--output-file") + 1], "w").write(chr(10).join(sorted(lines)) + chr(10))
if words[0] == "venv":
    made = pathlib.Path(words[-1])
    (made / "bin").mkdir(parents=True)
    script = '#!/bin/sh\\nPYTHONPATH="${{0%/bin/*}}/site" exec "{python}" "$@"\\n'
    (made / "bin" / "python").write_text(script)
    (made / "bin" / "python").chmod(0o755)
if words[:2] == ["pip", "install"] and "-r" in words:
    site = pathlib.Path(words[words.index("--python") + 1]).parents[1] / "site"
    site.mkdir()
    (site / "unidecode.py").write_text("def unidecode(text):\\n    return text\\n")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "graph").mkdir()
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "graph")
    (tmp_path / "graph" / "near.py").write_text(MODULE)
    return tmp_path / "graph"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Put a program in uv's place, and return how often it was asked what."""
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    (programs / "uv").write_text(UV.format(python=sys.executable, log=str(log)))
    (programs / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return lambda: log.read_text().splitlines() if log.exists() else []


def image(requirements: str, *options: str, output: str = "context") -> Result:
    Path("graph.yaml").write_text(GRAPH % requirements)
    return CliRunner().invoke(main, ["image", "graph.yaml", "-o", output, *options])


def content(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_the_context_says_all_that_the_image_is(folder: Path, asked: Callable[[], list[str]]) -> None:
    done = image("unidecode==1.3.8")
    assert done.exit_code == 0, done.output
    found = content(folder / "context")
    assert {re.sub(r"-[\d.]+-", "-", name) for name in found} == {
        "Dockerfile",
        "requirements.lock",
        "wheels/graphc_components-py3-none-any.whl",
        "wheels/graphc_runtimes-py3-none-any.whl",
    }
    named = re.search(r"-t (\S+) context && docker push (\S+)", done.stdout)
    assert named is not None
    assert named[1] == named[2]
    manifest = CliRunner().invoke(main, ["compile", "graph.yaml"]).stdout
    assert f"image: {named[1]}\n" in manifest
    assert f"-t {named[1]} ." in found["Dockerfile"].decode()
    assert "unidecode==1.0" in found["requirements.lock"].decode()
    assert "mlserver==1.0" in found["requirements.lock"].decode()
    (call,) = asked()
    assert f"--python-version {read_image().python} --python-platform x86_64-manylinux_2_28" in call


def test_the_dockerfile_installs_what_the_projects_own_does(
    folder: Path, asked: Callable[[], list[str]]
) -> None:
    """Beside where packages come from, the two images are the same."""
    image("unidecode")
    own = Path(__file__).parents[2].joinpath("runtimes", "images", "Dockerfile").read_text()

    def rest(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if not line.startswith(("#", "COPY", "RUN pip"))]
        return [line for line in lines if line]

    assert rest((folder / "context" / "Dockerfile").read_text()) == rest(own)


def test_the_same_graph_gives_the_same_bytes(folder: Path, asked: Callable[[], list[str]]) -> None:
    image("unidecode==1.3.8", output="one")
    image("unidecode==1.3.8", output="two")
    assert content(folder / "one") == content(folder / "two")
    # It is locked once on a machine, and anew where that is asked for.
    assert len(asked()) == 1
    image("unidecode==1.3.8", "--upgrade", output="two")
    assert len(asked()) == 2


def test_a_lock_that_is_there_is_kept_to(folder: Path, asked: Callable[[], list[str]]) -> None:
    """On another machine the folder's own lock is what uv is shown first."""
    (folder / "context").mkdir()
    (folder / "context" / "requirements.lock").write_text("unidecode==0.9\n")
    image("unidecode")
    assert "--output-file made.lock" in asked()[0]


def test_packages_that_cannot_be_had_are_told(folder: Path, asked: Callable[[], list[str]]) -> None:
    done = image("impossible==9, unidecode")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: `graphc-runtime:")
    assert "what is required cannot be had beside the runtime image's packages: " in done.stderr
    assert "Because there is no impossible==9" in done.stderr
    assert not (folder / "context").exists()


def test_a_hash_of_the_users_is_kept_to(folder: Path, asked: Callable[[], list[str]]) -> None:
    (folder / "good.txt").write_text(
        "unidecode==1.0 --hash=sha256:" + "a" * 64 + " --hash=sha256:" + "b" * 64
    )
    (folder / "bad.txt").write_text("unidecode==1.0 --hash=sha256:" + "c" * 64)
    for name, status in (("good.txt", 0), ("bad.txt", 1)):
        Path("graph.yaml").write_text((GRAPH % "").replace("requirements: []", f"requirements: {name}"))
        done = CliRunner().invoke(main, ["image", "graph.yaml", "-o", "context"])
        assert done.exit_code == status, done.output
    assert "the index has no file of `unidecode==1.0` with a hash that the file pins" in done.stderr
    lock = (folder / "context" / "requirements.lock").read_text()
    assert re.search(r"unidecode==1\.0 \\\n    --hash=sha256:a+ \\\n    --hash=sha256:b+\n", lock)


def test_without_uv_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    done = image("unidecode")
    assert done.exit_code == 1
    assert "uv is not installed, which locks and installs packages: pip install uv" in done.stderr


def test_wheels_hold_what_is_installed_and_are_sound(tmp_path: Path) -> None:
    wheels = make_wheels()
    assert wheels == make_wheels()
    for name, data in wheels.items():
        path = tmp_path / name
        path.write_bytes(data)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            record = next(each for each in names if each.endswith("/RECORD"))
            assert [line.split(",")[0] for line in archive.read(record).decode().splitlines()] == names
        assert not [each for each in names if "__pycache__" in each]
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import graphc_runtimes, graphc_components; "
        "print(graphc_runtimes.__file__, graphc_components.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(".whl") == 2


def test_an_environment_is_made_once_and_whole(tmp_path: Path, asked: Callable[[], list[str]]) -> None:
    assert find_environment("a==1\n", tmp_path) is None
    python = make_environment("a==1\n", tmp_path)
    assert python.exists()
    assert find_environment("a==1\n", tmp_path) == python
    calls = asked()
    assert [call.split()[0] for call in calls] == ["venv", "pip", "pip"]
    assert "--require-hashes -r requirements.lock" in calls[1]
    assert find_environment("a==2\n", tmp_path) is None
    for number in range(MOST_KEPT + 2):
        make_environment(f"b=={number}\n", tmp_path)
    assert len([*(tmp_path / "environments").iterdir()]) == MOST_KEPT
    assert find_environment("a==1\n", tmp_path) is None


def test_an_environment_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphc.packages.problem import PackageError

    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "uv").write_text("#!/bin/sh\necho error: no network >&2\nexit 2\n")
    (programs / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    with pytest.raises(PackageError, match="no network"):
        make_environment("a==1\n", tmp_path)
    assert [*(tmp_path / "environments").iterdir()] == []


def test_nodes_are_tried_in_the_environment_of_what_is_required(
    folder: Path, asked: Callable[[], list[str]]
) -> None:
    (folder / "near.py").write_text(MODULE.replace('== "graph" and', "and"))
    (folder / "graph.yaml").write_text(GRAPH % "unidecode")
    done = CliRunner().invoke(main, ["check", "--load", "graph.yaml"])
    assert done.output == "1 graph, no problems found\n"
    assert [call.split()[0] for call in asked()] == ["pip", "venv", "pip", "pip"]
    # It is there now, and nothing is asked again.
    assert CliRunner().invoke(main, ["check", "--load", "graph.yaml"]).exit_code == 0
    assert len(asked()) == 4
    (folder / "near.py").write_text(MODULE + "\nraise ValueError('not to be loaded')\n")
    done = CliRunner().invoke(main, ["check", "--load", "graph.yaml"])
    assert "error[GC536]: `near` does not load" in done.output
    assert "not to be loaded" in done.output


def no_folder(environ: Mapping[str, str]) -> None:
    """Stand for a machine without a home."""
    assert "GRAPHC_CACHE_DIR" not in environ


def test_packages_that_cannot_be_had_leave_nodes_unjudged(
    folder: Path, asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "graph.yaml").write_text(GRAPH % "impossible==9, unidecode")
    done = CliRunner().invoke(main, ["check", "--load", "graph.yaml"])
    assert done.exit_code == 1
    assert "error[GC539]: nodes cannot be loaded here: the packages that they require" in done.output
    assert "Because there is no impossible==9" in done.output
    assert "graph.yaml:5:15" in done.output
    monkeypatch.delenv("GRAPHC_CACHE_DIR")
    monkeypatch.setattr(pythons, "cache_root", no_folder)
    done = CliRunner().invoke(main, ["check", "--load", "graph.yaml"])
    assert "error[GC539]: nodes cannot be loaded here: there is no folder for environments" in done.output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_graph_answers_in_the_environment_of_its_images_lock(folder: Path) -> None:
    """From a list of one package to an answer, with the real uv and its index."""
    done = image("unidecode==1.3.8")
    assert done.exit_code == 0, done.output
    lock = (folder / "context" / "requirements.lock").read_text()
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", lock))
    packages = read_image().packages
    assert pinned["unidecode"] == "1.3.8"
    assert {name: version for name, version in pinned.items() if name in packages} == {
        name: packages[name] for name in pinned if name in packages
    }
    assert CliRunner().invoke(main, ["check", "--load", "graph.yaml"]).exit_code == 0
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["gräph", "other"]}]}
    Path("request.json").write_text(json.dumps(body))
    ran = subprocess.run(
        [sys.executable, "-c", "from graphc.cli import start; start()", "run", "graph.yaml", "--once"]
        + ["--request", "request.json", "--port", "0", "--grpc-port", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["outputs"][0]["data"] == [1.0, 0.0]
