"""What graphs require: how it is read, which modules it brings, and what names the image that has it."""

from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from graphc.diagnostics import Sink
from graphc.packages.annotation import ANNOTATION
from graphc.packages.pylock import read_pylock
from graphc.packages.requirements import (
    Requirements,
    join_requirements,
    parse_requirement,
    split_lines,
    suggest_package,
)
from graphc.run.load import load_manifests
from graphc.run.problem import Findings
from graphc.version import VERSION
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Standard

HASH: Final = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rapidfuzz", "rapidfuzz"),
        ("RapidFuzz == 3.9.7", "rapidfuzz==3.9.7"),
        ("zope.interface>=5 , <8", "zope-interface<8,>=5"),
        ("uvicorn[standard, watch]~=0.30", "uvicorn[standard,watch]~=0.30"),
        ("tomli>=2 ; python_version < '3.11'", "tomli>=2 ; python_version < '3.11'"),
        (f"a==1 --hash={HASH}", "a==1"),
        ("a==1  # why", "a==1"),
    ],
)
def test_requirements_are_read_as_installers_do(text: str, line: str) -> None:
    found = parse_requirement(text)
    assert found.line == line
    standard = Standard(text.partition(" --")[0].partition(" #")[0])
    again = Standard(found.line)
    assert (standard.specifier, standard.extras, standard.marker) == (
        again.specifier,
        again.extras,
        again.marker,
    )


@pytest.mark.parametrize(
    "text",
    ["", "not a package", "-r other.txt", "--index-url https://example.com", "a @ https://example.com/a.whl"]
    + ["git+https://example.com/a.git", "./local", "a==", "a>>1", "-e .", "a;", "a==1\nb==2"],
)
def test_what_no_index_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a package with versions"):
        parse_requirement(text)


@pytest.mark.parametrize("text", ["a b", "==1", "[x]"])
def test_what_installers_refuse_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequirement):
        Standard(text)
    with pytest.raises(ValueError, match="is not a package"):
        parse_requirement(text)


def test_hashes_and_modules_are_kept() -> None:
    text = f"odd-name==1 --hash={HASH}  # modules: one, two"
    assert parse_requirement(text).hashes == (HASH,)
    assert parse_requirement(text).modules == ("one", "two")


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("rapidfuzz", "rapidfuzz"),
        ("Unidecode", "unidecode"),
        ("opencv-python-headless", "cv2"),
        ("beautifulsoup4", "bs4"),
        ("typing-extensions", "typing_extensions"),
        # Installed here, which tells what no name does.
        ("pytest-timeout", "pytest_timeout"),
        ("types-PyYAML", "yaml-stubs"),
    ],
)
def test_packages_bring_modules(package: str, module: str) -> None:
    assert join_requirements([parse_requirement(package)]).bring(module)
    assert not join_requirements([parse_requirement(package)]).bring("other")


def test_what_brings_a_module_is_suggested() -> None:
    assert suggest_package("cv2") == "opencv-python"
    assert suggest_package("yaml") == "pyyaml"
    assert suggest_package("rapid_fuzz") == "rapid-fuzz"


def test_the_image_is_named_by_what_is_asked_for() -> None:
    one, two = parse_requirement("a==1"), parse_requirement("b==1")
    assert Requirements().tag == VERSION
    assert join_requirements([one, two]).tag == join_requirements([two, one, one]).tag
    tags = {join_requirements(each).tag for each in ([one], [two], [one, two], [parse_requirement("a==2")])}
    assert len(tags) == 4
    assert all(tag.startswith(f"{VERSION}-") for tag in tags)
    pinned = parse_requirement(f"a==1 --hash={HASH}")
    assert join_requirements([pinned]).tag != join_requirements([one]).tag


