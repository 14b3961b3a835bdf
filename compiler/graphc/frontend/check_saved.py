"""Checks what nodes ask TensorFlow Serving for against the folder that it serves, and the SavedModels there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.described import DescribedTensor
from graphc.artefacts.saved_model import SavedSignature
from graphc.artefacts.tensorflow_folder import MOST_DIGITS, SavedFolder, SavedModel, read_saved_folder
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.servers import OTHER_SAVED_MODEL
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.frontend.draft import DraftServer, DraftUse
from graphc.ir.graph import Host
from graphc.server_start import server_folder
from graphc.spec.fields import Server
from graphc.spec.read_spec import GraphSpec

_USUAL: Final = "serving_default"
_MOST_LISTED: Final = 5

_Problem = tuple[tuple[str, ...], str]


def read_saved(host: Host, sink: Sink) -> SavedFolder | None:
    """Return what the folder of a TensorFlow Serving says of its models, and report files that it cannot read.

    It is None of another server, and of one that is started otherwise than with files beside the graph file.
    """
    if host.kind != "tensorflow" or not host.files or host.command or host.args:
        return None
    folder = read_saved_folder(host.files, server_folder(host.name))
    for fault in folder.faults:
        sink.report(Diagnostic(OTHER_SAVED_MODEL, f"`{host.name}` is started with {fault}", host.at))
    return folder


def check_saved(
    spec: GraphSpec, name: str, server: Server, uses: Sequence[DraftUse], asked: DraftServer, sink: Sink
) -> None:
    """Report a model, version or signature that a server's folder lacks, and tensors that a signature has otherwise."""
    folder = asked.saved
    # What cannot be read may be what is meant.
    if folder is None or folder.faults:
        return
    called = server.model or name
    at_model = ("model",) if server.model is not None else ()
    if called not in folder.models:
        message = (
            f"asks for the model {quoted(called)}, which the `models.config` of `{asked.name}` does not name"
        )
        hint = did_you_mean(called, sorted(folder.models))
        _report(spec, name, at_model, message, sink, hint)
        return
    model = folder.models[called]
    for path, message in () if model is None else _check_model(server, uses, called, model):
        _report(spec, name, at_model if path == ("model",) else path, message, sink)


def _report(
    spec: GraphSpec, name: str, path: tuple[str, ...], message: str, sink: Sink, hint: str | None = None
) -> None:
    at = spec.at("nodes", name, *path, key=not path)
    sink.report(Diagnostic(OTHER_SAVED_MODEL, f"`{name}` {message}", at, hint))


def _check_model(
    server: Server, uses: Sequence[DraftUse], called: str, model: SavedModel
) -> Iterator[_Problem]:
    if not model.versions:
        yield ("model",), f"asks for {quoted(called)}, which has no version with a `saved_model.pb`"
        return
    version = _find_version(server, model)
    if version is None or version not in model.versions:
        yield _say_version(server, called, model)
        return
    signatures = model.versions[version]
    wanted = server.parameters.get("signature", _USUAL)
    if signatures is None or not isinstance(wanted, str):
        return
    file = f"{model.folder}/{version}/saved_model.pb"
    signature = signatures.get(wanted)
    if signature is None:
        listed = ", ".join(quoted(each) for each in _named(signatures)[:_MOST_LISTED]) or "none"
        path = ("parameters", "signature") if "signature" in server.parameters else ("model",)
        yield path, f"asks for the signature {quoted(wanted)}, and {quoted(file)} has {listed}"
        return
    yield from _check_inputs(server, uses, signature, file)
    yield from _check_outputs(server, signature, file)


def _say_version(server: Server, called: str, model: SavedModel) -> _Problem:
    if server.version is not None:
        listed = ", ".join(f"`{each}`" for each in sorted(model.versions)[-_MOST_LISTED:])
        told = f"asks for version {quoted(server.version)} of {quoted(called)}, which serves {listed}"
        return ("version",), told
    label = quoted(str(server.parameters.get("label")))
    labels = sorted(each for each, version in model.labels.items() if version in model.versions)
    listed = ", ".join(quoted(each) for each in labels[:_MOST_LISTED]) or "none"
    told = f"asks for the label {label} of {quoted(called)}, and those of served versions are {listed}"
    return ("parameters", "label"), told


