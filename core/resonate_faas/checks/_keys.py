"""Idempotency keys: whether a call carries one, and whether it is the same at each attempt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks._program import Program, own
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function, Imported, Scope, Value
from resonate_faas.checks._tables import DETERMINISM, FRESH, SEEDABLE, first

KEY: Final = re.compile(
    r"idempot|dedup|^(x[-_])?(client|request|transaction|message|external|operation)[-_]?(request[-_]?)?(id|token|key|ref|reference)$"
    r"|^key$|^reference(_id)?$|^nonce$|^(custom_)?uid$|^if[-_](none[-_])?match$|^end_to_end_id$",
    re.IGNORECASE,
)
_DEPTH_MAX: Final = 5


def key_of(program: Program, call: ast.Call, scope: Scope) -> ast.expr | None:
    """Return the value of the idempotency key that a call carries; None: it carries none.

    A key is an argument or an entry of a dictionary whose name says so, or the id of the step anywhere.
    """
    for name, value in _entries(program, call, scope):
        if KEY.search(name):
            return value
    for argument in _arguments(call):
        if _is_key(program, argument, scope):
            return argument
    return None


def is_open(program: Program, call: ast.Call, scope: Scope) -> bool:
    """True if a key may come from where the text does not show it: ``**options``, headers made elsewhere."""
    for keyword in call.keywords:
        if keyword.arg is None:
            return not _dictionaries(program, keyword.value, scope)
        if keyword.arg in {"headers", "options", "metadata"} and not _is_shown(program, keyword.value, scope):
            return True
    return any(isinstance(one, ast.Starred) for one in call.args)


def _is_shown(program: Program, node: ast.expr, scope: Scope) -> bool:
    found = _dictionaries(program, node, scope)
    unpacked = [
        value for one, _ in found for name, value in zip(one.keys, one.values, strict=True) if name is None
    ]
    return bool(found) and all(_is_shown(program, one, scope) for one in unpacked)


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _entries(program: Program, call: ast.Call, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and values: keyword arguments, and what dictionaries among the arguments hold."""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
    for argument in _arguments(call):
        yield from _dictionary_entries(program, argument, scope, 0)
        if isinstance(argument, ast.Name):
            yield from _later_entries(argument.id, scope)


def _dictionary_entries(
    program: Program, node: ast.expr, scope: Scope, depth: int
) -> Iterator[tuple[str, ast.expr]]:
    if depth > _DEPTH_MAX:
        return
    for found, holder in _dictionaries(program, node, scope):
        for name, value in zip(found.keys, found.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value, value
            yield from _dictionary_entries(program, value, holder, depth + 1)
    for one in ast.iter_child_nodes(node) if isinstance(node, ast.Call) else ():
        if isinstance(one, ast.keyword) and one.arg is not None:
            yield one.arg, one.value


def _dictionaries(
    program: Program, node: ast.expr, scope: Scope, depth: int = 0
) -> list[tuple[ast.Dict, Scope]]:
    """Return the dictionary displays that an expression may be."""
    if isinstance(node, ast.Dict):
        return [(node, scope)]
    if isinstance(node, ast.BinOp):
        return [
            *_dictionaries(program, node.left, scope, depth + 1),
            *_dictionaries(program, node.right, scope, depth + 1),
        ]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        made = ast.Dict(
            [ast.Constant(one.arg) for one in node.keywords], [one.value for one in node.keywords]
        )
        return [(made, scope)]
    if not isinstance(node, ast.Name) or depth > _DEPTH_MAX:
        return []
    holder = program.resolver.holder(node.id, scope)
    if holder is None:
        return []
    origin = (
        program.resolver.origin(node.id, holder)
        if isinstance(holder.bindings[node.id][0], Imported)
        else None
    )
    holder, name = origin or (holder, node.id)
    values = [one.node for one in holder.bindings.get(name, []) if isinstance(one, Value)]
    return [found for one in values for found in _dictionaries(program, one, holder, depth + 1)]


def _later_entries(name: str, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is put into a local dictionary after it was made: ``headers["Idempotency-Key"] = key``."""
    for node in scope.nodes:
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id=found), slice=ast.Constant(value=str() as key))]
            ):
                if found == name:
                    yield key, node.value


def _is_key(program: Program, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
    """True if an expression holds the step's own id, or a variable named as a key."""
    for one in own(node):
        if isinstance(one, ast.Attribute):
            if program.resolver.path(one, scope) == f"{CONTEXT}.info.id" or KEY.search(one.attr):
                return True
        elif isinstance(one, ast.Name):
            if KEY.search(one.id):
                return True
            holder = program.resolver.holder(one.id, scope)
            if holder is scope and depth < _DEPTH_MAX and isinstance(scope, Function):
                values = [bound.node for bound in holder.bindings[one.id] if isinstance(bound, Value)]
                if any(value is not node and _is_key(program, value, scope, depth + 1) for value in values):
                    return True
    return False


def is_fresh(program: Program, key: ast.expr, scope: Scope, depth: int = 0) -> bool:
    """True if a key is made anew at each attempt: drawn, or read from the clock, within the step."""
    if depth > _DEPTH_MAX:
        return False
    for node in own(key):
        if isinstance(node, ast.Call):
            path = program.resolver.path(node.func, scope)
            entry = None if path.startswith(SEEDABLE) else first(path, DETERMINISM)
            if entry is not None and entry.code in FRESH:
                return True
        elif isinstance(node, ast.Name):
            holder = program.resolver.holder(node.id, scope)
            if holder is scope and isinstance(scope, Function):
                values = [one.node for one in holder.bindings[node.id] if isinstance(one, Value)]
                if any(is_fresh(program, one, scope, depth + 1) for one in values):
                    return True
    return False
