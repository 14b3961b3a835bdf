"""The fields of a graph file, one class for each kind of thing, declared as pydantic models are."""

import re
import sys
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, cast
from urllib.parse import urlsplit

from graphc.gpus.ask import DEVICES, SHARINGS, Device, Sharing, parse_amount
from graphc.spec.declare import (
    AfterValidator,
    BeforeValidator,
    Field,
    Spec,
    WithJsonSchema,
    model_validator,
)
from graphc.spec.scalars import (
    Duration,
    Memory,
    Outputs,
    Promotion,
    Quantity,
    Reference,
    References,
    ServiceUrl,
    Take,
    TypeText,
    show,
)

API_VERSION: Final = "graphc/v1"
KIND: Final = "InferenceGraph"

_ENTRY: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
_STORES: Final = ("s3://", "gs://", "http://", "https://", "file:///", "pvc://")
_CLAIM: Final = re.compile(r"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^/\s]+)*/?\Z")


def _as_number(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# JSON, in which a region is written, has no infinity.
Number = Annotated[
    float, BeforeValidator(_as_number), Field(allow_inf_nan=False), WithJsonSchema({"type": "number"})
]
# Kubernetes counts pods, and the engine rows, in integers of 32 bits.
MOST: Final = 2**31 - 1
LONGEST_MS: Final = 24 * 3600 * 1000
"""A day: costs are added and multiplied, and no request waits longer for a node."""
Positive = Annotated[int, Field(ge=1, le=MOST)]
Anything = Annotated[object, WithJsonSchema({})]


class Metadata(Spec):
    """The names of the graph."""

    name: str = Field(description="the graph's name: its SeldonDeployment's, and the one that clients call")
    namespace: str | None = Field(None, description="the namespace of everything that is emitted")
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


def _read_amount(value: object) -> object:
    # An error of parsing is a ValueError with words for users.
    return parse_amount(value)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _read_cache(value: str) -> str:
    if not re.fullmatch(r"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^/\s]+)*", value) or "/.." in value:
        raise ValueError(f"{show(value)} is not a folder of a claim, such as `pvc://engines/fraud`")
    return value


class Tensorrt(Spec):
    """How TensorRT runs ONNX models."""

    fp16: bool = Field(False, description="compute in half precision where that is faster")
    cache: Annotated[str, AfterValidator(_read_cache)] | None = Field(
        None,
        description="the folder of a claim, pvc://CLAIM/FOLDER, that keeps what it builds; else every pod builds",
    )


def _read_tensorrt(value: object) -> object:
    return {} if value is True else None if value is False else value


TensorrtValue = Annotated[
    Tensorrt | None,
    BeforeValidator(_read_tensorrt),
    WithJsonSchema(
        {
            "description": "let TensorRT run ONNX models, and how",
            "anyOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "properties": {"fp16": {"type": "boolean"}, "cache": {"type": "string"}},
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


class Gpu(Spec):
    """GPUs, or a part of one, and how it may be shared with others."""

    amount: Annotated[Anything, AfterValidator(_read_amount)] = Field(
        description="a number, a part such as 0.25, memory such as 10Gi, or a MIG slice such as mig-1g.10gb"
    )
    sharing: Sharing = Field("any", description="how the device may be shared with other containers")
    model: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list[str], description="the product that will do, such as A100, or several"
    )
    device: Device = Field("gpu", description="what will do: a GPU, one or else the CPU, or the CPU")
    tensorrt: TensorrtValue = Field(None, description="let TensorRT run ONNX models, and how")


def _read_gpu(value: object) -> object:
    return value if isinstance(value, dict) else {"amount": value}  # pyright: ignore[reportUnknownVariableType]


_AMOUNT_SCHEMA: Final[dict[str, object]] = {
    "description": "a number, a part such as 0.25, memory such as 10Gi, or a MIG slice such as mig-1g.10gb",
    "type": ["integer", "number", "string"],
}
_GPU_SCHEMA: Final[dict[str, object]] = {
    "anyOf": [
        _AMOUNT_SCHEMA,
        {
            "type": "object",
            "properties": {
                "amount": _AMOUNT_SCHEMA,
                "sharing": {"enum": list(SHARINGS), "description": "how others may share the device"},
                "model": {
                    "description": "the product that will do, such as A100, or several",
                    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                },
                "device": {"enum": list(DEVICES), "description": "what will do: a GPU, one or else the CPU"},
                "tensorrt": {
                    "description": "let TensorRT run ONNX models, and how",
                    "anyOf": [
                        {"type": "boolean"},
                        {
                            "type": "object",
                            "properties": {
                                "fp16": {"type": "boolean", "description": "compute in half precision"},
                                "cache": {"type": "string", "description": "pvc://CLAIM/FOLDER for engines"},
                            },
                            "additionalProperties": False,
                        },
                    ],
                },
            },
            "required": ["amount"],
            "additionalProperties": False,
        },
    ]
}
GpuValue = Annotated[Gpu, BeforeValidator(_read_gpu), WithJsonSchema(_GPU_SCHEMA)]


class Resources(Spec):
    """What a container asks for; `gpu` and `memory` are limits too, so that nothing is overcommitted."""

    cpu: Quantity | None = Field(None, description="processors requested, such as 500m")
    memory: Memory | None = Field(None, description="memory requested and allowed, such as 2Gi")
    gpu: GpuValue | None = Field(None, description="GPUs: an amount, or more of what is wanted")


class Batch(Spec):
    """How requests that wait for a container run together."""

    max_size: Positive = Field(64, description="the most rows that run together")
    max_delay_ms: Annotated[Number, Field(ge=0)] = Field(
        0, description="how long a request waits for others where nothing else keeps it waiting"
    )


class Autoscaling(Spec):
    """How many replicas, by load."""

    min: Positive = Field(1, description="the fewest replicas")
    max: Positive = Field(description="the most replicas")
    cpu: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="average CPU use aimed at, in percent of what is asked for; 80 where nothing is"
    )
    gpu: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="average use of the GPU aimed at, in percent"
    )
    requests_per_second: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="requests aimed at for each replica"
    )

    @model_validator(mode="after")
    def _goes_up(self) -> "Autoscaling":
        if self.min > self.max:
            raise ValueError(f"`min` is {self.min}, which is more than the `max` of {self.max}")
        return self


