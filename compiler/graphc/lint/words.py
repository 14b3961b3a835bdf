"""The shapes of names and quantities in Kubernetes."""

import ipaddress
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

LABEL_LENGTH: Final = 63
SUBDOMAIN_LENGTH: Final = 253

_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[\x20-\x3c\x3e-\x7e]+")
_HEADER: Final = re.compile(r"[-A-Za-z0-9]+")
_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_PERCENT: Final = re.compile(r"([0-9]+)%")
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]+))?"
)
_SUFFIXES: Final = {
    **{
        letter: Fraction(10) ** power
        for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_LARGEST_EXPONENT: Final = 100
_SUBSCRIPTED: Final = re.compile(r"metadata\.(?:labels|annotations)\['([^']*)'\]")
_TOLD: Final = frozenset(
    (
        *(f"metadata.{name}" for name in ("name", "namespace", "uid", "labels", "annotations")),
        *("spec.nodeName", "spec.serviceAccountName"),
        *(f"status.{name}" for name in ("hostIP", "hostIPs", "podIP", "podIPs")),
    )
)


def is_label(text: str) -> bool:
    """Say whether a text is a DNS label (RFC 1123): containers, volumes, namespaces."""
    return len(text) <= LABEL_LENGTH and _LABEL.fullmatch(text) is not None


def is_service_name(text: str) -> bool:
    """Say whether a text is a DNS label that starts with a letter (RFC 1035): Services."""
    return len(text) <= LABEL_LENGTH and _SERVICE.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Say whether a text is a DNS subdomain: most objects' names."""
    return len(text) <= SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_qualified_name(text: str) -> bool:
    """Say whether a text can be the key of a label or annotation: `name` or `prefix.example/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and not is_subdomain(prefix):
        return False
    return len(name) <= LABEL_LENGTH and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Say whether a text can be the value of a label."""
    return not text or (len(text) <= LABEL_LENGTH and _QUALIFIED.fullmatch(text) is not None)


def is_port_name(text: str) -> bool:
    """Say whether a text can name a port."""
    return _PORT.fullmatch(text) is not None


def is_variable_name(text: str) -> bool:
    """Say whether a text can name an environment variable."""
    return _VARIABLE.fullmatch(text) is not None


def is_data_key(text: str) -> bool:
    """Say whether a text can be a key of a ConfigMap or Secret."""
    return _DATA_KEY.fullmatch(text) is not None and text not in {".", ".."} and not text.startswith("..")


def parse_percent(text: str) -> int | None:
    """Return the number of a percentage."""
    found = _PERCENT.fullmatch(text)
    return int(found[1][:9]) if found else None


def parse_quantity(text: str) -> Fraction | None:
    """Return what a quantity such as `500m` or `2Gi` amounts to."""
    found = _QUANTITY.fullmatch(text) if len(text) <= SUBDOMAIN_LENGTH else None
    if not found:
        return None
    try:
        number = Fraction(Decimal(found[1]))
    except InvalidOperation:
        return None
    exponent = int(found[3] or "0") if len(found[3] or "") < 10 else _LARGEST_EXPONENT
    factor = Fraction(10) ** max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, exponent))
    return number * factor * _SUFFIXES.get(found[2], Fraction(1))


def is_inner_path(path: str) -> bool:
    """Say whether a path stays below where it begins."""
    return not path.startswith("/") and ".." not in path.split("/")


def is_header_name(text: str) -> bool:
    """Say whether a text can name an HTTP header."""
    return _HEADER.fullmatch(text) is not None


def is_search_domain(text: str) -> bool:
    """Say whether a text is a domain that names are looked up in; it may hold `_` where a letter stands."""
    name = text.removesuffix(".")
    return text == "." or (is_subdomain(name.replace("_", "x")) and not name.endswith("_"))


def is_absolute_path(path: str) -> bool:
    """Say whether a path begins at the root."""
    return path.startswith("/")


def is_address(text: str) -> bool:
    """Say whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def has_no_backsteps(path: str) -> bool:
    """Say whether a path never goes up."""
    return ".." not in path.split("/")


def is_field_path(path: str) -> bool:
    """Say whether a text names a field of a pod that its containers can be told."""
    found = _SUBSCRIPTED.fullmatch(path)
    return is_qualified_name(found[1].lower()) if found else path in _TOLD


def is_resource_path(path: str) -> bool:
    """Say whether a text names a request or limit that a container can be told."""
    bound, _, name = path.partition(".")
    is_known = name in {"cpu", "memory", "ephemeral-storage"} or name.startswith("hugepages-")
    return bound in {"limits", "requests"} and is_known
