"""Warns of units that ask for a GPU and have models that none, or only a part, of is computed on one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import WITHOUT_KERNELS
from graphc.hardware.assign import ask_of
from graphc.hardware.operators import Operators, read_operators
from graphc.ir.graph import ModelWork, Node, PythonWork, Resources
from graphc.ir.plan import Unit

_ON_PROCESSORS: Final[Mapping[str, str]] = {"sklearn": "scikit-learn", "lightgbm": "LightGBM"}
"""Frameworks that compute on processors alone, by what people call them."""
_HINT: Final = "ask for no GPU, or convert the model to operators of tensors, as Hummingbird does"
_HINT_PART: Final = "keep to operators of tensors, so that nothing is copied to processors and back"


def check_operators(units: Sequence[Unit], given: Resources | None, at: Span, sink: Sink) -> None:
    """Report models whose operators have no kernels for GPUs, of the units that ask for one."""
    for unit in units:
        if ask_of(unit, given) is not None:
            _check_unit(unit, at, sink)


@dataclass(frozen=True, slots=True)
class _Model:
    """A model whose operators are known; of one that has none, `library` computes all of it on processors."""

    node: Node
    operators: Operators | None
    library: str = ""

    @property
    def needs_gpu(self) -> bool:
        return self.operators is not None and (self.operators.works_on_gpu or not self.operators.on_cpu)

    @property
    def names(self) -> Mapping[str, int]:
        return self.operators.on_cpu if self.operators else {self.library: 1}


def _check_unit(unit: Unit, at: Span, sink: Sink) -> None:
    working = [node for node in unit.region.nodes if isinstance(node.work, ModelWork | PythonWork)]
    models = [model for node in working if (model := _read(node)) is not None]
    # What is not known, such as Python, may be just what needs the GPU.
    if models and len(models) == len(working) and not any(model.needs_gpu for model in models):
        _report_none(unit, models, at, sink)
        return
    for model in models:
        if model.operators is not None and model.needs_gpu and model.operators.on_cpu:
            _report_part(model.node, model.operators, sink)


def _read(node: Node) -> _Model | None:
    work = node.work
    if not isinstance(work, ModelWork):
        return None
    if work.framework in _ON_PROCESSORS:
        return _Model(node, None, _ON_PROCESSORS[work.framework])
    operators = read_operators(work.local) if work.framework == "onnx" and work.local else None
    return None if operators is None else _Model(node, operators)


def _report_none(unit: Unit, models: Sequence[_Model], at: Span, sink: Sink) -> None:
    asking = next((node for node in unit.region.nodes if node.placement.resources), None)
    name, said = (asking.origin, asking.at) if asking else (unit.name, at)
    names: Counter[str] = Counter()
    for model in models:
        names.update(model.names)
    message = f"`{name}` asks for a GPU, and no operator of it runs there: {_list(names)}"
    sink.report(Diagnostic(WITHOUT_KERNELS, message, said, _HINT))


def _report_part(node: Node, operators: Operators, sink: Sink) -> None:
    count = sum(operators.on_cpu.values())
    runs = "runs" if count == 1 else "run"
    message = (
        f"`{node.origin}` asks for a GPU, and {count} of its {operators.count} operators {runs} on processors: "
        f"{_list(operators.on_cpu)}"
    )
    sink.report(Diagnostic(WITHOUT_KERNELS, message, node.at, _HINT_PART))


def _list(names: Mapping[str, int]) -> str:
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in sorted(names.items()))
