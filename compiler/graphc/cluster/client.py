"""The door to the official Kubernetes client: everything that graphc asks of an API server goes through here."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast
from urllib.parse import quote, urlencode

from graphc.cluster.interrupt import shielded
from graphc.cluster.problem import Cause, ClusterError, RefusedError, UnreachableError
from graphc.unchecked import Data, objects, text
from graphc.within import within

MANAGER: Final = "graphc"
"""The field manager of all that graphc applies."""

LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""Bytes; the largest object of a cluster has one and a half million, and lists come in pages."""
PAGE: Final = 200
JSON: Final = "application/json"
MOST_PAGES: Final = 500
MOST_RETRY_SECONDS: Final = 30.0

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, and as whom, in kubectl's words."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    request_seconds: float | None = 30.0
    """How long one request may take as a whole; None for as long as it likes."""
    retry_seconds: float = MOST_RETRY_SECONDS
    """How long a server that does not answer is asked again."""
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)
    """Who is told of what is dangerous about the way to the cluster."""

    @property
    def patience(self) -> float:
        """Return for how long a request is sent again: no longer than one may take."""
        return min(self.retry_seconds, self.request_seconds or self.retry_seconds)


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind of object, by its API version."""

    api_version: str
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.name}"


def ref_of(document: Mapping[str, object], namespace: str = "") -> Ref:
    """Return which object a document is about; `namespace` counts where the document names none."""
    kind = Kind(text(document, "apiVersion"), text(document, "kind"))
    own = text(document, "metadata", "namespace")
    return Ref(kind, own or namespace, text(document, "metadata", "name"))


@dataclass(slots=True)
class Cluster:
    """A connection to an API server."""

    access: Access
    namespace: str
    """Where objects go that name no namespace."""
    where: str
    """The cluster in words: its context, or that it is the one graphc runs in."""
    _api: Any
    """The official client's `ApiClient`."""
    _plurals: dict[Kind, str] = field(default_factory=dict[Kind, str])
    sleep: Callable[[float], None] = time.sleep

    def get(self, ref: Ref) -> Data | None:
        """Return an object; None where it is not there."""
        try:
            return self.request("GET", self._path(ref))
        except RefusedError as refused:
            if refused.is_missing:
                return None
            raise

    def find(self, kind: Kind, namespace: str, labels: Mapping[str, str], having: str = "") -> list[Data]:
        """Return all objects of a kind with the labels, and the fields of a selector; none of an unknown kind."""
        try:
            return list(self._pages(kind, namespace, labels, having))
        except RefusedError as refused:
            if refused.is_missing:
                return []
            raise

    def _pages(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], having: str, accept: str = JSON
    ) -> Iterator[Data]:
        query = {"limit": str(PAGE)}
        if having:
            query["fieldSelector"] = having
        if labels:
            query["labelSelector"] = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        for _ in range(MOST_PAGES):
            page = self.request("GET", self._path(Ref(kind, namespace, "")), query, accept=accept)
            for each in objects(page, "items"):
                # A list's items do not say what they are.
                yield {"apiVersion": kind.api_version, "kind": kind.kind} | each
            token = text(page, "metadata", "continue")
            if not token:
                return
            query["continue"] = token
        raise ClusterError(f"there are more than {PAGE * MOST_PAGES:,} objects of the kind {kind.kind}")

    def names(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[str]:
        """Return the names of all objects of a kind with the labels, without what is in them."""
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        return [text(each, "metadata", "name") for each in self._pages(kind, namespace, labels, "", accept)]

    def apply(
        self, document: Data, *, force: bool = False, dry_run: bool = False, manager: str = MANAGER
    ) -> Data:
        """Apply a document on the server's side, and return the object that came, or would come, of it."""
        ref = ref_of(document, self.namespace)
        query = {"fieldManager": manager, "force": "true" if force else "false", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", self._path(ref), query, document, "application/apply-patch+yaml")

    def merge(self, ref: Ref, changes: Data) -> Data:
        """Change fields of an object; a resourceVersion among them makes another writer's version a conflict."""
        query = {"fieldManager": MANAGER}
        return self.request("PATCH", self._path(ref), query, changes, "application/merge-patch+json")

    def create(self, document: Data) -> Data:
        """Create an object that must not be there yet."""
        ref = ref_of(document, self.namespace)
        path = self._path(Ref(ref.kind, ref.namespace, ""))
        return self.request("POST", path, {"fieldManager": MANAGER}, document)

    def replace(self, document: Data) -> Data:
        """Put an object in the place of the version that it names; another writer's is a conflict."""
        path = self._path(ref_of(document, self.namespace))
        return self.request("PUT", path, {"fieldManager": MANAGER}, document)

    def delete(self, ref: Ref, uid: str = "") -> bool:
        """Delete an object, that very one where `uid` says which; return whether it was there."""
        options: Data = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", self._path(ref), body=options)
        except RefusedError as refused:
            # An object of that name with another uid is another object: ours is gone.
            if refused.is_missing or (uid and refused.is_conflict):
                return False
            raise
        return True

    def read_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        """Return the last lines that a container wrote."""
        query = {"container": container, "tailLines": "15", "limitBytes": "16384"}
        if previous:
            query["previous"] = "true"
        return self._read_log(namespace, pod, query)

    def read_first_words(self, namespace: str, pod: str, container: str) -> str:
        """Return the first 64 KiB that a container wrote: what it said as it started."""
        return self._read_log(namespace, pod, {"container": container, "limitBytes": "65536"})

    def _read_log(self, namespace: str, pod: str, query: Mapping[str, str]) -> str:
        path = f"/api/v1/namespaces/{quote(namespace, '')}/pods/{quote(pod, '')}/log"
        call = _Call("GET", path, query, accept="text/plain, */*")
        return self._send(call).decode("utf-8", "replace")

    def request(
        self,
        method: Method,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Data | None = None,
        content: str = JSON,
        accept: str = JSON,
    ) -> Data:
        """Send a request and return the object that is answered."""
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        return _parse(self._send(_Call(method, path, query or {}, payload, content, accept)), path)

    def _send(self, call: "_Call") -> bytes:
        """Send a request until it is answered: all that graphc asks may be asked twice."""
        start, wait = time.monotonic(), 0.2
        while True:
            try:
                if call.is_harmless:
                    return self._send_once(call)
                with shielded():
                    return self._send_once(call)
            except (UnreachableError, RefusedError) as problem:
                passing = isinstance(problem, UnreachableError) or problem.is_passing
                if not passing or time.monotonic() - start + wait > self.access.patience:
                    raise
            self.sleep(wait)
            wait = min(2 * wait, 5.0)

    def _send_once(self, call: "_Call") -> bytes:
        seconds = self.access.request_seconds
        try:
            status, data = within(seconds, lambda: self._exchange(call))
        except TimeoutError as error:
            raise UnreachableError(f"{self.where} does not answer within {seconds:g} s") from error
        if status >= 300:
            raise _refusal(data, status)
        return data

    def _exchange(self, call: "_Call") -> tuple[int, bytes]:
        """Return the status and the whole of an answer."""
        import urllib3
        from urllib3.exceptions import HTTPError

        headers = urllib3.HTTPHeaderDict(
            self._headers(call.content if call.payload is not None else "", call.accept)
        )
        for group in self.access.groups:
            headers.add("Impersonate-Group", group)
        configuration = self._api.configuration
        url = f"{str(configuration.host).rstrip('/')}{call.path}"
        url += f"?{urlencode(call.query)}" if call.query else ""
        timeout = urllib3.Timeout(self.access.request_seconds)
        try:
            answer = self._api.rest_client.pool_manager.request(
                call.method,
                url,
                body=call.payload,
                headers=headers,
                timeout=timeout,
                retries=False,
                preload_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            raise UnreachableError(f"{self.where} does not answer: {_reason(error)}") from error
        try:
            return int(answer.status), _read_whole(answer)
        except (HTTPError, OSError, ValueError) as error:
            raise UnreachableError(f"{self.where} broke off its answer: {_reason(error)}") from error
        finally:
            answer.release_conn()

    def _headers(self, content: str, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": "graphc"}
        if content:
            headers["Content-Type"] = content
        token = self._api.configuration.auth_settings()
        for each in cast("dict[str, dict[str, str]]", token).values():
            headers[each["key"]] = each["value"]
        if self.access.user is not None:
            headers["Impersonate-User"] = self.access.user
        return headers

    def _path(self, ref: Ref) -> str:
        prefix = _prefix(ref.kind.api_version)
        namespace = f"/namespaces/{quote(ref.namespace, '')}" if ref.namespace else ""
        name = f"/{quote(ref.name, '')}" if ref.name else ""
        return f"{prefix}{namespace}/{self._plural(ref.kind)}{name}"

    def _plural(self, kind: Kind) -> str:
        if kind in WELL_KNOWN:
            return WELL_KNOWN[kind]
        if kind not in self._plurals:
            found = self.request("GET", _prefix(kind.api_version))
            for each in objects(found, "resources"):
                if "/" not in text(each, "name"):
                    self._plurals[Kind(kind.api_version, text(each, "kind"))] = text(each, "name")
        if kind not in self._plurals:
            message = f"the cluster does not know {kind.kind} of {kind.api_version}"
            raise RefusedError(message, 404, "NotFound", ())
        return self._plurals[kind]


WELL_KNOWN: Final[Mapping[Kind, str]] = {
    Kind("v1", "ConfigMap"): "configmaps",
    Kind("v1", "Pod"): "pods",
    Kind("v1", "Event"): "events",
    Kind("v1", "Node"): "nodes",
    Kind("apps/v1", "Deployment"): "deployments",
    Kind("apps/v1", "ReplicaSet"): "replicasets",
    Kind("node.k8s.io/v1", "RuntimeClass"): "runtimeclasses",
    Kind("machinelearning.seldon.io/v1", "SeldonDeployment"): "seldondeployments",
}
"""Kinds whose place in the API is known without asking the server."""


def _prefix(api_version: str) -> str:
    escaped = quote(api_version)
    return f"/apis/{escaped}" if "/" in api_version else f"/api/{escaped}"


def _read_whole(answer: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in cast("Iterator[bytes]", answer.stream(65536)):
        size += len(part)
        if size > LARGEST_ANSWER:
            answer.close()
            raise ClusterError(f"the API server's answer has more than {LARGEST_ANSWER // 1024**2} MiB")
        parts.append(part)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request as it goes out, however often it has to."""

    method: Method
    path: str
    query: Mapping[str, str]
    payload: bytes | None = None
    content: str = ""
    accept: str = JSON

    @property
    def is_harmless(self) -> bool:
        """Whether nothing changes when it is abandoned."""
        return self.method == "GET" or "dryRun" in self.query


def _parse(data: bytes, path: str) -> Data:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ClusterError(f"the API server answers {path} with something that is not JSON") from error
    if not isinstance(found, dict):
        raise ClusterError(f"the API server answers {path} with something that is not an object")
    return cast("Data", found)


def _refusal(data: bytes, code: int) -> ClusterError:
    try:
        status: object = json.loads(data)
    except (ValueError, RecursionError):
        status = {}
    causes = [
        Cause(text(each, "reason"), shorten(text(each, "message")), text(each, "field"))
        for each in objects(status, "details", "causes")
    ]
    message = shorten(text(status, "message")) or f"the API server answers with the status {code}"
    return RefusedError(message, code, text(status, "reason"), causes)


def shorten(words: str, most: int = 2000) -> str:
    """Return a server's words on one line, without what a terminal would obey, and not more than that many."""
    clean = "".join(each if each.isprintable() else " " for each in words[: 2 * most])
    clean = " ".join(clean.split())
    return clean if len(clean) <= most else f"{clean[:most]}..."


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    words = str(cause) or type(cause).__name__
    # urllib3 puts its own object in front: `<...HTTPSConnection object at 0x...>: Failed to ...`.
    return shorten(words.rpartition(">: ")[2] or words, 300)


def connect(access: Access) -> Cluster:
    """Connect as kubectl would: by the kubeconfig, or from within a pod by its service account."""
    try:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as error:
        raise ClusterError(
            "the Kubernetes client is not installed; `graphc-compiler[cluster]` has it"
        ) from error
    settings: Any = cast("Any", client).Configuration()
    try:
        where, namespace = _load(config, access, settings)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClusterError(f"the kubeconfig leads to no cluster: {shorten(str(error), 300)}") from error
    except Exception as error:
        # Broken YAML has exceptions of its own, which only the parser's package names.
        if "yaml" not in type(error).__module__:
            raise
        raise ClusterError(f"the kubeconfig is not YAML: {shorten(str(error), 300)}") from error
    if settings.verify_ssl is False and str(settings.host).startswith("https:"):
        _warn_once(access, where)
    api: Any = cast("Any", client).ApiClient(settings)
    return Cluster(access, access.namespace or namespace or "default", where, api)


def _warn_once(access: Access, where: str) -> None:
    """Say that nothing proves who answers, in the place of a warning for each request."""
    import warnings

    from urllib3.exceptions import InsecureRequestWarning

    warnings.simplefilter("ignore", InsecureRequestWarning)
    access.warn(f"warning: TLS verification is off for {where}: whoever answers may be somebody else")


def _load(config: Any, access: Access, settings: Any) -> tuple[str, str]:
    import os
    from pathlib import Path

    files = (access.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)
    present = any(Path(each).expanduser().is_file() for each in files if each)
    if (
        not present
        and access.kubeconfig is None
        and access.context is None
        and "KUBERNETES_SERVICE_HOST" in os.environ
    ):
        config.load_incluster_config(client_configuration=settings)
        own = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        return "the cluster", own.read_text().strip() if own.is_file() else ""
    contexts, current = config.list_kube_config_contexts(config_file=access.kubeconfig)
    config.load_kube_config(
        config_file=access.kubeconfig,
        context=access.context,
        client_configuration=settings,
        persist_config=False,
    )
    name = access.context or text(current, "name")
    chosen = next((each for each in contexts if text(each, "name") == name), None)
    return f"the cluster of the context `{name}`", text(chosen, "context", "namespace")
