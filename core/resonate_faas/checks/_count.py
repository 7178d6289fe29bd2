"""RF405: how many promises one root makes at least, as far as its loops have constant bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from resonate_faas.checks._bounds import Bounds, blocks
from resonate_faas.checks._findings import Finding, finding
from resonate_faas.checks._messages import in_workflow
from resonate_faas.checks._program import DURABLE, Program
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function

_CHILDREN: Final = frozenset({f"{CONTEXT}.run", f"{CONTEXT}.rpc", f"{CONTEXT}.map"})
_DEPTH_MAX: Final = 40
"""Longer chains of calls than this count as if they ended there."""
_COMPREHENSIONS: Final = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)


class Count:
    """A lower estimate: constant ranges multiplied, of branches the longer one, unknown loops once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._bounds = Bounds(program)
        self._known: dict[Function, int] = {}
        self._depth = 0
        self._callees: dict[Function, set[Function]] = {}

    def check(self, promises_max: int) -> Iterator[Finding]:
        """Yield the functions that make more than the limit by themselves; their callers only pass it on."""
        for function in self._program.workflow_code:
            total = self.of(function)
            if total <= promises_max or any(self.of(one) > promises_max for one in self._callees[function]):
                continue
            text = (
                f"about {total:,} promises {in_workflow(self._program, function)}, with a limit of {promises_max:,} for one root:"
                " split the work into parts that ctx.detached starts, each a root of its own"
            )
            yield finding("RF405", function, self._largest(function, promises_max), text)

    def _largest(self, function: Function, promises_max: int) -> ast.AST:
        """Return the first statement that is over the limit by itself, else the function's first line."""
        for statement in function.body:
            if self._statement(statement, function) > promises_max:
                return statement
        return function.body[0]

    def of(self, function: Function) -> int:
        """Return the estimate of a function."""
        if function not in self._known:
            self._known[function] = 0  # a recursion counts once
            self._callees[function] = set()
            self._known[function] = self._body(function.body, function)
        return self._known[function]

    def _of_callee(self, callee: Function, function: Function) -> int:
        """Return the estimate of what a function calls; nothing if it takes no steps, or the chain is too long."""
        if not self._program.takes_steps(callee) or self._depth >= _DEPTH_MAX:
            return 0
        self._callees[function].add(callee)
        self._depth += 1
        total = self.of(callee)
        self._depth -= 1
        return total

    def _body(self, body: Iterable[ast.stmt], function: Function) -> int:
        return sum(self._statement(one, function) for one in body)

    def _statement(self, statement: ast.stmt, function: Function) -> int:
        inner = [self._body(block, function) for block in blocks(statement)]
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return 0
            case ast.For() | ast.AsyncFor():
                times = self._bounds.times(statement.iter, function)
                return (
                    self._expressions([statement.iter], function)
                    + inner[0] * (1 if times is None else times)
                    + inner[1]
                )
            case ast.While():
                return self._expressions([statement.test], function) + sum(inner)
            case ast.If() | ast.Match():
                head = statement.test if isinstance(statement, ast.If) else statement.subject
                return self._expressions([head], function) + max(inner, default=0)
            case ast.Try() | ast.With() | ast.AsyncWith():
                heads = (
                    [] if isinstance(statement, ast.Try) else [one.context_expr for one in statement.items]
                )
                return self._expressions(heads, function) + sum(inner)
        return self._expressions(
            [one for one in ast.iter_child_nodes(statement) if isinstance(one, ast.expr)], function
        )

    def _expressions(self, nodes: Iterable[ast.AST], function: Function) -> int:
        total = 0
        for node in nodes:
            times = 1
            if isinstance(node, _COMPREHENSIONS):
                for generator in node.generators:
                    times *= self._bounds.times(generator.iter, function) or 1
            if not isinstance(node, ast.Lambda):
                total += times * self._expressions(ast.iter_child_nodes(node), function)
            if isinstance(node, ast.Call):
                total += self._call(node, function)
        return total

    def _call(self, node: ast.Call, function: Function) -> int:
        ref = self._program.resolver.resolve(node.func, function)
        if isinstance(ref, Function):
            return self._of_callee(ref, function)
        path = self._program.resolver.path(node.func, function)
        if path not in DURABLE:
            return 0
        child = 0
        if path in _CHILDREN and node.args:
            for target in self._program.candidates(node.args[0], function):
                if isinstance(target, Function) and target in self._program.workflow_code:
                    child = max(child, self._of_callee(target, function))
        times = 1
        if path == f"{CONTEXT}.map" and len(node.args) > 1:
            times = self._bounds.times(node.args[1], function) or 1
        return times * (1 + child)
