"""The environment of a container, as a file says it."""

from collections.abc import Mapping

from graphc.ir.graph import Variable
from graphc.spec import fields as spec_fields


def variables_of(env: Mapping[str, spec_fields.Variable]) -> tuple[Variable, ...]:
    """Return the variables in the order of their names."""
    return tuple(
        Variable(name, variable.value, variable.secret, variable.key)
        for name, variable in sorted(env.items())
    )
