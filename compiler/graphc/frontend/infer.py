"""Infers the types of all tensors along the edges, and finds every disagreement."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from graphc_components.component import Component as CatalogEntry
from graphc_components.component import Role, SignatureError, Value
from graphc_components.servers import SERVERS, ServerKind
from graphc_components.tensors import FLOATS, NUMERIC, TensorType, parse_tensor_type

from graphc.artefacts.read_signature import ArtefactTensor, Signature
from graphc.artefacts.signature import Column
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.fields import BAD_PARAMETER
from graphc.diagnostics.codes.flow import (
    ARITY,
    BRANCHES_DISAGREE,
    CONTRADICTION,
    FAN_IN,
    FED_TWICE,
    MISSING_INPUT,
    UNKNOWN_INPUT,
    WRONG_DATATYPE,
    WRONG_INPUTS,
    WRONG_SHAPE,
)
from graphc.diagnostics.codes.servers import DATATYPE_NOT_CARRIED
from graphc.diagnostics.suggest import did_you_mean, nearest
from graphc.frontend.check_branches import check_branches
from graphc.frontend.draft import Draft, DraftNode
from graphc.frontend.draft_servers import say_carried
from graphc.frontend.model_ports import PORTS, framework_of
from graphc.frontend.parameters import read_parameters
from graphc.frontend.resolve import Resolved
from graphc.frontend.shapes import Bindings, agree, bind_shape, fill_shape, name_rows, refine
from graphc.ir.graph import Use
from graphc.records import record
from graphc.spec.fields import Cascade, Component, Model, Python, Router, Server

Ports = dict[str, TensorType]


@record
class Problem:
    """What is wrong at a node."""

    node: str
    diagnostic: Diagnostic


@dataclass(slots=True)
class Inferred:
    """What inference found: the type of each tensor, the uses by their ports, checked parameters, and what is wrong."""

    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])
    uses: dict[str, tuple[Use, ...]] = field(default_factory=dict[str, tuple[Use, ...]])
    parameters: dict[str, dict[str, Value]] = field(default_factory=dict[str, dict[str, Value]])
    problems: list[Problem] = field(default_factory=list["Problem"])


def infer_types(
    draft: Draft, resolved: Resolved, order: Sequence[str], others: Mapping[str, TensorType] | None = None
) -> Inferred:
    """Go through the nodes in a runnable order; a tensor whose type is not to be known is left out.

    As a reader of a language does, inference finds the words for a fault where it finds the fault: it returns them.
    `others` are types that some declared tensors are to have in place of their own.
    """
    found, others = Inferred(), others or {}
    for name, text in draft.spec.fields.inputs.items():
        found.types[name] = others.get(name) or parse_tensor_type(text)
    for name in order:
        node, uses = draft.nodes[name], resolved.uses[name]
        own = Sink()
        outputs = _Inference(draft, found, own, node, uses).run()
        for port, type_ in outputs.items():
            tensor = f"{name}.{port}"
            found.types[tensor] = others.get(tensor, type_)
        found.uses.setdefault(name, uses)
        found.problems += (Problem(name, diagnostic) for diagnostic in own)
    return found


@dataclass(slots=True)
class _Inference:
    """The inference of one node."""

    draft: Draft
    found: Inferred
    sink: Sink
    node: DraftNode
    uses: tuple[Use, ...]

    def run(self) -> Ports:
        match self.node.spec:
            case Model():
                return self._infer_model(self.node.spec)
            case Component():
                return self._infer_component()
            case Python():
                return self._infer_python(self.node.spec)
            case Server():
                return self._infer_server(self.node.spec)
            case Router():
                check_branches(self.draft, self.node, self._type_of(self._port("in")), self.sink)
                return self._infer_branches()
            case Cascade():
                self._check_confidences(self.node.spec)
                return self._infer_branches()

    # Ports

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_whole(self) -> bool:
        """Whether every reference of the node was resolved."""
        return len(self.uses) == len(self.node.uses)

    def _report(self, diagnostic: Diagnostic) -> None:
        self.sink.report(diagnostic)

    def _port(self, port: str) -> Use | None:
        return next((use for use in self.uses if use.port == port), None)

    def _type_of(self, use: Use | None) -> TensorType | None:
        return self.found.types.get(use.tensor) if use else None

    def _name_ports(self, names: Sequence[str], what: str, needed: Iterable[str]) -> bool:
        """Give unnamed references the ports in order; report those that are too many, unknown or missing."""
        unnamed = [use for use in self.node.uses if use.is_unnamed]
        if unnamed and len(unnamed) > len(names):
            return self._report_fan_in(names, what)
        rename = {use.port: names[index] for index, use in enumerate(unnamed)}
        self.uses = tuple(Use(rename.get(use.port, use.port), use.tensor, use.at) for use in self.uses)
        self.found.uses[self.name] = self.uses
        fed = {rename.get(use.port, use.port) for use in self.node.uses}
        unknown = [port for port in sorted(fed) if port not in names]
        for port in unknown:
            self._report_unknown_input(port, names, what)
        missing = [port for port in needed if port not in fed and fed]  # reading nothing is reported already
        if missing and not unknown:  # a misspelt one is reported already
            self._report_missing_inputs(missing, what)
        return not unknown and not missing

    def _report_fan_in(self, names: Sequence[str], what: str) -> bool:
        message = f"`{self.name}` is fed {len(self.node.uses)} tensors, and {what} takes {len(names)}"
        hint = "join them with a combiner such as `mean` or `concat`" if len(names) == 1 else None
        self._report(Diagnostic(FAN_IN, message, self._at("in", key=True), hint))
        return False

    def _report_unknown_input(self, port: str, names: Sequence[str], what: str) -> None:
        close = nearest(port, names)
        hint = f"did you mean `{close}`?" if close else f"it takes {_listed(names)}"
        place = self._at("in", port, key=True)
        message = f"`{self.name}` is fed `{port}`, which {what} does not take"
        self._report(Diagnostic(UNKNOWN_INPUT, message, place, hint))

    def _report_missing_inputs(self, ports: Sequence[str], what: str) -> None:
        message = f"`{self.name}` is not fed {_listed(ports)}, which {what} needs"
        self._report(Diagnostic(MISSING_INPUT, message, self._at("in", key=True)))

    def _at(self, *path: str, key: bool = False) -> Span:
        return self.draft.spec.at("nodes", self.name, *path, key=key)

    # Models

    def _infer_model(self, spec: Model) -> Ports:
        declared = {port: parse_tensor_type(text) for port, text in spec.out.items()}
        signature = self.node.signature
        if signature is None:
            self._name_by_framework(spec)
            return declared
        bindings: Bindings = {}
        if self._takes_columns(signature):
            names = [column.name for column in signature.columns]
            needed = [column.name for column in signature.columns if column.needed]
            if self._name_ports(names, "the model", needed) and self.is_whole:
                self._bind_columns(signature, bindings)
            return self._outputs_of(signature, declared, bindings)
        names = [tensor.name for tensor in signature.inputs]
        if self._name_ports(names, "the model", names) and self.is_whole:
            self._bind_inputs(signature, bindings)
        return self._outputs_of(signature, declared, bindings)

    def _name_by_framework(self, spec: Model) -> None:
        """Give the ports of a model that does not tell them the names that its framework has for all models."""
        self.found.uses[self.name] = self.uses
        framework = framework_of(spec)
        ports = PORTS.get(framework) if isinstance(framework, str) else None
        if ports is None or (framework == "sklearn" and self._feeds_columns()):
            return
        self._name_ports(ports.inputs, "the model", ports.inputs)
        for port in spec.out:
            if port not in ports.outputs:
                message = f"`{self.name}` declares `{port}`, which {ports.kind} does not have"
                hint = did_you_mean(port, ports.outputs) or f"it has {_listed(ports.outputs)}"
                self._report(Diagnostic(CONTRADICTION, message, self._at("out", port, key=True), hint))

    def _feeds_columns(self) -> bool:
        """Say whether a node feeds nothing but named columns: an unknown estimator may know them."""
        ports = {use.port for use in self.node.uses}
        types = [self._type_of(use) for use in self.uses]
        is_named = not any(port in {"", "X"} or port.isdecimal() for port in ports)
        return bool(ports) and is_named and all(type_ and _is_column(type_) for type_ in types)

    def _takes_columns(self, signature: Signature) -> bool:
        """Say whether the node feeds the model's columns by their names, and not one tensor of all."""
        inputs = {tensor.name for tensor in signature.inputs}
        ports = {use.port for use in self.node.uses}
        by_name = not any(
            port == "" or port.isdecimal() for port in ports - {c.name for c in signature.columns}
        )
        return bool(signature.columns) and (not inputs or (by_name and ports != inputs))

    def _bind_columns(self, signature: Signature, bindings: Bindings) -> None:
        """Check that each column is one value a row, of the kind that the model was fitted on."""
        columns = {column.name: column for column in signature.columns}
        for use in self.uses:
            type_ = self._type_of(use)
            if type_ is not None:
                self._bind_column(columns[use.port], use, type_, bindings)

    def _bind_column(self, column: Column, use: Use, fed: TensorType, bindings: Bindings) -> None:
        rows = fed.shape[:1]
        wanted = {"text": frozenset({"BYTES"}), "numbers": NUMERIC | {"BOOL"}}.get(column.kind or "")
        if wanted is not None and fed.datatype not in wanted:
            message = f"`{self.name}` takes {column.kind} as `{use.port}` and is fed `{use.tensor}`, which is `{fed}`"
            self._report(Diagnostic(WRONG_DATATYPE, message, use.at))
        elif not _is_column(fed) or not bind_shape(("batch",), rows, bindings):
            message = f"`{self.name}` takes one value a row as `{use.port}` and is fed `{use.tensor}`, which is `{fed}`"
            self._report(Diagnostic(WRONG_SHAPE, message, use.at))

    def _bind_inputs(self, signature: Signature, bindings: Bindings) -> None:
        stated = {tensor.name: tensor for tensor in signature.inputs}
        for use in self.uses:
            type_ = self._type_of(use)
            if type_ is not None:
                self._bind_input(stated[use.port], use, type_, bindings)

    def _bind_input(self, tensor: ArtefactTensor, use: Use, fed: TensorType, bindings: Bindings) -> None:
        wanted = {tensor.datatype} if tensor.datatype else NUMERIC | {"BOOL"}
        if fed.datatype not in wanted:
            kind = f"{tensor.datatype}" if tensor.datatype else "numbers"
            message = (
                f"`{self.name}` takes {kind} as `{use.port}` and is fed `{use.tensor}`, which is `{fed}`"
            )
            hint = f"`cast` it to {tensor.datatype}" if tensor.datatype and fed.datatype != "BYTES" else None
            self._report(Diagnostic(WRONG_DATATYPE, message, use.at, hint))
        elif tensor.shape is not None and not bind_shape(name_rows(tensor.shape), fed.shape, bindings):
            shape = TensorType(tensor.datatype or fed.datatype, tensor.shape)
            message = (
                f"`{self.name}` takes `{shape}` as `{use.port}` and is fed `{use.tensor}`, which is `{fed}`"
            )
            self._report(Diagnostic(WRONG_SHAPE, message, use.at))

    def _outputs_of(self, signature: Signature, declared: Ports, bindings: Bindings) -> Ports:
        outputs: Ports = {}
        for tensor in signature.outputs:
            if tensor.datatype and tensor.shape is not None:
                outputs[tensor.name] = TensorType(
                    tensor.datatype, fill_shape(name_rows(tensor.shape), bindings)
                )
        names = [tensor.name for tensor in signature.outputs]
        for port, type_ in declared.items():
            self._check_declared(port, type_, names, outputs)
        return outputs

    def _check_declared(self, port: str, type_: TensorType, names: Sequence[str], outputs: Ports) -> None:
        at = self._at("out", port)
        if port not in names:
            close = nearest(port, names)
            hint = f"did you mean `{close}`?" if close else f"it has {_listed(names)}"
            message = f"`{self.name}` declares `{port}`, which the model does not have"
            self._report(Diagnostic(CONTRADICTION, message, self._at("out", port, key=True), hint))
            return
        real = outputs.get(port)
        if real and (real.datatype != type_.datatype or not agree(real.shape, type_.shape)):
            message = f"`{self.name}` declares `{port}` as `{type_}`, and the model has `{real}`"
            self._report(Diagnostic(CONTRADICTION, message, at, "leave the declaration out"))
            return
        outputs[port] = type_.with_shape(refine(real.shape, type_.shape)) if real else type_

    # Components

    def _infer_component(self) -> Ports:
        component = self.node.component
        if component is None or not self.node.uses:
            return {}  # the catalog does not have it, or it reads nothing, which is reported already
        parameters = self._check_parameters(component)
        if not self._name_component_ports(component) or parameters is None or not self.is_whole:
            return {}
        types = [self._type_of(use) for use in self.uses]
        known = [type_ for type_ in types if type_ is not None]
        if len(known) < len(types):
            return {}
        try:
            outputs = component.signature(tuple(known), parameters)
        except SignatureError as error:
            self._report_signature(component, error)
            return {}
        if len(known) == 1:
            self._check_combines(component, known[0], outputs)
        ports = component.output_names([use.port for use in self.uses])
        return dict(zip(ports, outputs.values(), strict=True))

    def _name_component_ports(self, component: CatalogEntry) -> bool:
        what = f"`{component.name}`"
        if component.inputs is not None:
            if not self._name_ports(component.inputs, what, component.inputs):
                return False
            order = {port: index for index, port in enumerate(component.inputs)}
            self.uses = tuple(sorted(self.uses, key=lambda use: order[use.port]))
            self.found.uses[self.name] = self.uses
            return True
        return self._check_fed_once(component) if component.outputs is not None else True

    def _check_fed_once(self, component: CatalogEntry) -> bool:
        seen: set[str] = set()
        for use in self.uses:
            if use.tensor in seen:
                message = f"`{self.name}` is fed `{use.tensor}` twice"
                self._report(Diagnostic(FED_TWICE, message, use.at, _weights_hint(component)))
            seen.add(use.tensor)
        return len(seen) == len(self.uses)

    def _check_combines(self, component: CatalogEntry, type_: TensorType, outputs: Ports) -> None:
        if component.role is Role.COMBINER and list(outputs.values()) == [type_]:
            message = f"`{self.name}` combines one tensor, so it answers with that tensor"
            self._report(Diagnostic(ARITY, message, self._at("in", key=True)))

    def _check_parameters(self, component: CatalogEntry) -> dict[str, Value] | None:
        spec = cast("Component", self.node.spec)
        values, problems = read_parameters(
            self.draft.spec, self.name, "component", component, spec.parameters, BAD_PARAMETER
        )
        for problem in problems:
            self._report(problem)
        self.found.parameters[self.name] = values
        return None if problems else values

    def _report_signature(self, component: CatalogEntry, error: SignatureError) -> None:
        if error.parameter is not None:
            at = self._at("parameters", error.parameter)
            message = f"`{self.name}`: `{component.name}` {error.message}"
            self._report(Diagnostic(BAD_PARAMETER, message, at))
            return
        if error.input is None:
            message = f"`{self.name}`: `{component.name}` {error.message}"
            self._report(Diagnostic(BAD_PARAMETER, message, self._at("component")))
            return
        use = self.uses[error.input]
        message = f"`{self.name}`: `{component.name}` {error.message}"
        self._report(Diagnostic(WRONG_INPUTS, message, use.at, self._shape_hint(use)))

    def _shape_hint(self, use: Use) -> str | None:
        """Say what brings a tensor to the shape of the others, where it has a column too many or too few dimensions."""
        types = [type_ for each in self.uses if (type_ := self._type_of(each)) is not None]
        own = self._type_of(use)
        others = [type_ for type_ in types if own is not None and type_.shape != own.shape]
        if own is None or not others or any(type_.datatype != own.datatype for type_ in others):
            return None
        other = others[0]
        if own.rank == other.rank == 2 and other.shape[1] == 1:
            return f"pick one column of `{use.tensor}` with `select`"
        if own.rank == other.rank == 2 and own.shape[1] == 1:
            return "pick one column of the other with `select`"
        return "give both one shape with `reshape`" if own.rank != other.rank else None

    # Python

    def _infer_python(self, spec: Python) -> Ports:
        if self.node.arguments is not None:
            self._name_ports(self.node.arguments, f"`{spec.python.partition(':')[2]}`", self.node.required)
        return {port: parse_tensor_type(text) for port, text in spec.out.items()}

    # Servers

    def _infer_server(self, spec: Server) -> Ports:
        declared = {port: parse_tensor_type(text) for port, text in spec.out.items()}
        server = self.node.server
        if server is None or any(
            type_.datatype not in SERVERS[server.kind].gives for type_ in declared.values()
        ):
            return {}  # there is no such server, or it does not carry them, which is reported already
        signature = self.node.signature
        if signature is None:
            self._check_carried(SERVERS[server.kind])
            return declared
        bindings: Bindings = {}
        names = [tensor.name for tensor in signature.inputs]
        if self._name_ports(names, "the server", names) and self.is_whole:
            self._bind_inputs(signature, bindings)
        if not self.is_whole or not all(self._type_of(use) for use in self.uses):
            return {}  # what is fed is not known, which is reported already
        # Where the inputs do not fit, the outputs are what they would be.
        return declared if self.sink.has_errors else self._outputs_of(signature, {}, bindings)

    def _check_carried(self, kind: ServerKind) -> None:
        for use in self.uses:
            type_ = self._type_of(use)
            if type_ is not None and type_.datatype not in kind.takes:
                carried = say_carried(kind, kind.takes)
                message = f"`{self.name}` is fed `{use.tensor}`, which is `{type_}`, and {carried}"
                self._report(Diagnostic(DATATYPE_NOT_CARRIED, message, use.at, "`cast` it"))

    # Routers and cascades

    def _check_confidences(self, spec: Cascade) -> None:
        for index, step in enumerate(spec.cascade[:-1]):
            use = self._port(f"{index}:confidence") or self._first_take(index)
            type_ = self._type_of(use)
            if use and type_ and type_.datatype not in FLOATS:
                message = (
                    f"the confidence of `{self.name}` is `{use.tensor}`, which is `{type_}`, not a float"
                )
                hint = None if step.confidence else "name the tensor with the probabilities in `confidence:`"
                self._report(Diagnostic(WRONG_DATATYPE, message, use.at, hint))
            elif use and type_ and type_.rank > 2:
                message = (
                    f"the confidence of `{self.name}` is `{use.tensor}`, which is `{type_}`, "
                    "and has to have rows and classes at most"
                )
                hint = None if step.confidence else "name the tensor with the probabilities in `confidence:`"
                self._report(Diagnostic(WRONG_SHAPE, message, use.at, hint))

    def _first_take(self, index: int) -> Use | None:
        return next((use for use in self.uses if use.port.startswith(f"{index}:take:")), None)

    def _infer_branches(self) -> Ports:
        outputs: Ports = {}
        for use in self.uses:
            _, _, port = use.port.partition(":take:")
            type_ = self._type_of(use)
            if not port or type_ is None:
                continue
            first = outputs.setdefault(port, type_)
            if first.datatype != type_.datatype or not agree(first.shape, type_.shape):
                message = f"`{self.name}` answers `{first}` by one branch and `{type_}` by another"
                self._report(Diagnostic(BRANCHES_DISAGREE, message, use.at))
            else:
                outputs[port] = first.with_shape(refine(first.shape, type_.shape))
        return outputs


def _is_column(type_: TensorType) -> bool:
    return len(type_.shape) == 1 or (len(type_.shape) == 2 and type_.shape[1] == 1)


def _weights_hint(component: CatalogEntry) -> str | None:
    if component.name == "mean":
        return "`weighted-mean` gives one tensor more say than others"
    if any(parameter.name == "weights" for parameter in component.parameters):
        return "the parameter `weights` gives one tensor more say than others"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
