"""Merges nodes that are ONNX models, or components that state themselves as ONNX operators, into one model.

One model is one onnxruntime session: nothing is copied between its nodes, and the optimiser sees across them. A
merged model is used only where it answers generated inputs as the nodes do on their own.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from graphc_components.catalog import CATALOG, Component, ComponentError, Value
from graphc_components.datatypes import Array
from graphc_components.onnx_forms import OnnxForm, state_in_onnx
from graphc_components.tensors import TensorType

from graphc.ir.graph import ComponentWork, Guard, ModelWork, Node, Output, Policy, Use
from graphc.ir.limits import Most
from graphc.ir.order import sort_topologically
from graphc.ir.plan import Merge, Plan, Region, Unit
from graphc.lower.group_onnx import find_reads, group_nodes
from graphc.lower.onnx.cache import cache_folder, keep_model
from graphc.lower.onnx.form_model import write_form
from graphc.lower.onnx.join import Border, Part, join_models, read_model
from graphc.lower.onnx.opsets import Apart
from graphc.lower.options import Options

if TYPE_CHECKING:
    from onnx import ModelProto

    from graphc.lower.onnx.compare import Step

Tensors = Mapping[str, Array]

# A protobuf message holds 2 GiB at most, and onnxruntime needs room beside the weights.
MAX_BYTES: Final = 3 * 2**29
"""What a merged model holds itself; the weights of a larger one are in a file of their own."""


def merge_onnx(plan: Plan, options: Options) -> Plan:
    """Return the plan with what can be merged in each region merged, and the decisions that were taken."""
    types = dict(plan.inputs)
    for unit in plan.root.walk():
        types |= {each.tensor: each.type for node in unit.region.nodes for each in node.outputs}
    merging = _Merging(types, options, [])
    root = merging.merge_unit(plan.root)
    return replace(plan, root=root, merges=tuple(merging.merges))


@dataclass(frozen=True, slots=True)
class _Merging:
    types: Mapping[str, TensorType]
    options: Options
    merges: list[Merge]

    def merge_unit(self, unit: Unit) -> Unit:
        wanted = {wire.tensor for wire in unit.answers}
        nodes = self._merge_nodes(unit.region, wanted)
        children = tuple(self.merge_unit(child) for child in unit.children)
        return replace(unit, region=replace(unit.region, nodes=nodes), children=children)

    def _merge_nodes(self, region: Region, wanted: set[str]) -> tuple[Node, ...]:
        resources = region.placement.resources
        on_gpu = bool(resources and resources.gpu and resources.gpu.wants_gpu)
        forms = {node.name: form for node in region.nodes if (form := self._form(node, on_gpu)) is not None}
        models = {node.name for node in region.nodes if self._is_model(node)}
        merged: dict[str, Node] = {}
        # One session fails or answers as a whole: what may fail by a rule of its own stays apart.
        joinable = (models | set(forms)) - _ruled(region.nodes)
        for group in group_nodes(region.nodes, joinable):
            # Without a model there is no session to spare.
            if any(node.name in models for node in group):
                read = wanted | _read_elsewhere(region.nodes, group)
                found = _Group(group, forms, self.types, read).merge(self.options)
                self._decide(group, found)
                if isinstance(found, Node):
                    merged |= {node.name: found for node in group}
        return _replaced(region.nodes, merged)

    def _form(self, node: Node, on_gpu: bool) -> OnnxForm | None:
        if not isinstance(node.work, ComponentWork):
            return None
        component = CATALOG[node.work.component]
        types = [self.types[use.tensor] for use in node.uses]
        form = state_in_onnx(component, types, cast("Mapping[str, Value]", node.work.parameters))
        return None if form is None or (form.only_cpu and on_gpu) else form

    @staticmethod
    def _is_model(node: Node) -> bool:
        work = node.work
        # A merged model would have to be merged once more, from the variants for processors.
        return (
            isinstance(work, ModelWork)
            and work.framework == "onnx"
            and work.local is not None
            and work.cpu is None
        )

    def _decide(self, group: Sequence[Node], found: Node | Apart) -> None:
        names = tuple(node.origin for node in group)
        if isinstance(found, Apart):
            self.merges.append(Merge("apart", names, found.reason))
        else:
            self.merges.append(Merge("merged", names, "one ONNX model answers as they do"))


def _ruled(nodes: Sequence[Node]) -> set[str]:
    """Return the nodes with a rule for their failing, and quorum combiners with what they read."""
    ruled = {node.name for node in nodes if node.policy != Policy()}
    for node in nodes:
        if isinstance(node.work, ComponentWork) and node.work.quorum is not None:
            tensors = {use.tensor for use in node.uses}
            ruled |= {node.name} | {
                each.name for each in nodes if tensors & {out.tensor for out in each.outputs}
            }
    return ruled


def _read_elsewhere(nodes: Sequence[Node], group: Sequence[Node]) -> set[str]:
    inside = {node.name for node in group}
    return {tensor for node in nodes if node.name not in inside for tensor in node.reads}


def _replaced(nodes: Sequence[Node], merged: Mapping[str, Node]) -> tuple[Node, ...]:
    """Put merged nodes in the places of their members, in a runnable order."""
    if not merged:
        return tuple(nodes)
    found = {each.name: each for each in (merged.get(node.name, node) for node in nodes)}
    kept = list(found.values())
    reads = find_reads(kept, {name: name for name in found})
    return tuple(found[name] for name in sort_topologically(reads))


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes to merge, in a runnable order; `read` are the tensors that something else reads."""

    nodes: Sequence[Node]
    forms: Mapping[str, OnnxForm]
    types: Mapping[str, TensorType]
    read: set[str]

    def merge(self, options: Options) -> Node | Apart:
        """Return one node that does the work of all, or why there is none."""
        works = [node.work for node in self.nodes if isinstance(node.work, ModelWork)]
        credentials = {work.credentials for work in works} - {None}
        if len(credentials) > 1:
            return Apart("their models are fetched with different credentials")
        sizes = [sum(path.stat().st_size for path in _files(work)) for work in works]
        is_large = sum(sizes) > MAX_BYTES or any(work.files for work in works)
        border = self._border()
        parts = [self._part(node) for node in self.nodes]
        joined = next((part for part in parts if isinstance(part, Apart)), None) or join_models(
            [part for part in parts if isinstance(part, Part)], border
        )
        if isinstance(joined, Apart):
            return joined
        needed = [each.name for each in joined.graph.input]
        try:
            keep = self._keep_large if is_large else self._keep
            room = options.room if options.room and options.room.count >= max(sizes) else None
            path = keep(joined, border, needed, room)
        except OSError as error:
            return Apart(f"the merged model cannot be kept: {(error.strerror or 'no reason given').lower()}")
        return path if isinstance(path, Apart) else self._node(path, works, border, needed)

    def _keep(
        self, joined: "ModelProto", border: Border, needed: Sequence[str], room: Most | None
    ) -> Path | Apart:
        content = joined.SerializeToString(deterministic=True)
        if room is not None and len(content) > room.count:
            return _too_large(len(content), room)
        return self._difference(content, border, needed) or keep_model(cache_folder(os.environ), content)

    def _keep_large(
        self, joined: "ModelProto", border: Border, needed: Sequence[str], room: Most | None
    ) -> Path | Apart:
        # onnx reads and writes such files with modules that nothing else needs.
        from graphc.lower.onnx.large import keep_large, write_large

        cache = cache_folder(os.environ)
        with write_large(cache, joined) as path:
            if isinstance(path, Apart):
                return path
            size = sum(each.stat().st_size for each in path.parent.iterdir())
            if room is not None and size > room.count:
                return _too_large(size, room)
            return self._difference(path, border, needed) or keep_large(cache, path)

    def _inputs(self) -> dict[str, Use]:
        """Return what the group reads from outside, by the name of the merged model's input."""
        made = {output.tensor for node in self.nodes for output in node.outputs}
        found: dict[str, Use] = {}
        for node in self.nodes:
            for use in node.uses:
                if use.tensor not in made:
                    found.setdefault(_port(use), replace(use, port=_port(use)))
        return found

    def _border(self) -> Border:
        outputs = [each for node in self.nodes for each in node.outputs if each.tensor in self.read]
        inputs = {name: self.types[use.tensor] for name, use in self._inputs().items()}
        return Border(inputs, {each.tensor: each.type for each in outputs})

    def _part(self, node: Node) -> Part | Apart:
        reads = self._reads(node)
        if isinstance(node.work, ModelWork):
            model = _read(node.work)
            gives = {each.tensor: each.port for each in node.outputs}
            return model if isinstance(model, Apart) else Part(node.name, model, reads, gives)
        form = self.forms[node.name]
        types = [self.types[use.tensor] for use in node.uses]
        names = dict(zip(_component_outputs(node), form.outputs, strict=True))
        outputs = _component_types(node, types)
        gives = {each.tensor: names[each.port] for each in node.outputs}
        feeds = dict(zip(form.inputs, reads.values(), strict=True))
        return Part(node.name, write_form(form, types, outputs), feeds, gives)

    def _reads(self, node: Node) -> dict[str, str]:
        """Return the tensor that each port reads; one from outside is called as the merged model's input."""
        return {use.port: _port(use) for use in node.uses}

    def _difference(self, model: bytes | Path, border: Border, needed: Sequence[str]) -> Apart | None:
        # onnxruntime may be missing, and takes long to import.
        from graphc.lower.onnx.compare import find_difference
        from graphc.lower.onnx.session import open_session

        merged = open_session(model)
        if merged is None:
            return Apart("onnxruntime does not load the merged model")
        steps = [self._step(node) for node in self.nodes]
        loaded = [step for step in steps if step is not None]
        if len(loaded) < len(steps):
            return Apart("onnxruntime does not load one of the models")
        found = find_difference(loaded, merged, border.inputs, needed, list(border.outputs))
        return Apart(found) if found else None

    def _step(self, node: Node) -> "Step | None":
        from graphc.lower.onnx.compare import Step
        from graphc.lower.onnx.session import open_session

        gives = {each.tensor: each.port for each in node.outputs}
        reads = self._reads(node)
        if isinstance(node.work, ComponentWork):
            return Step(_component_runner(node), reads, gives)
        assert isinstance(node.work, ModelWork)
        assert node.work.local is not None
        session = open_session(node.work.local)
        ports = list(gives.values())
        return None if session is None else Step(lambda feeds: session.run(feeds, ports), reads, gives)

    def _node(self, path: Path, works: Sequence[ModelWork], border: Border, needed: Sequence[str]) -> Node:
        last = self.nodes[-1]
        seconds = [work.load_seconds for work in works if work.load_seconds is not None]
        credentials = next((work.credentials for work in works if work.credentials is not None), None)
        measured = [work.gpu_mib for work in works if work.gpu_mib is not None]
        is_alone = path.parent == cache_folder(os.environ)
        files = () if is_alone else tuple(sorted(each.name for each in path.parent.iterdir() if each != path))
        work = ModelWork(
            framework="onnx",
            location=f"merged/{path.relative_to(cache_folder(os.environ)).as_posix()}",
            local=path,
            files=files,
            credentials=credentials,
            load_seconds=sum(seconds) if seconds else None,
            merged=tuple(node.name for node in self.nodes),
            gpu_mib=sum(measured) if len(measured) == len(works) else None,
        )
        inputs = self._inputs()
        outputs = tuple(Output(tensor, tensor, each) for tensor, each in border.outputs.items())
        uses = tuple(inputs[name] for name in needed)
        return replace(last, work=work, uses=uses, outputs=outputs)


