"""The resolver: what an expression refers to, across the checked files, or by dotted path outside them.

A path keeps the calls on its way: ``httpx.Client().post`` is a method of a client, ``httpx.post`` a function of the
module. The context is ``@ctx``, so that a durable call is a call of ``@ctx.run``.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, TypeAlias

from resonate_faas.checks._scopes import (
    Binding,
    Class,
    Declared,
    Function,
    Imported,
    Item,
    Module,
    Scope,
    Unknown,
    Value,
)

CONTEXT: Final = "@ctx"
_DEPTH_MAX: Final = 16
"""Longer chains of aliases than this are not followed; it also ends cycles such as ``a = b; b = a``."""
_DISPLAYS: Final[dict[type[ast.expr], str]] = {
    ast.Set: "set()",
    ast.SetComp: "set()",
    ast.List: "list()",
    ast.ListComp: "list()",
    ast.Dict: "dict()",
    ast.DictComp: "dict()",
    ast.JoinedStr: "str()",
}
_WRAPPERS: Final = frozenset({"typing.Optional", "typing.Annotated", "typing.Final", "typing.ClassVar"})
_BUILTINS: Final = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class External:
    """Something outside the checked files, by its path."""

    path: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a checked class."""

    of: Class


Ref: TypeAlias = External | Instance | Function | Class | Module


class Project:
    """The checked files, found by the paths that imports mean."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = list(modules)
        self._by_path = {module.path: module for module in self.modules}

    def functions(self) -> Iterator[Function]:
        """Yield every function of every file."""
        for module in self.modules:
            yield from module.functions.values()

    def find(self, importer: Module, dotted: str, level: int) -> Module | None:
        """Return the checked file that an import means, searched from the importer's folder upwards."""
        parts = dotted.split(".") if dotted else []
        if level:
            parents = importer.path.parents
            folders = [parents[level - 1]] if level <= len(parents) else []
        elif parts and parts[0] in sys.stdlib_module_names:
            return None
        else:
            folders = list(importer.path.parents)
        for folder in folders:
            place = folder.joinpath(*parts)
            found = self._by_path.get(_module_file(place)) or self._by_path.get(place / "__init__.py")
            if found is not None and found is not importer:
                return found
        return None


def _module_file(place: PurePath) -> PurePath:
    return place.with_name(f"{place.name}.py") if place.name else place


