"""V2 messages between their gRPC and their JSON form; integers stay exact."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from graphc_components.tensors import CONTENTS

from graphc.engine.binary import (
    Fields,
    RequestError,
    check_shape,
    dicts,
    dump,
    fill_data,
    load,
    read_content_type,
    set_parameter,
    shown,
)
from graphc.engine.proto import (
    InferRequest,
    InferResponse,
    ModelFacts,
    Parameter,
    Repeated,
    Tensor,
    message_class,
)
from graphc.engine.raw import BASE64, RawError, flatten, from_bytes, pack, to_bytes, write_list
from graphc.engine.runs import Run, as_run, as_value, chunks
from graphc.source.located import Plain

_TYPED: Final = {
    "bool_contents": "?",
    "int_contents": "<i4",
    "int64_contents": "<i8",
    "uint_contents": "<u4",
    "uint64_contents": "<u8",
    "fp32_contents": "<f4",
    "fp64_contents": "<f8",
}
"""How the numbers of each field are laid out."""


class AnswerError(ValueError):
    """A unit's answer cannot be put into a gRPC message; the message says why."""


def to_json(request: InferRequest) -> bytes:
    """Write a gRPC request as a V2 JSON message; raises RequestError."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise RequestError(f"{len(raw)} raw contents for {len(request.inputs)} inputs")
    inputs: list[Plain] = [
        _read_input(tensor, raw[index] if raw else None) for index, tensor in enumerate(request.inputs)
    ]
    fields: Fields = {"inputs": inputs}
    if request.id:
        fields["id"] = request.id
    if parameters := _read_parameters(request.parameters):
        fields["parameters"] = parameters
    if request.outputs:
        fields["outputs"] = [
            _with_parameters({"name": output.name}, output.parameters) for output in request.outputs
        ]
    return dump(fields)


def to_answer_json(response: bytes) -> bytes:
    """Write a gRPC answer as a V2 JSON message; raises RequestError."""
    answer = cast("InferResponse", message_class("ModelInferResponse").FromString(response))
    raw = list(answer.raw_output_contents)
    answer.ClearField("raw_output_contents")
    # Outputs have the numbers in an answer that inputs have in a request.
    request = cast("InferRequest", message_class("ModelInferRequest").FromString(answer.SerializeToString()))
    request.raw_input_contents.extend(raw)
    fields = load(to_json(request))
    named = {"model_name": answer.model_name, "model_version": answer.model_version}
    return dump({**{key: value for key, value in named.items() if value}, **_as_answer(fields)})


def _as_answer(fields: Fields) -> Fields:
    return {"outputs" if key == "inputs" else key: value for key, value in fields.items()}


def to_response(body: bytes, *, raw: bool) -> InferResponse:
    """Read a V2 JSON answer into a gRPC response; raises AnswerError."""
    try:
        fields = load(body)
        return _write_response(fields, raw=raw)
    except (RequestError, RawError, TypeError, ValueError, OverflowError) as error:
        raise AnswerError(f"the graph's answer is no V2 response: {error}") from error


def to_model_facts(body: bytes) -> ModelFacts:
    """Read V2 JSON metadata into a gRPC response; raises AnswerError."""
    try:
        return _write_model_facts(load(body))
    except (RequestError, TypeError, ValueError, OverflowError) as error:
        raise AnswerError(f"the metadata is not V2: {error}") from error


def _write_model_facts(fields: Fields) -> ModelFacts:
    facts = cast("ModelFacts", message_class("ModelMetadataResponse")())
    facts.name, facts.platform = str(fields.get("name", "")), str(fields.get("platform", ""))
    versions = fields.get("versions")
    facts.versions.extend(map(str, versions if isinstance(versions, list) else []))
    _write_tensor_facts(facts.inputs, fields.get("inputs"))
    _write_tensor_facts(facts.outputs, fields.get("outputs"))
    return facts


def _read_input(tensor: Tensor, raw: bytes | None) -> Fields:
    shape: list[Plain] = [*tensor.shape]
    fields: Fields = {"name": tensor.name, "shape": shape, "datatype": tensor.datatype}
    fields = _with_parameters(fields, tensor.parameters)
    if raw is not None:
        fill_data(fields, raw)
    else:
        _fill_contents(fields, tensor)
    return fields


def _fill_contents(fields: Fields, tensor: Tensor) -> None:
    field, name = CONTENTS.get(tensor.datatype), shown(tensor.name)
    if field is None:
        raise RequestError(f"input `{name}`: datatype `{tensor.datatype[:40]}` needs raw contents")
    values = cast("Sequence[Plain]", getattr(tensor.contents, field))
    if check_shape(name, fields["shape"], len(values)) != len(values):
        raise RequestError(f"input `{name}`: the shape does not fit the {len(values)} values that are there")
    try:
        if field == "bytes_contents":
            fields["data"], content_type = from_bytes(cast("list[bytes]", list(values)))
            if content_type:
                set_parameter(fields, "content_type", content_type)
        else:
            fields["data"] = as_value(_write_numbers(values, _TYPED[field]))
    except RawError as error:
        raise RequestError(f"input `{name}`: {error}") from error


def _write_numbers(values: Sequence[Plain], dtype: str) -> Run:
    """Write a field's numbers a few at a time, as they are all of one width."""
    return Run([write_list(part, dtype) for part in chunks(values)])


