"""Runs a class that was written for Seldon's language wrapper, calling its methods as the wrapper does.

What the wrapper does was seen in answers of `seldon-core-microservice` 1.19.0, and nothing of it is used here: a class
that imports `seldon_core` needs that package, and any other needs nothing.

One call at a time: a class keeps for `tags` and `metrics` what its last request was, and the wrapper has one thread.
"""

import contextlib
import inspect
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.seldon_payloads import to_payload, to_raw
from graphc_runtimes.adapters.seldon_results import from_result, read_raw, to_branch
from graphc_runtimes.adapters.seldon_words import (
    Said,
    find_status,
    is_not_implemented,
    not_its_own,
    tags_of,
    take_apart,
)
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.choose import Call
from graphc_runtimes.class_metrics import ClassMetrics, MetricError
from graphc_runtimes.errors import LoadError, StatedError
from graphc_runtimes.execute import Runner
from graphc_runtimes.messages import OWN_PARAMETERS
from graphc_runtimes.region import Method, PythonNode, SeldonClass

_LABELS: Final[Mapping[Method, str]] = {
    "predict": "predict",
    "transform_input": "inputtransform",
    "transform_output": "outputtransform",
    "route": "router",
    "aggregate": "aggregate",
}
"""What the label `method` of a metric says, by the method."""

_Answer = Callable[[Mapping[str, Array], Mapping[str, object]], Said]


def load_seldon_class(node: PythonNode, asked: SeldonClass, entry: object, folder: Path | None) -> Runner:
    """Make an object of a class, load it and return its runner; raises LoadError, and what the class raises."""
    if not inspect.isclass(entry):
        raise LoadError(f"`{node.entry}` is no class, and `seldon` calls the methods of one")
    if not node.declares:
        raise LoadError("it declares no output")
    with _working_in(folder):
        made = _make(node, entry, asked.parameters)
        _load(made)
    return _ClassRunner(node, asked, made)


@contextlib.contextmanager
def _working_in(folder: Path | None) -> Generator[None]:
    """Let a class open its files by paths below its own folder, which is where the wrapper is started."""
    if folder is None:
        yield
        return
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _make(node: PythonNode, entry: type, parameters: Mapping[str, object]) -> object:
    try:
        inspect.signature(entry).bind(**parameters)
    except TypeError as error:
        given = ", ".join(f"`{name}`" for name in parameters) or "no parameters"
        raise LoadError(f"`{node.entry}` cannot be made with {given}: {error}") from None
    # Some classes of C have no signature.
    except ValueError:
        pass
    return entry(**parameters)


def _load(made: object) -> None:
    load = getattr(made, "load", None)
    if load is not None:
        # Who inherits a `load` that does nothing may say so by this.
        with contextlib.suppress(NotImplementedError):
            load()


