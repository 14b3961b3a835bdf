"""Stands in for a cluster's pods and its ingress: real graphc engines and units behind a proxy that shares requests.

Every predictor of a SeldonDeployment in the API server is a `graphc run` of what is applied there, config maps
included. The proxy does what Istio and Seldon's executor do: it follows the applied `traffic`, copies requests to a
shadow, and posts what an engine would log. A predictor whose content changes is replaced as a Deployment would do it:
the old one answers until the new one does.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from graphc.cluster.bundle import DEPLOYMENT
from graphc.cluster.client import Access, Cluster, Kind, connect
from graphc.unchecked import Data, number, objects, text
from stand_in_operator import READY, Mood

Json = dict[str, Any]
GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]
CONFIG_MAPS: Final = Kind("v1", "ConfigMap")
NOT_YET: Final = Mood(is_ready=False)
DRAIN_SECONDS: Final = 2.0
END_SECONDS: Final = 30


@dataclass
class Pod:
    """One predictor with one content."""

    content: str
    logger: str
    """Where its engine tells of answers; what is applied later is another pod's."""
    port: int
    process: subprocess.Popen[bytes]
    is_ready: bool = False
    gone_at: float | None = None

    def look(self) -> None:
        """Find out whether it answers by now."""
        if self.is_ready:
            return
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready", timeout=2) as answer:
                self.is_ready = answer.status == 200
        except (urllib.error.URLError, OSError):
            self.is_ready = False

    def end(self) -> None:
        """End the engine and its units."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Row:
    """A predictor as requests meet it."""

    predictor: str
    port: int
    traffic: int
    shadow: bool
    logger: str


@dataclass(frozen=True)
class Place:
    """Whose pods run, and where the names of a cluster's services lead to."""

    kubeconfig: str
    namespace: str
    graph: str
    services: Mapping[str, str]


@dataclass
class Pods:
    """The pods of one SeldonDeployment."""

    cluster: Cluster
    place: Place
    folder: Path
    rows: Sequence[Row] = ()
    started: int = 0
    """How many pods were started: a promotion starts none."""
    _pods: dict[str, list[Pod]] = field(default_factory=dict[str, list[Pod]])

    def mood(self, predictor: str, _images: tuple[str, ...]) -> Mood:
        """Say how a predictor's pods are, as the stand-in for the operator asks."""
        self.look()
        pods = self._pods.get(predictor, [])
        return READY if pods and pods[-1].is_ready else NOT_YET

    def look(self) -> None:
        """Start what is applied and not there, and end what is not wanted any more."""
        documents = self.cluster.find(DEPLOYMENT, self.place.namespace, {})
        found = next((each for each in documents if text(each, "metadata", "name") == self.place.graph), None)
        predictors = list(objects(found or {}, "spec", "predictors"))
        rows: list[Row] = []
        for each in predictors:
            name, content = text(each, "name"), _content(each)
            pods = self._pods.setdefault(name, [])
            if not pods or pods[-1].content != content:
                assert found is not None
                logger = self._resolve(text(each, "graph", "logger", "url"))
                pods.append(self._start(found, name, content, logger))
            pods[-1].look()
            if (ready := next((pod for pod in reversed(pods) if pod.is_ready), None)) is not None:
                share = number(each, "traffic") or 0
                alone = sum(not it.get("shadow") for it in predictors) == 1 and not each.get("shadow")
                shadow = each.get("shadow") is True
                rows.append(Row(name, ready.port, 100 if alone else share, shadow, ready.logger))
        self.rows = rows
        self._end_unused({row.port for row in rows}, {text(each, "name") for each in predictors})

    def stop(self) -> None:
        """End all of them."""
        for pod in [each for pods in self._pods.values() for each in pods]:
            pod.end()

    def _resolve(self, url: str) -> str:
        """Do what a cluster's DNS does."""
        found = (url.replace(name, at, 1) for name, at in self.place.services.items() if url.startswith(name))
        return next(found, url)

    def _start(self, document: Data, predictor: str, content: str, logger: str) -> Pod:
        labelled = self.cluster.find(CONFIG_MAPS, self.place.namespace, {})
        manifest = self.folder / f"{predictor}-{content}.json"
        items = [{**each, "apiVersion": "v1", "kind": "ConfigMap"} for each in labelled]
        whole = {**document, "apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind}
        manifest.write_text("\n---\n".join(json.dumps(each) for each in [whole, *items]))
        port = _free_port()
        environment = os.environ | {"GRAPHC_COMPARE_DATABASE": str(self.folder / "unused.db")}
        command = [*GRAPHC, "run", str(manifest), "--predictor", predictor, "--port", str(port)]
        with manifest.with_suffix(".log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--grpc-port", "0"], env=environment, stdout=log, stderr=log
            )
        self.started += 1
        return Pod(content, logger, port, process)

    def _end_unused(self, used: set[int], predictors: set[str]) -> None:
        now = time.monotonic()
        for name, pods in self._pods.items():
            for pod in pods.copy():
                if pod.port in used or (name in predictors and pod is pods[-1]):
                    continue
                pod.gone_at = pod.gone_at or now
                if now - pod.gone_at > DRAIN_SECONDS:
                    pods.remove(pod)
                    pod.end()


