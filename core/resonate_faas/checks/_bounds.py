"""Loops: whether they end, how often they go round at most, and what they wait for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks._program import Program, own
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function, Scope, Unknown, Value
from resonate_faas.checks._tables import DETERMINISM, first

ENDLESS: Final = frozenset({"itertools.count", "itertools.cycle", "itertools.repeat"})
_ADDING: Final = frozenset({"append", "extend", "appendleft", "add", "insert", "update", "put"})
_TAKING: Final = frozenset({"pop", "popleft", "popitem", "remove", "clear"})
_DEPTH_MAX: Final = 6
LoopNode = ast.While | ast.For | ast.AsyncFor


def is_endless_test(test: ast.expr) -> bool:
    """True for ``while True``."""
    return isinstance(test, ast.Constant) and bool(test.value)


class Bounds:
    """What can be told about a loop from its text."""

    def __init__(self, program: Program) -> None:
        self._program = program

    # ---- how it is left

    def exits(self, loop: ast.While | ast.For | ast.AsyncFor) -> bool:
        """True if something in the loop's body leaves it."""
        return next(self._ways_out(loop.body), None) is not None

    def _ways_out(self, body: list[ast.stmt], *, is_inner: bool = False) -> Iterator[ast.stmt]:
        for statement in body:
            if isinstance(statement, ast.Return | ast.Raise) or (
                isinstance(statement, ast.Break) and not is_inner
            ):
                yield statement
            inner = is_inner or isinstance(statement, LoopNode)
            for block in blocks(statement):
                yield from self._ways_out(block, is_inner=inner)

    # ---- how often it goes round

    def is_counted(self, loop: ast.While, function: Function) -> bool:
        """True if a counter, or a collection that only shrinks, ends the loop."""
        tests = [loop.test] if not is_endless_test(loop.test) else list(_exit_tests(loop.body))
        return any(self._counts(test, loop) or self._shrinks(test, loop, function) for test in tests)

    @staticmethod
    def _counts(test: ast.expr, loop: ast.While) -> bool:
        """A comparison of a variable that the loop adds to or takes from."""
        compared = {
            name.id
            for node in ast.walk(test)
            if isinstance(node, ast.Compare)
            and not any(isinstance(one, ast.Is | ast.IsNot) for one in node.ops)
            for name in ast.walk(node)
            if isinstance(name, ast.Name)
        }
        compared |= {test.id} if isinstance(test, ast.Name) else set()
        return any(_is_counter(node, compared) for node in own(loop))

    def _shrinks(self, test: ast.expr, loop: ast.While, function: Function) -> bool:
        names = {one.id for one in ast.walk(test) if isinstance(one, ast.Name)} if _is_size(test) else set()
        grown, taken = set(), set()
        for node in own(loop):
            match node:
                case ast.Call(func=ast.Attribute(attr=method, value=ast.Name(id=name))):
                    grown |= {name} if method in _ADDING else set()
                    taken |= {name} if method in _TAKING else set()
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Subscript(value=ast.Name(id=base), slice=ast.Slice()),
                ):
                    taken |= {name} if name == base else set()
                case ast.Assign(targets=[ast.Tuple() as pair], value=value):
                    taken |= _split_names(pair, value)
                case ast.Delete(targets=[ast.Subscript(value=ast.Name(id=name))]):
                    taken.add(name)
                case ast.AugAssign(target=ast.Name(id=name)):
                    grown.add(name)
        del function
        return bool(names & taken - grown)

    def is_timed(self, loop: ast.While, function: Function) -> bool:
        """True if a comparison with the clock, or with a deadline made from it, ends the loop."""
        tests = [loop.test] if not is_endless_test(loop.test) else []
        for test in [*tests, *_exit_tests(loop.body)]:
            for node in ast.walk(test):
                if isinstance(node, ast.Compare) and self._is_clock(node, function):
                    return True
        return False

    def _is_clock(self, node: ast.AST, function: Function, depth: int = 0) -> bool:
        for one in ast.walk(node):
            if isinstance(one, ast.Call):
                path = self._program.resolver.path(one.func, function)
                entry = first(path, DETERMINISM)
                if path == f"{CONTEXT}.now" or (entry is not None and entry.code == "RF103"):
                    return True
            elif isinstance(one, ast.Name) and depth < _DEPTH_MAX:
                values = [
                    bound.node for bound in function.bindings.get(one.id, []) if isinstance(bound, Value)
                ]
                if any(self._is_clock(value, function, depth + 1) for value in values):
                    return True
        return False

    def times(self, node: ast.expr, function: Function, depth: int = 0) -> int | None:
        """Return how many items an iterable has; None: it cannot be told."""
        if depth > _DEPTH_MAX:
            return None
        match node:
            case ast.List() | ast.Tuple() | ast.Set():
                is_open = any(isinstance(one, ast.Starred) for one in node.elts)
                return None if is_open else len(node.elts)
            case ast.ListComp() | ast.GeneratorExp() if not any(one.ifs for one in node.generators):
                counts = [self.times(one.iter, function, depth + 1) for one in node.generators]
                return _product(counts)
            case ast.BinOp(op=ast.Mult(), left=ast.List() as items):
                count = self.number(self._program, node.right, function)
                return int(count) * len(items.elts) or None
            case ast.Call():
                return self._called_times(node, function, depth)
            case ast.Name():
                holder = self._program.resolver.holder(node.id, function)
                found = [] if holder is None else holder.bindings[node.id]
                if len(found) == 1 and isinstance(found[0], Value):
                    return self.times(found[0].node, function, depth + 1)
        return None

    def _called_times(self, node: ast.Call, function: Function, depth: int) -> int | None:
        path = self._program.resolver.path(node.func, function)
        if path == "range" and node.args:
            numbers = [self._whole(one, function) for one in node.args]
            known = [one for one in numbers if one is not None]
            is_known = len(known) == len(numbers) and (len(known) < 3 or known[2] != 0)
            return len(range(*known)) if is_known else None
        if path in {"enumerate", "list", "tuple", "sorted", "reversed", "iter"} and node.args:
            return self.times(node.args[0], function, depth + 1)
        if path == "zip":
            counts = [self.times(one, function, depth + 1) for one in node.args]
            return min((one for one in counts if one is not None), default=None)
        if path == "itertools.product":
            return _product([self.times(one, function, depth + 1) for one in node.args])
        return None

    def _whole(self, node: ast.expr, function: Function) -> int | None:
        value = _constant(self._program, node, function)
        return int(value) if value is not None else None

    @staticmethod
    def number(program: Program, node: ast.expr, scope: Scope) -> float:
        """Return a constant number; 0: it is none."""
        return _constant(program, node, scope) or 0.0


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of a compound statement, not those of functions and classes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for handler in getattr(statement, "handlers", []):
        yield handler.body
    for case in getattr(statement, "cases", []):
        yield case.body


