"""Checks what nodes ask Triton for against the folder that it serves, and the configurations of its models."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Final

from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.triton_config import TritonModel, TritonTensor
from graphc.artefacts.triton_repository import ServedModel, read_repository
from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.servers import BAD_MODEL_CONFIG, NOT_ASKED_SO, NOT_SERVED, SERVED_TENSOR
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.frontend.draft import DraftUse
from graphc.spec.fields import Server
from graphc.spec.read_spec import GraphSpec

_MOST_LISTED: Final = 5


def read_served(
    spec: GraphSpec, name: str, files: tuple[tuple[str, Path], ...], sink: Sink
) -> Mapping[str, ServedModel]:
    """Return the models of a server's folder, and report what is wrong with their configurations."""
    found = read_repository(files)
    for fault in found.faults:
        at = spec.at("servers", name, "models")
        sink.report(Diagnostic(BAD_MODEL_CONFIG, f"`{name}` serves {fault}", at))
    return found.models


def check_served(
    spec: GraphSpec,
    name: str,
    server: Server,
    uses: tuple[DraftUse, ...],
    served: Mapping[str, ServedModel],
    sink: Sink,
) -> None:
    """Report where a node and the folder of its server disagree."""
    _Checking(spec, name, server, sink).check(uses, served)


class _Checking:
    """The check of one node."""

    def __init__(self, spec: GraphSpec, name: str, server: Server, sink: Sink) -> None:
        self._spec, self._name, self._server, self._sink = spec, name, server, sink
        self._model = server.model or name

    def _report(
        self, rule: Rule, message: str, *path: str, hint: str | None = None, key: bool = False
    ) -> None:
        at = self._spec.at("nodes", self._name, *path, key=key)
        self._sink.report(Diagnostic(rule, f"`{self._name}` {message}", at, hint))

    def _report_model(self, rule: Rule, message: str, hint: str | None = None) -> None:
        path = ("model",) if self._server.model is not None else ()
        self._report(rule, message, *path, hint=hint, key=not path)

    def check(self, uses: tuple[DraftUse, ...], served: Mapping[str, ServedModel]) -> None:
        model = served.get(self._model)
        if model is None:
            message = f"asks for the model {quoted(self._model)}, which its server's folder lacks"
            self._report_model(NOT_SERVED, message, did_you_mean(self._model, sorted(served)))
            return
        self._check_version(model)
        if model.config is not None:
            self._check_kind(model.config)
            self._check_inputs(uses, model.config)
            self._check_outputs(model.config)

    def _check_version(self, model: ServedModel) -> None:
        if not model.versions:
            hint = "Triton wants a folder such as `1`; put a file into it, as no empty folder travels"
            self._report_model(
                NOT_SERVED, f"asks for `{self._model}`, which has no version with a file", hint
            )
            return
        asked = self._server.version
        found = model.versions if model.config is None else model.config.served(model.versions)
        if asked is not None and asked not in {str(each) for each in found}:
            listed = ", ".join(f"`{each}`" for each in sorted(found)[-_MOST_LISTED:]) or "none"
            message = f"asks for version {quoted(asked)} of `{self._model}`, which serves {listed}"
            self._report(NOT_SERVED, message, "version")

    def _check_kind(self, config: TritonModel) -> None:
        if config.is_decoupled:
            message = f"asks `{self._model}`, which is decoupled, and Triton answers no such model over HTTP"
            self._report_model(NOT_ASKED_SO, message)
        if config.is_sequence:
            message = f"asks `{self._model}`, which keeps sequences, and a graph's requests belong to none"
            self._report_model(NOT_ASKED_SO, message)

    def _check_inputs(self, uses: tuple[DraftUse, ...], config: TritonModel) -> None:
        takes = {each.name: each for each in config.inputs}
        if not takes:
            return
        fed = {use.port for use in uses if not use.is_unnamed} | self._server.inputs.keys()
        for use in uses:
            if not use.is_unnamed and use.port not in takes:
                self._report_unknown("feeds", use.port, takes, "in")
        for port, text in self._server.inputs.items():
            if port in takes:
                self._check_type("feeds", port, text, takes[port], config, "inputs")
        missing = [port for port, each in takes.items() if port not in fed and not each.is_optional]
        if missing and not any(use.is_unnamed for use in uses):
            listed = ", ".join(f"`{port}`" for port in missing[:_MOST_LISTED])
            self._report(
                SERVED_TENSOR, f"does not feed {listed}, which `{self._model}` needs", "in", key=True
            )

    def _check_outputs(self, config: TritonModel) -> None:
        gives = {each.name: each for each in config.outputs}
        for port, text in self._server.out.items() if gives else ():
            if port not in gives:
                self._report_unknown("reads", port, gives, "out")
            else:
                self._check_type("reads", port, text, gives[port], config, "out")

    def _report_unknown(self, verb: str, port: str, known: Mapping[str, TritonTensor], field: str) -> None:
        listed = ", ".join(f"`{each}`" for each in list(known)[:_MOST_LISTED])
        hint = did_you_mean(port, list(known)) or f"it has {listed}"
        message = f"{verb} {quoted(port)}, which `{self._model}` lacks"
        self._report(SERVED_TENSOR, message, field, port, hint=hint, key=True)

    def _check_type(
        self, verb: str, port: str, text: str, tensor: TritonTensor, config: TritonModel, field: str
    ) -> None:
        type_ = parse_tensor_type(text)
        if not _fits(type_, tensor, config.max_batch):
            has = f"has `{config.type_of(tensor)}`"
            if config.max_batch:
                has += f" with at most {config.max_batch} rows"
            self._report(
                SERVED_TENSOR, f"{verb} `{port}` as `{type_}`, and `{self._model}` {has}", field, port
            )


def _fits(type_: TensorType, tensor: TritonTensor, max_batch: int) -> bool:
    """Say whether a declared type is one that a model has: a length that only one of them knows is."""
    shape = type_.shape
    if max_batch:
        rows, shape = shape[0], shape[1:]
        if isinstance(rows, int) and rows > max_batch:
            return False
    lengths = zip_longest(shape, tensor.dims)
    return type_.datatype == tensor.datatype and all(
        each is not None and dim is not None and (dim == -1 or not isinstance(each, int) or each == dim)
        for each, dim in lengths
    )
