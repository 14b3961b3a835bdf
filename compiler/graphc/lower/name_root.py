"""Gives the first unit the graph's name.

Engines know models by the names of their units: so `/v2/models/GRAPH/infer` is the graph's address with any of them,
and metadata and readiness are there at the graph's name.
"""

from dataclasses import replace

from graphc.ir.plan import Decision, Plan, Prediction


def name_root(plan: Plan) -> Plan:
    """Return the plan whose root has the graph's name, which the checks have made one that a unit can have."""
    old, new = plan.root.name, plan.graph
    root = replace(plan.root, name=new, region=replace(plan.root.region, name=new))
    decisions = tuple(_rename_decision(each, old, new) for each in plan.decisions)
    prediction = plan.prediction and _rename_prediction(plan.prediction, old, new)
    return replace(plan, root=root, decisions=decisions, prediction=prediction)


def _rename_decision(decision: Decision, old: str, new: str) -> Decision:
    return replace(decision, units=tuple(new if name == old else name for name in decision.units))


def _rename_prediction(prediction: Prediction, old: str, new: str) -> Prediction:
    units = {new if name == old else name: cost for name, cost in prediction.units.items()}
    return replace(
        prediction, way=tuple(new if name == old else name for name in prediction.way), units=units
    )
