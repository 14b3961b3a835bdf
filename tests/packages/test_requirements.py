"""What graphs require: how it is read, which modules it brings, and what names the image that has it."""

import time
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from graphc.diagnostics import Sink
from graphc.packages.annotation import ANNOTATION
from graphc.packages.pylock import Locked, read_pylock
from graphc.packages.requirements import (
    Requirement,
    Requirements,
    find_answer,
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
        ("tomli>=2 ; python_version < '3.11'", 'tomli>=2 ; python_version < "3.11"'),
        ("a ; (os_name=='b')and python_version<'3.11'", 'a ; os_name == "b" and python_version < "3.11"'),
        ("a[]\t(>=1)", "a>=1"),
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
    + ["git+https://example.com/a.git", "./local", "a==", "a>>1", "-e .", "a;", "a===../b", "a ; 5"]
    # The parser of markers takes escapes for what they stand for.
    + [
        r"a ; os_name == 'b\n-r c'",
        "a ; os_name == 'b\"' or os_name == '${HOME}'",
        "a; " + "(" * 3000,
        "ä==1",
    ]
    + ["a; " + " or ".join(["os_name == 'b'"] * 300)],
)
def test_what_no_index_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a package with versions"):
        parse_requirement(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-r base.txt", "`uv pip compile`"),
        ("--requirement=base.txt", "`uv pip compile`"),
        ("-c limits.txt", "the versions that are allowed"),
        ("--index-url https://x.example/", "`UV_DEFAULT_INDEX`"),
        ("-i https://x.example/", "`UV_DEFAULT_INDEX`"),
        ("-e ./pkg", "`files:`"),
        ("./pkg", "`files:`"),
        ("wheels/one-1.0-py3-none-any.whl", "`files:`"),
        ("git+https://example.com/x", "a version that an index has"),
        ("one @ https://example.com/x", "a version that an index has"),
        ("--no-binary :all:", "leave it out"),
        ("rapidfuzz==3.9.7", None),
        ("index-url==1.0", None),
        ("not a package", None),
    ],
)
def test_what_to_write_instead_is_said(text: str, answer: str | None) -> None:
    found = find_answer(text)
    assert found is None if answer is None else answer in (found or "")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\0"])
@pytest.mark.parametrize("start", ["a==1", "a ; python_version > '3'", "a ; os_name == '", "a  # why"])
def test_no_line_of_an_installer_hides_in_a_requirement(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="is not one line of a requirements file"):
        parse_requirement(f"{start}{end}-r /etc/passwd'")


@pytest.mark.parametrize("end", [HASH[:-1], HASH + "0", "sha512:" + "0" * 128, "md5:0"])
@pytest.mark.parametrize("start", ["a==1", "a==1 ; os_name == 'posix'"])
def test_other_hashes_are_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="has a hash that is not `sha256:` and 64 hexadecimal digits"):
        parse_requirement(f"{start} --hash={HASH} --hash={end}")


