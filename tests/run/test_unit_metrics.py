"""The front's page of metrics has what units count of their nodes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from graphc.run.unit_metrics import UnitMetrics
from prometheus_client.parser import text_string_to_metric_families

PAGE = """\
# HELP graphc_node_calls_total Tries.
# TYPE graphc_node_calls_total counter
graphc_node_calls_total{node="NODE",unit="u"} 3.0
# HELP other_total Something else.
# TYPE other_total counter
other_total 1.0
# HELP model_infer_total MLServer's own.
# TYPE model_infer_total counter
model_infer_total{model_name="a"} 1.0
"""
CLASS = """\
# HELP approved_total Told by the user's own class.
# TYPE approved_total counter
approved_total{method="predict",model_name="a",tier="gold"} 2.0
"""


async def _render(pages: Mapping[str, Mapping[str, str]]) -> str:
    """Return the front's page for units of predictors, each with a page of its own; None listens for an empty one."""
    runners: list[web.AppRunner] = []
    ports: dict[str, list[int]] = {}
    for predictor, units in pages.items():
        ports[predictor] = [1] if not units else []
        for page in units.values():
            app = web.Application()
            app.router.add_get("/prometheus", _answering(page))
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            runners.append(runner)
            ports[predictor].append(runner.addresses[0][1])
    try:
        return (await UnitMetrics(ports).render()).decode()
    finally:
        for runner in runners:
            await runner.cleanup()


def _answering(page: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page)

    return answer


def _found(text: str) -> dict[tuple[str, ...], float]:
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return {tuple(sorted(each.labels.values())): each.value for each in samples}


def test_units_of_one_predictor_stand_side_by_side_under_one_head() -> None:
    pages = {"main": {name: PAGE.replace("NODE", name) for name in ("a", "b")}}
    text = asyncio.run(_render(pages))
    assert text.count("# TYPE graphc_node_calls_total counter") == 1
    assert _found(text) == {("a", "u"): 3, ("b", "u"): 3}
    assert "other" not in text


def test_of_several_predictors_each_figure_bears_its_own() -> None:
    pages = {name: {"u": PAGE.replace("NODE", "a")} for name in ("main", "canary")}
    assert _found(asyncio.run(_render(pages))) == {("a", "main", "u"): 3, ("a", "canary", "u"): 3}


def test_units_without_a_page_are_left_out() -> None:
    pages = {"main": {"a": PAGE.replace("NODE", "a"), "b": "this is { no page"}, "canary": {}}
    assert _found(asyncio.run(_render(pages))) == {("a", "main", "u"): 3}


def test_what_users_classes_tell_is_there_too() -> None:
    text = asyncio.run(_render({"main": {"u": PAGE + CLASS}}))
    assert 'approved_total{method="predict",model_name="a",tier="gold"} 2.0' in text
    assert "model_infer" not in text
