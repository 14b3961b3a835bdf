"""Rules about nodes that ask other servers."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

DATATYPE_NOT_CARRIED: Final = error(
    "GC561", "datatype-not-carried", "A tensor has a datatype that the protocol of its server cannot carry."
)
UNNAMED_INPUT: Final = error(
    "GC562",
    "unnamed-server-input",
    "A node feeds a server a tensor, and does not say what the server calls it.",
)
USELESS_VERSION: Final = error(
    "GC563", "useless-version", "A node asks for a version of a model where no client of its server can."
)
OPEN_TOKEN: Final = warning(
    "GC564", "open-token", "A token is sent over plain HTTP, where all on the way can read it."
)
UNKNOWN_SERVER: Final = error("GC565", "no-such-server", "A node asks a server that there is not.")
SERVER_TWICE: Final = error(
    "GC566", "server-twice", "A node says where its server is, and the declaration of the server does, too."
)
MANY_TENSORS: Final = error(
    "GC567", "many-tensors", "A node has more tensors than the protocol of its server carries."
)
PORT_TAKEN: Final = error("GC568", "server-port-taken", "Two servers of a pod listen on one port.")
NO_MODELS: Final = error("GC569", "no-models", "A server is started, and nothing says what it serves.")
NOT_SERVED: Final = error(
    "GC570",
    "not-served",
    "A node asks for a model, or a version of one, that its server's folder does not serve.",
)
BAD_MODEL_CONFIG: Final = error(
    "GC571",
    "bad-model-config",
    "A model's configuration in a server's folder cannot be read, or contradicts another.",
)
SERVED_TENSOR: Final = error(
    "GC572",
    "served-tensor",
    "A node and the configuration of the model that it asks disagree about a tensor.",
)
NOT_ASKED_SO: Final = error(
    "GC573", "not-asked-so", "A model takes or gives several messages where a graph sends and reads one."
)
OTHER_SETTINGS: Final = error(
    "GC575",
    "other-model-settings",
    "A node asks an MLServer otherwise than the `model-settings.json` of the model says.",
)
OTHER_SAVED_MODEL: Final = error(
    "GC576",
    "other-saved-model",
    "A node asks TensorFlow Serving otherwise than its `models.config` or a SavedModel says.",
)
CANNOT_STREAM: Final = error(
    "GC577", "cannot-stream", "A node is to answer in parts where the graph cannot give them on."
)
