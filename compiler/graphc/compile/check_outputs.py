"""Checks that clients of a graph do not see which predictor answers them."""

from collections.abc import Iterable, Mapping

from graphc_components.tensors import TensorType

from graphc.compile.versions import Versions
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import OTHER_OUTPUTS
from graphc.frontend.assemble import type_of_outputs
from graphc.frontend.predictors import main_predictor, predictors_of


def check_outputs(versions: Versions, sink: Sink) -> None:
    """Report predictors that answer otherwise than the main one, unless the file says that they may."""
    spec = versions.spec
    main = main_predictor(spec)
    wanted = type_of_outputs(versions.each[main].graph)
    for name, predictor in predictors_of(spec).items():
        if name == main or predictor.allow_other_outputs:
            continue
        differences = [*_differences(name, type_of_outputs(versions.each[name].graph), main, wanted)]
        if differences:
            at = spec.at("predictors", name, key=True)
            hint = "say `allow_other_outputs: true` if clients know of it"
            sink.report(Diagnostic(OTHER_OUTPUTS, "; ".join(differences), at, hint))


def _differences(
    name: str, own: Mapping[str, TensorType], main: str, wanted: Mapping[str, TensorType]
) -> Iterable[str]:
    for output, type_ in own.items():
        if output not in wanted:
            yield f"`{name}` answers `{output}`, and `{main}` does not"
        elif type_ != wanted[output]:
            yield f"`{name}` answers `{output}` as `{type_}`, and `{main}` as `{wanted[output]}`"
    for output in wanted:
        if output not in own:
            yield f"`{name}` does not answer `{output}`, and `{main}` does"
