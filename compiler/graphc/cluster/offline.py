"""Plans against files instead of a cluster: what was rendered before, or a graph as a git revision has it."""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, cast

from graphc.cluster.bundle import CONFIG_MAP, Bundle, strip
from graphc.cluster.client import Ref, ref_of
from graphc.cluster.dangers import Danger, find_dangers
from graphc.cluster.find_serving import serving_of
from graphc.cluster.planning import GraphPlan, Step, compare
from graphc.cluster.problem import ClusterError
from graphc.cluster.records import State
from graphc.cluster.removing import order_of_removal
from graphc.cluster.view import FindMap
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.diagnostics.diagnostic import Severity
from graphc.seldon.documents import flatten, is_manifest
from graphc.source.files import read_source
from graphc.source.located import Fields, to_plain
from graphc.source.yaml_reader import read_for_cluster
from graphc.unchecked import Data, fields, text

GIT_SECONDS: Final = 60
MOST_ARCHIVE: Final = 512 * 1024 * 1024


def plan_offline(bundle: Bundle, others: Sequence[Data]) -> GraphPlan:
    """Compare a graph's documents with those that stand for the cluster."""
    before = {_key(each, bundle): each for each in others if _belongs(each, bundle)}
    after = {ref_of(each): each for each in bundle.documents}
    finders = (_finder(before, bundle.namespace), _finder(after, bundle.namespace))
    steps = [_step(ref, before.get(ref), each, finders) for ref, each in after.items()]
    removed = order_of_removal(ref for ref in before if ref not in after)
    steps += [Step(ref, "delete") for ref in removed]
    dangers = list(_dangers(list(before.values()), bundle.documents, finders))
    dangers += [Danger("deleted", f"{ref} is deleted") for ref in removed if ref.kind != CONFIG_MAP]
    state = State(bundle.name, bundle.namespace)
    return GraphPlan(bundle, tuple(steps), tuple(dangers), (), state, live=before, results=after)


def _key(document: Data, bundle: Bundle) -> Ref:
    return ref_of(document, bundle.namespace)


def _belongs(document: Data, bundle: Bundle) -> bool:
    """Say whether a document is of this graph: several may be in one file."""
    part = text(document, "metadata", "labels", "app.kubernetes.io/part-of")
    namespace = text(document, "metadata", "namespace")
    own = part == bundle.name if part else text(document, "metadata", "name") == bundle.name
    return own and namespace in {"", bundle.namespace}


def _finder(documents: Mapping[Ref, Data], namespace: str) -> FindMap:
    return lambda name: documents.get(Ref(CONFIG_MAP, namespace, name))


def _step(ref: Ref, before: Data | None, after: Data, finders: tuple[FindMap, FindMap]) -> Step:
    if before is None:
        return Step(ref, "create")
    placed: Data = {**before, "metadata": {**fields(before, "metadata"), "namespace": ref.namespace}}
    changes = compare(placed, after, *finders)
    return Step(ref, "update" if changes else "keep", tuple(changes))


def _dangers(
    before: Sequence[Data], after: Sequence[Data], finders: tuple[FindMap, FindMap]
) -> Iterator[Danger]:
    serving = serving_of(after)
    if serving is not None and any(ref_of(each).kind == serving.main for each in before):
        old, new = (
            serving.read_whole([strip(each) for each in documents], finder)
            for documents, finder in zip((before, after), finders, strict=True)
        )
        yield from find_dangers(old, new)


def read_other(place: str, request: Request) -> list[Data]:
    """Return the documents of a rendered file or of a graph; `REV:PATH` is a file of a git revision.

    A graph is compiled as `request` says, whose own files are others.
    """
    if Path(place).exists() or ":" not in place:
        return _read(Path(place), place, request)
    revision, _, path = place.partition(":")
    with _checked_out(revision, path) as file:
        return _read(file, place, request)


def _read(path: Path, shown: str, request: Request) -> list[Data]:
    sink = Sink()
    source = read_source(str(path), sink)
    documents = (
        []
        if source is None or path.suffix == ".py"
        else read_for_cluster(source.text, shown, sink, is_manifest)
    )
    rendered = [each for document in documents if is_manifest(document) for each in flatten(document)]
    if rendered and not sink.has_errors:
        return [cast("Data", to_plain(each)) for each in rendered if isinstance(each, Fields)]
    done = compile_files(replace(request, paths=[str(path)]))
    for problem in [*sink, *done.sink]:
        if problem.severity is Severity.ERROR:
            raise ClusterError(f"{shown} cannot be compared with: {problem.message}")
    return [dict(each) for emission in done.emissions for each in emission.documents]


@contextmanager
def _checked_out(revision: str, path: str) -> Generator[Path]:
    """Yield a file as a git revision has it, with the files beside it, in a folder of its own."""
    top = Path(_git(Path(), "rev-parse", "--show-toplevel").decode().strip())
    # What looks like an option is none: `--end-of-options` ends them.
    commit = _git(Path(), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    relative = _inside(top, path)
    with tempfile.TemporaryDirectory(prefix="graphc-plan-") as folder:
        archive = _git(top, "archive", "--format=tar", commit.decode().strip())
        if len(archive) > MOST_ARCHIVE:
            raise ClusterError(f"`{revision}` has more than {MOST_ARCHIVE // 1024**2} MiB")
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            opened.extractall(folder, filter="data")
        file = Path(folder, relative)
        if not file.is_file():
            raise ClusterError(f"`{revision}` has no file `{relative}`")
        yield file


def _inside(top: Path, path: str) -> PurePosixPath:
    """Return a path as the repository names it: as git does, from its top, or with `./` from here."""
    if path.startswith(("./", "../")):
        try:
            return PurePosixPath(Path(path).resolve().relative_to(top.resolve()))
        except ValueError as error:
            raise ClusterError(f"`{path}` is not in the repository") from error
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise ClusterError(f"`{path}` is not a path inside the repository")
    return relative


def _git(folder: Path, *arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise ClusterError("git is not installed")
    try:
        done = subprocess.run([git, *arguments], cwd=folder, capture_output=True, timeout=GIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"git {arguments[0]} takes longer than {GIT_SECONDS} s") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        reason = words[-1].removeprefix("fatal: ") if words else "no such revision"
        raise ClusterError(f"git {arguments[0]}: {reason}")
    return done.stdout