def _exit_tests(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """Yield the conditions under which a loop is left at once."""
    for statement in body:
        if isinstance(statement, ast.If):
            if any(
                isinstance(one, ast.Break | ast.Return | ast.Raise)
                for one in [*statement.body, *statement.orelse]
            ):
                yield statement.test
            yield from _exit_tests([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try | ast.With | ast.AsyncWith):
            for block in blocks(statement):
                yield from _exit_tests(block)


def _is_counter(node: ast.AST, names: set[str]) -> bool:
    match node:
        case ast.AugAssign(
            target=ast.Name(id=name), op=ast.Add() | ast.Sub() | ast.FloorDiv() | ast.Mult(), value=value
        ):
            return name in names and not any(
                isinstance(one, ast.Await | ast.Yield) for one in ast.walk(value)
            )
        case ast.Assign(
            targets=[ast.Name(id=name)], value=ast.BinOp(left=ast.Name(id=base), right=ast.Constant())
        ):
            return name in names and name == base
    return False


def _is_size(test: ast.expr) -> bool:
    """True for ``while queue``, ``while len(queue) > 0`` and their like."""
    match test:
        case ast.Name():
            return True
        case ast.Compare(left=ast.Call(func=ast.Name(id="len"))) | ast.Call(func=ast.Name(id="len")):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name()):
            return True
        case ast.BoolOp():
            return any(_is_size(one) for one in test.values)
    return False


def _split_names(pair: ast.Tuple, value: ast.expr) -> set[str]:
    """Return the names in ``batch, rest = rest[:10], rest[10:]`` that only shrink."""
    if not isinstance(value, ast.Tuple) or len(value.elts) != len(pair.elts):
        return set()
    return {
        target.id
        for target, one in zip(pair.elts, value.elts, strict=True)
        if isinstance(target, ast.Name)
        and isinstance(one, ast.Subscript)
        and isinstance(one.value, ast.Name)
        and one.value.id == target.id
    }


def _product(counts: list[int | None]) -> int | None:
    total = 1
    for one in counts:
        if one is None:
            return None
        total *= one
    return total


def _constant(program: Program, node: ast.expr, scope: Scope, depth: int = 0) -> float | None:
    if depth > _DEPTH_MAX:
        return None
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub()):
            inner = _constant(program, node.operand, scope, depth + 1)
            return None if inner is None else -inner
        case ast.BinOp():
            left, right = (_constant(program, one, scope, depth + 1) for one in (node.left, node.right))
            return None if left is None or right is None else _computed(node.op, left, right)
        case ast.Name():
            holder = program.resolver.holder(node.id, scope)
            origin = None if holder is None else program.resolver.origin(node.id, holder)
            found = [] if origin is None else origin[0].bindings.get(origin[1], [])
            values = [one for one in found if isinstance(one, Value)]
            is_one = len(values) == 1 and not any(isinstance(one, Unknown) for one in found)
            if origin is not None and is_one and not _is_changed(origin[0], origin[1]):
                return _constant(program, values[0].node, origin[0], depth + 1)
    return None


def _is_changed(scope: Scope, name: str) -> bool:
    return any(
        isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name
        for node in scope.nodes
    )


def _computed(operator: ast.operator, left: float, right: float) -> float | None:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div() | ast.FloorDiv() if right:
            return left / right
        case ast.Pow() if abs(left) < 1e4 and 0 <= right < 20:
            return float(left**right)
    return None
