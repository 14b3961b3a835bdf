"""The URLs of servers that run already, as options name them."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import click


def read_servers(servers: tuple[str, ...]) -> Mapping[str, str]:
    """Return the URLs by the names of servers; raises click's usage error."""
    found = dict[str, str]()
    for each in servers:
        name, equals, url = each.partition("=")
        if not equals or not name or not _is_url(url):
            # What is no URL may be a password that was meant to be part of one.
            raise click.BadParameter(
                f"`{name}` is not SERVER=URL with http:// or https://", param_hint="--at"
            )
        found[name] = url.rstrip("/")
    return found


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
