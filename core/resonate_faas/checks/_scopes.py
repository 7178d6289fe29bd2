"""Scopes: what each name of a module, class or function is bound to, and which nodes are a function's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeAlias, cast

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Imported:
    """``import module`` (no name) or ``from module import name``; ``level`` counts the leading dots."""

    module: str
    name: str | None
    level: int


@dataclass(frozen=True, slots=True)
class Value:
    """The name holds this expression's value."""

    node: ast.expr


@dataclass(frozen=True, slots=True)
class Item:
    """The name holds an item of this expression: a loop variable, a part of an unpacked value."""

    node: ast.expr


@dataclass(frozen=True, slots=True)
class Declared:
    """The name has this annotation: a parameter or an annotated variable."""

    annotation: ast.expr


@dataclass(frozen=True, slots=True)
class Unknown:
    """The name is bound, to something that cannot be told."""


@dataclass(eq=False, slots=True, kw_only=True)
class Scope:
    """Names and their bindings, in the order of the text; a name may have several."""

    name: str
    module: Module
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    nodes: list[ast.AST] = field(default_factory=list)

    def bind(self, name: str, binding: Binding) -> None:
        """Add a binding; a name declared ``global`` belongs to the module."""
        scope = self.module if name in self.globals else self
        scope.bindings.setdefault(name, []).append(binding)