def _named(signatures: Mapping[str, SavedSignature]) -> list[str]:
    """Return the names of signatures that somebody asks for: TensorFlow keeps its own among them."""
    return sorted(name for name in signatures if not name.startswith("__saved_model_"))


def _find_version(server: Server, model: SavedModel) -> int | None:
    """Return the version that a node asks for; None where its label stands for none."""
    if server.version is not None:
        return (
            int(server.version) if server.version.isdecimal() and len(server.version) <= MOST_DIGITS else None
        )
    label = server.parameters.get("label")
    return model.labels.get(label) if isinstance(label, str) else max(model.versions)


def _check_inputs(
    server: Server, uses: Sequence[DraftUse], signature: SavedSignature, file: str
) -> Iterator[_Problem]:
    named = [use.port for use in uses if not use.is_unnamed]
    for port in named:
        if port not in signature.inputs:
            yield ("in",), f"feeds {quoted(port)}, and {_say_names(file, signature.inputs)}"
    missing = [port for port in signature.inputs if port not in named and port not in signature.optional]
    if missing and len(named) == len(uses):
        listed = ", ".join(quoted(port) for port in missing[:_MOST_LISTED])
        yield ("in",), f"does not feed {listed}, which {quoted(file)} takes"
    yield from _check_types("inputs", server.inputs or {}, signature.inputs, file)


def _check_outputs(server: Server, signature: SavedSignature, file: str) -> Iterator[_Problem]:
    if len(signature.outputs) == 1 and len(server.out) == 1:
        # The answer has a single output without its name.
        only = next(iter(signature.outputs.values()))
        yield from _check_types("out", server.out, dict.fromkeys(server.out, only), file)
        return
    for port in server.out:
        if port not in signature.outputs:
            yield ("out",), f"gives {quoted(port)}, and {_say_names(file, signature.outputs)}"
    yield from _check_types("out", server.out, signature.outputs, file)


def _say_names(file: str, tensors: Mapping[str, DescribedTensor]) -> str:
    return f"{quoted(file)} has {', '.join(quoted(each) for each in list(tensors)[:_MOST_LISTED]) or 'none'}"


def _check_types(
    field: str, types: Mapping[str, str], tensors: Mapping[str, DescribedTensor], file: str
) -> Iterator[_Problem]:
    for port, text in types.items():
        saved = tensors.get(port)
        if saved is not None and not _fits(parse_tensor_type(text), saved, is_input=field == "inputs"):
            yield (
                (field, port),
                f"declares {quoted(port)} as `{text}`, and {quoted(file)} has {_write(saved)}",
            )


def _write(tensor: DescribedTensor) -> str:
    if tensor.shape is None:
        return f"`{tensor.datatype}` of any shape"
    dims = ", ".join("n" if size is None else str(size) for size in tensor.shape)
    return f"`{tensor.datatype or '?'}[{dims}]`"


def _fits(type_: TensorType, saved: DescribedTensor, *, is_input: bool) -> bool:
    """Say whether JSON carries one type as the other: numbers have no width there, and a whole one is a float, too."""
    mine, its = _sort(type_.datatype), _sort(saved.datatype or type_.datatype)
    given, taken = (mine, its) if is_input else (its, mine)
    if given != taken and (given, taken) != ("integer", "float"):
        return False
    shape = saved.shape
    return shape is None or (
        len(shape) == len(type_.shape)
        and all(
            not isinstance(one, int) or other is None or one == other
            for one, other in zip(type_.shape, shape, strict=True)
        )
    )


def _sort(datatype: str) -> str:
    if datatype in {"BYTES", "BOOL"}:
        return datatype
    return "float" if datatype.startswith("FP") else "integer"
