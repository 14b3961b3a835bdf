"""Who may post what answers a graph gave: nobody, but the pods of that graph.

A post says which graph, predictor and namespace it is of, and anybody can write that. What nobody can write is the
address that a connection comes from, and the cluster knows which pod has that address and which graph it is of.
So the service asks the API server, and believes a pod only of itself. That needs no secret in a manifest, nothing of
the executor, which sends no header of one's own, and no mesh; a namespace can speak for itself alone. Pods that share
their node's address cannot post, and neither can what stands behind a proxy.
"""

import asyncio
import ipaddress
import json
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast

import aiohttp

from graphc.engine_graph import PART_OF, PREDICTOR
from graphc.unchecked import Data, objects, text

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token of its account and the certificate of its API server."""
HOST: Final = "KUBERNETES_SERVICE_HOST"
PORT: Final = "KUBERNETES_SERVICE_PORT_HTTPS"
GRAPH_LABEL: Final = "seldon-deployment-id"
PREDICTOR_LABEL: Final = "version"
"""Labels that the operator puts on each pod; see the recordings of it."""

_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""No more of a pod is asked for than its metadata."""
_ASK_S: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_MOST_ASKING: Final = 16


@dataclass(frozen=True, slots=True)
class Origin:
    """What a post says that it is of."""

    namespace: str
    graph: str
    predictor: str


class TrustError(Exception):
    """It cannot be found out now who posts; the message says why."""


class Trust(Protocol):
    """Says who may post."""

    async def admits(self, address: str, origin: Origin) -> bool:
        """Say whether what an address posts may be of an origin; raises TrustError."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class Everybody:
    """Believes all who reach the service: for loopback, where whoever does is on this machine."""

    async def admits(self, address: str, origin: Origin) -> bool:
        """Say yes."""
        del address, origin
        return True

    async def close(self) -> None:
        """Have nothing to close."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is, and what it knows the service by."""

    url: str
    token_file: Path | None
    certificate: Path | None

    @classmethod
    def of_pod(cls, environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> "ApiServer":
        """Return what a pod is given; raises TrustError outside of one."""
        host = environment.get(HOST)
        if not host:
            raise TrustError("there is no cluster to ask who posts: this is no pod")
        name = f"[{host}]" if ":" in host else host
        port = environment.get(PORT, "443")
        return cls(f"https://{name}:{port}", account / "token", account / "ca.crt")

    def tls(self) -> ssl.SSLContext | bool:
        """Return how the server's certificate is checked; raises TrustError."""
        try:
            return True if self.certificate is None else ssl.create_default_context(cafile=self.certificate)
        except (OSError, ssl.SSLError) as error:
            raise TrustError("the API server's certificate cannot be read") from error

    def headers(self) -> dict[str, str]:
        """Return the headers of a request, with the token as it is now: it is renewed every hour."""
        headers = {"Accept": _METADATA}
        if self.token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
            except (OSError, UnicodeDecodeError) as error:
                raise TrustError("the token of the service's account cannot be read") from error
        return headers


@dataclass(frozen=True, slots=True)
class TrustLimits:
    """For how many seconds an answer of the API server holds, and of how many addresses."""

    known_s: float = 30.0
    unknown_s: float = 3.0
    addresses: int = 4096


@dataclass(slots=True)
class _Known:
    until: float
    origins: frozenset[Origin]


@dataclass(slots=True)
class PodsOfGraph:
    """Believes a pod of what the operator's labels say that it is of."""

    server: ApiServer
    limits: TrustLimits = field(default_factory=TrustLimits)
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict[str, _Known])
    _asking: dict[str, "asyncio.Task[frozenset[Origin]]"] = field(
        default_factory=dict[str, "asyncio.Task[frozenset[Origin]]"]
    )
    _http: aiohttp.ClientSession | None = None

    async def admits(self, address: str, origin: Origin) -> bool:
        """Say whether the pod at an address is of an origin; raises TrustError."""
        address = _plain(address)
        known = self._known.get(address)
        if known is not None and known.until > time.monotonic():
            return origin in known.origins
        return origin in await self._ask_once(address)

    async def close(self) -> None:
        """Close the connections."""
        for task in self._asking.values():
            task.cancel()
        if self._http is not None:
            await self._http.close()

    async def _ask_once(self, address: str) -> frozenset[Origin]:
        """Ask about an address; who asks of the same meanwhile waits for the same answer."""
        task = self._asking.get(address)
        if task is None:
            if len(self._asking) >= _MOST_ASKING:
                raise TrustError("too many addresses are asked about at once")
            task = self._asking[address] = asyncio.create_task(self._ask(address))
            task.add_done_callback(lambda _: self._asking.pop(address, None))
        # One client that leaves ends its own waiting, not that of the others.
        return await asyncio.shield(task)

    async def _ask(self, address: str) -> frozenset[Origin]:
        origins = _origins_of(await self._list_pods(address))
        limits = self.limits
        holds = limits.known_s if origins else limits.unknown_s
        self._known[address] = _Known(time.monotonic() + holds, origins)
        self._known.move_to_end(address)
        while len(self._known) > limits.addresses:
            self._known.popitem(last=False)
        return origins

    async def _list_pods(self, address: str) -> bytes:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=_ASK_S)
            connector = aiohttp.TCPConnector(ssl=self.server.tls(), limit=_MOST_ASKING)
            self._http = aiohttp.ClientSession(timeout=timeout, connector=connector)
        query = {"fieldSelector": f"status.podIP={address}", "limit": "10"}
        url = f"{self.server.url}/api/v1/pods"
        try:
            async with self._http.get(url, params=query, headers=self.server.headers()) as answer:
                if answer.status != 200:
                    raise TrustError(f"the API server answers {answer.status} when asked for pods")
                return await _read(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TrustError("the API server cannot be asked for pods") from error


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for piece in answer.content.iter_any():
        found += piece
        if len(found) > _MOST_BYTES:
            raise TrustError("the API server answers with more than a few pods")
    return bytes(found)


def _plain(address: str) -> str:
    """Return an address as the cluster writes it, without an interface or IPv6's form of IPv4."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "0.0.0.0"
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _origins_of(body: bytes) -> frozenset[Origin]:
    """Return the origins that the pods of a list may speak for; raises TrustError."""
    try:
        listed = cast("object", json.loads(body))
    except (ValueError, RecursionError) as error:
        raise TrustError("the API server's list of pods is not JSON") from error
    return frozenset(each for pod in objects(listed, "items") for each in _list_origins(pod))


def _list_origins(pod: Data) -> Iterator[Origin]:
    """Yield what a pod's labels say that it is of: Seldon's operator's, or those of graphc's own pods."""
    namespace = text(pod, "metadata", "namespace")
    for names in ((GRAPH_LABEL, PREDICTOR_LABEL), (PART_OF, PREDICTOR)):
        graph, predictor = (text(pod, "metadata", "labels", each) for each in names)
        if namespace and graph and predictor:
            yield Origin(namespace, graph, predictor)