def test_lines_go_on_after_a_backslash() -> None:
    text = f"# a comment\n\na==1 \\\n    --hash={HASH} \\\n    --hash={HASH[:-1]}1\nb\n"
    assert [(number, entry.split()[0]) for number, entry in split_lines(text)] == [(3, "a==1"), (6, "b")]
    assert len(parse_requirement(next(iter(split_lines(text)))[1]).hashes) == 2


GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {{name: score}}
inputs: {{x: "FP32[batch, 4]"}}
runtime: {runtime}
nodes:
  near: {{python: "post:f", in: {{x: x}}, out: {{y: "FP32[batch]"}}{node}}}
outputs: {{y: near.y}}
{more}
"""


def image_of(folder: Path, node: str = "", more: str = "", runtime: str = "{}", *options: str) -> str:
    (folder / "post.py").write_text("def f(x): ...")
    (folder / "graph.yaml").write_text(GRAPH.format(node=node, more=more, runtime=runtime))
    done = CliRunner().invoke(main, ["compile", *options, str(folder / "graph.yaml")])
    assert done.exit_code == 0, done.output
    documents = [each for each in yaml.safe_load_all(done.stdout) if each["kind"] == "SeldonDeployment"]
    spec = documents[0]["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    return str(spec["containers"][0]["image"])


def test_the_manifest_names_the_image_that_has_it(tmp_path: Path) -> None:
    tag = join_requirements([parse_requirement("a==1"), parse_requirement("b==2")]).tag
    both = f"graphc-runtime:{tag}"
    assert image_of(tmp_path) == f"graphc-runtime:{VERSION}"
    assert image_of(tmp_path, ", requirements: [a==1]", "requirements: [b==2]") == both
    (tmp_path / "need.txt").write_text("a==1\nb==2\n")
    assert image_of(tmp_path, ", requirements: need.txt") == both
    digest = "sha256:" + "1" * 64
    named = f'{{image: registry.example.com/team/units, digest: "{digest}"}}'
    assert (
        image_of(tmp_path, ", requirements: need.txt", "", named)
        == f"registry.example.com/team/units@{digest}"
    )


def test_a_clusters_own_tag_is_of_an_image_without_it(tmp_path: Path) -> None:
    profile = tmp_path / "cluster.yaml"
    profile.write_text(
        "apiVersion: graphc/v1\nkind: ClusterProfile\nmetadata: {name: here}\n"
        "runtime: {registry: registry.example.com/team, tag: '7'}\n"
    )
    options = ("--profile", str(profile))
    assert image_of(tmp_path, "", "", "{}", *options) == "registry.example.com/team/graphc-runtime:7"
    tag = join_requirements([parse_requirement("a==1")]).tag
    wanted = f"registry.example.com/team/graphc-runtime:{tag}"
    assert image_of(tmp_path, ", requirements: [a==1]", "", "{}", *options) == wanted


def test_a_manifest_notes_what_its_image_has(tmp_path: Path) -> None:
    """A run of the manifest elsewhere needs the same packages, and nothing else of the graph's file."""
    (tmp_path / "need.txt").write_text(f"a==1 --hash={HASH}\nb<2,>=1  # modules: other\n")
    image_of(tmp_path, ", requirements: need.txt")
    compiled = CliRunner().invoke(main, ["compile", str(tmp_path / "graph.yaml")]).stdout
    findings = Findings()
    loaded = load_manifests({"m.yaml": compiled}, Sink(), findings)
    assert findings == Findings()
    asked = join_requirements(parse_requirement(each) for each in (f"a==1 --hash={HASH}", "b>=1,<2"))
    assert loaded.requirements == {"main": asked}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"main": "-r x"}', '{"main": [1]}', '{"main": ["git+https://a"]}']
)
def test_an_annotation_that_says_something_else_is_refused(text: str) -> None:
    document = {"kind": "SeldonDeployment", "metadata": {"annotations": {ANNOTATION: text}}}
    findings = Findings()
    load_manifests({"m.yaml": yaml.safe_dump(document)}, Sink(), findings)
    (problem,) = findings.problems
    assert problem.message.startswith(f"the annotation `{ANNOTATION}` cannot be read: it is not ")