def test_hashes_may_be_in_capitals() -> None:
    found = parse_requirement(f"a==1 ; os_name == 'posix' --hash=sha256:{'A' * 64} --hash=sha256:{'a' * 64}")
    assert found.line == 'a==1 ; os_name == "posix"'
    assert found.hashes == (f"sha256:{'a' * 64}",)


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
    "text",
    ["{", "[]", '{"main": "-r x"}', '{"main": [1]}', '{"main": ["git+https://a"]}']
    + ['{"main": ["a ; os_name > \'3\'\\n-r b"]}', '{"main": ["a\\nb @ file:///c"]}'],
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
wheels = [{ url = "https://example.com/u.whl", hashes = { sha256 = "%s" } }]
"""


def test_a_pylock_is_read_with_its_markers_and_hashes() -> None:
    one, two, three = ("a" * 64, "b" * 64, "c" * 64)
    first, second = read_pylock(LOCKED % (three, one.upper(), two, one))
    hashes = (f"sha256:{one}", f"sha256:{two}", f"sha256:{three}")
    line = 'rapidfuzz==3.11.0 ; sys_platform != "win32"'
    assert first == Locked(5, "RapidFuzz==3.11.0", Requirement("rapidfuzz", line, hashes))
    unidecode = Requirement("unidecode", "unidecode==1.3.8", hashes[:1])
    assert second == Locked(16, "unidecode==1.3.8", unidecode)


def test_a_lock_file_is_as_good_as_what_it_is_exported_to(tmp_path: Path) -> None:
    """The same image comes of both, and its tag names what was asked for."""
    hashes = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
    (tmp_path / "pylock.toml").write_text(LOCKED % hashes)
    flags = " ".join(f"--hash=sha256:{each}" for each in hashes[:3])
    last = f"--hash=sha256:{hashes[3]}"
    lines = [f"rapidfuzz==3.11.0 ; sys_platform != 'win32' {flags}", f"unidecode==1.3.8 {last}"]
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


VERSION_1: Final = 'lock-version = "1.0"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lock-version = 1", "is not a lock file of version 1"),
        ("", "is not a lock file of version 1"),
        ('lock-version = "2.0"', "is not a lock file of version 1"),
        ("a = " + "[" * 5000, "is nested too deeply"),
        ("a = ", "is not TOML: invalid value"),
        ("a = " + "1" * 5000, "has a number of too many digits$"),
        (VERSION_1, "has no list `packages`"),
        (VERSION_1 + "packages = 5", "has no list `packages`"),
        (VERSION_1 + '[[package]]\nname = "a"\nversion = "1"', "has no list `packages`"),
        (".".join("a" * 20_000) + " = 1", "has keys of more than 8 parts"),
        ('x = """\n""\\""""" # "\n"\\"".' + ".".join("a" * 99) + " = 1", "has keys of more than 8 parts"),
        ("x = ''''''''\n" + ".".join(["'a'"] * 99) + " = 1", "has keys of more than 8 parts"),
    ],
)
def test_what_is_no_pylock_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_pylock(text))


def test_texts_and_comments_of_a_lock_file_may_have_dots() -> None:
    dots = "." * 99
    at = ", ".join(["2026-01-02T03:04:05.678Z"] * 99)
    text = f'{VERSION_1}packages = [] # {dots}\nat = [{at}]\na = "{dots}"\nb = \'{dots}\'\nc = """{dots}\n{dots}"""\n'
    assert [*read_pylock(text)] == []


def test_packages_in_one_array_are_read_too() -> None:
    wheels = f'wheels = [{{hashes = {{sha256 = "{"a" * 64}"}}}}]'
    one, two = (f'{{name = "{name}", version = "1", {wheels}}}' for name in "ab")
    found = list(read_pylock(f"{VERSION_1}packages = [{one}, {two}, 3]\n"))
    hashes = (f"sha256:{'a' * 64}",)
    assert found == [
        Locked(1, "a==1", Requirement("a", "a==1", hashes)),
        Locked(1, "b==1", Requirement("b", "b==1", hashes)),
        Locked(1, "packages", "has an item that is not a table"),
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('version = "1"', "has a package without a name"),
        ('name = 5\nversion = "1"', "has a package without a name"),
        ('name = "a"\nversion = 1', "is not a package with versions"),
        ('name = "a b"\nversion = "1"', "is not a package with versions"),
        ('name = "a>0,"\nversion = "1"', "is not a package with versions"),
        ("""name = "a ; os_name == 'b' or os_name"\nversion = "'c'\"""", "is not a package with versions"),
        ('name = "a"\nversion = "1 ; os_name == \'b\'"', "is not a package with versions"),
        ('name = "a"\nversion = "1,<2"', "is not a package with versions"),
        ('name = "a"\nversion = "1\\n-r b"', "is not a package with versions"),
        ('name = "a"\nversion = "1"\nmarker = "not a marker at all"', "has a marker that is none"),
        ('name = "a"\nversion = "1"\nmarker = 5', "has a marker that is none"),
        ('name = "a"\nversion = "1"\nmarker = ""', "has a marker that is none"),
        ('name = "a"\nversion = "1"\nmarker = "os_name == \'b\'\\n-r c"', "has a marker that is none"),
        ('name = "a"\nversion = "1"', "has no file with a sha256 hash"),
        ('name = "a"\nversion = "1"\nwheels = 5', "has no file with a sha256 hash"),
        ('name = "a"\nversion = "1"\nwheels = [{hashes = {sha512 = "0"}}]', "has no file with a sha256 hash"),
        (
            'name = "a"\nversion = "1"\nwheels = [{hashes = {sha256 = "0"}}]',
            "has a sha256 hash that is not 64",
        ),
    ],
)
def test_packages_that_are_not_pinned_are_refused(lines: str, problem: str) -> None:
    (found,) = read_pylock(f"{VERSION_1}[[packages]]\n{lines}\n")
    assert isinstance(found.found, str)
    assert found.found.startswith(problem)


def check_with(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    (folder / "post.py").write_text("def f(x): ...")
    (folder / "graph.yaml").write_text(GRAPH.format(node="", more=f"requirements: {name}", runtime="{}"))
    done = CliRunner().invoke(main, ["check", str(folder / "graph.yaml")])
    assert done.exit_code == 1, done.output
    return done.output


def test_files_of_any_size_are_not_read(tmp_path: Path) -> None:
    text = VERSION_1 + "packages = []\n"
    padded = text + "#" * ((1 << 20) + 1 - len(text))
    assert "error[GC542]: `pylock.toml` has more than 1 MiB" in check_with(tmp_path, "pylock.toml", padded)
    padded = "#" * ((4 << 20) + 1)
    assert "error[GC542]: `need.txt` has more than 4 MiB" in check_with(tmp_path, "need.txt", padded)


def test_what_takes_longest_of_the_allowed_is_read_soon(tmp_path: Path) -> None:
    lines = (f"[{'.'.join([f'a{number}', *'a' * 7])}]\n" for number in range(40_000))
    started = time.perf_counter()
    assert "is not a lock file" in check_with(tmp_path, "pylock.toml", "".join(lines))
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("need.txt", "--index-url https://bob:s3cr3t@packages.example.com/simple\n"),
        ("need.txt", "a @ https://bob:s3/cr3t@packages.example.com/a.whl\n"),
        ("pylock.toml", f'{VERSION_1}[[packages]]\nname = "https://bob:s3cr3t@h"\nversion = "1"\n'),
        (
            "pylock.toml",
            f'{VERSION_1}[[packages]]\nname = "{"a" * 40}://bob:s3cr3t{"a" * 40}@h"\nversion = "1"\n',
        ),
    ],
)
def test_no_message_shows_a_password(name: str, text: str, tmp_path: Path) -> None:
    said = check_with(tmp_path, name, text)
    assert "s3" not in said
    assert "cr3t" not in said
    assert "://...@" in said
