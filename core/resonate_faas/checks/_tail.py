"""Tail calls: ``ctx.detached`` of oneself, and what still happens after it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from resonate_faas.checks._bounds import blocks
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function


@dataclass(slots=True)
class Flow:
    """What may be true where a block ends.

    Attributes:
        open_calls: tail calls made on some path that goes on.
        is_ended: no path goes on.
    """

    open_calls: list[ast.Call] = field(default_factory=list)
    is_ended: bool = False


class Tail:
    """Finds tail calls, and the durable steps after them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._next: dict[Function, set[Function]] = {}
        for function in program.workflow_code:
            found = self._next.setdefault(function, set())
            for call, targets in program.starts_of(function):
                if self.is_detached(call, function):
                    found |= {one for one in targets if isinstance(one, Function)}

    def is_detached(self, node: ast.AST, function: Function) -> bool:
        """True for a call of ``ctx.detached``."""
        return (
            isinstance(node, ast.Call)
            and self._program.resolver.path(node.func, function) == f"{CONTEXT}.detached"
        )

    def is_tail_call(self, call: ast.Call, function: Function) -> bool:
        """True if the detached function is the caller, or comes back to it by further tail calls."""
        root = self._program.workflow_code[function].root
        for target in self._program.candidates(call.args[0], function) if call.args else ():
            if isinstance(target, Function) and root in self._reached(target):
                return True
        return False

    def _reached(self, function: Function) -> set[Function]:
        seen, waiting = {function}, [function]
        while waiting:
            for one in self._next.get(waiting.pop(), ()):
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
        return seen

    def early(self, function: Function) -> Iterator[tuple[ast.Call, ast.Call]]:
        """Yield tail calls of a function with the durable step that may come after them."""
        found: dict[ast.Call, ast.Call] = {}
        self._block(function.body, function, Flow(), found)
        yield from found.items()

    def _block(
        self, body: list[ast.stmt], function: Function, before: Flow, found: dict[ast.Call, ast.Call]
    ) -> Flow:
        flow = Flow([*before.open_calls])
        for statement in body:
            if flow.is_ended:
                break
            flow = self._statement(statement, function, flow, found)
        return flow

    def _statement(
        self, statement: ast.stmt, function: Function, flow: Flow, found: dict[ast.Call, ast.Call]
    ) -> Flow:
        inner = [block for block in blocks(statement) if block]
        heads = [statement] if not inner else _heads(statement)
        for call in self._program.steps(heads, function):
            if self.is_detached(call, function) and self.is_tail_call(call, function):
                flow.open_calls.append(call)
                continue
            for one in flow.open_calls:
                found.setdefault(one, call)
        if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
            # A break goes on after its loop; a tail call in a loop that goes on is RF403's.
            return Flow(flow.open_calls, is_ended=True)
        if not inner:
            return flow
        return self._joined(statement, inner, function, flow, found)

    def _joined(
        self,
        statement: ast.stmt,
        inner: list[list[ast.stmt]],
        function: Function,
        flow: Flow,
        found: dict[ast.Call, ast.Call],
    ) -> Flow:
        if isinstance(statement, ast.Try | ast.With | ast.AsyncWith):
            main = self._block(inner[0], function, flow, found)
            rest = [self._block(block, function, flow, found) for block in inner[1:]]
            ends = [main, *rest]
        else:
            ends = [self._block(block, function, flow, found) for block in inner]
            if not (isinstance(statement, ast.If) and statement.orelse):
                ends.append(flow)
        going = [one for one in ends if not one.is_ended]
        calls = {id(call): call for one in going for call in one.open_calls}
        return Flow([*calls.values()], is_ended=not going)

    def leaves(self, loop: ast.AST, call: ast.Call, function: Function) -> bool:
        """True if the loop is left right after a detached call in it: the call is its tail."""
        for inner, outer in function.module.around(call):
            if inner is loop:
                return False
            for block in _blocks_of(outer):
                if inner in block:
                    rest = block[block.index(inner) + 1 :]
                    if isinstance(inner, ast.Return) or any(_leaves_now(one) for one in rest):
                        return True
            if isinstance(outer, ast.Return):
                return True
        return False


def _blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.stmt):
        yield from blocks(node)
    elif isinstance(node, ast.ExceptHandler | ast.match_case):
        yield node.body


def _leaves_now(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return | ast.Break | ast.Raise)


def _heads(statement: ast.stmt) -> list[ast.AST]:
    """Return the parts of a compound statement that are evaluated before its blocks."""
    match statement:
        case ast.If() | ast.While():
            return [statement.test]
        case ast.For() | ast.AsyncFor():
            return [statement.iter]
        case ast.With() | ast.AsyncWith():
            return [one.context_expr for one in statement.items]
        case ast.Match():
            return [statement.subject]
    return []


def loops_around(call: ast.AST, function: Function) -> Iterator[ast.AST]:
    """Yield the loops and comprehensions that a call stands in, the innermost first."""
    for inner, outer in function.module.around(call):
        match outer:
            case ast.For() | ast.AsyncFor() | ast.While() if inner in outer.body:
                yield outer
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp() if (
                inner is not outer.generators[0]
            ):
                yield outer
