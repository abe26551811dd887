"""Small wrong versions of a module: every comparison, boolean operator, condition, constant and choice changed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_CALLS = {"max": "min", "min": "max", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A changed module, and what was changed where."""

    tree: ast.Module
    said: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every module that differs from this one by one such change."""
    tree = ast.parse(source)
    for n, node in enumerate(ast.walk(tree)):
        for change in range(_changes(node)):
            changed = deepcopy(tree)
            target = next(one for k, one in enumerate(ast.walk(changed)) if k == n)
            said = _change(target, change)
            yield Mutant(ast.fix_missing_locations(changed), f"line {getattr(node, 'lineno', '?')}: {said}")


def _changes(node: ast.AST) -> int:
    match node:
        case ast.Compare():
            return len(_COMPARE[type(node.ops[0])])
        case ast.BoolOp() | ast.IfExp() | ast.If():
            return 1
        case ast.comprehension():
            return len(node.ifs)
        case ast.UnaryOp(op=ast.Not()):
            return 1
        case ast.Constant(value=bool()):
            return 1
        case ast.Constant(value=int()):
            return 2
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            return 1
        case ast.Attribute(value=ast.Name(id="Action")):
            return 1
    return 0


def _change(node: ast.AST, n: int) -> str:
    before = ast.unparse(node) if not isinstance(node, ast.If | ast.comprehension) else "condition"
    match node:
        case ast.Compare():
            node.ops[0] = _COMPARE[type(node.ops[0])][n]()
        case ast.BoolOp():
            node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        case ast.IfExp() | ast.If():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.comprehension():
            node.ifs[n] = ast.UnaryOp(ast.Not(), node.ifs[n])
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int(value)):
            node.value = value + (1, -1)[n]
        case ast.Call(func=ast.Name(id=name) as function):
            function.id = _CALLS[name]
        case ast.Attribute():
            node.attr = "label" if node.attr != "label" else "block"
    after = ast.unparse(node) if not isinstance(node, ast.If | ast.comprehension) else "not condition"
    return f"{before} → {after}"