def _with_parameters(fields: Fields, parameters: Mapping[str, Parameter]) -> Fields:
    read = _read_parameters(parameters)
    return {**fields, "parameters": read} if read else fields


def _read_parameters(parameters: Mapping[str, Parameter]) -> Fields:
    read: Fields = {}
    for key in sorted(parameters):
        field = parameters[key].WhichOneof("parameter_choice")
        if field:
            read[key] = cast("Plain", getattr(parameters[key], field))
    return read


def _write_response(fields: Fields, *, raw: bool) -> InferResponse:
    response = cast("InferResponse", message_class("ModelInferResponse")())
    response.model_name = str(fields.get("model_name", ""))
    response.model_version = str(fields.get("model_version") or "")
    response.id = str(fields.get("id") or "")
    _write_parameters(response.parameters, fields.get("parameters"))
    # A router that calls no child gives the request back as it is.
    outputs = dicts(fields.get("outputs") or fields.get("inputs"))
    raw = raw or any(output.get("datatype") not in CONTENTS for output in outputs)
    for output in outputs:
        tensor = response.outputs.add()
        _write_tensor(tensor, output)
        if raw:
            response.raw_output_contents.append(_pack(output))
        else:
            _write_contents(tensor, output)
    return response


def _write_tensor(tensor: Tensor, output: Fields) -> None:
    tensor.name, tensor.datatype = str(output.get("name", "")), str(output.get("datatype", ""))
    shape = output.get("shape")
    tensor.shape.extend(map(_size, shape if isinstance(shape, list) else []))
    parameters = output.get("parameters")
    if isinstance(parameters, dict) and parameters.get("content_type") == BASE64:
        parameters = {key: value for key, value in parameters.items() if key != "content_type"}
    _write_parameters(tensor.parameters, parameters)


def _pack(output: Fields) -> bytes:
    return pack(str(output.get("datatype")), output.get("data"), read_content_type(output))


def _write_contents(tensor: Tensor, output: Fields) -> None:
    if run := as_run(output.get("data")):
        for part in run.lists():
            _write_contents(tensor, {**output, "data": part})
        return
    flat = flatten(output.get("data"))
    values: list[bytes] | list[Plain] = flat
    if tensor.datatype == "BYTES":
        values = to_bytes(flat, read_content_type(output))
    elif tensor.datatype.startswith("FP"):
        values = [float("nan") if each is None else each for each in flat]
    elif "INT" in tensor.datatype:
        values = [int(each) if isinstance(each, float) and each.is_integer() else each for each in flat]
    getattr(tensor.contents, CONTENTS[tensor.datatype]).extend(values)


def _write_parameters(target: Mapping[str, Parameter], parameters: Plain) -> None:
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        match value:
            case None:
                continue
            case bool():
                target[key].bool_param = value
            case int() if -(2**63) <= value < 2**63:
                target[key].int64_param = value
            case float():
                target[key].double_param = value
            case str():
                target[key].string_param = value
            case _:
                target[key].string_param = json.dumps(value)


def _write_tensor_facts(target: Repeated[Tensor], tensors: Plain) -> None:
    for fields in dicts(tensors):
        tensor = target.add()
        tensor.name, tensor.datatype = str(fields.get("name", "")), str(fields.get("datatype", ""))
        shape = fields.get("shape")
        tensor.shape.extend(map(_size, shape if isinstance(shape, list) else []))


def _size(dim: Plain) -> int:
    """Return a dimension as a number; one that is unknown or named is -1."""
    return int(dim) if isinstance(dim, int | float) and not isinstance(dim, bool) else -1
