"""RF109: the order of a set decides which steps are taken, or what they are given."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from resonate_faas.checks._findings import Finding, finding
from resonate_faas.checks._messages import in_workflow
from resonate_faas.checks._program import STARTS, Program
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function, Value

_SETS: Final = frozenset({"set()", "frozenset()"})
_OF_SETS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_KEEPS_ORDER: Final = frozenset(
    {"list", "tuple", "enumerate", "iter", "map", "filter", "reversed", "zip", "itertools.chain"}
)
_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
_DEPTH_MAX: Final = 8
_CURE: Final = "strings hash differently in each process, so a replay sees another order: use sorted(...)"


class Order:
    """Finds sets whose order reaches a durable call."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def check(self, function: Function) -> Iterator[Finding]:
        """Yield the places in a function of workflow code."""
        where = in_workflow(self._program, function)
        for node, iterated in self._iterations(function):
            if self.is_unordered(iterated, function):
                yield finding(
                    "RF109", function, node, f"a set is gone through {where} to take steps: {_CURE}"
                )
        for node in function.calls():
            path = self._program.resolver.path(node.func, function)
            is_mapped = path == f"{CONTEXT}.map" and any(
                self.is_unordered(one, function) for one in node.args[1:2]
            )
            if path in STARTS and (is_mapped or any(self._is_listed(one, function) for one in node.args[1:])):
                yield finding(
                    "RF109",
                    function,
                    node,
                    f"a step {where} is given the items of a set in its order: {_CURE}",
                )
            elif self._takes_any(node, path, function):
                yield finding(
                    "RF109", function, node, f"an arbitrary item of a set is taken {where}: {_CURE}"
                )

    def _iterations(self, function: Function) -> Iterator[tuple[ast.AST, ast.expr]]:
        for node in function.nodes:
            if isinstance(node, ast.For) and self._decides(node.body, function):
                yield node.iter, node.iter
            elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and self._decides(
                [node], function
            ):
                yield node, node.generators[0].iter
            elif isinstance(node, ast.Starred) and isinstance(node.ctx, ast.Load):
                call = function.module.parents.get(node)
                is_plain = not isinstance(node.value, ast.ListComp | ast.GeneratorExp)
                if is_plain and isinstance(call, ast.Call) and self._program.has_steps([call], function):
                    yield node, node.value

    def _decides(self, body: Sequence[ast.AST], function: Function) -> bool:
        draws = (f"{CONTEXT}.random", f"{CONTEXT}.uuid4")
        return self._program.has_steps(body, function) or any(
            isinstance(one, ast.Call) and self._program.resolver.path(one.func, function).startswith(draws)
            for statement in body
            for one in ast.walk(statement)
        )

    def _is_listed(self, node: ast.expr, function: Function) -> bool:
        """True for a list made of a set; a set itself is one value, whatever its order."""
        path = self._program.resolver.path(node, function)
        return path not in _SETS and self.is_unordered(node, function)

    def _takes_any(self, node: ast.Call, path: str, function: Function) -> bool:
        if path in {"set().pop", "frozenset().pop"}:
            return True
        return path == "next" and bool(node.args) and self.is_unordered(node.args[0], function)

    def is_unordered(self, node: ast.expr, function: Function, depth: int = 0) -> bool:
        """True if going through the value follows the order of a set."""
        if depth > _DEPTH_MAX:
            return False
        resolver = self._program.resolver
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.BinOp() if isinstance(node.op, _SET_OPERATORS):
                return self.is_unordered(node.left, function, depth + 1) or self.is_unordered(
                    node.right, function, depth + 1
                )
            case ast.Call(func=ast.Attribute(attr=name, value=base)) if name in _OF_SETS:
                return self.is_unordered(base, function, depth + 1)
            case ast.Call():
                path = resolver.path(node.func, function)
                passed = node.args[1:] if path in {"map", "filter"} else node.args
                if path in _KEEPS_ORDER:
                    return any(self.is_unordered(one, function, depth + 1) for one in passed)
            case ast.ListComp() | ast.GeneratorExp():
                return self.is_unordered(node.generators[0].iter, function, depth + 1)
            case ast.Name():
                return self._is_unordered_name(node.id, function, depth)
        return resolver.path(node, function) in _SETS

    def _is_unordered_name(self, name: str, function: Function, depth: int) -> bool:
        holder = self._program.resolver.holder(name, function)
        if holder is None:
            return False
        if self._program.resolver.path(ast.Name(name, ast.Load()), function) in _SETS:
            return True
        is_sorted = any(
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "sort"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == name
            for call in function.calls()
        )
        values = [one.node for one in holder.bindings[name] if isinstance(one, Value)]
        return not is_sorted and any(self.is_unordered(one, function, depth + 1) for one in values[-1:])