class Variable(Spec):
    """An environment variable: a text, or one key of a Secret by reference."""

    value: str | None = None
    secret: str | None = Field(None, description="the Secret's name")
    key: str | None = Field(None, description="the key in it")

    @model_validator(mode="after")
    def _has_one_source(self) -> "Variable":
        if (self.value is None) != (self.secret is not None and self.key is not None):
            raise ValueError("an environment variable is a text, or a Secret's `secret` and `key`")
        return self


def _read_variable(value: object) -> object:
    if isinstance(value, str):
        return {"value": value}
    if not isinstance(value, dict):
        raise ValueError(f"{show(value)} is not a text, and an environment variable is one; quote it")
    return value  # pyright: ignore[reportUnknownVariableType]


EnvValue = Annotated[Variable, BeforeValidator(_read_variable)]


def _read_image(value: str) -> str:
    if "@" in value or ":" in value.rpartition("/")[2]:
        raise ValueError(f"`{value}` says more than a name; `tag` and `digest` have fields of their own")
    return value


def _read_digest(value: str) -> str:
    if not re.fullmatch(_DIGEST, value):
        raise ValueError(f"`{value}` is not a digest: `sha256:` and 64 hexadecimal digits")
    return value


ImageName = Annotated[str, AfterValidator(_read_image)]
Digest = Annotated[str, AfterValidator(_read_digest), WithJsonSchema({"type": "string", "pattern": _DIGEST})]


class Runtime(Spec):
    """The image that runs the units."""

    image: ImageName = Field("graphc-runtime", description="the runtime image's name, registry included")
    tag: str | None = Field(None, description="its tag; graphc's own version where it is absent")
    digest: Digest | None = Field(None, description="its digest, sha256:...; wins over the tag")
    pull_secret: str | None = Field(None, description="the Secret that pulls it")


# A token of RFC 9110, which Istio and the Gateway API take for a header's name.
_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$"
_SEGMENT: Final = r"^[A-Za-z0-9]([-._A-Za-z0-9]{0,62})$"


def _read_header(value: str) -> str:
    if not re.fullmatch(_HEADER, value):
        raise ValueError(f"{show(value)} cannot be the name of a header")
    return value


def _read_headers(value: dict[str, str]) -> dict[str, str]:
    for name, wanted in value.items():
        _read_header(name)
        if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", wanted):
            raise ValueError(f"{show(wanted)} cannot be the value of a header")
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("a header is there twice: the case of its name does not matter")
    return value


def _read_segment(value: str) -> str:
    if not re.fullmatch(_SEGMENT, value):
        raise ValueError(f"{show(value)} is not one segment of a path, such as `v2`")
    return value


def _read_values(value: dict[str, object]) -> dict[str, object]:
    for name, given in value.items():
        if not isinstance(given, str | int | float | bool):
            raise ValueError(f"the parameter `{name}` is {show(given)}, and takes a single value")
    return value


class Condition(Spec):
    """Which requests a version answers: those that have all of it."""

    path: Annotated[str, AfterValidator(_read_segment)] | None = Field(
        None,
        description="the first segment of the URL, as in /v2/v2/models/GRAPH/infer",
        json_schema_extra={"pattern": _SEGMENT},
    )
    header: Annotated[dict[str, str], AfterValidator(_read_headers)] = Field(
        default_factory=dict[str, str], description="headers and the exact values that they have"
    )

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if self.path is None and not self.header:
            raise ValueError("`when` has neither a `header` nor a `path`, so it says nothing")
        return self


