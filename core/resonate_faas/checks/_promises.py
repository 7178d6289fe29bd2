"""RF4xx: the number of promises of one root is bounded, for a replay walks all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks._bounds import ENDLESS, Bounds, is_endless_test
from resonate_faas.checks._count import Count
from resonate_faas.checks._findings import Finding, Rule, finding
from resonate_faas.checks._messages import in_workflow
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function
from resonate_faas.checks._tail import Tail, loops_around

_GROWS: Final = "each replay walks the whole history, until it takes longer than the lease"
RULES: Final = (
    Rule("RF401", "endless loop of durable steps", _GROWS, "one iteration, then ctx.detached of itself"),
    Rule("RF402", "loop of durable steps without a bound", _GROWS, "a bound, then ctx.detached of itself"),
    Rule(
        "RF403",
        "ctx.detached in a loop",
        "the parent's history grows all the same",
        "the function starts its own successor",
    ),
    Rule(
        "RF404",
        "tail call that is not the last durable step",
        "the old execution goes on beside the new one",
        "ctx.detached last",
    ),
    Rule(
        "RF405",
        "more promises than one root may have",
        "the call past the limit is an error",
        "parts, each a root of its own",
    ),
)
_CURE: Final = "do one iteration (or a bounded number of them), then await ctx.detached({name}, ...) as the last durable step"


def check(program: Program, promises_max: int) -> Iterator[Finding]:
    """Yield what lets the history of one root grow.

    Args:
        program: the checked files.
        promises_max: records of one root, at most.
    """
    rules = _Promises(program)
    for function in program.workflow_code:
        yield from rules.loops(function)
        yield from rules.recursion(function)
        yield from rules.detached(function)
        yield from rules.tails(function)
    yield from Count(program).check(promises_max)


class _Promises:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._bounds = Bounds(program)
        self._tail = Tail(program)

    def _cure(self, function: Function) -> str:
        return _CURE.format(name=self._program.workflow_code[function].root.name)

    def loops(self, function: Function) -> Iterator[Finding]:
        """Yield loops without an end, or whose end their steps decide."""
        where = in_workflow(self._program, function)
        for node in function.nodes:
            if not isinstance(node, ast.While | ast.For | ast.AsyncFor) or not self._accumulates(
                node, function
            ):
                continue
            if self._is_endless(node, function):
                text = f"an endless loop {where} takes durable steps, and all of them stay in one history: {self._cure(function)}"
                yield finding("RF401", function, node, text)
            elif not self._is_bounded(node, function):
                text = f"a loop {where} takes durable steps until something else ends it, so its history has no bound: {self._cure(function)}"
                yield finding("RF402", function, node, text)

    def _accumulates(self, node: ast.While | ast.For | ast.AsyncFor, function: Function) -> bool:
        parts: list[ast.AST] = [*node.body]
        if isinstance(node, ast.While):
            parts.append(node.test)
        steps = list(self._program.steps(parts, function))
        has_tail = any(
            self._tail.is_detached(one, function) and self._tail.leaves(node, one, function) for one in steps
        )
        inner_only = all(self._tail.is_detached(one, function) for one in steps)
        return bool(steps) and not has_tail and not inner_only and not self._leaves_at_once(node)

    @staticmethod
    def _leaves_at_once(node: ast.While | ast.For | ast.AsyncFor) -> bool:
        """True if the body always ends in break or return: it is no loop."""
        return isinstance(node.body[-1], ast.Break | ast.Return | ast.Raise) and not any(
            isinstance(one, ast.Continue) for one in ast.walk(node)
        )

    def _is_endless(self, node: ast.While | ast.For | ast.AsyncFor, function: Function) -> bool:
        if self._bounds.exits(node):
            return False
        return (
            is_endless_test(node.test)
            if isinstance(node, ast.While)
            else self._is_endless_iterable(node.iter, function)
        )

    def _is_endless_iterable(self, node: ast.expr, function: Function) -> bool:
        path = self._program.resolver.path(node, function).removesuffix("()")
        if path == "enumerate" and isinstance(node, ast.Call) and node.args:
            return self._is_endless_iterable(node.args[0], function)
        if not isinstance(node, ast.Call):
            return path in ENDLESS
        is_open_repeat = path != "itertools.repeat" or (len(node.args) < 2 and not node.keywords)
        return (path in ENDLESS and is_open_repeat) or (path == "iter" and len(node.args) == 2)

    def _is_bounded(self, node: ast.While | ast.For | ast.AsyncFor, function: Function) -> bool:
        if isinstance(node, ast.While):
            return self._bounds.is_counted(node, function) or self._bounds.is_timed(node, function)
        if self._is_endless_iterable(node.iter, function):
            while_true = ast.While(ast.Constant(value=True), node.body, [])
            return self._bounds.is_counted(while_true, function) or self._compares_target(node)
        return True

    @staticmethod
    def _compares_target(node: ast.For | ast.AsyncFor) -> bool:
        """``for n in count(): if n > 5: break``."""
        names = {one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)}
        return any(
            isinstance(one, ast.If)
            and any(isinstance(inner, ast.Name) and inner.id in names for inner in ast.walk(one.test))
            and any(isinstance(inner, ast.Break | ast.Return | ast.Raise) for inner in one.body)
            for one in node.body
        )

    def recursion(self, function: Function) -> Iterator[Finding]:
        """Yield a workflow that always calls itself, in the same root."""
        for statement in function.body:
            if isinstance(statement, ast.If | ast.Match | ast.Try | ast.For | ast.While):
                return
            for call in self._program.steps([statement], function):
                path = self._program.resolver.path(call.func, function)
                targets = list(self._program.candidates(call.args[0], function)) if call.args else []
                if path in {f"{CONTEXT}.run", f"{CONTEXT}.rpc"} and targets == [function]:
                    where = in_workflow(self._program, function)
                    text = f"a call of itself {where}, always made, within the same root, never ends: {self._cure(function)}"
                    yield finding("RF401", function, call, text)

    def detached(self, function: Function) -> Iterator[Finding]:
        """Yield detached calls that a loop repeats."""
        where = in_workflow(self._program, function)
        for call in function.calls():
            if not self._tail.is_detached(call, function):
                continue
            around = [one for one in loops_around(call, function) if not self._is_short(one, function)]
            if around and not any(self._tail.leaves(one, call, function) for one in around):
                text = (
                    f"ctx.detached in a loop {where} adds a record to this root for each item: let each execution start its own"
                    " successor with ctx.detached as its last durable step, or start a bounded part and detach the rest"
                )
                yield finding("RF403", function, call, text)

    def _is_short(self, loop: ast.AST, function: Function) -> bool:
        if isinstance(loop, ast.For):
            return self._bounds.times(loop.iter, function) is not None
        if isinstance(loop, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
            return all(self._bounds.times(one.iter, function) is not None for one in loop.generators)
        return isinstance(loop, ast.While) and self._bounds.is_counted(loop, function)

    def tails(self, function: Function) -> Iterator[Finding]:
        """Yield tail calls with a durable step after them."""
        where = in_workflow(self._program, function)
        for call, after in self._tail.early(function):
            text = (
                f"a tail call {where} is followed by a durable step (line {after.lineno}), which runs beside the successor:"
                " make ctx.detached the last durable step"
            )
            yield finding("RF404", function, call, text)
