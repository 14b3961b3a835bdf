"""What a class for Seldon's language wrapper says beside its data: tags, metrics, and by which status it refuses.

Seldon's own classes are known where the user's class has imported them; this never imports them.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeGuard, cast

import orjson

from graphc_runtimes.arrays import ArrayError

_LEAST_STATUS: Final = 400
_MOST_STATUS: Final = 599
_MOST_TAGS: Final = 1024
_USER_MODEL: Final = "seldon_core.user_model"
_FLASK_UTILS: Final = "seldon_core.flask_utils"


@dataclass(frozen=True, slots=True)
class Said:
    """What a call gave: its data, and the metrics and tags of that call."""

    data: object
    metrics: Sequence[object] = ()
    tags: Mapping[object, object] = field(default_factory=dict[object, object])

    def with_more(self, metrics: object, tags: object) -> "Said":
        """Return it with what the class's own methods gave, over which those of the call win; raises ArrayError."""
        if not isinstance(metrics, list):
            raise ArrayError("gave `metrics` that are no list")
        if tags is not None and not isinstance(tags, Mapping):
            raise ArrayError("gave `tags` that are no dict")
        own = cast("Mapping[object, object]", tags or {})
        return replace(
            self, metrics=[*self.metrics, *cast("list[object]", metrics)], tags={**own, **self.tags}
        )


def _known(module: str, name: str) -> type | None:
    """Return a class of Seldon's package, where somebody has imported it."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def take_apart(result: object) -> Said:
    """Return what a method gave, which may hold tags and metrics of its call; raises ArrayError."""
    response = _known(_USER_MODEL, "SeldonResponse")
    if response is None or not isinstance(result, response):
        return Said(result)
    parts = {name: cast("object", getattr(result, name, None)) for name in ("data", "metrics", "tags")}
    return Said(parts["data"]).with_more(parts["metrics"] or [], parts["tags"])


def not_its_own(made: object, name: str) -> bool:
    """Say whether a method is only the place for one in the class that Seldon has users inherit from."""
    above = _known(_USER_MODEL, "SeldonComponent")
    if above is None or not isinstance(made, above) or name in vars(made):
        return False
    return getattr(type(made), name, None) is getattr(above, name, None)


def is_not_implemented(error: BaseException) -> bool:
    """Say whether a class says by an error that it lacks a method."""
    kind = _known(_USER_MODEL, "SeldonNotImplementedError")
    return kind is not None and isinstance(error, kind)


def is_status(value: object) -> TypeGuard[int]:
    """Say whether a value is a status of HTTP that tells a failure."""
    return type(value) is int and _LEAST_STATUS <= value <= _MOST_STATUS


def find_status(made: object, error: BaseException) -> tuple[str, int] | None:
    """Return the words and the status that a class gives with an error; None where it gives no status.

    An error of Seldon's own bears one. Any other may where the class has a handler of errors for Flask, which there
    is none of here.
    """
    kind = _known(_FLASK_UTILS, "SeldonMicroserviceException")
    is_known = kind is not None and isinstance(error, kind)
    if not is_known and not hasattr(made, "model_error_handler"):
        return None
    status = cast("object", getattr(error, "status_code", None))
    if not is_status(status):
        return None
    message = getattr(error, "message", None)
    return (message if isinstance(message, str) else str(error)) or type(error).__name__, status


def tags_of(found: Mapping[object, object]) -> dict[str, object]:
    """Return tags as parameters of V2 have them: texts, numbers and truth values; raises ArrayError.

    Anything else becomes a text of JSON.
    """
    if len(found) > _MOST_TAGS:
        raise ArrayError(f"gave more than {_MOST_TAGS} tags")
    return {str(name): _as_parameter(str(name), value) for name, value in found.items()}


def _as_parameter(name: str, value: object) -> object:
    if isinstance(value, str | bool | int | float):
        return value
    # numpy's own numbers become Python's.
    plain = getattr(value, "item", None)
    if plain is not None and getattr(value, "ndim", None) == 0:
        return plain()
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        raise ArrayError(f"gave a tag `{name}` that JSON cannot hold") from None