class Sticky(Spec):
    """What keeps a client at one version."""

    header: Annotated[str, AfterValidator(_read_header)] = Field(
        description="requests with the same value of this header get the same predictor"
    )


def _read_version(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?", name):
        raise ValueError("a version's name is letters, digits, `-`, `_` and `.`, 63 at most")
    return name


class Predictor(Spec):
    """A version of the graph: what it changes, and the traffic it gets."""

    traffic: Annotated[int, Field(ge=0, le=100)] | None = Field(None, description="percent of the requests")
    shadow: bool = Field(False, description="gets a copy of the requests; its answers go nowhere")
    mirror: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="shadow: the percent of the requests that it gets a copy of"
    )
    when: Condition | None = Field(None, description="the requests it answers; all where absent")
    replicas: Annotated[int, Field(ge=0, le=MOST)] | None = Field(None, description="pods of this version")
    autoscaling: Autoscaling | None = Field(None, description="pods of this version, by load")
    parameters: Annotated[dict[str, Anything], AfterValidator(_read_values)] = Field(
        default_factory=dict, description="values of the graph's parameters in this version"
    )
    nodes: dict[str, dict[str, Anything]] = Field(
        default_factory=dict, description="fields of nodes that are other in this version"
    )
    outputs: dict[str, Reference] | None = Field(None, description="the outputs of this version")
    promote_when: Promotion = Field(default_factory=dict[str, object])
    resources: Resources | None = Field(None, description="fields of `resources` that are other")
    runtime: Runtime | None = Field(None, description="fields of `runtime` that are other")
    deadline: Duration | None = Field(None, description="how long a request may take in this version")
    version: Annotated[str, AfterValidator(_read_version)] | None = Field(
        None, description="another name by which clients ask for this version; its own is one already"
    )
    allow_other_outputs: bool = Field(
        False, description="this version may answer with other outputs than the main one"
    )


class NodeFields(Spec):
    """What every node may say."""

    unit: str | None = Field(
        None, description="run in the container of this name, with all that say the same"
    )
    resources: Resources | None = Field(None, description="what its container asks for")
    replicas: Positive | None = Field(None, description="pods of its container")
    autoscaling: Autoscaling | None = Field(None, description="pods of its container, by load")
    workers: Positive | None = Field(None, description="processes in its container, each with its models")
    batch: Batch | None = Field(None, description="let requests that wait for its container run together")
    env: dict[str, EnvValue] = Field(
        default_factory=dict[str, "Variable"],
        description="environment: a text, in which Kubernetes expands `$(NAME)` and `$$(NAME)` keeps it,"
        " or {secret, key}",
    )
    cost_ms: Annotated[Number, Field(ge=0, le=LONGEST_MS)] | None = Field(
        None, description="how long it takes, in milliseconds; what runs beside what is chosen by it"
    )


class OnError(Spec):
    """What stands for a node's outputs where it fails: nothing, constants, or another node's."""

    skip: bool = False
    default: Anything = None
    node: str | None = None


def _read_on_error(value: object) -> object:
    if value in ("fail", "skip"):
        return {"skip": value == "skip"}
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if len(fields) == 1 and any(fields.get(field) is not None for field in ("default", "node")):
        return fields
    raise ValueError(
        f"{show(cast('object', value))} is not `fail`, `skip`, `{{default: VALUE}}` or `{{node: NODE}}`"
    )


_ON_ERROR_SCHEMA: Final = {
    "description": "what stands for the outputs where the node fails",
    "oneOf": [
        {"enum": ["fail", "skip"]},
        {
            "type": "object",
            "properties": {"default": {"description": "a constant, or constants by output"}},
            "required": ["default"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"node": {"type": "string", "description": "the node that answers instead"}},
            "required": ["node"],
            "additionalProperties": False,
        },
    ],
}
OnErrorValue = Annotated[OnError, BeforeValidator(_read_on_error), WithJsonSchema(_ON_ERROR_SCHEMA)]


class Working(NodeFields):
    """What a node may say that runs something which can fail."""

    timeout: Duration | None = Field(None, description="how long one try may take")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(0, description="further tries after one that failed")
    on_error: OnErrorValue = Field(
        default_factory=OnError, description="what stands for the outputs where the node fails"
    )


class Package(Spec):
    """A package with versions, and the modules it brings where its name does not tell them."""

    package: str = Field(description="the package with its versions, such as rapidfuzz==3.9.7")
    modules: list[str] = Field(default_factory=list[str], description="the modules that it brings")


def _read_package(value: object) -> object:
    return {"package": value} if isinstance(value, str) else value