class _ClassRunner:
    """The runner of an object of such a class."""

    def __init__(self, node: PythonNode, asked: SeldonClass, made: object) -> None:
        self._node, self._asked, self._made = node, asked, made
        self._metrics = ClassMetrics(node.name, _LABELS[asked.method])
        self._alone = threading.Lock()
        self._ways = tuple(self._find_ways())
        if not self._ways:
            raise LoadError(f"`{node.entry}` has neither `{asked.method}` nor `{asked.method}_raw`")
        self._tags, self._counted = (_own_method(made, name) for name in ("tags", "metrics"))
        self.metadata = _describe(made)
        """What the class says of itself, as JSON; None where it says nothing."""

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return self.bind(Call())(inputs)

    def bind(self, call: Call) -> Runner:
        """Return what asks the class for one call."""

        def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
            outputs, tags = self._ask(inputs, _meta(call))
            call.tags.update({f"{self._node.name}.{name}": value for name, value in tags.items()})
            return outputs

        return run

    # --- Asking --------------------------------------------------------------------------------------

    def _ask(
        self, inputs: Mapping[str, Array], meta: Mapping[str, object]
    ) -> tuple[Mapping[str, Array], Mapping[str, object]]:
        with self._alone:
            try:
                said = self._answer(inputs, meta)
                self._metrics.note(said.metrics)
            except MetricError as error:
                raise ArrayError(f"gave a metric that {error}") from None
            # The class raises what it likes.
            except Exception as error:
                status = find_status(self._made, error)
                if status is None:
                    raise
                raise StatedError(*status) from error
        return self._read(said.data), tags_of(said.tags)

    def _answer(self, inputs: Mapping[str, Array], meta: Mapping[str, object]) -> Said:
        """Return what the first way says that the class has made its own."""
        for way in self._ways:
            try:
                return way(inputs, meta)
            except Exception as error:
                if not is_not_implemented(error):
                    raise
        raise ArrayError(f"has a class that does not implement `{self._asked.method}`")

    def _read(self, data: object) -> Mapping[str, Array]:
        if self._asked.method == "route":
            return to_branch(data, self._node.declares)
        return from_result(data, self._node.declares)

    def _find_ways(self) -> "Generator[_Answer]":
        """Yield the ways to ask the class, those that take whole messages first."""
        method = self._asked.method
        raw, plain = _own_method(self._made, f"{method}_raw"), _own_method(self._made, method)
        if raw is not None:
            self._check(f"{method}_raw", raw, [1])
            yield lambda inputs, meta: read_raw(raw(self._write_raw(inputs, meta)))
        if plain is not None:
            takes_meta = method != "aggregate" and _binds(plain, 2, "meta")
            if not takes_meta:
                self._check(method, plain, [2])
            yield self._plain_way(plain, takes_meta=takes_meta)

    def _check(self, name: str, method: Callable[..., object], counts: Sequence[int]) -> None:
        if not any(_binds(method, count) for count in counts):
            what = "a message" if name.endswith("_raw") else "the data and its names"
            raise LoadError(f"`{name}` of `{self._node.entry}` cannot be called with {what}")

    def _plain_way(self, method: Callable[..., object], *, takes_meta: bool) -> _Answer:
        asked = self._asked

        def ask(inputs: Mapping[str, Array], meta: Mapping[str, object]) -> Said:
            # A class may change what it is given.
            payloads = [to_payload(asked.payload, array) for array in _in_order(inputs)]
            names = [list(asked.names) for _ in payloads]
            if asked.method == "aggregate":
                result = method(payloads, names)
            elif takes_meta:
                result = method(payloads[0], names[0], meta=dict(meta))
            else:
                result = method(payloads[0], names[0])
            said = take_apart(result)
            return said.with_more(_ask_or(self._counted, []), _ask_or(self._tags, {}))

        return ask

    def _write_raw(self, inputs: Mapping[str, Array], meta: Mapping[str, object]) -> dict[str, object]:
        asked = self._asked
        messages: list[dict[str, object]] = [
            {**to_raw(asked.payload, array, asked.names), "meta": dict(meta)} for array in _in_order(inputs)
        ]
        return {"seldonMessages": messages} if asked.method == "aggregate" else messages[0]


def _own_method(made: object, name: str) -> Callable[..., object] | None:
    """Return a method of an object; None where it has none, or Seldon's own class only has a place for one."""
    method = getattr(made, name, None)
    return None if method is None or not callable(method) or not_its_own(made, name) else method


def _binds(method: Callable[..., object], count: int, *names: str) -> bool:
    try:
        inspect.signature(method).bind(*range(count), **dict.fromkeys(names))
    except TypeError:
        return False
    # Some functions of C have no signature.
    except ValueError:
        return not names
    return True


def _ask_or(method: Callable[[], object] | None, otherwise: object) -> object:
    """Return what a method says, or something else where there is none, or it says so by an error."""
    if method is None:
        return otherwise
    try:
        return method()
    except Exception as error:
        if not is_not_implemented(error):
            raise
        return otherwise


def _in_order(inputs: Mapping[str, Array]) -> Sequence[Array]:
    # JSON that was sorted on the way has "10" before "2".
    names = sorted(inputs, key=int) if all(name.isdigit() for name in inputs) else list(inputs)
    return [inputs[name] for name in names]


def _meta(call: Call) -> Mapping[str, object]:
    """Return what a class is told of a request: its id, and as tags the parameters that its client gave.

    What units and nodes say of each other would depend on how the graph is laid out.
    """
    tags = {
        name: value
        for name, value in call.parameters.items()
        if name not in OWN_PARAMETERS and not name.startswith("graphc_") and "." not in name
    }
    puid: dict[str, object] = {"puid": call.identity} if call.identity else {}
    return puid | {"tags": tags}


def _describe(made: object) -> str | None:
    """Return what a class says of itself as JSON; None where it says nothing that JSON can hold."""
    describe = _own_method(made, "init_metadata")
    if describe is None:
        return None
    try:
        found = describe()
        return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError as error:
        raise LoadError(f"`init_metadata` gave what JSON cannot hold: {error}") from None
    except Exception as error:
        if is_not_implemented(error):
            return None
        raise
