"""Reports artefacts that have no way to their containers."""

from collections.abc import Iterable

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import TOO_LARGE_FOR_CONFIG_MAP
from graphc.targets.shipping import CONFIG_MAP_LIMIT, TooLarge


def check_shipments(found: Iterable[TooLarge], sink: Sink) -> None:
    """Report files that no config map holds."""
    for each in found:
        first = each.files[0]
        which = f"`{first}` has" if len(each.files) == 1 else f"`{first}` and what it needs have"
        message = f"`{each.node}`: {which} {each.size:,} bytes, and a config map holds {CONFIG_MAP_LIMIT:,}"
        hint = "name a store, as in `artifacts: s3://bucket/models`, and put them there with `graphc push`"
        sink.report(Diagnostic(TOO_LARGE_FOR_CONFIG_MAP, message, each.at, hint))
