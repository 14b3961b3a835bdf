"""Writes a graph's dashboard as Grafana imports it: a row for each version, and panels for what it has."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Final

from graphc.dashboards.queries import (
    count_by_code,
    count_rate,
    error_share,
    histogram_mean,
    histogram_quantile,
    node_rate,
    quantile,
)
from graphc.dashboards.watched import Watched, WatchedUnit, WatchedVersion, join_matchers
from graphc.ir.graph import Value
from graphc.records import record

Json = dict[str, Value]

SCHEMA: Final = 41
"""The version of the format, which Grafana 12 writes."""
WINDOW: Final = "$__rate_interval"
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_QUANTILES: Final = (0.5, 0.95, 0.99)
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@record
class _Panel:
    """A picture of queries, each with how its lines are called."""

    title: str
    text: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    most: float | None = field(default=None)


def write_dashboard(watched: Watched) -> Json:
    """Return the dashboard; the same graph has the same one, under the same id."""
    rows: list[tuple[str, list[_Panel]]] = []
    if len(watched.versions) > 1:
        rows.append(("Versions side by side", list(_compare(watched))))
    rows += [(_title(each), list(_draw(each))) for each in watched.versions]
    place = f" ({watched.namespace})" if watched.namespace else ""
    identity = f"{watched.namespace or ''}/{watched.name}".encode()
    return {
        "uid": f"graphc-{hashlib.sha256(identity).hexdigest()[:16]}",
        "title": f"{watched.name}{place}",
        "description": "Written by graphc dashboards.",
        "tags": ["graphc", watched.name],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": list(_lay_out(rows)),
    }


def _title(version: WatchedVersion) -> str:
    return f"{version.name} ({version.share})" if version.share else version.name


def _compare(watched: Watched) -> Iterator[_Panel]:
    """Yield what is seen of versions beside each other: a canary beside the main one."""
    meters = [(each.name, each.requests) for each in watched.versions]
    yield _Panel(
        "Requests",
        "Requests a second.",
        "reqps",
        tuple((count_rate(it, WINDOW), name) for name, it in meters),
    )
    live = [(each.name, each.requests) for each in watched.versions if not each.is_shadow]
    if len(live) > 1:
        every = " + ".join(f"({count_rate(it, WINDOW)} or vector(0))" for _, it in live)
        shares = tuple((f"{count_rate(it, WINDOW)} / ({every})", name) for name, it in live)
        text = "The share of the clients' requests that each version answers."
        yield _Panel("Shares", text, "percentunit", shares, 1)
    errors = tuple((error_share(it, WINDOW), name) for name, it in meters)
    yield _Panel("Errors", "The share of requests that failed.", "percentunit", errors)
    slow = tuple((quantile(it, 0.99, WINDOW), name) for name, it in meters)
    yield _Panel("Latency, p99", "Time from a request until its answer.", "s", slow)
    if watched.is_compared:
        for metric, title in (("agreement", "Agreement"), ("errors", "Errors beside the live version")):
            matchers = join_matchers(f'graph="{watched.name}"', f'metric="{metric}"')
            query = f"max by (candidate) (graphc_compare_value{matchers})"
            text = f"What the comparison of answers says of `{metric}`."
            yield _Panel(title, text, "percentunit", ((query, "{{candidate}}"),), 1)


def _draw(version: WatchedVersion) -> Iterator[_Panel]:
    requests = version.requests
    rate = ((count_by_code(requests, WINDOW), f"{{{{{requests.code}}}}}"),)
    yield _Panel("Requests", "Requests a second, by their status.", "reqps", rate)
    errors = ((error_share(requests, WINDOW), "errors"),)
    yield _Panel("Errors", "The share of requests that failed.", "percentunit", errors)
    times = tuple((quantile(requests, share, WINDOW), f"p{share * 100:g}") for share in _QUANTILES)
    yield _Panel("Latency", "Time from a request until its answer.", "s", times)
    if version.calls is not None:
        calls, name = version.calls, f"{{{{{version.calls.by}}}}}"
        yield _Panel("Units: calls", "Calls a second.", "reqps", ((count_rate(calls, WINDOW), name),))
        failed = ((error_share(calls, WINDOW), name),)
        yield _Panel("Units: errors", "The share of calls that failed.", "percentunit", failed)
        slow = tuple((quantile(calls, share, WINDOW), f"{name} p{share * 100:g}") for share in _QUANTILES)
        yield _Panel("Units: latency", "Time from a call to a unit until its answer.", "s", slow)
    for unit in version.units:
        yield from _draw_unit(version, unit)


def _draw_unit(version: WatchedVersion, unit: WatchedUnit) -> Iterator[_Panel]:
    matchers = join_matchers(version.pages, f'unit="{unit.name}"')
    if unit.nodes:
        for share in (0.5, 0.95):
            query = histogram_quantile("graphc_node_seconds", share, WINDOW, "node", matchers)
            title = f"{unit.name}: time of nodes, p{share * 100:g}"
            yield _Panel(title, "How long each try of a node took.", "s", ((query, "{{node}}"),))
        counters = ("failures", "retries", "timeouts")
        failed = tuple(
            (node_rate(f"graphc_node_{each}_total", version.pages, unit.name, WINDOW), f"{{{{node}}}} {each}")
            for each in counters
        )
        yield _Panel(f"{unit.name}: failures of nodes", "Tries a second that went wrong.", "ops", failed)
    if unit.stands_in:
        query = node_rate("graphc_node_fallbacks_total", version.pages, unit.name, WINDOW)
        text = "Requests a second for which something stood in for a node that failed."
        yield _Panel(f"{unit.name}: fallbacks taken", text, "reqps", ((query, "{{node}}"),))
    if unit.chosen:
        chosen = f'node=~"{"|".join(unit.chosen)}"'
        query = node_rate("graphc_node_calls_total", version.pages, unit.name, WINDOW, chosen)
        text = "Tries a second of the nodes that a router or a cascade chooses."
        yield _Panel(f"{unit.name}: routes taken", text, "ops", ((query, "{{node}}"),))
    if unit.is_batched and version.has_batches:
        yield from _draw_batches(unit, matchers)


def _draw_batches(unit: WatchedUnit, matchers: str) -> Iterator[_Panel]:
    sizes = (
        (histogram_mean("graphc_batch_rows", WINDOW, matchers), "rows, mean"),
        (histogram_quantile("graphc_batch_rows", 0.95, WINDOW, "", matchers), "rows, p95"),
        (histogram_mean("graphc_batch_requests", WINDOW, matchers), "requests, mean"),
    )
    yield _Panel(f"{unit.name}: batches", "How many rows and requests run together.", "short", sizes)
    waits = tuple(
        (histogram_quantile("graphc_queue_seconds", share, WINDOW, "", matchers), f"p{share * 100:g}")
        for share in _QUANTILES
    )
    yield _Panel(f"{unit.name}: queue", "How long requests wait to run.", "s", waits)


def _lay_out(rows: Sequence[tuple[str, Sequence[_Panel]]]) -> Iterator[Json]:
    number, y = 0, 0
    for title, panels in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        y += 1
        for index, panel in enumerate(panels):
            number += 1
            line, column = divmod(index, _COLUMNS // _WIDTH)
            yield _write_panel(panel, number, column * _WIDTH, y + line * _HEIGHT)
        y += -(-len(panels) * _WIDTH // _COLUMNS) * _HEIGHT


def _write_panel(panel: _Panel, number: int, x: int, y: int) -> Json:
    defaults: Json = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": dict(_SOURCE),
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": dict(_SOURCE), "expr": query, "legendFormat": name}
            for index, (query, name) in enumerate(panel.queries)
        ],
    }
