"""What may import what, between the packages and inside the compiler."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import networkx as nx
import pytest
from graphc.targets.find import list_targets
from graphc.version import VERSION

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final[Mapping[str, Path]] = {
    "graphc": ROOT / "compiler" / "graphc",
    "graphc_components": ROOT / "components" / "graphc_components",
    "graphc_runtimes": ROOT / "runtimes" / "graphc_runtimes",
}

MAY_IMPORT: Final[Mapping[str, frozenset[str]]] = {
    "graphc": frozenset({"graphc_components"}),
    "graphc_components": frozenset({"numpy"}),
    "graphc_runtimes": frozenset({"graphc_components"}),
}
"""What each package may import of the others; the components import nothing else at all."""

SERVING: Final = frozenset({"mlserver", "onnxruntime", "joblib", "sklearn", "xgboost", "lightgbm"})
"""What only the runtimes may import; merging runs models too, through the door below."""

LIGHT: Final = frozenset({"catalog", "component", "parameters", "servers", "tensors"})
"""The modules of the components that are data: the compiler imports them and no others, unless it merges."""

MERGING: Final[Mapping[str, frozenset[str]]] = {
    "graphc.lower.onnx.compare": frozenset({"datatypes"}),
    "graphc.lower.onnx.form_model": frozenset({"datatypes", "onnx_forms"}),
    "graphc.lower.onnx.session": frozenset({"datatypes"}),
    "graphc.lower.merge_onnx": frozenset({"datatypes", "onnx_forms"}),
}
"""What merging ONNX models imports of the components beyond that: it runs them, and is itself imported at -O2 only."""

DOORS: Final[Mapping[str, frozenset[str]]] = {
    "networkx": frozenset({"graphc.ir.knots"}),
    "kubernetes": frozenset({"graphc.cluster.client"}),
    "google": frozenset({"graphc.engine.proto", "graphc.hardware.region_memory", "graphc.lower.onnx.large"}),
    "orjson": frozenset({"graphc.engine.fast_json"}),
    "pydantic_core": frozenset({"graphc.engine.fast_json", "graphc.spec.problems"}),
    # One writes, one reads how a text is laid out, and all others are the one reader.
    "yaml": frozenset(
        {"graphc.documents", "graphc.layout.read_nodes"}
        | {
            f"graphc.source.{name}"
            for name in ("kubectl_builder", "yaml_builder", "yaml_reader", "yaml_syntax")
        }
    ),
    "PIL": frozenset({"graphc.client.images"}),
    "matplotlib": frozenset({"graphc.bench.draw"}),
    "fast_sugiyama": frozenset({"graphc.view.place"}),
    "onnx": frozenset(
        {"graphc.hardware.memory", "graphc.lower.merge_onnx"}
        | {f"graphc.lower.onnx.{name}" for name in ("form_model", "join", "large", "opsets")}
    ),
    "onnxruntime": frozenset({"graphc.lower.onnx.session"}),
    "sqlalchemy": frozenset({"graphc.compare.store"}),
    "pydantic": frozenset(
        {f"graphc.spec.{name}" for name in ("examine", "problems", "schema")}
        | {"graphc.profiles.read_profile"}
    ),
}
"""The modules of the compiler through which a loosely typed dependency comes in."""

ROOMS: Final = (
    *(
        "records",
        "diagnostics",
        "source",
        "unchecked",
        "seldon",
        "http1",
        "engine_graph",
        "workloads",
        "engine",
    ),
    *("within", "client", "fetch", "version", "regular_files", "gpus", "compare", "artefacts", "quantities"),
    *(
        "ir",
        "runtime_image",
        "server_start",
        "spec",
        "caching",
        "durations",
        "hardware",
        "rollout",
        "packages",
    ),
    "builder",
    *("profiles", "lower", "frontend", "builder_files", "targets", "measured", "compile", "documents"),
    *(
        "run",
        "dashboards",
        "explain",
        "view",
        "krm",
        "trial",
        "bench",
        "push",
        "cluster",
        "lint",
        "whole_files",
        "layout",
    ),
    *("cases", "api", "scaffold", "verify", "cli"),
)
"""The parts of the compiler from the ground up: each may import those before it, so there is no circle."""

_READERS_OF_SELDON: Final = frozenset({"lint", "run", "cluster"})
"""What looks at SeldonDeployments, each on its own: what one is, `seldon` says."""

UNKNOWN_TO: Final[Mapping[str, frozenset[str]]] = {
    "diagnostics": frozenset({"source", "spec", "frontend", "ir", "lower", "targets", "engine"}),
    "source": frozenset({"spec", "frontend", "ir", "lower", "targets", "engine"}),
    "spec": frozenset({"frontend", "ir", "lower", "targets", "engine"}),
    "frontend": frozenset({"lower", "targets", "compile", "engine"}),
    "ir": frozenset({"source", "spec", "frontend", "lower", "targets", "compile", "engine"}),
    "lower": frozenset({"source", "spec", "frontend", "artefacts", "targets", "compile", "engine"}),
    "targets": frozenset({"source", "spec", "frontend", "artefacts", "lower", "compile", "engine"}),
    "compile": frozenset({"cli", "cluster", "run", "engine", "lint"}),
    "engine": frozenset({"spec", "frontend", "ir", "lower", "targets", *_READERS_OF_SELDON}),
    "seldon": frozenset({"spec", "frontend", "ir", "lower", "targets", "profiles", "engine"})
    | _READERS_OF_SELDON,
    "lint": frozenset({"spec", "frontend", "ir", "lower", "targets", "engine", "run", "cluster"}),
    "run": frozenset({"lint", "cluster"}),
    "cluster": frozenset({"lint", "run"}),
}
"""For each part of the compiler, the parts that it does not know: specs end where the graph begins."""

PLANNING: Final = ("compile", "frontend", "gpus", "hardware", "ir", "lower")
_OF_SELDON: Final = re.compile(r"seldon|executor|config.?map", re.IGNORECASE)
_NAMED_SELDON: Final[Mapping[str, frozenset[str]]] = {
    # SeldonDeployments may stand among graph files.
    "graphc.compile.compile_files": frozenset({"seldon"}),
    # The graph language has a field of that name.
    "graphc.compile.describe": frozenset({"executor"}),
    # A node may be a class for Seldon's language wrapper, whatever the target.
    **dict.fromkeys(
        (f"graphc.frontend.{name}" for name in ("assemble", "check_classes", "draft_nodes")),
        frozenset({"seldon"}),
    ),
    "graphc.ir.graph": frozenset({"seldon"}),
}
"""The modules that find targets, or compile for any of them, and what they say of Seldon all the same."""

HEAVY: Final = frozenset(
    {"numpy", "onnx", "aiohttp", "grpc", "rich", "networkx", "pydantic", "kubernetes", "urllib3"}
)
VAGUE: Final = frozenset({"utils", "helpers", "manager", "base"})


def modules_of(package: str) -> Iterator[tuple[str, Path]]:
    folder = PACKAGES[package]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports anywhere, with the names that may be modules too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path} imports relatively"
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(found)


def tops(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_in_one_direction(package: str) -> None:
    others = set(PACKAGES) - {package} - MAY_IMPORT[package]
    for module, path in modules_of(package):
        assert not tops(imports_of(path)) & others, module


def test_components_import_numpy_alone() -> None:
    allowed = {"graphc_components", *MAY_IMPORT["graphc_components"], *sys.stdlib_module_names}
    for module, path in modules_of("graphc_components"):
        assert tops(imports_of(path)) <= allowed, module


@pytest.mark.parametrize("package", ["graphc", "graphc_components"])
def test_only_the_runtimes_serve(package: str) -> None:
    for module, path in modules_of(package):
        assert not {each for each in tops(imports_of(path)) & SERVING if module not in DOORS.get(each, ())}, (
            module
        )


def test_nothing_imports_the_examples_or_the_tests() -> None:
    outside = [*ROOT.glob("graphs/**/*.py"), *ROOT.glob("tests/**/*.py")]
    names = {path.stem for path in outside} - {"graph", "__init__"} | {"graphs", "tests"}
    for package in PACKAGES:
        for module, path in modules_of(package):
            assert not tops(imports_of(path)) & (names - set(sys.stdlib_module_names)), module


def test_the_compiler_knows_the_components_as_data() -> None:
    for module, path in modules_of("graphc"):
        parts = {name.split(".")[1] for name in imports_of(path) if name.startswith("graphc_components.")}
        assert parts <= LIGHT | MERGING.get(module, frozenset()), module


@pytest.mark.parametrize("dependency", DOORS)
def test_each_dependency_has_its_door(dependency: str) -> None:
    users = {module for module, path in modules_of("graphc") if dependency in tops(imports_of(path))}
    assert users == DOORS[dependency]


def test_every_part_imports_only_those_before_it() -> None:
    folder = PACKAGES["graphc"]
    parts = {path.stem for path in folder.iterdir() if path.suffix == ".py" or any(path.rglob("*.py"))}
    assert parts - {"__init__"} == set(ROOMS)
    for module, path in modules_of("graphc"):
        part = module.partition(".")[2].partition(".")[0]
        if part:
            known = {name.split(".")[1] for name in imports_of(path) if name.startswith("graphc.")}
            # `graphc` itself offers nothing.
            assert known & set(ROOMS) <= set(ROOMS[: ROOMS.index(part) + 1]), module


_DRAWN: Final = re.compile(r"(?<=<!-- drawn from the imports -->\n).*(?=<!-- drawn -->\n)", re.DOTALL)


def draw_folders() -> str:
    """Return a Mermaid picture of the folders and what they import, without what a longer way implies."""
    folders = {path.parent.name for path in PACKAGES["graphc"].glob("*/__init__.py")}
    uses: nx.DiGraph[str] = nx.DiGraph()
    for module, path in modules_of("graphc"):
        part = module.partition(".")[2].partition(".")[0]
        others = {name.split(".")[1] for name in imports_of(path) if name.startswith("graphc.")}
        uses.add_edges_from((part, other) for other in others & folders - {part} if part in folders)
    least: nx.DiGraph[str] = nx.transitive_reduction(uses)
    lines = [
        f"  {part} --> {other}"
        for part in reversed(ROOMS)
        for other in ROOMS
        if part in least and least.has_edge(part, other)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def test_the_architecture_page_draws_the_folders_as_they_are(update: bool) -> None:
    path = ROOT / "docs" / "architecture.md"
    page = path.read_text("utf-8")
    found = _DRAWN.search(page)
    assert found is not None
    if update:
        path.write_text(page[: found.start()] + draw_folders() + page[found.end() :], "utf-8")
        return
    assert found[0] == draw_folders()


def test_the_first_picture_of_the_architecture_page_names_folders() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r'\["(\w+): ', page.partition("flowchart")[2].partition("```")[0])
    assert len(named) > 4
    assert set(named) <= set(ROOMS)


@pytest.mark.parametrize("part", UNKNOWN_TO)
def test_parts_of_the_compiler_know_what_comes_before_them(part: str) -> None:
    found = [
        (module, path)
        for module, path in modules_of("graphc")
        if module == f"graphc.{part}" or module.startswith(f"graphc.{part}.")
    ]
    assert found
    for module, path in found:
        known = {name.split(".")[1] for name in imports_of(path) if name.startswith("graphc.")}
        assert not known & UNKNOWN_TO[part], module


@pytest.mark.parametrize("part", PLANNING)
def test_what_leads_to_a_plan_knows_no_target(part: str) -> None:
    for module, path in modules_of("graphc"):
        if module.startswith(f"graphc.{part}."):
            found = {each.lower() for each in _OF_SELDON.findall(path.read_text("utf-8"))}
            assert found == _NAMED_SELDON.get(module, frozenset()), module


FINDS_FAULTS: Final = frozenset(
    {
        # They read files, and tell what is wrong where they find it.
        "graphc.frontend.draft_nodes",
        "graphc.frontend.draft_servers",
        "graphc.frontend.read_requirements",
        # It returns the words for what is wrong: `check_types` reports them.
        "graphc.frontend.infer",
        # They leave out what has another problem as its reason.
        "graphc.compile.pipeline",
        "graphc.compile.read_versions",
    }
)
"""What has rules and is no check: the exceptions that docs/architecture.md states."""


@pytest.mark.parametrize("part", ["compile", "frontend", "gpus", "hardware", "lower", "targets"])
def test_only_checks_report(part: str) -> None:
    """What parts, plans, lays out and emits tells by its value what cannot be; a check has the rule for it."""
    for module, path in modules_of("graphc"):
        rules = {name for name in imports_of(path) if name.startswith("graphc.diagnostics.codes")}
        if module.startswith(f"graphc.{part}.") and module not in FINDS_FAULTS:
            assert bool(rules) <= path.stem.startswith("check_"), module


def test_the_exceptions_are_needed_and_stated() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = {module: path for module, path in modules_of("graphc") if module in FINDS_FAULTS}
    assert paths.keys() == FINDS_FAULTS
    for module, path in paths.items():
        assert any(name.startswith("graphc.diagnostics.codes") for name in imports_of(path)), module
        assert f"`{module.removeprefix('graphc.').replace('.', '/')}.py`" in page, module


@pytest.mark.parametrize("target", list_targets())
def test_nothing_else_knows_the_inside_of_a_target(target: str) -> None:
    inside = f"graphc.targets.{target}"
    for module, path in modules_of("graphc"):
        if not f"{module}.".startswith(f"{inside}."):
            assert not {name for name in imports_of(path) if f"{name}.".startswith(f"{inside}.")}, module


def test_only_the_command_line_imports_the_command_line() -> None:
    for module, path in modules_of("graphc"):
        if not f"{module}.".startswith("graphc.cli."):
            assert not {name for name in imports_of(path) if f"{name}.".startswith("graphc.cli.")}, module


@pytest.mark.parametrize(
    "command", ["import graphc.cli", "from graphc.cli import main; main(['--help'], standalone_mode=False)"]
)
def test_the_command_line_starts_light(command: str) -> None:
    code = f"{command}; import sys; print('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("loaded ")[2].split()
    assert "graphc.cli" in loaded
    assert not tops(set(loaded)) & HEAVY


def loaded_by(*arguments: str, cache: Path) -> set[str]:
    code = "import sys; from graphc.cli import main; main(sys.argv[1:], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('loaded', *sys.modules)", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GRAPHC_CACHE_DIR": str(cache)},
    )
    return set(done.stdout.rpartition("loaded ")[2].split())


@pytest.mark.parametrize("command", ["check", "compile"])
def test_small_graphs_need_no_large_import(command: str, tmp_path: Path) -> None:
    graph = str(ROOT / "graphs" / "wine-average" / "graph.yaml")
    first, second = (loaded_by(command, graph, cache=tmp_path) for _ in range(2))
    assert not tops(first | second) & (HEAVY | {"tempfile", "logging", "asyncio"})
    assert {"graphc.artefacts.onnx_reader"} & first
    others = {
        "builder",
        "knots",
        "spec.examine",
        "lint.check",
        "diagnostics.rules",
        "artefacts.onnx_reader",
    }
    assert not {f"graphc.{name}" for name in others} & second


def test_the_version_is_the_distributions() -> None:
    assert version("graphc-compiler") == VERSION


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_a_name_that_says_nothing(package: str) -> None:
    for module, _ in modules_of(package):
        assert not set(module.split(".")) & VAGUE