def _too_large(size: int, room: Most) -> Apart:
    return Apart(f"merged they are {size / 2**20:.1f} MiB, more than {room.of} holds")


def _files(work: ModelWork) -> list[Path]:
    assert work.local is not None
    return [work.local, *(work.local.parent / name for name in work.files)]


def _read(work: ModelWork) -> "ModelProto | Apart":
    # onnx reads such files with modules that nothing else needs.
    from graphc.lower.onnx.large import read_with_weights

    assert work.local is not None
    return read_with_weights(work.local) if work.files else read_model(work.local)


def _port(use: Use) -> str:
    if use.gather is None:
        return use.tensor
    there = f" of {_describe(use.gather.there)}" if use.gather.there else ""
    return f"{use.tensor}[{_describe(use.gather.wanted)}{there}]"


def _describe(guard: Guard) -> str:
    return f"{guard.choice}={','.join(str(branch) for branch in guard.branches)}"


def _component(node: Node) -> Component:
    assert isinstance(node.work, ComponentWork)
    return CATALOG[node.work.component]


def _component_outputs(node: Node) -> tuple[str, ...]:
    return _component(node).output_names([use.port for use in node.uses])


def _component_types(node: Node, types: Sequence[TensorType]) -> list[TensorType]:
    assert isinstance(node.work, ComponentWork)
    values = cast("Mapping[str, Value]", node.work.parameters)
    return list(_component(node).signature(tuple(types), values).values())


def _component_runner(node: Node) -> "Callable[[Tensors], Tensors | None]":
    assert isinstance(node.work, ComponentWork)
    function, names = _component(node).function, _component_outputs(node)
    parameters, ports = dict(node.work.parameters), [use.port for use in node.uses]

    def run(feeds: Tensors) -> Tensors | None:
        try:
            answer = function(*(feeds[port] for port in ports), **parameters)
        except ComponentError:
            return None
        arrays = answer if isinstance(answer, tuple) else (answer,)
        return dict(zip(names, arrays, strict=True))

    return run
