"""Whether an answer says what was expected, however it is written."""

import json
import math
import re
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

TOLERANCE: Final = 1e-5
"""Relative or absolute; the models' own frameworks differ by as much."""

_KNOWN: Final = 64
"""How many ways of writing the same answer are remembered."""

_ID: Final = re.compile(rb'"id"\s*:\s*"[^"]*"')
_KINDS: Final[Mapping[str, str]] = {
    "FP32": "f",
    "FP64": "d",
    "BOOL": "B",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
}
"""The datatypes that arrays of the standard library have."""


Compare = Callable[[bytes, int | None, bytes, int | None], str]
"""Says how an answer differs from the wanted one; each has the length of its JSON where bytes follow that."""


@dataclass(slots=True)
class Expectation:
    """Compares answers to one that is known: first as bytes, and by their meaning only where those differ."""

    body: bytes
    json_length: int | None
    compare: Compare
    _known: set[bytes] = field(default_factory=set[bytes])

    def check(self, body: bytes, json_length: int | None) -> str:
        """Return how an answer differs, nothing where it does not."""
        if body == self.body or body in self._known:
            return ""
        bare = _ID.sub(b"", body, count=1)
        if bare in self._known:
            return ""
        difference = self.compare(body, json_length, self.body, self.json_length)
        if not difference and len(self._known) < _KNOWN:
            self._known |= {body, bare}
        return difference


def compare_answers(body: bytes, json_length: int | None, wanted: bytes, wanted_length: int | None) -> str:
    """Return how an answer over HTTP differs from the wanted one: tensors by name, numbers within the tolerance.

    What another version says is no wrong answer: where a canary shares the requests, both are right.
    """
    try:
        given, known = read_body(body, json_length), read_body(wanted, wanted_length)
        return "" if _are_versions(given, known) else _compare(given, known, "")
    except (ValueError, RecursionError) as error:
        return f"the answer cannot be read: {error}"


def _are_versions(given: object, wanted: object) -> bool:
    """Say whether two answers are of different versions, and both say so."""
    found = [
        cast("dict[str, object]", each).get("model_version") if isinstance(each, dict) else None
        for each in (given, wanted)
    ]
    return None not in found and found[0] != found[1]


def read_body(body: bytes, json_length: int | None) -> object:
    """Return an answer as JSON, its binary tensors as lists; raises ValueError."""
    if json_length is None:
        return cast("object", json.loads(body))
    value = cast("object", json.loads(body[:json_length]))
    outputs = _outputs(value)
    at = json_length
    for output in outputs or ():
        parameters = cast("dict[str, object]", output.get("parameters") or {})
        size = parameters.get("binary_data_size")
        if isinstance(size, int):
            output["data"] = _read_raw(str(output.get("datatype")), body[at : at + size])
            at += size
    return value


def _read_raw(datatype: str, raw: bytes) -> object:
    if datatype == "BYTES":
        return _split(raw)
    kind = _KINDS.get(datatype)
    # What there is no array for is equal as bytes or not at all.
    return raw.hex() if kind is None else array(kind, raw).tolist()


def _split(raw: bytes) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        found.append(raw[at + 4 : end].decode(errors="replace"))
        at = end
    return found


def _outputs(value: object) -> list[dict[str, object]] | None:
    found = cast("dict[str, object]", value).get("outputs") if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[object]", found)):
        return None
    return cast("list[dict[str, object]]", found)


def _compare(given: object, wanted: object, at: str) -> str:
    tensors = _outputs(wanted)
    if tensors is not None and not at:
        return _compare_tensors(_outputs(given) or [], tensors)
    if isinstance(wanted, list) and isinstance(given, list):
        return _compare_lists(cast("list[object]", given), cast("list[object]", wanted), at)
    if isinstance(wanted, dict) and isinstance(given, dict):
        return _compare_fields(cast("dict[str, object]", given), cast("dict[str, object]", wanted), at)
    return _compare_values(given, cast("object", wanted), at)


def _compare_values(given: object, wanted: object, at: str) -> str:
    return "" if _is_same(given, wanted) else f"{at or 'the answer'} is {_show(given)}, not {_show(wanted)}"


def _compare_tensors(given: list[dict[str, object]], wanted: list[dict[str, object]]) -> str:
    found = {str(each.get("name")): each for each in given}
    for tensor in wanted:
        name = str(tensor.get("name"))
        if name not in found:
            return f"the answer has no output `{name}`"
        for key in ("shape", "datatype", "data"):
            if key in tensor and (said := _compare(found[name].get(key), tensor[key], f"`{name}`'s {key}")):
                return said
    return ""


def _compare_lists(given: list[object], wanted: list[object], at: str) -> str:
    if len(given) != len(wanted):
        return f"{at or 'the answer'} has {len(given)} elements, not {len(wanted)}"
    pairs = enumerate(zip(given, wanted, strict=True))
    return next((said for index, (a, b) in pairs if (said := _compare(a, b, f"{at}[{index}]"))), "")


def _compare_fields(given: dict[str, object], wanted: dict[str, object], at: str) -> str:
    if given.keys() != wanted.keys():
        return f"{at or 'the answer'} has other fields"
    keys = (key for key in wanted if key != "id")
    return next((said for key in keys if (said := _compare(given[key], wanted[key], f"{at}.{key}"))), "")


def _is_same(given: object, wanted: object) -> bool:
    if isinstance(given, int | float) and isinstance(wanted, int | float):
        if math.isnan(wanted):
            return math.isnan(given)
        return math.isclose(given, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return given == wanted


def _show(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"