def test_another_image_may_have_anything(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(
        GRAPH.format(node="", more="", runtime="{image: example.com/our-units}")
    )
    (tmp_path / "post.py").write_text("import nobody_knows\ndef f(x): ...")
    assert CliRunner().invoke(main, ["check", str(tmp_path / "graph.yaml")]).exit_code == 0
    (tmp_path / "graph.yaml").write_text(
        GRAPH.format(node="", more="", runtime="{image: example.com/graphc-runtime}")
    )
    assert CliRunner().invoke(main, ["check", str(tmp_path / "graph.yaml")]).exit_code == 1


LOCKED: Final = """\
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "RapidFuzz"
version = "3.11.0"
marker = "sys_platform != 'win32'"
sdist = { url = "https://example.com/r.tar.gz", hashes = { sha256 = "%s", md5 = "0" } }
wheels = [
    { url = "https://example.com/r-cp311.whl", hashes = { sha256 = "%s" } },
    { url = "https://example.com/r-cp312.whl", hashes = { sha256 = "%s" } },
]

[[packages]]
version = "1.3.8"
name = "unidecode"
"""


def test_a_pylock_is_read_with_its_markers_and_hashes() -> None:
    one, two, three = ("a" * 64, "b" * 64, "c" * 64)
    found = [(number, parse_requirement(line)) for number, line in read_pylock(LOCKED % (three, one, two))]
    assert [(number, each.line) for number, each in found] == [
        (5, "rapidfuzz==3.11.0 ; sys_platform != 'win32'"),
        (16, "unidecode==1.3.8"),
    ]
    assert [each.hashes for _, each in found] == [
        (f"sha256:{one}", f"sha256:{two}", f"sha256:{three}"),
        (),
    ]


def test_a_lock_file_is_as_good_as_what_it_is_exported_to(tmp_path: Path) -> None:
    """The same image comes of both, and its tag names what was asked for."""
    hashes = ("a" * 64, "b" * 64, "c" * 64)
    (tmp_path / "pylock.toml").write_text(LOCKED % hashes)
    flags = " ".join(f"--hash=sha256:{each}" for each in hashes)
    lines = [f"rapidfuzz==3.11.0 ; sys_platform != 'win32' {flags}", "unidecode==1.3.8"]
    (tmp_path / "requirements.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "post.py").write_text("import unidecode\n\n\ndef score(x):\n    return x\n")
    images: list[str] = []
    for name in ("pylock.toml", "requirements.txt"):
        graph = tmp_path / "graph.yaml"
        graph.write_text(
            "apiVersion: graphc/v1\nkind: InferenceGraph\nmetadata: {name: score}\n"
            f'inputs: {{x: "FP32[batch]"}}\nrequirements: {name}\noutputs: {{y: near}}\n'
            'nodes: {near: {python: "post:score", in: {x: x}, out: "FP32[batch]"}}\n'
        )
        done = CliRunner().invoke(main, ["compile", str(graph)])
        assert done.exit_code == 0, done.output
        images += [line for line in done.stdout.splitlines() if "image:" in line]
    assert len(images) == 2
    assert images[0] == images[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lock-version = 1", "is not a lock file of version 1"),
        ("", "is not a lock file of version 1"),
        ('lock-version = "2.0"', "is not a lock file of version 1"),
        ("[" * 5000, "is not TOML"),
        ("a = ", "is not TOML: invalid value"),
    ],
)
def test_what_is_no_pylock_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_pylock(text))


def test_packages_in_one_array_are_read_too() -> None:
    text = 'lock-version = "1.1"\npackages = [{name = "a", version = "1"}, {name = "b", version = "2"}, 3]\n'
    assert [*read_pylock(text)] == [(1, "a==1"), (1, "b==2")]
