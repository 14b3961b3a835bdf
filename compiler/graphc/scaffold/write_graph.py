"""Writes the graph of models: each gets its inputs, and answers of one kind are averaged."""

import json
from collections.abc import Sequence
from typing import Final

from graphc_components.tensors import TensorType

from graphc.diagnostics.printable import printable
from graphc.records import record
from graphc.scaffold.survey import AVERAGE, WORDS, Model, Unread, type_of

_ANY: Final = {"sklearn": "FP64", "xgboost": "FP32", "lightgbm": "FP64", "onnx": "FP32"}
"""What a model that takes numbers of any datatype is given."""


@record
class Drawn:
    """A graph file's text, with what could not be decided."""

    text: str
    notes: tuple[str, ...]


class _Inputs:
    """The graph's inputs so far: models that take one type read one input."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.types = dict[str, TensorType]()
        self._nodes = {model.name for model in models}
        self._known = {
            tensor.shape: tensor.datatype
            for model in models
            for tensor in model.signature.inputs
            if tensor.datatype is not None
        }

    def find(self, model: Model) -> dict[str, str] | None:
        """Return the graph's input for each of a model's; None where a shape is unknown."""
        found = dict[str, str]()
        is_single = len(model.signature.inputs) == 1
        for tensor in model.signature.inputs:
            datatype = self._known.get(tensor.shape) or _ANY[model.framework]
            type_ = type_of(tensor, datatype)
            if type_ is None:
                return None
            found[tensor.name] = self._add("x" if is_single else _identifier(tensor.name), type_)
        return found

    def find_columns(self, model: Model) -> dict[str, str]:
        """Return the graph's input for each column of a model that takes a table."""
        return {
            column.name: self._add(
                _identifier(column.name),
                TensorType("FP32" if column.kind == "numbers" else "BYTES", ("batch",)),
            )
            for column in model.signature.columns
            if column.needed
        }

    def _add(self, base: str, type_: TensorType) -> str:
        name, number = base, 2
        while name in self._nodes or self.types.get(name, type_) != type_:
            name, number = f"{base}{number}", number + 1
        self.types[name] = type_
        return name


def write_graph(name: str, models: Sequence[Model], unread: Sequence[Unread]) -> Drawn:
    """Return the graph file of some models; those that cannot be used are in its comments and in the notes."""
    inputs, nodes, used = _Inputs(models), list[str](), list[Model]()
    notes = [f"{each.path} is left out: {each.reason}" for each in unread]
    for model in models:
        taken = inputs.find(model) if model.signature.inputs else inputs.find_columns(model)
        if not taken:
            notes.append(f"{model.path} is left out: it does not tell the shape of its inputs")
            continue
        used.append(model)
        nodes += _write_node(model, taken)
    answers, combined, more = _answers(used)
    nodes += combined
    lines = [
        "apiVersion: graphc/v1",
        "kind: InferenceGraph",
        "metadata:",
        f"  name: {name}",
        "",
        "inputs:",
        *(f'  {_quote(each)}: "{type_}"' for each, type_ in inputs.types.items()),
        "",
        "nodes:",
        *(f"  {line}" for line in nodes),
        "",
        "outputs:",
        *(f"  {_quote(output)}: {source}" for output, source in answers.items()),
        "",
        *(f"# {printable(' '.join(note.split()))}" for note in notes),
    ]
    return Drawn("\n".join(lines).rstrip("\n") + "\n", (*notes, *more))


def _write_node(model: Model, taken: dict[str, str]) -> list[str]:
    pairs = ", ".join(f"{_quote(port)}: {_quote(source)}" for port, source in taken.items())
    return [f"{model.name}:", f"  model: {_quote(model.path)}", f"  in: {{{pairs}}}"]


def _answers(models: Sequence[Model]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the graph's outputs with their sources, the node that combines some, and what to look at."""
    mains = [(model, main) for model in models if (main := model.main) is not None]
    if len(mains) == 1:
        (model, _) = mains[0]
        outputs = model.signature.outputs
        return {each.name: f"{model.name}.{_quote(each.name)}" for each in outputs}, [], []
    kinds: dict[object, list[tuple[Model, str]]] = {}
    for model, main in mains:
        is_float = (main.datatype or "").startswith("FP") and main.shape is not None
        kinds.setdefault((main.shape if is_float else None), []).append((model, main.name))
    alike = [each for kind, each in kinds.items() if kind is not None and len(each) > 1]
    joined = max(alike, key=len) if alike else []
    answers = {
        model.name: f"{model.name}.{_quote(output)}" for each in kinds.values() for model, output in each
    }
    if not joined:
        return answers, [], []
    sources = ", ".join(f"{model.name}.{_quote(output)}" for model, output in joined)
    names = ", ".join(model.name for model, _ in joined)
    node = [f"{AVERAGE}:", "  component: mean", f"  in: [{sources}]"]
    rest = {name: each for name, each in answers.items() if name not in {model.name for model, _ in joined}}
    return (
        {"average": AVERAGE, **rest},
        node,
        [f"`average` is the mean of {names}: they answer alike"],
    )


def _identifier(name: str) -> str:
    kept = "".join(each if each.isalnum() and each.isascii() else "_" for each in name).strip("_")
    return kept if kept and kept[0].isalpha() else f"input_{kept}".rstrip("_")


def _quote(text: str) -> str:
    """Return a text as YAML has it within braces: in quotes where it is not a plain word.

    JSON's quotes are YAML's too, but for characters above U+FFFF, which JSON writes as two.
    """
    is_plain = text.replace("_", "").replace("/", "").replace(".", "").replace("-", "").isalnum()
    if is_plain and text.isascii() and text[0].isalpha() and text.lower() not in WORDS:
        return text
    return printable(json.dumps(text, ensure_ascii=False))
