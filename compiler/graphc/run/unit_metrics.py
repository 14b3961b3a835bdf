"""What units of a run count of their nodes, and users' classes tell: fetched when the front's page is looked at."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from graphc.run.version_metrics import join_metrics

_PREFIX: Final = "graphc_node_"
_OF_CLASSES: Final = frozenset({"method", "model_name"})
"""The labels that all metrics of classes have, and no others."""
_PATH: Final = "/prometheus"
_SECONDS: Final = 1.0
"""A unit that is busy for longer is left out: its page can be asked for itself."""
_LARGEST: Final = 4 << 20


class UnitMetrics:
    """The pages of units by predictor; of several predictors the figures bear the name."""

    def __init__(self, ports: Mapping[str, Sequence[int]]) -> None:
        self._ports = ports

    async def render(self) -> bytes:
        """Return what units count of their nodes and classes tell, in Prometheus's text form."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as http:
            asked = [(name, port) for name, ports in self._ports.items() for port in ports]
            pages = await asyncio.gather(*(_fetch(http, port) for _, port in asked))
        labels = [{"predictor": name} if len(self._ports) > 1 else {} for name, _ in asked]
        registry = CollectorRegistry()
        registry.register(_Joined(list(zip(labels, pages, strict=True))))
        return generate_latest(registry)


async def _fetch(http: aiohttp.ClientSession, port: int) -> str:
    """Return a unit's page; nothing where it has none, or does not answer in time."""
    try:
        async with http.get(f"http://127.0.0.1:{port}{_PATH}") as response:
            page = await response.content.read(_LARGEST)
            return page.decode() if response.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return ""


class _Joined(Collector):
    def __init__(self, pages: Sequence[tuple[Mapping[str, str], str]]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        yield from join_metrics((labels, _families(page)) for labels, page in self._pages)


def _families(page: str) -> list[Metric]:
    try:
        return [each for each in text_string_to_metric_families(page) if _is_shown(each)]
    except ValueError:
        return []


def _is_shown(family: Metric) -> bool:
    if family.name.startswith(_PREFIX):
        return True
    return bool(family.samples) and all(each.labels.keys() >= _OF_CLASSES for each in family.samples)
