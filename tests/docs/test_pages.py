"""The pages of the repository: their links lead somewhere, their examples and commands are what they say."""

import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Final

import click
import graphc
import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main

ROOT: Final = Path(__file__).parents[2]
EXPLAINED: Final = "compiler/graphc/diagnostics/explain"
PAGES: Final = sorted(
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if not name.startswith(EXPLAINED) and (ROOT / name).exists()
)
EXAMPLE: Final = ROOT / "graphs" / "wine-average"

PLACES: Final = ("", "compiler/graphc/", "runtimes/graphc_runtimes/", "components/graphc_components/")
"""Where a path in backticks may start, besides the folder of its page."""

_FENCE: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`([^`\n]+)`")
_PATH: Final = re.compile(r"(?:[\w.-]+/)+(?:[\w.-]+)?")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def read(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path | str, language: str) -> list[str]:
    return [text for name, text in _FENCE.findall(read(page)) if name == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", read(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the page."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(page)))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    lost: list[str] = []
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page.parent / name).resolve() if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(ROOT))):
            lost.append(link)
    assert lost == []


FOLDERS: Final = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".git"}
PARTS: Final = {path.name for place in PLACES[1:] for path in (ROOT / place).iterdir() if path.is_dir()}


def paths_of(page: Path) -> list[str]:
    """The files and folders of the repository that a page names in backticks, in commands too."""
    found: list[str] = []
    for span in _CODE.findall(prose(page)):
        words = span.split()
        roots = FOLDERS | PARTS if len(words) == 1 else FOLDERS
        paths = (word for word in words if _PATH.fullmatch(word))
        # A module is one wherever it is said to lie: its folder may have another name by now.
        found += [path for path in paths if path.partition("/")[0] in roots or path.endswith(".py")]
    return found


def is_there(page: Path, name: str) -> bool:
    """Say whether a path leads somewhere; a word in capitals, such as FOLDER, stands for any name."""
    if any(part.isupper() for part in name.split("/")):
        pattern = "/".join("*" if part.isupper() else part for part in name.split("/"))
        return any(ROOT.glob(pattern))
    return any((ROOT / place / name).exists() for place in (*PLACES, str(page.parent)))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_paths_in_backticks_exist(page: Path) -> None:
    assert [name for name in paths_of(page) if not is_there(page, name)] == []


def test_paths_are_looked_for() -> None:
    assert "compiler/" in paths_of(Path("README.md"))
    assert "tests/bench/gpu.py" in paths_of(Path("docs/gpus.md"))
    assert not is_there(Path("README.md"), "compiler/graphc/never.py")


def commands_of(page: Path) -> list[list[str]]:
    """The command lines of graphc that a page has in its shell blocks."""
    found: list[list[str]] = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
            lexer.whitespace_split = True
            words = list(lexer)
            for place, word in enumerate(words):
                if word == "graphc":
                    found.append(list(takewhile(lambda each: each.strip("|;&"), words[place + 1 :])))
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=str)
def test_commands_have_the_options_that_pages_give_them(page: Path) -> None:
    for name, *words in commands_of(page):
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        known = {
            each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)
        }
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, (name, given - known)


def others_of(page: Path, program: str) -> list[list[str]]:
    """The command lines of another program that a page has in its shell blocks."""
    lines = (line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines())
    parted = (part for line in lines for part in re.split(r"&&|[|;()]", line.partition(" # ")[0]))
    return [words for part in parted if (words := shlex.split(part)) and words[0] == program]


def test_charts_are_named_with_their_repository() -> None:
    """Nobody has added a repository under a name, and an upgrade forgets what it is not told to keep."""
    commands = [words for page in PAGES for words in others_of(page, "helm")]
    assert len(commands) >= 2
    for words in commands:
        assert "--repo" in words
        assert words[1] == "install" or "--reuse-values" in words


def test_what_is_built_and_applied_is_there() -> None:
    built = [words for page in PAGES for words in others_of(page, "docker") if words[1] == "build"]
    assert len(built) >= 3
    for words in built:
        assert words[-1] == "."
        assert (ROOT / words[words.index("-f") + 1]).is_file()
    applied = [
        words[words.index("-k") + 1]
        for page in PAGES
        for words in others_of(page, "kubectl")
        if "-k" in words
    ]
    assert len(applied) >= 6
    for folder in applied:
        # A component is not applied by itself, and `.` is the reader's own.
        kustomization = ROOT / folder / "kustomization.yaml"
        assert folder == "." or yaml.safe_load(kustomization.read_text())["kind"] == "Kustomization"


# The front page


def test_the_front_page_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 150


def test_every_page_is_linked_from_the_front_page() -> None:
    linked = {name.partition("#")[0] for name in _LINK.findall(read("README.md"))}
    pages = {page.as_posix() for page in PAGES if page.parent.name == "docs"}
    assert pages - linked == set()


@pytest.mark.parametrize("page", ["README.md", "docs/graphs.md"])
def test_the_first_graph_is_the_example(page: str) -> None:
    first, *_ = blocks(page, "yaml")
    assert yaml.safe_load(first) == yaml.safe_load((EXAMPLE / "graph.yaml").read_text())


def test_the_drawing_is_what_explain_draws() -> None:
    (drawn,) = blocks("README.md", "text")
    said = CliRunner().invoke(main, ["explain", "-O0", str(EXAMPLE / "graph.yaml")])
    assert drawn in said.stdout


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, where the test then works."""
    folder = tmp_path / "wine-average"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_wrong_name_is_reported_as_the_page_says(beside: Path) -> None:
    graph, *_ = blocks("docs/graphs.md", "yaml")
    (report,) = blocks("docs/graphs.md", "text")
    (beside / "graph.yaml").write_text(graph.replace("{X: scale.scaled}", "{X: scale.scalled}", 1))
    said = CliRunner().invoke(main, ["check", "graph.yaml"])
    assert report in said.output


def test_the_python_file_compiles_to_the_same_bytes(beside: Path) -> None:
    (source,) = blocks("docs/graphs.md", "python")
    (beside / "graph.py").write_text(source)
    yaml_file, python_file = (
        CliRunner().invoke(main, ["compile", name]).stdout for name in ("graph.yaml", "graph.py")
    )
    assert python_file.startswith("apiVersion")
    assert python_file == yaml_file


def test_the_versions_are_the_end_of_the_example() -> None:
    (versions,) = blocks("docs/versions.md", "yaml")
    assert (ROOT / "graphs" / "cancer-rollout" / "graph.yaml").read_text().endswith(versions)


def test_the_gates_are_those_of_the_example() -> None:
    (gates,) = blocks("docs/deploy.md", "yaml")
    assert gates in (ROOT / "graphs" / "cancer-rollout" / "graph.yaml").read_text()


def test_the_profile_is_sound() -> None:
    profile, *_ = blocks("docs/profiles.md", "yaml")
    assert CliRunner().invoke(main, ["check", "-"], input=profile).exit_code == 0


def test_the_modules_of_the_runtimes_exist() -> None:
    table = read("runtimes/README.md").partition("## Modules")[2].partition("## ")[0]
    names = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in _CODE.findall(row)]
    package = ROOT / "runtimes" / "graphc_runtimes"
    paths = [package / name.replace(".", "/") for name in names]
    assert len(names) > 30
    assert [path.name for path in paths if not (path.is_dir() or path.with_suffix(".py").exists())] == []


def test_the_class_for_seldons_wrapper_answers_in_the_graph_of_its_page(tmp_path: Path) -> None:
    (code,), (graph,) = blocks("docs/classes.md", "python"), blocks("docs/classes.md", "yaml")
    (tmp_path / "Credit.py").write_text(code)
    (tmp_path / "graph.yaml").write_text(graph)
    loaded = graphc.load(str(tmp_path / "graph.yaml"))
    assert [str(each) for each in loaded.check()] == []
    assert loaded.predict([[1, 2], [0, 1]])["score"].tolist() == [[1], [0]]
    assert loaded.predict([[30, 2], [0, 41]])["score"].tolist() == [[15], [0]]