class Required(Spec):
    """Packages, listed or in a file."""

    packages: list[Annotated[Package, BeforeValidator(_read_package)]] = Field(default_factory=list[Package])
    file: str | None = None


def _read_required(value: object) -> object:
    if isinstance(value, str):
        return {"file": value}
    if not isinstance(value, list):
        raise ValueError(f"`requirements` is {show(value)}, not a list or the path of a file")
    return {"packages": value}  # pyright: ignore[reportUnknownVariableType]


_REQUIRED_SCHEMA: Final[dict[str, object]] = {
    "description": "packages beyond the runtime image's: a list, or the path of a requirements file or a pylock.toml",
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string", "description": "such as rapidfuzz==3.9.7"},
                    {
                        "type": "object",
                        "properties": {
                            "package": {"type": "string"},
                            "modules": {"type": "array", "items": {"type": "string"}},
                        },
                        "required": ["package"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
    ],
}
RequiredValue = Annotated[Required, BeforeValidator(_read_required), WithJsonSchema(_REQUIRED_SCHEMA)]


def _read_location(value: str) -> str:
    """Refuse a URI that would show a password in a manifest, or that is none; a path is judged where it is read."""
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme not in {"http", "https"} or (bool(parts.hostname) and parts.port != 0)
    except ValueError:
        is_whole = False
    else:
        if "@" in parts.netloc:
            raise ValueError(
                f"{show(value)} has a user or password, which a manifest would show to all who read it: "
                "name a Secret in `credentials`"
            )
    if not is_whole:
        raise ValueError(f"{show(value)} is not a URI: its host or port is none")
    return value


Location = Annotated[str, AfterValidator(_read_location)]


class Model(Working):
    """A trained model."""

    model: Location = Field(
        description="path beside the graph file, or an s3://, gs://, https:// or pvc:// URI",
        json_schema_extra={"minLength": 1},
    )
    cpu_model: Location | None = Field(
        None,
        description="another file of the same ONNX model, quantised for instance, that runs where its container"
        " has no GPU",
        json_schema_extra={"minLength": 1},
    )
    framework: Literal["onnx", "sklearn", "xgboost", "lightgbm"] | None = Field(
        None, description="told from the suffix where it is absent"
    )
    in_: References = Field(alias="in", description="tensors by the model's input names")
    out: Outputs = Field(
        default_factory=dict[str, str],
        description="output types; needed where graphc cannot read the artefact",
    )
    requirements: RequiredValue = Field(
        default_factory=lambda: Required.model_validate({}),
        description="packages that loading it takes, beyond the runtime image's",
    )
    credentials: str | None = Field(None, description="the Secret whose keys are the download's environment")
    load_seconds: Annotated[Number, Field(gt=0, le=MOST)] | None = Field(
        None, description="how long loading may take; the probes are set by it"
    )
    gpu_memory: Memory | None = Field(
        None, description="what it was measured to take of a GPU, for its largest batch; estimated if absent"
    )


class Component(Working):
    """A combiner or transformer of the catalog."""

    component: str = Field(description="its name in the catalog")
    in_: References = Field(alias="in", description="a tensor, a list of them, or tensors by name")
    parameters: dict[str, Anything] = Field(default_factory=dict, description="the component's parameters")
    quorum: Positive | None = Field(
        None, description="combiner: how many of its tensors are enough; all where absent"
    )
    wait: Literal["all", "quorum"] = Field(
        "all", description="combiner: wait for all of its tensors, or go on with the first that are enough"
    )


def _read_entry(value: str) -> str:
    module, _, function = value.partition(":")
    if module.endswith(".py") and function:
        raise ValueError(
            f"`{value}` names a file; write the module, as in `{module.removesuffix('.py')}:{function}`"
        )
    if not _ENTRY.match(value):
        raise ValueError(f"`{value}` is not `module:function`, such as `post:to_label`")
    return value


Entry = Annotated[str, AfterValidator(_read_entry)]


def _read_pattern(value: str) -> str:
    parts = PurePosixPath(value).parts
    if not parts or value.startswith("/") or ".." in parts or not value.isprintable() or "\\" in value:
        raise ValueError(f"{show(value)} is not a path or pattern of files below the graph's folder")
    return value


Patterns = Annotated[list[Annotated[str, AfterValidator(_read_pattern)]], BeforeValidator(_as_list)]


_LARGEST_DIGITS: Final = 300
_WORDS: Final = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}
"""The words for truth values that Seldon's wrapper reads."""


