"""The program: which functions are workflow code, which are steps, and who calls whom.

As the engine has it (docs/adr/0004-the-context-makes-a-workflow.md): a coroutine or generator function whose first
parameter is the context is a workflow; what is passed to ``ctx.run`` and is none is a step; what a workflow calls
directly is workflow code too, and what a step calls is step code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from resonate_faas.checks._resolve import CONTEXT, External, Instance, Project, Ref, Resolver
from resonate_faas.checks._scopes import Class, Function, Imported, Item, Module, Scope, Value

STARTS: Final = frozenset({f"{CONTEXT}.{name}" for name in ("run", "rpc", "detached", "map")})
"""Calls whose first argument is a function to run."""
DURABLE: Final = STARTS | {f"{CONTEXT}.{name}" for name in ("sleep", "sleep_until", "promise", "now", "race")}
"""Calls that add a record to the root's history."""
_NAMES: Final = frozenset({"ctx", "context"})
_TYPES: Final = frozenset({"Context", "StepContext"})
_ON_CREATION: Final = ("__init__", "__post_init__", "__new__")


@dataclass(frozen=True, slots=True)
class Reach:
    """How code is reached: from which workflow or step, and by which caller (None: it is that itself)."""

    root: Function
    caller: Function | None


class Program:
    """The checked files, as the engine will run them.

    Attributes:
        workflows: every workflow.
        workflow_code: functions that run, or may run, in a workflow body.
        step_code: functions that run in a step.
        foreign_steps: calls of functions outside the checked files that ``ctx.run`` makes, with their caller.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.resolver = Resolver(project)
        self.workflow_code: dict[Function, Reach] = {}
        self.step_code: dict[Function, Reach] = {}
        self.step_roots: set[Function] = set()
        self.foreign_steps: list[tuple[Function, ast.Call]] = []
        self._registered: dict[str, list[Function]] = {}
        self.starts_of = cache(self._starts_of)
        self._taking: frozenset[Function] | None = None
        for function in project.functions():
            self._mark_annotated(function)
        for function in project.functions():
            self._register(function)
        self.workflows = [one for one in project.functions() if self._is_workflow(one)]
        for workflow in self.workflows:
            self._reach(workflow, Reach(workflow, None), self.workflow_code)
        self._find_steps()
        self.resolver.remember()

    # ---- what is what

    def _mark_annotated(self, function: Function) -> None:
        arguments = function.node.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.annotation is not None and self._is_context(one.annotation, function):
                function.context_parameters.add(one.arg)
        first = next(iter(function.parameters()), None)
        is_named = first is not None and first.annotation is None and first.arg in _NAMES
        if first is not None and is_named and _uses_us(function.module):
            function.context_parameters.add(first.arg)

    def _is_context(self, annotation: ast.expr, scope: Scope) -> bool:
        ref = self.resolver.instance(annotation, scope)
        if isinstance(ref, External):
            name = ref.path.removesuffix("()")
            return name.rpartition(".")[2] in _TYPES and name.startswith("resonate")
        if isinstance(ref, Instance):
            return self.resolver.member(ref.of, "__resonate_context__") is not None or self._extends(ref.of)
        return ref is None and isinstance(annotation, ast.Name) and annotation.id in _TYPES

    def _extends(self, owner: Class) -> bool:
        own = "__resonate_context__" in owner.bindings
        return own or any(self._is_context(base, owner.module) for base in owner.node.bases)

    def _is_workflow(self, function: Function) -> bool:
        first = next(iter(function.parameters()), None)
        takes_context = first is not None and first.arg in function.context_parameters
        return takes_context and (function.is_async or function.is_generator)

    def _register(self, function: Function) -> None:
        for decorator in function.decorators:
            self._note_registration(decorator, function)
        for call in function.calls():
            self._note_call(call, function)
        if function is next(iter(function.module.functions.values())):
            for node in function.module.nodes:
                if isinstance(node, ast.Call):
                    self._note_call(node, function.module)

    def _note_registration(self, decorator: ast.expr, function: Function) -> None:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if self._is_register(called, function.module):
            name = _keyword_text(decorator, "name") or function.name
            self._registered.setdefault(name, []).append(function)

    def _note_call(self, call: ast.Call, scope: Scope) -> None:
        if call.args and self._is_register(call.func, scope):
            for function in self.candidates(call.args[0], scope):
                if isinstance(function, Function):
                    name = _keyword_text(call, "name") or function.name
                    self._registered.setdefault(name, []).append(function)

    def _is_register(self, node: ast.expr, scope: Scope) -> bool:
        if not isinstance(node, ast.Attribute) or node.attr != "register":
            return False
        path = self.resolver.path(node.value, scope)
        return path.endswith("Resonate()") or path.rpartition(".")[2] == "resonate"

    # ---- who calls whom

    def _reach(self, function: Function, how: Reach, into: dict[Function, Reach]) -> None:
        waiting = [(function, how)]
        while waiting:
            one, reach = waiting.pop()
            if one in into:
                continue
            into[one] = reach
            for callee, call in self.edges(one):
                self._pass_context(one, callee, call)
                waiting.append((callee, Reach(reach.root, one)))

    def _pass_context(self, caller: Function, callee: Function, call: ast.Call) -> None:
        for parameter, argument in zip(callee.parameters(), call.args, strict=False):
            if self.resolver.path(argument, caller) == CONTEXT:
                callee.context_parameters.add(parameter.arg)
        for keyword in call.keywords:
            if keyword.arg and self.resolver.path(keyword.value, caller) == CONTEXT:
                callee.context_parameters.add(keyword.arg)

    def edges(self, function: Function) -> Iterator[tuple[Function, ast.Call]]:
        """Yield the functions that a function calls directly, or hands to something that may call them."""
        for call in function.calls():
            ref = self.resolver.resolve(call.func, function)
            for callee in self._entered(ref):
                yield callee, call
            for argument in self._handed(call, ref):
                found = self.resolver.resolve(argument, function)
                if isinstance(found, Function) and not self._is_workflow(found):
                    yield found, call

    @staticmethod
    def _handed(call: ast.Call, ref: Ref | None) -> Iterator[ast.expr]:
        """Yield arguments that may be functions; not what the context runs, or ``partial`` puts aside."""
        path = ref.path if isinstance(ref, External) else ""
        if not path.startswith(f"{CONTEXT}.") and path != "functools.partial":
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                if isinstance(argument, ast.Lambda | ast.Name | ast.Attribute):
                    yield argument

    def _entered(self, ref: Ref | None) -> Iterator[Function]:
        if isinstance(ref, Function):
            yield ref
        elif isinstance(ref, Class):
            for name in _ON_CREATION:
                found = self.resolver.member(ref, name)
                if isinstance(found, Function):
                    yield found
        elif isinstance(ref, Instance):
            found = self.resolver.member(ref.of, "__call__")
            if isinstance(found, Function):
                yield found

    def _find_steps(self) -> None:
        roots = [one for group in self._registered.values() for one in group]
        for function in list(self.workflow_code):
            for call, targets in self._starts_of(function):
                for target in targets:
                    if isinstance(target, Function):
                        roots.append(target)
                    else:
                        made = ast.Call(call.args[0], call.args[1:], call.keywords)
                        self.foreign_steps.append((function, ast.copy_location(made, call)))
        for root in roots:
            if not self._is_workflow(root):
                self.step_roots.add(root)
                self._reach(root, Reach(root, None), self.step_code)

    def _starts_of(self, function: Function) -> list[tuple[ast.Call, list[Function | External]]]:
        """Return the calls of ``ctx.run`` and its like, with the functions that each may start."""
        calls = [
            one for one in function.calls() if one.args and self.resolver.path(one.func, function) in STARTS
        ]
        return [(call, list(self.candidates(call.args[0], function))) for call in calls]

    def candidates(self, node: ast.expr, scope: Scope) -> Iterator[Function | External]:
        """Yield every function that an expression may be."""
        seen: set[int] = set()
        waiting: list[tuple[ast.expr, Scope]] = [(node, scope)]
        while waiting:
            one, where = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, ast.Constant):
                yield from self._registered.get(one.value, []) if isinstance(one.value, str) else []
            elif not isinstance(one, ast.Name | ast.Attribute | ast.Lambda):
                waiting += [(part, where) for part in self._parts(one, where)]
            elif isinstance(one, ast.Name) and (values := self._values(one.id, where)):
                waiting += values
            else:
                yield from self._plain_candidate(one, where)

    def _plain_candidate(self, node: ast.expr, scope: Scope) -> Iterator[Function | External]:
        ref = self.resolver.resolve(node, scope)
        if isinstance(ref, Function | External):
            yield ref
        else:
            yield from self._entered(ref)

    def _parts(self, node: ast.expr, scope: Scope) -> list[ast.expr]:
        match node:
            case ast.IfExp():
                return [node.body, node.orelse]
            case ast.Tuple() | ast.List() | ast.Set():
                return node.elts
            case ast.Dict():
                return node.values
            case ast.Subscript() | ast.Starred():
                return [node.value]
            case ast.Call(func=ast.Attribute(attr="get" | "values" | "items", value=inner)):
                return [inner]
            case ast.Call() if node.args and self.resolver.path(node.func, scope) == "functools.partial":
                return node.args[:1]
        return []

    def _values(self, name: str, scope: Scope) -> list[tuple[ast.expr, Scope]]:
        """Return the expressions a variable may hold, or hold an item of."""
        holder = self.resolver.holder(name, scope)
        bindings = [] if holder is None else holder.bindings[name]
        return [(one.node, holder) for one in bindings if holder and isinstance(one, Value | Item)]

    # ---- durable calls

    def is_durable(self, node: ast.AST, function: Function) -> bool:
        """True for a call that adds a record."""
        return isinstance(node, ast.Call) and self.resolver.path(node.func, function) in DURABLE

    def takes_steps(self, function: Function) -> bool:
        """True if a function takes durable steps, directly or through what it calls."""
        if self._taking is None:
            self._taking = self._all_taking()
        return function in self._taking

    def _all_taking(self) -> frozenset[Function]:
        """Go from the functions with durable calls to their callers, once for the whole program."""
        callers: dict[Function, list[Function]] = {}
        waiting: list[Function] = []
        for function in self.project.functions():
            for callee, _ in self.edges(function):
                callers.setdefault(callee, []).append(function)
            if any(self.is_durable(call, function) for call in function.calls()):
                waiting.append(function)
        taking = set(waiting)
        while waiting:
            for caller in callers.get(waiting.pop(), ()):
                if caller not in taking:
                    taking.add(caller)
                    waiting.append(caller)
        return frozenset(taking)

    def has_steps(self, nodes: Iterable[ast.AST], function: Function) -> bool:
        """True if any of the nodes, or what they hold, takes a durable step, directly or through a helper."""
        return next(self.steps(nodes, function), None) is not None

    def steps(self, nodes: Iterable[ast.AST], function: Function) -> Iterator[ast.Call]:
        """Yield the calls within the nodes that take durable steps, helpers that take some included."""
        for node in nodes:
            for one in own(node):
                if isinstance(one, ast.Call) and (
                    self.is_durable(one, function) or self._helps(one, function)
                ):
                    yield one

    def _helps(self, call: ast.Call, function: Function) -> bool:
        ref = self.resolver.resolve(call.func, function)
        return isinstance(ref, Function) and ref is not function and self.takes_steps(ref)


def own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what it holds, in order, without the bodies of functions and classes within it."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        yield from own(child)


def _uses_us(module: Module) -> bool:
    """True if a file imports the package: only there is a parameter named ctx, without annotation, the context."""
    scopes: list[Scope] = [module, *module.functions.values()]
    return any(
        isinstance(one, Imported) and one.module.partition(".")[0].startswith("resonate")
        for scope in scopes
        for group in scope.bindings.values()
        for one in group
    )


def _keyword_text(node: ast.expr, name: str) -> str | None:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == name and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return None