@dataclass(eq=False, slots=True, kw_only=True)
class Module(Scope):
    """A checked file.

    Attributes:
        path: where it is.
        tree: its syntax tree.
        functions: all, nested ones and lambdas too, by node.
        classes: all.
        parents: the node around each node.
        stars: modules whose public names are imported with ``*``.
    """

    path: PurePath
    tree: ast.Module
    functions: dict[ast.AST, Function] = field(default_factory=dict)
    classes: list[Class] = field(default_factory=list)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    stars: list[Imported] = field(default_factory=list)

    def around(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Yield (inner, outer) pairs from a node up to the end of its function."""
        inner = node
        while (outer := self.parents.get(inner)) is not None:
            if isinstance(inner, FunctionNode):
                return
            yield inner, outer
            inner = outer


@dataclass(eq=False, slots=True, kw_only=True)
class Class(Scope):
    """A class; ``attributes`` are what its methods assign to ``self``, with the method."""

    node: ast.ClassDef
    attributes: dict[str, list[tuple[Function, Binding]]] = field(default_factory=dict)


@dataclass(eq=False, slots=True, kw_only=True)
class Function(Scope):
    """A function, method or lambda.

    Attributes:
        node: its syntax.
        owner: the class it is a method of.
        context_parameters: parameters that hold the context, found by annotation, name or call.
    """

    node: FunctionNode
    owner: Class | None = None
    context_parameters: set[str] = field(default_factory=set)

    @property
    def is_async(self) -> bool:
        """True for a coroutine function."""
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def is_generator(self) -> bool:
        """True if it yields."""
        return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in self.nodes)

    @property
    def is_static(self) -> bool:
        """True for a static method."""
        return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in self.decorators)

    @property
    def decorators(self) -> list[ast.expr]:
        """Its decorators; a lambda has none."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements; a lambda's is one expression."""
        if isinstance(self.node, ast.Lambda):
            return [ast.copy_location(ast.Expr(self.node.body), self.node.body)]
        return self.node.body

    def parameters(self) -> list[ast.arg]:
        """Return positional parameters, without the one a method is bound to."""
        arguments = self.node.args
        found = [*arguments.posonlyargs, *arguments.args]
        return found[1:] if self.owner is not None and not self.is_static else found

    def calls(self) -> Iterator[ast.Call]:
        """Yield its own calls."""
        return (node for node in self.nodes if isinstance(node, ast.Call))


Binding: TypeAlias = Imported | Value | Item | Declared | Unknown | Function | Class


def build(path: PurePath, text: str) -> Module:
    """Return the scopes of a file.

    Raises:
        SyntaxError: it cannot be parsed.
        ValueError: it holds a null byte.
    """
    tree = ast.parse(text)
    module = Module(name=path.stem, module=cast("Module", None), parent=None, path=path, tree=tree)
    module.module = module
    builder = _Builder(module)
    for statement in tree.body:
        module.parents[statement] = tree
        builder.visit(statement, module)
    return module


class _Builder:
    """Visits every node once, with the scope it is evaluated in."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def visit(self, node: ast.AST, scope: Scope) -> None:
        scope.nodes.append(node)
        if isinstance(node, ast.ClassDef):
            self._class(node, scope)
        elif isinstance(node, FunctionNode):
            self._function(node, scope)
        else:
            self._bind(node, scope)
            self._children(node, scope)

    def _children(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self._module.parents[child] = node
            self.visit(child, scope)

    def _body(self, node: ast.AST, children: list[ast.AST], scope: Scope) -> None:
        for child in children:
            self._module.parents[child] = node
            self.visit(child, scope)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        made = Class(name=node.name, module=self._module, parent=scope, node=node)
        self._module.classes.append(made)
        scope.bind(node.name, made)
        self._body(node, [*node.decorator_list, *node.bases, *node.keywords], scope)
        self._body(node, [*node.body], made)

    def _function(self, node: FunctionNode, scope: Scope) -> None:
        name = "lambda" if isinstance(node, ast.Lambda) else node.name
        owner = scope if isinstance(scope, Class) else None
        made = Function(name=name, module=self._module, parent=scope, node=node, owner=owner)
        self._module.functions[node] = made
        if not isinstance(node, ast.Lambda):
            scope.bind(name, made)
            self._body(node, [*node.decorator_list], scope)
        arguments = node.args
        defaults = [one for one in (*arguments.defaults, *arguments.kw_defaults) if one is not None]
        self._body(node, [*defaults], scope)
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            made.bind(one.arg, Unknown() if one.annotation is None else Declared(one.annotation))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                made.bind(rest.arg, Unknown())
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
        self._body(node, body, made)

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Import():
                self._import(node, scope)
            case ast.ImportFrom():
                self._import_from(node, scope)
            case ast.Global():
                scope.globals.update(node.names)
            case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
                scope.bind(name, Unknown())
            case _:
                self._assign(node, scope)

    def _assign(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    self._target(target, Value(node.value), scope)
            case ast.AnnAssign():
                self._target(node.target, Declared(node.annotation), scope)
                if node.value is not None:
                    self._target(node.target, Value(node.value), scope)
            case ast.NamedExpr():
                self._target(node.target, Value(node.value), scope)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._target(node.target, Item(node.iter), scope)
            case ast.withitem(optional_vars=ast.expr() as target):
                self._target(target, Value(node.context_expr), scope)

    @staticmethod
    def _import(node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            scope.bind(bound, Imported(alias.name if alias.asname else bound, None, 0))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if alias.name == "*":
                self._module.stars.append(Imported(node.module or "", None, node.level))
            else:
                imported = Imported(node.module or "", alias.name, node.level)
                scope.bind(alias.asname or alias.name, imported)

    def _target(self, target: ast.expr, binding: Binding, scope: Scope) -> None:
        match target:
            case ast.Name():
                scope.bind(target.id, binding)
            case ast.Attribute(value=ast.Name(id="self")) if isinstance(scope, Function) and scope.owner:
                scope.owner.attributes.setdefault(target.attr, []).append((scope, binding))
            case ast.Tuple() | ast.List():
                self._unpack(target, binding, scope)
            case ast.Starred():
                self._target(target.value, Unknown(), scope)

    def _unpack(self, target: ast.Tuple | ast.List, binding: Binding, scope: Scope) -> None:
        values: list[ast.expr] = []
        if isinstance(binding, Value) and isinstance(binding.node, ast.Tuple | ast.List):
            values = binding.node.elts
        for index, one in enumerate(target.elts):
            is_paired = len(values) == len(target.elts)
            self._target(one, Value(values[index]) if is_paired else Unknown(), scope)