def _content(predictor: Data) -> str:
    """Name what a pod runs: all of a predictor that is no share of requests."""
    kept = {key: it for key, it in predictor.items() if key in {"graph", "componentSpecs"}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Ingress:
    """Shares requests as the rows say at the moment when each comes."""

    pods: Pods
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    _session: ClientSession | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a client, and let shadows and the log have their part afterwards."""
        body, puid = await request.read(), uuid.uuid4().hex
        rows = self.pods.rows
        live = [row for row in rows if not row.shadow and row.traffic > 0]
        if not live:
            return web.json_response({"error": "no predictor is ready"}, status=503)
        chosen = self.chance.choices(live, [row.traffic for row in live])[0]
        status, answer = await self._call(chosen, request.path, body, puid)
        for row in rows:
            if row.shadow and self.chance.random() * 100 < row.traffic:
                self._spawn(self._mirror(row, request.path, body, puid))
        return web.Response(
            body=answer,
            status=status,
            headers={"X-Predictor": chosen.predictor, "Content-Type": "application/json"},
        )

    async def _mirror(self, row: Row, path: str, body: bytes, puid: str) -> None:
        await self._call(row, path, body, puid)

    async def _call(self, row: Row, path: str, body: bytes, puid: str) -> tuple[int, bytes]:
        assert self._session is not None
        asked_at = time.time()
        url = f"http://127.0.0.1:{row.port}{path}"
        headers = {"Content-Type": "application/json", "Seldon-Puid": puid}
        try:
            async with self._session.post(url, data=body, headers=headers) as response:
                status, answer = response.status, await response.read()
        except (ClientError, OSError, TimeoutError) as error:
            status, answer = 502, json.dumps({"error": repr(error)}).encode()
        if row.logger:
            self._spawn(self._log(row, puid, (asked_at, body), (time.time(), answer), status))
        return status, answer

    async def _log(
        self, row: Row, puid: str, asked: tuple[float, bytes], answered: tuple[float, bytes], status: int
    ) -> None:
        """Post as the executor does, which logs no answer of a request that failed."""
        assert self._session is not None
        events = [("request", *asked), *([("response", *answered)] if status == 200 else [])]
        for kind, at, body in events:
            headers = self._event(row, puid, kind, at)
            try:
                async with self._session.post(row.logger, data=body, headers=headers) as response:
                    await response.read()
            except (ClientError, OSError, TimeoutError):
                return

    def _event(self, row: Row, puid: str, kind: str, at: float) -> Mapping[str, str]:
        return {
            "Ce-Specversion": "1.0",
            "Ce-Id": f"{puid}-{kind}",
            "Ce-Type": f"io.seldon.serving.inference.{kind}",
            "Ce-Source": "http://:8000/",
            "Ce-Time": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
            "Ce-Requestid": puid,
            "Ce-Modelid": "root",
            "Ce-Inferenceservicename": self.pods.place.graph,
            "Ce-Namespace": self.pods.place.namespace,
            "Ce-Endpoint": row.predictor,
            "Ce-Protocol": "v2",
            "Content-Type": "application/json",
        }

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, port: int, stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        async with ClientSession(timeout=ClientTimeout(30)) as self._session:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await stop.wait()
            await runner.cleanup()
            await asyncio.gather(*self._tasks)


@contextmanager
def running_pods(place: Place, folder: Path) -> Generator[tuple[Pods, str]]:
    """Let pods of a graph come and go while the block runs; its second part is the ingress's address."""
    access = Access(kubeconfig=place.kubeconfig, namespace=place.namespace, retry_seconds=0)
    pods = Pods(connect(access), place, folder)
    port, loop, stop = _free_port(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(Ingress(pods).serve(port, stop)), daemon=True
    )
    thread.start()
    try:
        yield pods, f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
        pods.stop()
