"""Reads the parameters of a node as its component or kind of server declares them."""

from collections.abc import Mapping

from graphc_components.component import Value
from graphc_components.parameters import Parametered, check_parameters

from graphc.diagnostics import Diagnostic, Rule
from graphc.spec.read_spec import GraphSpec


def read_parameters(
    spec: GraphSpec, node: str, field: str, known: Parametered, given: Mapping[str, object], rule: Rule
) -> tuple[dict[str, Value], list[Diagnostic]]:
    """Return the sound parameters with their defaults, and by `rule` what is unknown, missing or unusable.

    `field` is where the node says what it runs: a parameter that is missing has no place of its own.
    """
    values, problems = check_parameters(known, given)
    names = {each.name for each in known.parameters}
    faults: list[Diagnostic] = []
    for problem in problems:
        is_given = problem.name in given
        path = ("parameters", problem.name) if is_given else (field,)
        at = spec.at("nodes", node, *path, key=is_given and problem.name not in names)
        hint = f"did you mean `{problem.nearest}`?" if problem.nearest else None
        faults.append(Diagnostic(rule, f"`{node}`: {problem.message}", at, hint))
    return values, faults
