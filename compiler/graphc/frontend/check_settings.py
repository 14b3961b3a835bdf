"""Check nodes that ask an MLServer against the `model-settings.json` files of the folder that it serves."""

from collections.abc import Iterator, Mapping, Sequence

from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.described import DescribedModel, DescribedTensor
from graphc.artefacts.model_settings import DescribedFolder, read_settings
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.servers import OTHER_SETTINGS
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.frontend.draft import DraftServer, DraftUse
from graphc.ir.graph import Host
from graphc.spec.fields import Server
from graphc.spec.read_spec import GraphSpec


def read_described(host: Host, sink: Sink) -> DescribedFolder | None:
    """Return what the folder of an MLServer says of its models, and report settings that MLServer cannot read.

    It is None of another server, and of one that is started otherwise than with files beside the graph file.
    """
    if host.kind != "mlserver" or not host.files or host.command or host.args:
        return None
    folder = read_settings(host.files)
    for file, reason in sorted(folder.faults.items()):
        message = f"`{host.name}` is started with {quoted(file)}, which cannot be read: {reason}"
        sink.report(Diagnostic(OTHER_SETTINGS, message, host.at))
    return folder


def check_settings(
    spec: GraphSpec, name: str, server: Server, uses: Sequence[DraftUse], asked: DraftServer, sink: Sink
) -> None:
    """Report a model that a server's folder does not have, and tensors that its description has otherwise."""
    folder = asked.settings
    if folder is None:
        return
    called = server.model or name
    model = folder.models.get(called)
    field = ("model",) if server.model is not None else ()
    at = spec.at("nodes", name, *field, key=not field)
    if model is None:
        # One that cannot be read may be the one that is meant.
        if folder.models and not folder.faults:
            message = (
                f"`{name}` asks for the model {quoted(called)}, which no settings of `{asked.name}` name"
            )
            listed = ", ".join(quoted(each) for each in sorted(folder.models))
            hint = did_you_mean(called, sorted(folder.models)) or f"they name {listed}"
            sink.report(Diagnostic(OTHER_SETTINGS, message, at, hint))
        return
    for path, reason in (*_check_inputs(server, uses, model), *_check_outputs(server, model)):
        sink.report(Diagnostic(OTHER_SETTINGS, f"`{name}` {reason}", spec.at("nodes", name, *path)))


_Problem = tuple[tuple[str, ...], str]


def _check_inputs(server: Server, uses: Sequence[DraftUse], model: DescribedModel) -> Iterator[_Problem]:
    if model.inputs is None:
        return
    for use in uses:
        if not use.is_unnamed and use.port not in model.inputs:
            yield ("in",), f"feeds {quoted(use.port)}, and {_say_names(model, model.inputs)}"
    named = {use.port for use in uses if not use.is_unnamed}
    missing = ", ".join(quoted(port) for port in model.required if port not in named)
    if missing and len(named) == len(uses):
        yield ("in",), f"does not feed {missing}, which {quoted(model.file)} takes"
    yield from _check_types("inputs", server.inputs or {}, model, model.inputs)


def _check_outputs(server: Server, model: DescribedModel) -> Iterator[_Problem]:
    if model.outputs is None:
        return
    for port in server.out:
        if port not in model.outputs:
            yield ("out",), f"gives {quoted(port)}, and {_say_names(model, model.outputs)}"
    yield from _check_types("out", server.out, model, model.outputs)


def _say_names(model: DescribedModel, tensors: Mapping[str, DescribedTensor]) -> str:
    return f"{quoted(model.file)} has {', '.join(quoted(each) for each in tensors)}"


def _check_types(
    field: str, types: Mapping[str, str], model: DescribedModel, tensors: Mapping[str, DescribedTensor]
) -> Iterator[_Problem]:
    for port, text in types.items():
        described = tensors.get(port)
        if described is None:
            continue
        reason = _compare(parse_tensor_type(text), described)
        if reason:
            yield (field, port), f"declares `{port}` as `{text}`, and {quoted(model.file)} {reason}"


def _compare(type_: TensorType, described: DescribedTensor) -> str | None:
    """Say what a description has in the place of a type; None where they agree."""
    if described.datatype not in (None, type_.datatype) and type_.datatype not in described.accepts:
        return f"has {quoted(described.datatype)}"
    shape = described.shape
    if shape is None:
        return None
    if len(shape) != len(type_.shape):
        return f"has {len(shape)} {'dimension' if len(shape) == 1 else 'dimensions'}"
    for mine, its in zip(type_.shape, shape, strict=True):
        if isinstance(mine, int) and its is not None and mine != its:
            return f"has {its} where it has {mine}"
    return None
