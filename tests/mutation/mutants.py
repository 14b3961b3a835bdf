"""Small faults of a module: each mutant is its source with one operator, number, condition or statement changed."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """A module with one fault: where it is, what changed, and the function or the constant that holds it."""

    line: int
    change: str
    owner: str
    tree: ast.Module
    statement: ast.stmt
    """The function, or the assignment, of the changed tree."""


def find_mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module's functions, methods and constants.

    Defaults of arguments and fields, decorators and annotations stay as they are, and so do constants that are read
    while the module is imported: a change of these would come too late.
    """
    tree = ast.parse(source)
    read = {name for each in tree.body for name in _names_read(each)}
    for path, owner, statement in _owners(tree.body, (), ""):
        if owner in read:
            continue
        for index in range(len(_places(statement))):
            yield from _change(tree, path, owner, index)


def _names_read(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement reads when it runs, not those of the functions in it."""
    if isinstance(node, Function | ast.Lambda):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    for each in ast.iter_child_nodes(node):
        yield from _names_read(each)


def _owners(
    body: list[ast.stmt], path: tuple[int, ...], prefix: str
) -> Iterator[tuple[tuple[int, ...], str, ast.stmt]]:
    for index, each in enumerate(body):
        here = (*path, index)
        if isinstance(each, Function):
            yield here, prefix + each.name, each
        elif isinstance(each, ast.ClassDef):
            found = _owners(each.body, here, f"{prefix}{each.name}.")
            yield from (owned for owned in found if isinstance(owned[2], Function))
        elif isinstance(each, ast.Assign | ast.AnnAssign) and not prefix and each.value:
            (target,) = each.targets if isinstance(each, ast.Assign) else [each.target]
            if isinstance(target, ast.Name):
                yield here, target.id, each


def _places(statement: ast.stmt) -> list[ast.AST]:
    """Return the nodes that hold a fault, in an order that is the same in a copy of the tree."""
    if isinstance(statement, Function):
        return [node for each in statement.body for node in _walk(each)]
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    return list(_walk(value)) if value else []


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, child in ast.iter_fields(node):
        if name not in {"annotation", "returns", "format_spec", "decorator_list"}:
            for each in child if isinstance(child, list) else [child]:  # pyright: ignore[reportUnknownVariableType]
                if isinstance(each, ast.AST):
                    yield from _walk(each)


def _change(tree: ast.Module, path: tuple[int, ...], owner: str, index: int) -> Iterator[Mutant]:
    original = _places(_at(tree, path))[index]
    for kind in range(_count_changes(original)):
        changed = deepcopy(tree)
        statement = _at(changed, path)
        node = _places(statement)[index]
        before = ast.unparse(node)
        after = _apply(node, kind)
        line: int = getattr(node, "lineno", statement.lineno)
        yield Mutant(line, f"{before} -> {after}", owner, ast.fix_missing_locations(changed), statement)


def _at(tree: ast.Module, path: tuple[int, ...]) -> ast.stmt:
    body = tree.body
    for index in path[:-1]:
        inner = body[index]
        assert isinstance(inner, ast.ClassDef)
        body = inner.body
    return body[path[-1]]


def _count_changes(node: ast.AST) -> int:
    match node:
        case ast.Compare():
            return len(node.ops)
        case ast.BinOp():
            return type(node.op) in OPERATORS
        case ast.Constant():
            return isinstance(node.value, int | float)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CALLS:
            return 1
        case ast.If() | ast.While() | ast.IfExp():
            return not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)
        case ast.Expr(value=ast.Constant()):
            return 0
        case ast.BoolOp() | ast.UnaryOp() | ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Break():
            return 1
        case ast.Continue():
            return 1
        case _:
            return 0


def _apply(node: ast.AST, kind: int) -> str:
    """Change a node in its place, and say what it is now."""
    match node:
        case ast.Compare():
            node.ops[kind] = COMPARISONS[type(node.ops[kind])]()
        case ast.BinOp():
            node.op = OPERATORS[type(node.op)]()
        case ast.Constant():
            node.value = _other_number(node.value)
        case ast.Call(func=ast.Name() as name):
            name.id = CALLS[name.id]
        case ast.Call(func=ast.Attribute() as name):
            name.attr = CALLS[name.attr]
        case ast.If() | ast.While() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            return _become(node, node.operand)
        case ast.Break():
            return _become(node, ast.Continue())
        case ast.Continue():
            return _become(node, ast.Break())
        case _:
            return _become(node, ast.Pass())
    return ast.unparse(node)


def _other_number(value: object) -> bool | int | float:
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int | float)
    return value + 1 if isinstance(value, int) else value * 2 or 1.0


def _become(node: ast.AST, other: ast.AST) -> str:
    """Make a node another one, class included, so that nothing above it has to know."""
    text = ast.unparse(other)
    fields = dict(vars(other))
    node.__class__ = other.__class__
    vars(node).update(fields)
    return text