class Resolver:
    """Resolves expressions; flow-insensitive: of several bindings, the first that says something counts."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[tuple[ast.expr, Scope], Ref | None] | None = None

    def remember(self) -> None:
        """Resolve each expression only once from now on: the contexts that are passed on are all known."""
        self._known = {}

    def resolve(self, node: ast.expr, scope: Scope, depth: int = 0) -> Ref | None:
        """Return what an expression refers to; None: it cannot be told."""
        if depth > _DEPTH_MAX:
            return None
        if self._known is None or depth:
            return self._resolved(node, scope, depth)
        if (node, scope) not in self._known:
            self._known[node, scope] = self._resolved(node, scope, depth)
        return self._known[node, scope]

    def _resolved(self, node: ast.expr, scope: Scope, depth: int) -> Ref | None:
        match node:
            case ast.Name():
                return self.name(node.id, scope, depth + 1)
            case ast.Attribute():
                return self._attribute(self.resolve(node.value, scope, depth + 1), node.attr, depth + 1)
            case ast.Call():
                return self._called(self.resolve(node.func, scope, depth + 1), depth + 1)
            case ast.Await() | ast.NamedExpr() | ast.Starred():
                return self.resolve(node.value, scope, depth + 1)
            case ast.YieldFrom() | ast.Yield() if node.value is not None:
                return self.resolve(node.value, scope, depth + 1)
            case ast.Lambda():
                return scope.module.functions.get(node)
        return self._composed(node, scope, depth)

    def _composed(self, node: ast.expr, scope: Scope, depth: int) -> Ref | None:
        match node:
            case ast.IfExp():
                return self._first([node.body, node.orelse], scope, depth)
            case ast.BoolOp():
                return self._first(node.values, scope, depth)
            case ast.BinOp():
                return self._operation(node, scope, depth)
            case ast.Constant(value=str()):
                return External("str()")
        display = _DISPLAYS.get(type(node))
        return External(display) if display else None

    def path(self, node: ast.expr, scope: Scope) -> str:
        """Return the dotted path of what is outside the checked files; "" for everything else."""
        ref = self.resolve(node, scope)
        return ref.path if isinstance(ref, External) else ""

    def name(self, name: str, scope: Scope, depth: int = 0) -> Ref | None:
        """Return what a name refers to in a scope."""
        found = self.holder(name, scope)
        if found is not None:
            return self._bound(name, found, depth + 1)
        for star in scope.module.stars:
            module = self.project.find(scope.module, star.module, star.level)
            if module is not None and name in module.bindings:
                return self.name(name, module, depth + 1)
        return External(name) if name in _BUILTINS else None

    @staticmethod
    def holder(name: str, scope: Scope) -> Scope | None:
        """Return the scope that binds a name: the nearest one, class bodies only from within themselves."""
        current: Scope | None = scope
        while current is not None:
            is_seen = current is scope or not isinstance(current, Class)
            if is_seen and name in current.bindings and name not in current.globals:
                return current
            current = current.parent
        return None

    def origin(self, name: str, scope: Scope) -> tuple[Scope, str] | None:
        """Return the scope and name that first bound a name of a scope, through the imports of checked files."""
        for _ in range(_DEPTH_MAX):
            first = next(iter(scope.bindings.get(name, [])), None)
            if not isinstance(first, Imported):
                return (scope, name) if first is not None else None
            found = self.project.find(scope.module, first.module, first.level)
            if found is None or first.name is None:
                return None
            scope, name = found, first.name
        return None

    def _bound(self, name: str, scope: Scope, depth: int) -> Ref | None:
        if depth > _DEPTH_MAX:
            return None
        if isinstance(scope, Function):
            if name in scope.context_parameters:
                return External(CONTEXT)
            if scope.owner is not None and name == self._self_name(scope):
                return Instance(scope.owner)
        for binding in scope.bindings[name]:
            ref = self.binding(binding, scope, depth + 1)
            if ref is not None:
                return ref
        return None

    @staticmethod
    def _self_name(function: Function) -> str | None:
        arguments = function.node.args
        first = [*arguments.posonlyargs, *arguments.args][:1]
        return first[0].arg if first and not function.is_static else None

    def binding(self, binding: Binding, scope: Scope, depth: int = 0) -> Ref | None:
        """Return what a binding refers to."""
        match binding:
            case Function() | Class():
                return binding
            case Imported():
                return self._imported(binding, scope.module, depth)
            case Value():
                return self.resolve(binding.node, scope, depth + 1)
            case Declared():
                return self.instance(binding.annotation, scope, depth + 1)
            case Item() | Unknown():
                return None

    def _imported(self, imported: Imported, importer: Module, depth: int) -> Ref | None:
        found = self.project.find(importer, imported.module, imported.level)
        if imported.name is None:
            return found or External(imported.module)
        prefix = f"{imported.module}." if imported.module else ""
        submodule = self.project.find(importer, f"{prefix}{imported.name}", imported.level)
        if found is None:
            return submodule or External(f"{prefix}{imported.name}")
        if imported.name in found.bindings or found.stars:
            return self.name(imported.name, found, depth + 1)
        return submodule

    def instance(self, annotation: ast.expr, scope: Scope, depth: int = 0) -> Ref | None:
        """Return the object that an annotation promises."""
        match annotation:
            case ast.Constant(value=str() as text):
                try:
                    return self.instance(ast.parse(text, mode="eval").body, scope, depth + 1)
                except SyntaxError:
                    return None
            case ast.BinOp(op=ast.BitOr()):
                left = self.instance(annotation.left, scope, depth + 1)
                return left or self.instance(annotation.right, scope, depth + 1)
            case ast.Subscript():
                base = self.resolve(annotation.value, scope, depth + 1)
                if isinstance(base, External) and base.path in _WRAPPERS:
                    inner = annotation.slice
                    first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                    return self.instance(first, scope, depth + 1)
                return self._called(base, depth + 1)
            case ast.Name() | ast.Attribute():
                return self._called(self.resolve(annotation, scope, depth + 1), depth + 1)
        return None

    def _attribute(self, base: Ref | None, name: str, depth: int) -> Ref | None:
        match base:
            case External():
                return External(f"{base.path}.{name}")
            case Module():
                if name in base.bindings or base.stars:
                    return self.name(name, base, depth + 1)
                return self.project.find(base, name, 1)
            case Class():
                return self.member(base, name, depth + 1)
            case Instance():
                return self.member(base.of, name, depth + 1)
        return None

    def member(self, owner: Class, name: str, depth: int = 0) -> Ref | None:
        """Return an attribute or method of a class, or of its checked bases."""
        if depth > _DEPTH_MAX:
            return None
        if name in owner.bindings:
            return self._bound(name, owner, depth + 1)
        for method, binding in owner.attributes.get(name, []):
            ref = self.binding(binding, method, depth + 1)
            if ref is not None:
                return ref
        for one in owner.node.bases:
            base = self.resolve(one, owner.parent or owner.module, depth + 1)
            found = self.member(base, name, depth + 1) if isinstance(base, Class) else None
            if found is not None:
                return found
        return None

    def _called(self, called: Ref | None, depth: int) -> Ref | None:
        match called:
            case External(path=path):
                is_options = path == f"{CONTEXT}.options"
                return External(CONTEXT if is_options else f"{path}()")
            case Class():
                return Instance(called)
            case Function():
                return self._returned(called, depth + 1)
        return None

    def _returned(self, function: Function, depth: int) -> Ref | None:
        if isinstance(function.node, ast.Lambda):
            return self.resolve(function.node.body, function, depth + 1)
        if function.node.returns is not None:
            found = self.instance(function.node.returns, function, depth + 1)
            if found is not None and not isinstance(found, External):
                return found
        values = [node.value for node in function.nodes if isinstance(node, ast.Return) and node.value]
        ref = self._first(values, function, depth)
        if ref is None and function.node.returns is not None:
            return self.instance(function.node.returns, function, depth + 1)
        return ref

    def _first(self, nodes: Iterable[ast.expr], scope: Scope, depth: int) -> Ref | None:
        refs = (self.resolve(node, scope, depth + 1) for node in nodes)
        return next((ref for ref in refs if ref is not None), None)

    def _operation(self, node: ast.BinOp, scope: Scope, depth: int) -> Ref | None:
        """A path divided is a path; a set combined with a set is a set."""
        left = self.resolve(node.left, scope, depth + 1)
        if isinstance(left, External) and left.path in {
            "pathlib.Path()",
            "set()",
            "frozenset()",
            "list()",
            "str()",
        }:
            return left
        return None
