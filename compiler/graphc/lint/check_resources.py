"""Checks requests and limits: what Kubernetes refuses, and GPUs that no node has."""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.manifests import RESOURCES, UNKNOWN_GPU
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.lint.parts import pod_parts
from graphc.lint.visit import visit
from graphc.lint.words import is_qualified_name, parse_quantity
from graphc.seldon.deployment import Deployment
from graphc.seldon.node import ManifestNode

_STANDARD: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_PAGES: Final = "hugepages-"
_VENDOR: Final = "nvidia.com/"
_MIG: Final = re.compile(r"nvidia\.com/mig-(\dg\.\d+gb)((?:\.[a-z]+)*)")
_PROFILES: Final = frozenset(
    (  # GPUs of 24, 40, 80, 94, 96, 141, 144, 180, 186 and 269 GB
        *("1g.6gb", "2g.12gb", "4g.24gb"),
        *("1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"),
        *("1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
        *("1g.12gb", "1g.24gb", "2g.24gb", "3g.47gb", "4g.47gb", "7g.94gb"),
        *("2g.48gb", "3g.48gb", "4g.48gb", "4g.96gb", "7g.96gb"),
        *("1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"),
        *("1g.36gb", "2g.36gb", "3g.72gb", "4g.72gb", "7g.144gb"),
        *("1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"),
        *("1g.47gb", "2g.47gb", "3g.93gb", "4g.93gb", "7g.186gb"),
        *("1g.34gb", "1g.67gb", "2g.67gb", "3g.135gb", "4g.135gb", "7g.269gb"),
    )
)


def check_resources(deployment: Deployment, sink: Sink) -> None:
    """Report requests and limits that cannot be met."""
    for part in pod_parts(deployment):
        for record, node in visit(part.node, part.record):
            check = _CHECKS.get(record.name)
            for problem in check(node) if check else ():
                sink.report(problem)


def _requirements(node: ManifestNode) -> Iterator[Diagnostic]:
    limits, requests = node.child("limits"), node.child("requests")
    for bound in (limits, requests):
        for name, span in bound.keys():  # noqa: SIM118 - not a dict
            amount = _amount(bound, name)
            if amount is not None:
                yield from _resource(name, amount, span, bound.at(name))
    for name, span in requests.keys():  # noqa: SIM118 - not a dict
        yield from _pair(name, _amount(requests, name), _amount(limits, name), span)
    yield from _huge_pages(limits, requests)


def _claim(node: ManifestNode) -> Iterator[Diagnostic]:
    """Yield what is wrong with the resources of a volume claim, which are its size."""
    requests = node.child("requests")
    size = _amount(requests, _STORAGE)
    if size is None:
        yield Diagnostic(RESOURCES, f"a volume claim asks for no `{_STORAGE}`", requests.span)
    elif size <= 0:
        yield Diagnostic(RESOURCES, "a volume has a size of more than nothing", requests.at(_STORAGE))


_CHECKS: Final[Mapping[str, Callable[[ManifestNode], Iterator[Diagnostic]]]] = {
    "ResourceRequirements": _requirements,
    "ClaimResources": _claim,
}
_STORAGE: Final = "storage"


def _amount(bound: ManifestNode, name: str) -> Fraction | None:
    found = bound.find(name)
    if found is None:
        return None
    number, text = found.as_int, found.as_text
    return Fraction(number) if number is not None else parse_quantity(text or "")


def _resource(name: str, amount: Fraction, key: Span, at: Span) -> Iterator[Diagnostic]:
    if not _is_resource(name):
        hint = did_you_mean(name, _STANDARD) or "write a resource with its vendor, such as `nvidia.com/gpu`"
        yield Diagnostic(RESOURCES, f"{quoted(name)} is no resource", key, hint)
    elif amount < 0:
        yield Diagnostic(RESOURCES, f"there is no negative amount of {quoted(name)}", at)
    elif not _is_native(name) and (amount * 1000).__ceil__() % 1000:
        yield Diagnostic(RESOURCES, f"{quoted(name)} comes in whole pieces only", at)
    elif name.startswith(_PAGES) and _is_broken(amount, parse_quantity(name.removeprefix(_PAGES))):
        yield Diagnostic(RESOURCES, f"{quoted(name)} comes in whole pages only", at)
    if name.startswith(_VENDOR) and not _is_gpu(name):
        yield Diagnostic(UNKNOWN_GPU, f"no GPU offers {quoted(name)}", key, "write `nvidia.com/gpu`")


def _is_broken(amount: Fraction, page: Fraction | None) -> bool:
    return page is None or page <= 0 or amount % page != 0


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_resource(name: str) -> bool:
    if "/" not in name:
        return name in _STANDARD or (name.startswith(_PAGES) and is_qualified_name(name))
    is_extended = not name.startswith("requests.") and is_qualified_name(f"requests.{name}")
    return is_qualified_name(name) and (_is_native(name) or is_extended)


def _is_gpu(name: str) -> bool:
    found = _MIG.fullmatch(name)
    if found:
        extras = set(found[2].split(".")) - {""}
        return found[1] in _PROFILES and extras <= {"me", "all", "gfx", "shared"}
    return name in {"nvidia.com/gpu", "nvidia.com/gpu.shared"}


def _pair(name: str, request: Fraction | None, limit: Fraction | None, at: Span) -> Iterator[Diagnostic]:
    is_whole = not _is_native(name) or name.startswith(_PAGES)
    if request is None or not _is_resource(name):
        return
    if limit is None and is_whole:
        message = f"{quoted(name)} is requested without a limit"
        yield Diagnostic(RESOURCES, message, at, "set the limit to the same amount")
    elif limit is not None and is_whole and request != limit:
        yield Diagnostic(RESOURCES, f"the request of {quoted(name)} is not its limit", at)
    elif limit is not None and request > limit:
        yield Diagnostic(RESOURCES, f"the request of {quoted(name)} is above its limit", at)


def _huge_pages(limits: ManifestNode, requests: ManifestNode) -> Iterator[Diagnostic]:
    names = {**dict(requests.keys()), **dict(limits.keys())}
    pages = [span for name, span in names.items() if name.startswith(_PAGES)]
    if pages and not {"cpu", "memory"} & set(names):
        yield Diagnostic(RESOURCES, "huge pages need a request or limit of `cpu` or `memory`", pages[0])
