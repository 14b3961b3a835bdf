"""Makes draft nodes: reads artefacts' signatures, finds components, names ports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphc_components.catalog import CATALOG

from graphc.artefacts.files import check_place
from graphc.artefacts.locations import check_location, is_uri
from graphc.artefacts.python_classes import read_class
from graphc.artefacts.python_reader import read_entry
from graphc.artefacts.read_signature import Signature, Signatures
from graphc.artefacts.signature import ArtefactFault, Origin
from graphc.diagnostics import Diagnostic, Rule, Sink, Span
from graphc.diagnostics.codes.artefacts import (
    MISSING_CLASS,
    MISSING_PACKAGE,
    UNDECLARED_REMOTE,
    UNKNOWN_SIGNATURE,
    USELESS_VARIANT,
    VARIANT_DIFFERS,
    VARIANT_ELSEWHERE,
)
from graphc.diagnostics.codes.fields import BAD_BRANCH, UNKNOWN_COMPONENT
from graphc.diagnostics.codes.flow import BRANCHES_DISAGREE, UNKNOWN_INPUT, UNREACHABLE
from graphc.diagnostics.suggest import nearest
from graphc.frontend.check_origin import find_origin_faults, judges_image
from graphc.frontend.compare_signatures import find_differences
from graphc.frontend.draft import Draft, DraftNode, DraftServer, DraftUse
from graphc.frontend.draft_servers import draft_server_node, draft_servers
from graphc.frontend.model_ports import PORTS, framework_of
from graphc.ir.graph import CpuModel
from graphc.packages.requirements import Requirements, suggest_package
from graphc.runtime_image import read_image
from graphc.spec.fields import AnyNode, Cascade, Component, Model, Python, Router, Server
from graphc.spec.read_spec import GraphSpec

if TYPE_CHECKING:
    from graphc.artefacts.python_imports import Import, Where

_OTHER_WORDS: Final[Mapping[str, str]] = {
    "average": "mean",
    "majority": "hard-vote",
    "normalize": "normalise",
    "ohe": "one-hot",
    "standardise": "scale",
    "standardize": "scale",
    "vote": "hard-vote",
    "weighted-average": "weighted-mean",
}
"""What other libraries call components of the catalog."""


def draft_graph(
    spec: GraphSpec, folder: Path, signatures: Signatures, requirements: Requirements, sink: Sink
) -> Draft:
    """Make the draft of a graph whose local files lie beside `folder`, and whose image has its requirements."""
    servers = draft_servers(spec, folder, sink)
    drafting = {
        name: _Drafting(spec, folder, signatures, requirements, servers, sink, name, node)
        for name, node in spec.nodes.items()
    }
    return Draft(spec, {name: each.run() for name, each in drafting.items()}, folder)


def _comes_alike(model: str, other: str) -> bool:
    """Say whether two models travel in the same way; of a claim, one folder is mounted."""
    if not is_uri(model) or not is_uri(other):
        return is_uri(model) == is_uri(other)
    claims = [each.rpartition("/")[0] for each in (model, other) if each.startswith("pvc://")]
    return not claims or (len(claims) == 2 and claims[0] == claims[1])


def _refuse_on_processors(called: str, signature: Signature) -> ArtefactFault:
    # Hardly any model needs the table of operators once its signature is known.
    from graphc.artefacts.onnx_operators import refuse_on_processors

    return refuse_on_processors(called, signature.only_gpu)


_SELDON: Final = "seldon_core"
"""A module whose package takes a newer Python and older packages than the runtime image has."""
_DATA: Final = "X"
"""The port of the one tensor that a class for Seldon's wrapper is given, where the file has no name for it."""


