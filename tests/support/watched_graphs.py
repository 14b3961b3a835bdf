"""Graphs that dashboards are written for, run as processes, and what their pages of metrics have."""

import re
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml
from click.testing import CliRunner
from graphc.cli import main
from prometheus_client.parser import text_string_to_metric_families
from running_servers import Program, running

ROOT: Final = Path(__file__).parents[2]
ROLLOUT: Final = ROOT / "graphs" / "cancer-rollout" / "graph.yaml"
ROUTE: Final = ROOT / "graphs" / "diabetes-route" / "graph.yaml"
BATCHED: Final = """apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: guarded, namespace: models}
deadline: 2s
batch: {max_size: 8}
inputs: {x: "FP32[batch, 2]"}
nodes:
  shaky:
    python: "steps:shaky"
    in: {x: x}
    out: {y: "FP32[batch, 2]"}
    rowwise: true
    idempotent: true
    on_error: {default: 0}
  strict:
    python: "steps:strict"
    in: {x: shaky}
    out: {y: "FP32[batch, 2]"}
    rowwise: true
    idempotent: true
outputs: {y: strict}
"""
STEPS: Final = """
def shaky(x):
    if x[0, 0] == 13:
        raise ValueError("thirteen")
    return x


def strict(x):
    if x[0, 0] == 14:
        raise ValueError("fourteen")
    return x
"""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """A graph under way: its address, its front's page of metrics, and those of its units."""

    program: Program
    url: str
    front: str
    units: dict[str, str]

    def ask(self, body: bytes) -> int:
        """Return the status of the answer."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


def write_guarded(folder: Path) -> Path:
    """Write a graph with batches and a fallback."""
    (folder / "steps.py").write_text(STEPS)
    path = folder / "graph.yaml"
    path.write_text(BATCHED)
    return path


def two_numbers(first: float) -> bytes:
    """Return a request of one row for the graph of `write_guarded`."""
    shape = '"name":"x","shape":[1,2],"datatype":"FP32"'
    return f'{{"inputs":[{{{shape},"data":[{first},1]}}]}}'.encode()


@contextmanager
def serving(path: Path, folder: Path, *options: str) -> Generator[Served]:
    """Run a graph file of this machine."""
    arguments = ["run", "--port", "0", "--grpc-port", "0", *options, path]
    with running(arguments, folder, "run") as program:
        url = program.await_line(r"^[\w-]+: (http://127\.0\.0\.1:\d+/\S+/infer)")[1]
        front = program.await_line(r"^metrics: (\S+)")[1]
        rows = re.findall(
            r"^([\w/-]+) +\d+ +\d+ +(\d+) *$", program.log.read_text(errors="replace"), re.MULTILINE
        )
        pages = {name: f"http://127.0.0.1:{port}/prometheus" for name, port in rows}
        yield Served(program, url, front, pages)


def scrape(url: str) -> list[tuple[str, dict[str, str]]]:
    """Return the name and the labels of every sample on a page."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
    return [
        (each.name, dict(each.labels))
        for family in text_string_to_metric_families(page)
        for each in family.samples
    ]


def write(*arguments: str | Path) -> str:
    """Return what `graphc dashboards` prints."""
    done = CliRunner().invoke(main, ["dashboards", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def queries_of(dashboard: Json) -> list[str]:
    """Return every query of a dashboard."""
    return [each["expr"] for panel in dashboard["panels"] for each in panel.get("targets", ())]


def rules_of(text: str) -> list[Json]:
    """Return every rule of a rule file."""
    groups = cast("list[Json]", yaml.safe_load(text)["groups"])
    return [rule for group in groups for rule in group["rules"]]


_SELECTED: Final = re.compile(r'([a-zA-Z_:][\w:]*)(\{(?:[^{}"]|"[^"]*")*\})?(\[)?')
_LABEL: Final = re.compile(r'(\w+)(?:=~|!~|!=|=)"((?:[^"])*)"')
_BY: Final = re.compile(r"by \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Selected:
    """A metric that a query reads: what it selects by label, and the labels that the query groups by."""

    name: str
    matchers: dict[str, str]
    grouped: frozenset[str]


def selected(query: str) -> list[Selected]:
    """Return every metric that a query reads."""
    grouped = frozenset(label for names in _BY.findall(query) for label in names.split(", "))
    return [
        Selected(name, dict(_LABEL.findall(matchers)), grouped)
        for name, matchers, bracket in _SELECTED.findall(query)
        if matchers or bracket
    ]
