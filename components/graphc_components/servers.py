"""The kinds of servers that a node may ask: how each is asked, what it carries, and its parameters.

The compiler checks a graph file by these records, and the runtime asks servers by them. They are data: importing this
module imports neither numpy nor a framework.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from graphc_components.component import Parameter, ParameterKind
from graphc_components.tensors import DATATYPES, FLOATS

STREAM: Final = "stream"
"""The parameter of a node whose answer a graph can give on in parts."""

_ALL: Final = frozenset(DATATYPES)
_TEXTS: Final = frozenset({"BYTES"})
_JSON: Final = _ALL - {"FP16"}
"""What a server's JSON carries exactly: it has no numbers of 16 bits."""
_DOUBLES: Final = frozenset({"BOOL", "INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32"}) | FLOATS | _TEXTS
"""Seldon's JSON has numbers of 64 bits with a point, which no integer of 64 bits passes whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKind:
    """A kind of server.

    `takes` and `gives` are the datatypes of the tensors that it carries. `is_rowwise` says that a row of an answer
    hangs on that row of the request alone. `port` is where its image listens, and `ready` the path that answers 200
    once it serves.
    """

    name: str
    title: str
    summary: str
    ready: str
    port: int
    takes: frozenset[str] = _ALL
    gives: frozenset[str] = _ALL
    parameters: tuple[Parameter, ...] = ()
    is_rowwise: bool = True
    has_versions: bool = True
    """Whether a client can ask for a version of a model."""
    is_single: bool = False
    """Whether a request and an answer have one tensor each."""
    joins: tuple[str, str] | None = None
    """The parameter, and its value, with which a request has several tensors all the same."""


def _choice(name: str, doc: str, *options: str) -> Parameter:
    return Parameter(name=name, kind=ParameterKind.STRING, doc=doc, options=options, default=options[0])


def _text(name: str, doc: str, default: str | None = None, *, required: bool = False) -> Parameter:
    return Parameter(name=name, kind=ParameterKind.STRING, doc=doc, default=default, required=required)


_WIRE: Final = _choice(
    "tensors", "How tensors travel: as raw bytes behind the JSON, or as numbers in it.", "raw", "json"
)
_JSON_FIRST: Final = _choice(
    "tensors", "How tensors travel: as numbers in the JSON, or as raw bytes behind it.", "json", "raw"
)

_V2: Final = ServerKind(
    name="v2",
    title="A V2 server",
    summary="Any server of the Open Inference Protocol over REST: KServe's, OpenVINO's, another graph of graphc.",
    ready="/v2/health/ready",
    port=8080,
    parameters=(_JSON_FIRST,),
)

_TRITON: Final = ServerKind(
    name="triton",
    title="NVIDIA Triton",
    summary="A model or ensemble of a Triton server; tensors travel as raw bytes.",
    ready="/v2/health/ready",
    port=8000,
    parameters=(_WIRE,),
)

_MLSERVER: Final = ServerKind(
    name="mlserver",
    title="MLServer",
    summary="A model of an MLServer, by any of its runtimes or the user's own; tensors travel as JSON.",
    ready="/v2/health/ready",
    port=8080,
)

_TENSORFLOW: Final = ServerKind(
    name="tensorflow",
    title="TensorFlow Serving",
    summary="A signature of a SavedModel that TensorFlow Serving serves over REST.",
    ready="/v1/models/{model}",
    port=8501,
    takes=_JSON,
    gives=_JSON,
    parameters=(
        _text("signature", "The signature's name.", "serving_default"),
        _text("label", "The version's label, in the place of `version`."),
    ),
)

_TORCHSERVE: Final = ServerKind(
    name="torchserve",
    title="TorchServe",
    summary="A model of TorchServe: by its KServe V2 envelope, by instances, or a row a call.",
    ready="/ping",
    port=8080,
    takes=_JSON,
    gives=_JSON,
    parameters=(
        _choice(
            "envelope",
            "What a call holds: a V2 request, `instances` in the order of rows, or one row's bytes.",
            *("kservev2", "instances", "body"),
        ),
    ),
    is_rowwise=False,
)

_BENTOML: Final = ServerKind(
    name="bentoml",
    title="BentoML",
    summary="An API of a BentoML service; the inputs are its arguments by name.",
    ready="/readyz",
    port=3000,
    takes=_JSON,
    gives=_JSON,
    parameters=(_text("api", "The API's route, without its slash; the model's name where absent."),),
    is_rowwise=False,
    has_versions=False,
)

_SELDON: Final = ServerKind(
    name="seldon",
    title="Seldon's language wrapper",
    summary="A class that Seldon's wrapper serves over its own protocol, in an image of its own.",
    ready="/health/status",
    port=9000,
    takes=_DOUBLES,
    gives=_DOUBLES,
    parameters=(
        _choice(
            "method",
            "The method of the class that is asked.",
            *("predict", "transform-input", "transform-output", "aggregate", "route"),
        ),
        _choice(
            "tensors", "How numbers travel: in lists within each other, or in one list.", "ndarray", "tensor"
        ),
        Parameter(
            name="names", kind=ParameterKind.STRINGS, doc="The names of the columns, which the class is told."
        ),
    ),
    is_rowwise=False,
    has_versions=False,
    is_single=True,
    joins=("method", "aggregate"),
)

_OPENAI: Final = ServerKind(
    name="openai",
    title="An OpenAI-compatible endpoint",
    summary="Chat, completions or embeddings: a text a row in, a text or a vector a row out.",
    ready="/v1/models",
    port=8080,
    takes=_TEXTS,
    gives=_TEXTS | {"FP32", "FP64"},
    parameters=(
        _choice("task", "What is asked for.", "chat", "completions", "embeddings"),
        _text("system", "chat: the message of the system before each row's."),
        Parameter(
            name="max_tokens",
            kind=ParameterKind.INTEGER,
            minimum=1,
            doc="The most tokens that an answer has.",
        ),
        Parameter(name="temperature", kind=ParameterKind.NUMBER, minimum=0, doc="How random an answer is."),
        Parameter(
            name="top_p", kind=ParameterKind.NUMBER, above=0, doc="The share of likely tokens drawn from."
        ),
        Parameter(
            name="seed", kind=ParameterKind.INTEGER, doc="What makes answers repeatable, where it can."
        ),
        Parameter(name="stop", kind=ParameterKind.STRINGS, doc="The texts at which an answer ends."),
        Parameter(
            name="dimensions",
            kind=ParameterKind.INTEGER,
            minimum=1,
            doc="embeddings: the length of a vector.",
        ),
        Parameter(
            name=STREAM,
            kind=ParameterKind.BOOLEAN,
            doc="chat, completions: whether the graph can be asked for its answer in parts, as they come.",
        ),
    ),
    has_versions=False,
    is_single=True,
)

VARIABLES: Final = ("GRAPHC_AT_", "GRAPHC_TOKEN_", "GRAPHC_CA_")
"""What the variables of a unit begin with that tell it of a server.

Where it is, in a run on one machine; its token; and the certificates that it is trusted by.
"""


def place_variable(name: str) -> str:
    """Return the variable that tells a unit where a server of that name is, in the place of its region."""
    return _variable(VARIABLES[0], name)


def token_variable(name: str) -> str:
    """Return the variable that holds the token by which a unit asks a server of that name."""
    return _variable(VARIABLES[1], name)


def trust_variable(name: str) -> str:
    """Return the variable that holds the certificates by which a server of that name is trusted."""
    return _variable(VARIABLES[2], name)


def _variable(beginning: str, name: str) -> str:
    return beginning + name.upper().replace("-", "_")


SERVERS: Final[Mapping[str, ServerKind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (_V2, _TRITON, _MLSERVER, _TENSORFLOW, _TORCHSERVE, _BENTOML, _SELDON, _OPENAI)
    }
)
"""Every kind, by the name that a graph file gives it."""
