"""The engine in front of a run's units: the tree, the name that clients call, and what they are told of it."""

from collections.abc import Iterable
from urllib.parse import quote

import aiohttp
from graphc_components.tensors import TensorType

from graphc.engine.tree import bind_endpoints
from graphc.run.plan import HOST, UnitProcess
from graphc.run.signature import Signature, find_signature, read_tensors
from graphc.seldon.deployment import Predictor
from graphc.seldon.unit import Endpoint, SeldonUnit
from graphc.unchecked import find


def bind_units(root: SeldonUnit, processes: Iterable[UnitProcess]) -> SeldonUnit:
    """Return the tree with the ports of this run's processes."""
    return bind_endpoints(
        root, {each.unit: Endpoint(HOST, each.ports.http, each.ports.grpc) for each in processes}
    )


def stands_alone(predictor: Predictor) -> bool:
    """Say whether the operator puts no executor before a predictor's unit, which then answers clients itself."""
    return not predictor.has_engine and not predictor.graph.children


async def describe_graph(deployment: str, root: SeldonUnit, processes: Iterable[UnitProcess]) -> Signature:
    """Return the graph's signature: graphc's own, else that of the units at the ends of the tree."""
    if signature := find_signature(each.env for each in processes):
        return signature
    first, last = find_first(root), find_last(root)
    async with aiohttp.ClientSession() as http:
        inputs = await _ask(http, first, "inputs") if first else {}
        outputs = await _ask(http, last, "outputs") if last else {}
    alone = next(iter(_called(root))).name if len(_called(root)) == 1 else deployment
    return Signature(alone, inputs, outputs)


def infer_path(root: SeldonUnit, signature: Signature, *, foreign: bool) -> str:
    """Return the path that clients post to; foreign units in a tree know only their own names."""
    if foreign and len(_called(root)) > 1:
        return "/v2/models/infer"
    return f"/v2/models/{quote(signature.name, safe='')}/infer"


def find_first(unit: SeldonUnit) -> SeldonUnit | None:
    """Return the unit that surely sees a request first."""
    if unit.transforms_input:
        return unit
    return None if unit.routes or not unit.children else find_first(unit.children[0])


def find_last(unit: SeldonUnit) -> SeldonUnit | None:
    """Return the unit whose answer is surely the client's."""
    if unit.transforms_output or (unit.children and unit.aggregates):
        return unit
    if unit.children:
        return None if unit.routes else find_last(unit.children[0])
    return unit if unit.transforms_input else None


def _called(root: SeldonUnit) -> list[SeldonUnit]:
    return [unit for unit in root.walk() if unit.is_called]


async def _ask(http: aiohttp.ClientSession, unit: SeldonUnit, part: str) -> dict[str, TensorType]:
    if unit.endpoint is None:
        return {}
    url = f"http://{unit.endpoint.authority}/v2/models/{quote(unit.name, safe='')}"
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            return read_tensors(find(await response.json(), part))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}
