"""A graph as Python programs use it."""

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from graphc.api.problems import GraphError, Problem, RequestFailedError, make_problem
from graphc.api.served import Served, serve_file
from graphc.api.values import make_tensors, show_array
from graphc.builder import Graph
from graphc.cases.run_cases import describe_plan, lay_out
from graphc.compile.compile_files import Compilation, compile_built, compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.diagnostics import Severity
from graphc.documents import write_yaml
from graphc.lower.options import Options
from graphc.view.draw_plan import draw_plan
from graphc.view.write_drawing import Format, write_drawing

Document = Mapping[str, Any]


def load(
    source: str | Path | Graph,
    *,
    settings: Mapping[str, str] | None = None,
    level: int = 1,
    profile: str | None = None,
    target: str | None = None,
) -> "InferenceGraph":
    """Load a graph file, or take a graph that was built in Python; what is wrong with it, `check` tells.

    `settings` are values of declared parameters, `level` is that of `-O`, `profile` and `target` are those of
    `graphc compile`.
    """
    return InferenceGraph(source, settings or {}, level, profile, target)


class InferenceGraph:
    """A graph to check, compile, call and serve."""

    def __init__(
        self,
        source: str | Path | Graph,
        settings: Mapping[str, str],
        level: int,
        profile: str | None,
        target: str | None,
    ) -> None:
        self._source, self._settings, self._level = source, settings, level
        self._request = Request(
            () if isinstance(source, Graph) else (str(source),),
            settings,
            options=Options(level),
            profile=profile,
            target=target,
        )
        self._local: CheckedGraph | None = None
        self._sessions: dict[str, Any] = {}

    # --- Checking and compiling ----------------------------------------------------------------------

    def check(self) -> list[Problem]:
        """Return every problem of the graph, errors and warnings."""
        return _problems(self._compile("cluster"))

    def compile(self) -> list[Document]:
        """Return the documents that `graphc compile` writes; raises GraphError."""
        done = self._compile("cluster")
        _raise_errors(done)
        return [document for emission in done.emissions for document in emission.documents]

    def to_yaml(self) -> str:
        """Return the text that `graphc compile` writes; raises GraphError."""
        return write_yaml(self.compile())

    @property
    def versions(self) -> tuple[str, ...]:
        """The names of the graph's versions, the first of which answers most; raises GraphError."""
        return tuple(self._checked().plans)

    @property
    def inputs(self) -> Mapping[str, str]:
        """The graph's inputs with their types, such as `FP32[batch, 13]`; raises GraphError."""
        plan = next(iter(self._checked().plans.values()))
        return {name: str(type_) for name, type_ in plan.inputs}

    @property
    def outputs(self) -> Mapping[str, str]:
        """The graph's outputs with their types; raises GraphError."""
        plan = next(iter(self._checked().plans.values()))
        return {name: str(type_) for name, type_ in plan.outputs}

    # --- Calling -------------------------------------------------------------------------------------

    def predict(
        self, inputs: object, *, version: str | None = None, parameters: Mapping[str, object] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Answer a request in this process, on the CPU; models are loaded with the first call.

        `inputs` are values by input: lists, numpy's arrays, pandas' series; or a DataFrame with a column for each; or
        the values of the only input. Texts of the answer are `str`. Raises GraphError for a graph with errors,
        ValueError for inputs that are none, RequestFailedError for a request that is refused or fails.
        """
        checked = self._checked()
        chosen = next(iter(checked.plans)) if version is None else version
        if chosen not in checked.plans:
            raise ValueError(f"there is no version `{chosen}`; there are: {', '.join(checked.plans)}")
        tensors = make_tensors(inputs, dict(checked.plans[chosen].inputs))
        session = self._session(checked, chosen)
        module = _import_session()
        try:
            answer = session.ask([(each.name, each.datatype, each.array) for each in tensors], parameters)
        except module.FailedError as failure:
            raise RequestFailedError(failure.status, str(failure)) from failure
        return {name: show_array(array) for name, array in answer.items()}

    def _session(self, checked: CheckedGraph, version: str) -> Any:
        if version not in self._sessions:
            module = _import_session()
            artifacts = Path(tempfile.mkdtemp(prefix="graphc-session-"))
            weakref.finalize(self, shutil.rmtree, artifacts, ignore_errors=True)
            lay_out(checked, version, artifacts)
            self._sessions[version] = module.Session(describe_plan(checked.plans[version]), artifacts)
        return self._sessions[version]

    @contextmanager
    def serve(self, *options: str, seconds: float = 120) -> Generator[Served]:
        """Run the graph as `graphc run` does, on free ports, until the block ends.

        `options` are further ones of `graphc run`, and `seconds` are how long it may take to be ready. Raises
        GraphError, and RuntimeError where it does not become ready.
        """
        self._checked()
        with tempfile.TemporaryDirectory(prefix="graphc-serve-") as folder:
            (path,) = self._request.paths or [str(_write(self.to_yaml(), Path(folder)))]
            given = [f"--set={name}={value}" for name, value in self._settings.items()]
            level = [] if isinstance(self._source, Graph) else [f"-O{self._level}", *given]
            with serve_file(path, [*level, *options], seconds) as served:
                yield served

    # --- Showing -------------------------------------------------------------------------------------

    def draw(self, format: Format = "mermaid") -> str:  # noqa: A002 - what callers would call it
        """Return the compiled plan as a picture: units with their nodes, and tensors between them.

        Raises GraphError where the graph is wrong, and ViewError for SVG where `graphc-compiler[view]` is not there.
        """
        return write_drawing(draw_plan(next(iter(self._checked().plans.values()))), format)

    def _repr_markdown_(self) -> str:
        """Return what notebooks show: the picture, or the problems."""
        problems = self.check()
        if any(each.severity == "error" for each in problems):
            return "\n\n".join(f"```text\n{each}\n```" for each in problems)
        return f"```mermaid\n{self.draw()}```"

    def __repr__(self) -> str:
        """Say where the graph came from."""
        return f"<graphc.InferenceGraph of {'Python' if isinstance(self._source, Graph) else self._source}>"

    def _checked(self) -> CheckedGraph:
        if self._local is None:
            done = self._compile("local")
            _raise_errors(done)
            if len(done.graphs) != 1:
                raise ValueError(f"{self._source} has {len(done.graphs)} graphs; load takes a file of one")
            self._local = done.graphs[0]
        return self._local

    def _compile(self, purpose: Any) -> Compilation:
        request = replace(self._request, purpose=purpose)
        if isinstance(self._source, Graph):
            return compile_built(self._source.located(), self._source.folder, request)
        return compile_files(request)


def _import_session() -> Any:
    try:
        return importlib.import_module("graphc_runtimes.session")
    except ImportError as error:
        raise RuntimeError(
            "predict needs `graphc_runtimes`: install graphc's runtimes with their extras"
        ) from error


def _problems(done: Compilation) -> list[Problem]:
    return [make_problem(each, done.sources) for each in done.sink]


def _raise_errors(done: Compilation) -> None:
    if done.sink.has_errors:
        errors: Sequence[Any] = [each for each in done.sink if each.severity is Severity.ERROR]
        raise GraphError([make_problem(each, done.sources) for each in errors])


def _write(text: str, folder: Path) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(text, "utf-8")
    return path
