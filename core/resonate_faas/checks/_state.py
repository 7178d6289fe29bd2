"""RF113: state of a module that changes while the process lives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, TypeAlias

from resonate_faas.checks._findings import Finding, finding
from resonate_faas.checks._messages import in_workflow
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import External
from resonate_faas.checks._scopes import Class, Declared, Function, Item, Module, Scope, Unknown, Value

Variable: TypeAlias = tuple[Scope, str]
MUTATORS: Final = frozenset(
    {
        "append", "appendleft", "extend", "extendleft", "insert", "add", "update", "setdefault", "pop", "popleft", "popitem",
        "remove", "discard", "clear", "sort", "reverse", "subtract",
    }
)  # fmt: skip
_CURE: Final = (
    "pass it as an argument, keep it in a local, or change and read it in a step (await ctx.run(...))"
)


class State:
    """The variables of modules that functions change."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._changed: set[Variable] = set()
        for function in program.project.functions():
            self._changed |= {variable for variable, _ in self.writes(function)}

    def check(self, function: Function) -> Iterator[Finding]:
        """Yield reads and writes of changing state in a function of workflow code."""
        where = in_workflow(self._program, function)
        written = set()
        for (_, name), place in self.writes(function):
            written.add((name, place.lineno))
            text = f"{name!r} of the module is changed {where}, at every replay again: {_CURE}"
            yield finding("RF113", function, place, text)
        for node in function.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                variable = self.variable(node, function)
                if variable in self._changed and variable and (variable[1], node.lineno) not in written:
                    text = f"{variable[1]!r} of the module, which changes, is read {where}: {_CURE}"
                    yield finding("RF113", function, node, text)

    def writes(self, function: Function) -> Iterator[tuple[Variable, ast.expr]]:
        """Yield the variables of modules and classes that a function changes, with the place."""
        for node in function.nodes:
            for target in targets(node):
                variable = self._written(target, function)
                if variable is not None:
                    yield variable, target
            changed = changed_object(node)
            if changed is not None:
                variable = self.variable(changed, function)
                if variable is not None:
                    yield variable, changed

    def _written(self, target: ast.expr, function: Function) -> Variable | None:
        if isinstance(target, ast.Name) and target.id in function.globals:
            return function.module, target.id
        if isinstance(target, ast.Attribute):
            base = self._program.resolver.resolve(target.value, function)
            if isinstance(base, Module | Class):
                return base, target.attr
        return None

    def variable(self, node: ast.expr, function: Function) -> Variable | None:
        """Return the variable of a module, or of a class in it, that an expression names."""
        resolver = self._program.resolver
        holder: Scope | None = None
        name = ""
        if isinstance(node, ast.Name):
            name, holder = node.id, resolver.holder(node.id, function)
        elif isinstance(node, ast.Attribute):
            base = resolver.resolve(node.value, function)
            name, holder = node.attr, base if isinstance(base, Module | Class) else None
        origin = None if holder is None else resolver.origin(name, holder)
        if origin is None or not isinstance(origin[0], Module | Class):
            return None
        bindings = origin[0].bindings.get(origin[1], [])
        is_variable = any(isinstance(one, Value | Declared | Item | Unknown) for one in bindings)
        return origin if is_variable and self._may_change(origin) else None

    def _may_change(self, variable: Variable) -> bool:
        """False for a client of a library: that is RF105 to RF107, if it is used."""
        ref = self._program.resolver.name(variable[1], variable[0])
        is_plain = not isinstance(ref, External) or ref.path in {"list()", "dict()", "set()", "str()"}
        return is_plain or ref.path.partition(".")[0] in {"collections", "itertools"}  # type: ignore[union-attr]


def targets(node: ast.AST) -> list[ast.expr]:
    """Return what a statement assigns to or deletes."""
    match node:
        case ast.Assign():
            found = node.targets
        case ast.AugAssign() | ast.AnnAssign():
            found = [node.target]
        case ast.Delete():
            found = node.targets
        case _:
            return []
    return [part for one in found for part in (one.elts if isinstance(one, ast.Tuple | ast.List) else [one])]


def changed_object(node: ast.AST) -> ast.expr | None:
    """Return the object that is changed in place: by a method such as append, or through an index."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name, value=base)) if name in MUTATORS:
            return base
        case ast.Subscript(ctx=ast.Store() | ast.Del(), value=base):
            return base
        case ast.Call(func=ast.Name(id="next"), args=[base, *_]):
            return base
    return None