def read_seldon_value(kind: str, value: object) -> bool | int | float | str:
    """Return the value of a parameter as Seldon's wrapper gives it to a class; raises ValueError."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "STRING":
        if not isinstance(value, str):
            raise ValueError(f"{show(value)} is not a text; quote it")
        return value
    if kind == "BOOL":
        if text.lower() not in _WORDS:
            raise ValueError(f"{show(value)} is not a truth value, such as `true`")
        return _WORDS[text.lower()]
    try:
        number = int(text) if kind == "INT" and len(text) <= _LARGEST_DIGITS else float(text)
    except ValueError:
        raise ValueError(f"{show(value)} is not of the type {kind}") from None
    if (kind == "INT") != isinstance(number, int) or not abs(number) < float("inf"):
        raise ValueError(f"{show(value)} is not of the type {kind}")
    return number


def _read_single(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError(f"{show(value)} is not a single value")
    return value


class SeldonParameter(Spec):
    """A parameter that a class is made with, as a SeldonDeployment has it."""

    name: str = Field(description="the argument's name")
    value: Annotated[
        object, AfterValidator(_read_single), WithJsonSchema({"type": ["string", "number", "boolean"]})
    ] = Field(description="its value")
    type: Literal["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"] = Field(description="what the value is read as")

    @model_validator(mode="after")
    def _is_of_its_type(self) -> "SeldonParameter":
        read_seldon_value(self.type, self.value)
        return self


class SeldonClass(Spec):
    """How a class is asked that was written for Seldon's language wrapper."""

    method: Literal["predict", "transform_input", "transform_output", "aggregate", "route"] = Field(
        "predict", description="the method that is asked"
    )
    payload: Literal["ndarray", "tensor", "strData", "binData", "jsonData"] = Field(
        "ndarray",
        description="what it gets: an array, or the one text, bytes or JSON of a BYTES tensor;"
        " `tensor` is for methods that take whole messages",
    )
    names: list[str] = Field(
        default_factory=list[str], description="the names of the columns, which it is told"
    )
    parameters: list[SeldonParameter] = Field(
        default_factory=list[SeldonParameter],
        description="what it is made with, as a SeldonDeployment has it",
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> "SeldonClass":
        names = [each.name for each in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the parameter {show(name)} is there twice")
        if self.names and self.payload not in ("ndarray", "tensor"):
            raise ValueError(f"`names` are those of an array's columns, and `{self.payload}` has none")
        return self


def _read_seldon(value: object) -> object:
    return {"method": value} if isinstance(value, str) else value


_METHODS_SCHEMA: Final = {"enum": ["predict", "transform_input", "transform_output", "aggregate", "route"]}
SeldonValue = Annotated[
    SeldonClass,
    BeforeValidator(_read_seldon),
    WithJsonSchema(
        {
            "description": "a class written for Seldon's language wrapper: the method that is asked, and how",
            "oneOf": [
                _METHODS_SCHEMA,
                {
                    "type": "object",
                    "properties": {
                        "method": {**_METHODS_SCHEMA, "description": "the method that is asked"},
                        "payload": {
                            "enum": ["ndarray", "tensor", "strData", "binData", "jsonData"],
                            "description": "what it gets: an array, or one text, bytes or JSON",
                        },
                        "names": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "the names of the columns, which it is told",
                        },
                        "parameters": {
                            "type": "array",
                            "description": "what it is made with, as a SeldonDeployment has it",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "name": {"type": "string"},
                                    "value": {"type": ["string", "number", "boolean"]},
                                    "type": {"enum": ["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"]},
                                },
                                "required": ["name", "value", "type"],
                                "additionalProperties": False,
                            },
                        },
                    },
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


class Python(Working):
    """A function, an MLServer model class or a class for Seldon's language wrapper, of the user's."""

    python: Entry = Field(
        description="module:function or module:Class, beside the graph file or in the image",
    )
    seldon: SeldonValue | None = Field(
        None, description="a class written for Seldon's language wrapper: the method that is asked, and how"
    )
    in_: References = Field(alias="in", description="tensors by the function's parameter names")
    out: Outputs = Field(min_length=1, description="the outputs' types")
    files: Patterns = Field(
        default_factory=list[str],
        description="files that it reads, beside the graph file: paths, folders or patterns such as `vocab/**`;"
        " they lie beside the module as they do here",
    )
    requirements: RequiredValue = Field(
        default_factory=lambda: Required.model_validate({}),
        description="packages that it imports, beyond the runtime image's",
    )
    image: str | None = Field(None, description="an image that has the module; nothing is shipped then")
    idempotent: bool = Field(False, description="running it twice does no harm, so that it may be retried")
    rowwise: bool = Field(
        False,
        description="a row of its outputs hangs on that row of its inputs alone, so that it may be batched",
    )
    load_seconds: Annotated[Number, Field(gt=0, le=MOST)] | None = Field(
        None, description="how long loading may take; the probes are set by it"
    )
    gpu_memory: Memory | None = Field(
        None, description="what it was measured to take of a GPU, for its largest batch; estimated if absent"
    )

    @model_validator(mode="after")
    def _is_asked_alone(self) -> "Python":
        if self.seldon is not None and self.rowwise:
            raise ValueError(
                "a class of Seldon's is told of each request, so that its rows are not joined: leave "
                "`rowwise` out"
            )
        return self


def _read_url(value: str) -> str:
    """Refuse what is no root of a server, or would show a password in a manifest."""
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    else:
        if "@" in parts.netloc:
            raise ValueError("the URL has a user or password, which a manifest would show: use `token`")
        if parts.query or parts.fragment:
            # A key may be in it.
            raise ValueError("the URL has a query, and is to be where the server's own paths begin")
    if not is_whole or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValueError(f"{show(value)} is not the URL of a server, such as `http://triton.models:8000`")
    return value.rstrip("/")


class SecretKey(Spec):
    """One key of a Secret, by reference."""

    secret: str = Field(description="the Secret's name")
    key: str = Field(description="the key in it")


class CertificateKey(Spec):
    """One key of a config map or of a Secret, which holds certificates as PEM."""

    config_map: str | None = Field(None, description="the config map's name")
    secret: str | None = Field(None, description="the Secret's name, in the place of a config map")
    key: str = Field(description="the key in it")

    @model_validator(mode="after")
    def _is_one(self) -> "CertificateKey":
        if (self.config_map is None) == (self.secret is None):
            raise ValueError("certificates come from either a `config_map` or a `secret`")
        return self

    @property
    def place(self) -> tuple[str, str, str]:
        """The name of what has the key, the field that says it, and what it is called."""
        if self.config_map is not None:
            return self.config_map, "config_map", "config map"
        return self.secret or "", "secret", "Secret"


Url = Annotated[str, AfterValidator(_read_url)]


class ContainerResources(Spec):
    """What the container of a server asks for; `gpu` and `memory` are limits too."""

    cpu: Quantity | None = Field(None, description="processors requested, such as 500m")
    memory: Memory | None = Field(None, description="memory requested and allowed, such as 2Gi")
    gpu: Positive | None = Field(None, description="whole GPUs")


class DeclaredServer(Spec):
    """A server that nodes ask: one that runs already, or one that graphc runs beside the units that ask it."""

    kind: Literal["v2", "triton", "mlserver", "tensorflow", "torchserve", "bentoml", "seldon", "openai"] = (
        Field(description="the kind of server, which says how it is asked")
    )
    url: Url | None = Field(
        None,
        description="where it answers, as its clients call it: http:// or https://, a host, and a path if any",
        json_schema_extra={"pattern": "^https?://"},
    )
    token: SecretKey | None = Field(
        None, description="the key of a Secret that is sent as `Authorization: Bearer`"
    )
    ca: CertificateKey | None = Field(
        None, description="the certificates by which an https:// server is trusted, and by no others"
    )
    image: str | None = Field(
        None, description="the image that serves, in a container beside the units that ask it"
    )
    models: Location | None = Field(
        None,
        description="what it serves, at /mnt/models in its container: a folder beside the graph file, or pvc://",
        json_schema_extra={"minLength": 1},
    )
    command: list[str] = Field(
        default_factory=list[str], description="the container's command; the image's where absent"
    )
    args: list[str] = Field(
        default_factory=list[str],
        description="its arguments; those that graphc knows of its kind where absent",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="where it listens for HTTP; the usual port of its kind where absent"
    )
    env: dict[str, EnvValue] = Field(
        default_factory=dict[str, "Variable"], description="its environment: a text, or {secret, key}"
    )
    resources: ContainerResources | None = Field(None, description="what its container asks for")
    load_seconds: Annotated[Number, Field(gt=0, le=MOST)] | None = Field(
        None, description="how long it may take until it serves; the probes are set by it"
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> "DeclaredServer":
        if (self.url is None) == (self.image is None):
            raise ValueError("a server has either a `url`, or an `image` that graphc runs beside the units")
        if self.url is not None and (self.models or self.command or self.args or self.env or self.resources):
            raise ValueError("a server with a `url` runs already: fields of its container say nothing")
        if self.ca is not None and not (self.url or "").startswith("https://"):
            raise ValueError("`ca` says by what a `url` of https:// is trusted")
        return self


class Server(Working):
    """A model that another server has: of the V2 protocol, of a framework's own, or of OpenAI's."""

    server: str = Field(
        description="a server of `servers:`; or a kind of server, such as `triton`, with a `url`",
        json_schema_extra={"minLength": 1},
    )
    url: Url | None = Field(
        None,
        description="where a server of that kind answers: http:// or https://, a host, and a path if any",
        json_schema_extra={"pattern": "^https?://"},
    )
    model: str | None = Field(
        None,
        description="the model's name on the server; the node's where absent",
        json_schema_extra={"minLength": 1},
    )
    version: str | None = Field(None, description="the model's version; the server's choice where absent")
    in_: References = Field(alias="in", description="tensors by the names that the server has for its inputs")
    inputs: dict[str, TypeText] = Field(
        default_factory=dict[str, str],
        description="the types that the server takes, by its names; unchecked if absent",
    )
    out: Outputs = Field(min_length=1, description="the types that the server answers with, by its names")
    parameters: dict[str, Anything] = Field(
        default_factory=dict, description="the parameters of this kind of server"
    )
    token: SecretKey | None = Field(
        None, description="the key of a Secret that is sent as `Authorization: Bearer`"
    )
    rowwise: bool | None = Field(
        None,
        description="a row of its outputs hangs on that row of its inputs alone, so that it may be batched",
    )


class RandomKey(Spec):
    """What makes a random router sticky: equal keys take the same branch."""

    header: str | None = None
    parameter: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "RandomKey":
        if (self.header is None) == (self.parameter is None):
            raise ValueError("a key is either a `header` or a `parameter` of the request")
        return self


def _read_equals(value: object) -> object:
    if not isinstance(value, str | bool | int | float | None):
        raise ValueError(f"{show(value)} is not a single value to compare with")
    return value


def _read_limit(value: object) -> object:
    """Keep a whole number whole: as a float it may be another."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`below` is {show(value)}, and has to be a number")
    if not abs(value) <= sys.float_info.max:
        raise ValueError(
            f"`below` is {'too large' if isinstance(value, int) else value}, and has to be finite"
        )
    return value


class Branch(Spec):
    """One way that a router can take; the condition is the router's own."""

    take: Take = Field(description="the tensor to answer with, or several by name")
    below: Annotated[object, AfterValidator(_read_limit), WithJsonSchema({"type": "number"})] = Field(
        None, description="threshold: taken where the value is less than this"
    )
    equals: Annotated[
        object, AfterValidator(_read_equals), WithJsonSchema({"type": ["string", "number", "boolean"]})
    ] = Field(None, description="equals, parameter, header: taken where the value is this")
    weight: Annotated[Number, Field(ge=0)] | None = Field(None, description="random: its share")


class Router(NodeFields):
    """An if-expression: only the branch that is taken runs."""

    router: Literal["threshold", "equals", "parameter", "header", "random"] = Field(
        description="what decides: a tensor against thresholds, equality of a tensor, of a request parameter "
        "or of a header, or chance"
    )
    in_: Reference | None = Field(None, alias="in", description="the tensor that decides")
    name: str | None = Field(None, description="parameter, header: its name")
    key: RandomKey | None = Field(None, description="random: makes it sticky")
    per: Literal["row", "request"] | None = Field(
        None, description="decide for each row of a batch, or once for the request"
    )
    branches: list[Branch] = Field(min_length=2, description="in order; the last may have no condition")


class Step(Spec):
    """One step of a cascade."""

    take: Take = Field(description="the tensor to answer with, or several by name")
    until: Number | None = Field(None, description="leave here when the confidence is at least this")
    confidence: Reference | None = Field(
        None, description="the tensor whose greatest value of a row is the confidence; `take` where absent"
    )


class Cascade(NodeFields):
    """Steps from cheap to costly; the first that is confident answers."""

    cascade: list[Step] = Field(min_length=2, description="the steps, cheapest first")
    per: Literal["row", "request"] | None = Field(
        None, description="decide for each row of a batch, or once for the request"
    )


NODE_KINDS: Final[dict[str, type[Model | Component | Python | Server | Router | Cascade]]] = {
    "model": Model,
    "component": Component,
    "python": Python,
    "server": Server,
    "router": Router,
    "cascade": Cascade,
}
"""The field that makes a node what it is, and what it then may say."""


def kinds_of(fields: Collection[str]) -> list[str]:
    """Return the kinds that a node's fields make it; a server has a `model` without being one."""
    kinds = [each for each in fields if each in NODE_KINDS]
    return [each for each in kinds if each != "model"] if "server" in kinds else kinds


AnyNode = Model | Component | Python | Server | Router | Cascade


def _read_store(value: str) -> str:
    if value.startswith("oci://"):
        raise ValueError(
            f"{show(value)} is an OCI image, and the pods of a SeldonDeployment mount none: its CRD "
            "(1.18) has no `image` volumes"
        )
    if not value.startswith(_STORES):
        raise ValueError(f"{show(value)} is not a store that units can reach, such as `s3://bucket/models`")
    if value.startswith("pvc://") and ("/.." in value or not _CLAIM.match(value)):
        raise ValueError(f"{show(value)} is not a folder of a claim, such as `pvc://models/team`")
    if "?" in value or "#" in value or not value.isprintable():
        raise ValueError(f"{show(value)} is more than a folder: it has `?`, `#` or a control character")
    return _read_location(value)


class Artifacts(Spec):
    """The store that what config maps do not hold is pushed to, and fetched from by the units."""

    store: Annotated[str, AfterValidator(_read_store)] = Field(
        description="s3://, gs://, https://, file:// (this machine only), or pvc://CLAIM/FOLDER"
    )
    credentials: str | None = Field(
        None, description="the Secret whose keys are the downloads' environment, where a node names none"
    )


def _read_artifacts(value: object) -> object:
    return {"store": value} if isinstance(value, str) else value


ArtifactsValue = Annotated[
    Artifacts,
    BeforeValidator(_read_artifacts),
    WithJsonSchema(
        {
            "description": "the store that local models are pushed to (`graphc push`), and fetched from by the units",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "store": {
                            "type": "string",
                            "description": "s3://, gs://, https://, file:// or pvc://",
                        },
                        "credentials": {"type": "string", "description": "the Secret for downloads"},
                    },
                    "required": ["store"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


class Grouping(Spec):
    """How nodes are put into units: all that may be together, each apart, or some by name."""

    grouping: Literal["auto", "fused", "separate"] = "auto"
    units: dict[str, str] = Field(default_factory=dict[str, str])


def _read_grouping(value: object) -> object:
    if value in ("fused", "separate"):
        return {"grouping": value}
    if isinstance(value, dict):
        return {"units": value}  # pyright: ignore[reportUnknownVariableType]
    raise ValueError(f"{show(value)} is not `fused`, `separate`, or the units of nodes by name")


Placement = Annotated[
    Grouping,
    BeforeValidator(_read_grouping),
    WithJsonSchema(
        {
            "description": "`fused`: one unit wherever possible; `separate`: a unit for each node; "
            "or the units of nodes by name. Chosen by cost where it is absent.",
            "oneOf": [
                {"enum": ["fused", "separate"]},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ],
        }
    ),
]


class Compare(Spec):
    """How the answers of versions are compared."""

    sample: Annotated[Number, Field(gt=0, le=1)] = Field(1.0, description="the share of the requests")
    segment: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="a request parameter, by whose values figures are kept apart"
    )
    url: ServiceUrl | None = Field(
        None, description="the service that engines on a cluster send what they see to; none where absent"
    )


class InferenceGraph(Spec):
    """A graph file's document, but for its nodes, which are read kind by kind."""

    apiVersion: Literal["graphc/v1"]  # noqa: N815 (Kubernetes' spelling)
    kind: Literal["InferenceGraph"]
    metadata: Metadata
    inputs: dict[str, TypeText] = Field(min_length=1, description="the graph's inputs and their types")
    nodes: dict[str, Anything] = Field(min_length=1, description="the nodes by name")
    outputs: dict[str, Reference] = Field(min_length=1, description="the graph's outputs and what they are")
    servers: dict[str, DeclaredServer] = Field(
        default_factory=dict[str, "DeclaredServer"], description="servers of other frameworks that nodes ask"
    )
    predictors: dict[str, Predictor] = Field(
        default_factory=dict, description="versions of the graph; one named `main` where absent"
    )
    promote_when: Promotion = Field(default_factory=dict[str, object])
    compare: Compare | None = Field(None, description="how versions' answers are compared")
    sticky: Sticky | None = Field(None, description="what keeps a client at one of the versions")
    runtime: Runtime = Field(default_factory=lambda: Runtime.model_validate({}))
    requirements: RequiredValue = Field(
        default_factory=lambda: Required.model_validate({}),
        description="packages that nodes import, beyond the runtime image's",
    )
    replicas: Positive | None = Field(None, description="pods of the graph")
    autoscaling: Autoscaling | None = Field(None, description="pods of the graph, by load")
    resources: Resources | None = Field(None, description="what a container asks for whose nodes say nothing")
    workers: Positive | None = Field(None, description="processes of a container whose nodes say nothing")
    batch: Batch | None = Field(None, description="let requests that wait for a container run together")
    placement: Placement = Field(default_factory=lambda: Grouping.model_validate({}))
    transport: Literal["rest", "grpc"] = Field(
        "rest", description="`grpc`: lay units out so that calls over gRPC pass Seldon's executor as well"
    )
    allow_loss: list[str] = Field(
        default_factory=list[str],
        description="codes of what the target may do otherwise than the file asks, such as GC331",
    )
    deadline: Duration | None = Field(None, description="how long a request may take; then it is given up")
    artifacts: ArtifactsValue | None = Field(
        None,
        description="the store that local models are pushed to (`graphc push`), and fetched from by the units",
    )
    service_account: str | None = Field(None, description="the service account of the pods")
    executor: bool | None = Field(
        None, description="keep Seldon's executor in front of a graph of one unit (default: leave it out)"
    )
