"""Checks nodes of users' classes, above all of those written for Seldon's language wrapper.

What a class can be called with is told by its text, and where that does not tell it, it may be right.
"""

import inspect
from collections.abc import Mapping
from typing import Final

from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.python_classes import METHODS, RAW, Called, PythonClass, find_methods, is_called_so
from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.classes import (
    CALLED_OTHERWISE,
    CLASS_PARAMETER,
    CLASS_TENSORS,
    NO_METHOD,
    NOT_CALLABLE,
)
from graphc.diagnostics.codes.flow import FAN_IN, WRONG_DATATYPE, WRONG_SHAPE
from graphc.diagnostics.suggest import nearest
from graphc.frontend.draft import Draft, DraftNode
from graphc.frontend.infer import Inferred
from graphc.spec.fields import Python, SeldonClass

_SINGLE: Final = {"strData": "one text", "binData": "one run of bytes", "jsonData": "one text of JSON"}
"""What a class gets that takes no array."""
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_NEEDED: Final = (*_BY_NAME, inspect.Parameter.POSITIONAL_ONLY)


def check_classes(draft: Draft, inferred: Inferred, sink: Sink) -> None:
    """Report classes that lack what their node asks of them, and tensors that they do not take or give."""
    for node in draft.nodes.values():
        if isinstance(node.spec, Python):
            checking = _Checking(draft, inferred, sink, node, node.spec)
            if node.spec.seldon is not None:
                checking.check(node.spec.seldon)
            elif node.made is not None:
                checking.check_callable(node.made)


class _Checking:
    """The check of one node."""

    def __init__(self, draft: Draft, inferred: Inferred, sink: Sink, node: DraftNode, spec: Python) -> None:
        self.draft, self.inferred, self.sink, self.name = draft, inferred, sink, node.name
        self.node, self.spec = node, spec
        self.entry = spec.python.partition(":")[2]

    def _report(
        self, rule: Rule, message: str, *path: str | int, hint: str | None = None, key: bool = False
    ) -> None:
        at = self.draft.spec.at("nodes", self.name, *path, key=key)
        self.sink.report(Diagnostic(rule, message, at, hint))

    # The class

    def check_callable(self, made: PythonClass) -> None:
        """Report a class for Seldon's wrapper of a node that does not say so: it cannot be called as a function is."""
        if not made.is_whole or "__call__" in made.methods:
            return
        if asked := find_methods(made):
            message = f"`{self.name}`: `{self.entry}` is a class without `__call__`, and not one of MLServer's models"
            hint = f"if it was written for Seldon's wrapper, add `seldon: {asked[0]}`"
            self._report(NOT_CALLABLE, message, "python", hint=hint)

    def check(self, asked: SeldonClass) -> None:
        """Report all that is wrong with a class for Seldon's wrapper and its tensors."""
        entry, made = self.node.entry, self.node.made
        if entry is not None and not entry.is_class and entry.parameters is not None:
            message = f"`{self.name}`: `{self.entry}` is a function, and `seldon` asks the methods of a class"
            self._report(NO_METHOD, message, "python", hint="leave `seldon` out")
        if made is not None:
            self._check_method(asked.method, made)
            self._check_parameters([each.name for each in asked.parameters], made.makes)
        self._check_tensors(asked)

    def _check_method(self, method: str, made: PythonClass) -> None:
        if made.methods.keys().isdisjoint({method, method + RAW}):
            if made.is_whole:
                self._report_missing(method, made.methods)
            return
        for name, what in ((method + RAW, "a message"), (method, "the data and its names")):
            signature = made.methods.get(name)
            if signature is not None and not is_called_so(signature, name):
                message = f"`{name}` of `{self.entry}` takes `{signature}`, and is called with {what}"
                hint = "as in `def predict(self, X, names, meta=None)`" if name == "predict" else None
                self._report(CALLED_OTHERWISE, f"`{self.name}`: {message}", "python", hint=hint)

    def _report_missing(self, method: str, methods: Mapping[str, Called]) -> None:
        has = [each for each in METHODS if not methods.keys().isdisjoint({each, each + RAW})]
        close = nearest(method, [each for each in methods if not each.startswith("_")])
        hint = f"it has `{has[0]}`: write `seldon: {has[0]}`" if has else close and f"it has `{close}`"
        message = f"`{self.name}`: `{self.entry}` has neither `{method}` nor `{method}{RAW}`"
        self._report(NO_METHOD, message, "seldon", "method", hint=hint)

    def _check_parameters(self, names: list[str], makes: Called) -> None:
        if makes is None:
            return
        taken = makes.parameters.values()
        is_open = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken)
        known = [each.name for each in taken if each.kind in _BY_NAME]
        for index, name in enumerate(names):
            if not is_open and name not in known:
                close = nearest(name, known)
                listed = ", ".join(f"`{each}`" for each in known) or "nothing"
                hint = f"did you mean `{close}`?" if close else f"it takes {listed}"
                message = f"`{self.name}`: `{self.entry}` takes no `{name}`"
                self._report(CLASS_PARAMETER, message, "seldon", "parameters", index, "name", hint=hint)
        for each in taken:
            if each.default is inspect.Parameter.empty and each.name not in names and each.kind in _NEEDED:
                message = f"`{self.name}`: `{self.entry}` cannot be made without `{each.name}`"
                hint = f"give it, as in `parameters: [{{name: {each.name}, value: ..., type: STRING}}]`"
                self._report(CLASS_PARAMETER, message, "seldon", hint=hint)

    # Its tensors

    def _check_tensors(self, asked: SeldonClass) -> None:
        count, method = len(self.node.uses), asked.method
        if count > 1 and method != "aggregate":
            message = f"`{self.name}` is fed {count} tensors, and `{method}` takes one"
            self._report(FAN_IN, message, "in", hint="join them with a combiner such as `concat`", key=True)
        if method == "route":
            self._check_branch()
        if asked.payload in _SINGLE:
            self._check_single(asked.payload)

    def _check_branch(self) -> None:
        """Report outputs that are not the one whole number that `route` gives."""
        types = [parse_tensor_type(text) for text in self.spec.out.values()]
        if len(types) == 1 and types[0].datatype.strip("U").startswith("INT") and set(types[0].shape) == {1}:
            return
        listed = " and ".join(f"`{type_}`" for type_ in types)
        hint = 'write `out: {branch: "INT32[1]"}`, and let a `router: equals` read it'
        message = f"`{self.name}` gives {listed}, and `route` gives one whole number"
        self._report(CLASS_TENSORS, message, "out", hint=hint)

    def _check_single(self, payload: str) -> None:
        for use in self.inferred.uses[self.name]:
            type_ = self.inferred.types.get(use.tensor)
            rule = None if type_ is None else _judge(type_)
            if rule is not None:
                taken = (
                    f"takes {_SINGLE[payload]} as `{payload}` and is fed `{use.tensor}`, which is `{type_}`"
                )
                self.sink.report(Diagnostic(rule, f"`{self.name}` {taken}", use.at))


def _judge(type_: TensorType) -> Rule | None:
    """Return the rule that a type breaks which has to be one element of BYTES."""
    if type_.datatype != "BYTES":
        return WRONG_DATATYPE
    # How many a dimension without a number has, requests say.
    return WRONG_SHAPE if any(isinstance(dim, int) and dim != 1 for dim in type_.shape) else None
