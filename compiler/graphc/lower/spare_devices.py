"""Keeps units that only pass messages on from a GPU that the file gives to whatever says nothing."""

from dataclasses import replace

from graphc.ir.graph import Resources
from graphc.ir.plan import Plan, Unit


def spare_devices(plan: Plan, given: Resources | None) -> Plan:
    """Return the plan whose units without nodes ask for no GPU."""
    if given is None or given.gpu is None or not plan.root.children:
        return plan
    return replace(plan, root=_spare(plan.root, replace(given, gpu=None)))


def _spare(unit: Unit, resources: Resources) -> Unit:
    children = tuple(_spare(child, resources) for child in unit.children)
    if unit.region.nodes:
        return replace(unit, children=children)
    placement = replace(unit.region.placement, resources=resources)
    return replace(unit, children=children, region=replace(unit.region, placement=placement))
