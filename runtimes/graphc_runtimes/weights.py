"""Lets the processes of a unit share the weights of its ONNX models.

Each model is optimised once, in a process of its own, and written with its weights in a file beside it. The workers
map that file, so that its pages are in memory once. What onnxruntime makes of weights for its own use, such as
matrices packed for the processor, stays each worker's own.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from graphc_runtimes.adapters.artifact import find_file
from graphc_runtimes.environment import Environment, read_environment
from graphc_runtimes.errors import LoadError, RegionError
from graphc_runtimes.processes import fork
from graphc_runtimes.region import ModelNode, parse_region

LEAST: Final = 4 * 2**20
"""The bytes of a file below which a model is not worth it."""

_shared: dict[Path, Path] = {}
"""The model to open instead of each; workers have it from their parent."""


def find_shared(path: Path) -> Path | None:
    """Return the form of a model that the workers share, if it has one."""
    return _shared.get(path)


@contextmanager
def shared_weights() -> Generator[None]:
    """Write the models that workers will share; without threads or sessions in this process."""
    folder = Path(tempfile.mkdtemp(prefix="graphc-weights-"))
    try:
        _shared.update(_write_all(folder))
        yield
    finally:
        _shared.clear()
        shutil.rmtree(folder, ignore_errors=True)


def _write_all(folder: Path) -> Iterator[tuple[Path, Path]]:
    try:
        environment = read_environment()
        found = sorted(set(_find_models(environment)))
    except (RegionError, LoadError):
        # The workers say so, each node by its name.
        return
    for number, path in enumerate(found):
        written = folder / f"{number}.onnx"
        _, status = os.waitpid(fork(lambda path=path, to=written: _write(path, environment, to)), 0)
        if status:
            print(
                f"graphc: the workers do not share the weights of `{path.name}`", file=sys.stderr, flush=True
            )
        else:
            yield path, written


def _find_models(environment: Environment) -> Iterator[Path]:
    if environment.device != "cpu":
        return
    for node in parse_region(environment.region).nodes:
        if isinstance(node, ModelNode) and node.framework == "onnx":
            path = find_file(node.path_on_cpu, environment, (".onnx",))
            if sum(each.stat().st_size for each in path.parent.iterdir() if each.is_file()) >= LEAST:
                yield path


def _write(path: Path, environment: Environment, to: Path) -> None:
    # Not in the parent: importing onnxruntime starts a thread, and a process with threads is not to be forked.
    from graphc_runtimes.adapters.onnx import write_optimised

    write_optimised(path, environment, to)
