"""Keeps asking an address without a pause, and counts every answer."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

Json = dict[str, Any]
CLIENTS: Final = 2
ANSWER_SECONDS: Final = 60


def single_rows(example: Path) -> list[Json]:
    """Return one request for every row of an example's largest case."""
    cases = [each["request"] for each in json.loads((example / "cases.json").read_text())]
    largest = max((each["inputs"][0] for each in cases), key=lambda each: each["shape"][0])
    width = largest["shape"][1]
    rows = [largest["data"][at : at + width] for at in range(0, len(largest["data"]), width)]
    return [{"inputs": [{**largest, "shape": [1, width], "data": row}]} for row in rows]


@dataclass
class Load:
    """What clients saw so far; a failure is all that is no answer with the outputs of the graph."""

    url: str
    bodies: Sequence[Json]
    outputs: frozenset[str]
    pause: float
    keeps: bool = True
    """Whether a client asks over one connection while it lasts, or over a new one each time."""
    answered: int = 0
    by: Counter[str] = field(default_factory=Counter[str])
    """Answers by the predictor that gave them, where the address says so."""
    failures: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, first: int) -> None:
        """Ask until told to stop."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
        for body in itertools.islice(itertools.cycle(self.bodies), first, None):
            if self._stop.wait(self.pause):
                break
            self._ask(connection, parts.path, body)
            if not self.keeps:
                connection.close()
        connection.close()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def await_answers(self, more: int, seconds: float = 120) -> None:
        """Return once so many more requests were answered."""
        wanted, end = self.answered + more, time.monotonic() + seconds
        while self.answered < wanted:
            assert time.monotonic() < end, f"{self.answered} of {wanted} answers came, {self.failures[-3:]}"
            time.sleep(0.05)

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: Json) -> None:
        predictor, problem = "", ""
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            predictor = response.getheader("X-Predictor", "")
            if response.status != 200:
                problem = f"{response.status} {text[:200]!r}"
            elif frozenset(each["name"] for each in json.loads(text)["outputs"]) != self.outputs:
                problem = f"other outputs: {text[:200]!r}"
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            connection.close()
            problem = repr(error)
        with self._lock:
            if problem:
                self.failures.append(problem)
            else:
                self.answered += 1
                self.by[predictor] += 1


@contextmanager
def loading(
    url: str, bodies: Sequence[Json], outputs: frozenset[str], pause: float = 0.01, *, keeps: bool = True
) -> Generator[Load]:
    """Keep asking while the block runs; `pause` is each client's, in seconds."""
    load = Load(url, bodies, outputs, pause, keeps)
    threads = [threading.Thread(target=load.run, args=(7 * each,), daemon=True) for each in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(ANSWER_SECONDS)