class _Drafting:
    """The drafting of one node."""

    def __init__(
        self,
        spec: GraphSpec,
        folder: Path,
        signatures: Signatures,
        requirements: Requirements,
        servers: Mapping[str, DraftServer],
        sink: Sink,
        name: str,
        node: AnyNode,
    ) -> None:
        self.spec, self.folder, self.sink, self.name, self.node = spec, folder, sink, name, node
        self.signatures, self.requirements, self.servers = signatures, requirements, servers
        self.at = spec.at("nodes", name, key=True)

    def run(self) -> DraftNode:
        match self.node:
            case Model():
                return self._draft_model(self.node)
            case Component():
                return self._draft_component(self.node)
            case Python():
                return self._draft_python(self.node)
            case Server():
                return draft_server_node(
                    self.spec, self.name, self.node, self._uses(self.node.in_), self.servers, self.sink
                )
            case Router():
                return self._draft_router(self.node)
            case Cascade():
                return self._draft_cascade(self.node)

    def _report(self, rule: Rule, message: str, *path: str | int, hint: str | None = None) -> None:
        self.sink.report(Diagnostic(rule, message, self.spec.at("nodes", self.name, *path), hint))

    def _report_fault(self, fault: ArtefactFault, *path: str | int) -> None:
        self._report(fault.rule, f"`{self.name}`: {fault.message}", *path, hint=fault.help)

    def _uses(self, references: Mapping[str, str]) -> tuple[DraftUse, ...]:
        if not references:
            self._report(UNREACHABLE, f"`{self.name}` reads nothing", "in")
        at = self.spec.at
        return tuple(
            DraftUse(port, reference, at("nodes", self.name, "in", *([port] if port else [])))
            for port, reference in references.items()
        )

    # Models

    def _draft_model(self, model: Model) -> DraftNode:
        framework = framework_of(model)
        if isinstance(framework, ArtefactFault):
            self._report_fault(framework, "model")
            return DraftNode(self.name, model, self.at, self._uses(model.in_), None)
        if is_uri(model.model):
            return self._draft_remote(model, framework)
        path = self.folder / model.model
        signature = self._read_signature(framework, model.model)
        if self._lacks_origin(model, signature.origin):
            outputs = tuple(model.out) or None
            return DraftNode(self.name, model, self.at, self._uses(model.in_), outputs, local=path)
        if isinstance(signature, ArtefactFault):
            if not (model.out and signature.rule is UNKNOWN_SIGNATURE):
                self._report_fault(signature, "model")
            outputs = tuple(model.out) or None
            return DraftNode(self.name, model, self.at, self._uses(model.in_), outputs, local=path)
        if signature.only_gpu and not self._may_have_gpu(model):
            self._report_fault(_refuse_on_processors(model.model, signature), "model")
        outputs = tuple(tensor.name for tensor in signature.outputs)
        uses = self._uses(model.in_)
        cpu = self._draft_variant(model, framework, signature)
        return DraftNode(self.name, model, self.at, uses, outputs, signature=signature, local=path, cpu=cpu)

    def _read_signature(self, framework: str, location: str) -> Signature | ArtefactFault:
        fault = check_place(self.folder, location)
        return fault or self.signatures.read(self.folder / location, framework, location)

    def _lacks_origin(self, model: Model, origin: Origin) -> bool:
        """Report what the image lacks that a pickled model needs; say whether it cannot be loaded at all."""
        if not judges_image(self.spec.fields):
            return False
        faults = list(find_origin_faults(model.model, origin, self.requirements.bring))
        for fault in faults:
            self._report_fault(fault, "model")
        return any(fault.rule is MISSING_CLASS for fault in faults)

    def _may_have_gpu(self, model: Model) -> bool:
        """Say whether anything gives a model's container a GPU, its neighbours there included."""
        units = {model.unit, self.spec.fields.placement.units.get(self.name)} - {None}
        near = [node for node in self.spec.nodes.values() if node.unit in units]
        asked = [each.resources for each in (model, *near)] + [self.spec.fields.resources]
        return any(each is not None and each.gpu is not None for each in asked)

    def _draft_variant(self, model: Model, framework: str, signature: Signature | None) -> CpuModel | None:
        """Return what stands for a model where there is no GPU, which has to be the same to all others."""
        name = model.cpu_model
        if name is None:
            return None
        if framework != "onnx":
            message = f"`{self.name}` is no ONNX model, and always runs on processors"
            self._report(USELESS_VARIANT, message, "cpu_model", hint="leave `cpu_model` out")
            return None
        if not _comes_alike(model.model, name):
            message = f"`{self.name}` has its `model` and its `cpu_model` where no one way brings both"
            hint = "have both beside the graph, both in stores, or both in one folder of a claim"
            self._report(VARIANT_ELSEWHERE, message, "cpu_model", hint=hint)
            return None
        if is_uri(name):
            fault = check_location(name)
            if fault is not None:
                self._report_fault(fault, "cpu_model")
            return CpuModel(name, None)
        path = self.folder / name
        found = self._read_signature(framework, name)
        if isinstance(found, Signature) and found.only_gpu:
            found = _refuse_on_processors(name, found)
        if isinstance(found, ArtefactFault):
            self._report_fault(found, "cpu_model")
            return None
        if signature is not None:
            for message in find_differences(signature, found):
                self._report(VARIANT_DIFFERS, f"`{name}` {message}", "cpu_model")
        return CpuModel(name, path, found.files)

    def _draft_remote(self, model: Model, framework: str) -> DraftNode:
        fault = check_location(model.model)
        if fault is not None:
            self._report_fault(fault, "model")
        if not model.out:
            message = f"`{self.name}` is fetched on the cluster, so its outputs are not known here"
            hint = 'declare them, as in `out: {probabilities: "FP32[batch, 3]"}`'
            self._report(UNDECLARED_REMOTE, message, "model", hint=hint)
        elif framework not in PORTS and any(port == "" or port.isdecimal() for port in model.in_):
            message = (
                f"`{self.name}` is fetched on the cluster, so the names of its inputs are not known here"
            )
            self._report(UNDECLARED_REMOTE, message, "in", hint="name them, as in `in: {X: x}`")
        outputs, cpu = tuple(model.out) or None, self._draft_variant(model, framework, None)
        return DraftNode(self.name, model, self.at, self._uses(model.in_), outputs, cpu=cpu)

    # The others

    def _draft_component(self, component: Component) -> DraftNode:
        entry = CATALOG.get(component.component)
        if entry is None:
            close = _OTHER_WORDS.get(component.component) or nearest(component.component, CATALOG)
            hint = (
                f"did you mean `{close}`?" if close else "there are " + ", ".join(f"`{c}`" for c in CATALOG)
            )
            message = f"`{self.name}` asks for `{component.component}`, which the catalog does not have"
            self._report(UNKNOWN_COMPONENT, message, "component", hint=hint)
            return DraftNode(self.name, component, self.at, self._uses(component.in_), None)
        # Of nothing nobody knows what comes, and that it reads nothing is reported.
        outputs = entry.output_names(list(component.in_)) if component.in_ else None
        uses = self._uses(component.in_)
        return DraftNode(self.name, component, self.at, uses, outputs, component=entry)

    def _draft_python(self, python: Python) -> DraftNode:
        uses, outputs = self._uses(python.in_), tuple(python.out)
        if python.seldon is not None:
            # The class itself has no names for what it is given.
            uses = tuple(replace(use, port=use.port or _DATA) for use in uses)
        if python.image is not None:
            return DraftNode(self.name, python, self.at, uses, outputs)
        module, _, function = python.python.partition(":")
        # Most graphs have no Python of their own.
        from graphc.artefacts.python_imports import find_module

        file = find_module(self.folder, module) or f"{module.replace('.', '/')}.py"
        path = self.folder / file
        entry = check_place(self.folder, file) or read_entry(path, function, called=file)
        if isinstance(entry, ArtefactFault):
            self._report_fault(entry, "python")
            return DraftNode(self.name, python, self.at, uses, outputs)
        files = tuple(dict.fromkeys([*self._modules(file), *self._data(python)]))
        made = read_class(path, function, called=file) if entry.is_class else None
        if python.seldon is not None:
            return DraftNode(
                self.name, python, self.at, uses, outputs, local=path, files=files, entry=entry, made=made
            )
        for parameter in entry.positional_only:
            message = f"`{function}` takes `{parameter}` by position only, and nodes feed by name"
            self._report(UNKNOWN_INPUT, message, "python", hint="leave out the `/` among its parameters")
        told = None if entry.takes_any or entry.positional_only else entry.parameters
        arguments = None if told is None else tuple(parameter.name for parameter in told)
        required = tuple(parameter.name for parameter in told or () if parameter.required)
        return DraftNode(
            self.name,
            python,
            self.at,
            uses,
            outputs,
            local=path,
            files=files,
            entry=entry,
            made=made,
            arguments=arguments,
            required=required,
        )

    def _modules(self, file: str) -> Sequence[str]:
        """Return the modules of the graph's folder that a module needs, itself first."""
        from graphc.artefacts.python_imports import read_imports

        found = read_imports(self.folder, file)
        for each in found.faults:
            fault, at = each.fault, self._place(each.file, each.where)
            self.sink.report(Diagnostic(fault.rule, f"`{self.name}`: {fault.message}", at, fault.help))
        if not self._has_own_image():
            for each in found.foreign:
                self._check_package(each.name.partition(".")[0], each)
        return found.files

    def _has_own_image(self) -> bool:
        """Say whether the file names another image than graphc's, of which nobody knows what it has."""
        runtime = self.spec.fields.runtime
        is_ours = runtime.image.rpartition("/")[2] == "graphc-runtime"
        return not is_ours or runtime.tag is not None or runtime.digest is not None

    def _check_package(self, module: str, found: "Import") -> None:
        if found.optional or read_image().has_module(module) or self.requirements.bring(module):
            return
        message = (
            f"`{found.file}` imports `{module}`, which neither the runtime image nor `requirements:` has"
        )
        hint = f"write `requirements: [{suggest_package(module)}]`, and make the image with `graphc image`"
        if module == _SELDON:
            hint = "make an image of Python 3.12 with `graphc-runtimes[seldon]`, and name it in `runtime:`"
        # Several nodes may be of one module: the message is the same for all.
        self.sink.report(Diagnostic(MISSING_PACKAGE, message, self._place(found.file, found.where), hint))

    def _place(self, file: str, where: "Where") -> Span:
        return Span(str(self.folder / file), where.line, where.column, where.end_line, where.end_column)

    def _data(self, python: Python) -> Iterator[str]:
        """Yield the files that the node names, reporting patterns without any."""
        for index, pattern in enumerate(python.files):
            from graphc.artefacts.data_files import find_files

            found = find_files(self.folder, pattern)
            if isinstance(found, ArtefactFault):
                self._report_fault(found, "files", index)
            else:
                yield from found

    def _draft_router(self, router: Router) -> DraftNode:
        uses = [DraftUse("in", router.in_, self.spec.at("nodes", self.name, "in"))] if router.in_ else []
        for index, branch in enumerate(router.branches):
            uses += self._takes(index, branch.take, "branches")
        return DraftNode(
            self.name,
            router,
            self.at,
            tuple(uses),
            self._branch_outputs([b.take for b in router.branches], "branches"),
        )

    def _draft_cascade(self, cascade: Cascade) -> DraftNode:
        uses: list[DraftUse] = []
        for index, step in enumerate(cascade.cascade):
            uses += self._takes(index, step.take, "cascade")
            if step.confidence is not None:
                at = self.spec.at("nodes", self.name, "cascade", index, "confidence")
                uses.append(DraftUse(f"{index}:confidence", step.confidence, at))
        self._check_steps(cascade)
        outputs = self._branch_outputs([step.take for step in cascade.cascade], "cascade")
        return DraftNode(self.name, cascade, self.at, tuple(uses), outputs)

    def _takes(self, index: int, take: Mapping[str, str], field: str) -> list[DraftUse]:
        at = self.spec.at
        return [
            DraftUse(
                f"{index}:take:{port or 'output'}",
                reference,
                at("nodes", self.name, field, index, "take", *([port] if port else [])),
            )
            for port, reference in take.items()
        ]

    def _branch_outputs(self, takes: list[dict[str, str]], field: str) -> tuple[str, ...] | None:
        """Return what all branches answer with; None where they do not agree, which most of them are right about."""
        every = [frozenset(port or "output" for port in take) for take in takes]
        known = [names for names, take in zip(every, takes, strict=True) if self._is_known(take)] or every
        most = max(known, key=known.count)
        for index, names in enumerate(every):
            if names != most and self._is_known(takes[index]):
                others = "the first" if most == every[0] else "others"
                message = (
                    f"a branch of `{self.name}` answers with {_listed(names)}, {others} with {_listed(most)}"
                )
                self._report(BRANCHES_DISAGREE, message, field, index, "take")
        return tuple(port or "output" for port in takes[0]) if len({*every}) == 1 else None

    def _is_known(self, take: Mapping[str, str]) -> bool:
        """Say whether a branch reads anything that there is; else that is its fault."""
        owners = {reference.partition(".")[0] for reference in take.values()}
        return not owners or not owners.isdisjoint(
            {*self.spec.fields.inputs, *self.spec.nodes, *self.spec.broken}
        )

    def _check_steps(self, cascade: Cascade) -> None:
        last = len(cascade.cascade) - 1
        for index, step in enumerate(cascade.cascade):
            if index < last and step.until is None:
                message = f"a step of `{self.name}` has no `until`, so those after it never run"
                self._report(BAD_BRANCH, message, "cascade", index)
            idle = [field for field in ("until", "confidence") if getattr(step, field) is not None]
            if index == last and idle:
                listed = " and ".join(f"`{field}`" for field in idle)
                message = f"the last step of `{self.name}` has {listed}, and nothing comes after it"
                hint = "leave them out" if len(idle) > 1 else "leave it out"
                self._report(BAD_BRANCH, message, "cascade", index, idle[0], hint=hint)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"
