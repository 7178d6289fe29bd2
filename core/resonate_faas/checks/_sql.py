"""SQL in calls: the text that is executed, and whether doing it twice does more than doing it once."""

from __future__ import annotations

import ast
import re
from typing import Final

from resonate_faas.checks._program import Program
from resonate_faas.checks._scopes import Scope, Value

_VERB: Final = re.compile(
    r"\s*(select|insert|update|delete|replace|merge|with|create|drop|alter|truncate|copy)\b", re.IGNORECASE
)
_INSERT: Final = re.compile(r"\binsert\s+into\b", re.IGNORECASE)
_GUARDED: Final = re.compile(
    r"\bon\s+conflict\b|\bon\s+duplicate\s+key\b|\bnot\s+exists\b|\bexcept\s+select\b|\bif\s+not\s+exists\b",
    re.IGNORECASE,
)
_UPDATE: Final = re.compile(
    r"\bupdate\b.*?\bset\b(?P<sets>.*?)(?:\bwhere\b(?P<where>.*))?$", re.IGNORECASE | re.DOTALL
)
_CHANGE: Final = re.compile(
    r"(?P<column>\w+)\s*=\s*(?:coalesce\s*\(\s*)?(?:\w+\.)?(?P=column)\b\s*(?:,[^)]*\)\s*)?(?:[-+*/]|\|\|)"
    r"|(?P<second>\w+)\s*=\s*[^,=]{1,40}?[-+*]\s*(?:\w+\.)?(?P=second)\b",
    re.IGNORECASE,
)
_VERSION: Final = re.compile(
    r"\b(version|revision|rev|seq|applied|processed|last_key|last_event|idempoten\w*)\b", re.IGNORECASE
)
_DEPTH_MAX: Final = 6


def sql_of(program: Program, call: ast.Call, scope: Scope) -> str:
    """Return the statement that a call executes, placeholders for what is put in; "" if it is not in the text."""
    if not call.args:
        return ""
    text = text_of(program, call.args[0], scope)
    return text if _VERB.match(text) else ""


def text_of(program: Program, node: ast.expr, scope: Scope, depth: int = 0) -> str:
    """Return a string as far as it stands in the text; "?" for each value put into it."""
    if depth > _DEPTH_MAX:
        return ""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr():
            return "".join(str(one.value) if isinstance(one, ast.Constant) else "?" for one in node.values)
        case ast.BinOp(op=ast.Add()):
            left = text_of(program, node.left, scope, depth + 1)
            return left + text_of(program, node.right, scope, depth + 1)
        case ast.BinOp(op=ast.Mod()):
            return text_of(program, node.left, scope, depth + 1)
        case ast.Call(func=ast.Attribute(attr="format" | "strip", value=inner)):
            return text_of(program, inner, scope, depth + 1)
        case ast.Call() if node.args and program.resolver.path(node.func, scope).endswith(
            (".text", ".SQL", "dedent")
        ):
            return text_of(program, node.args[0], scope, depth + 1)
        case ast.Name() | ast.Attribute():
            return _named_text(program, node, scope, depth)
    return ""


def _named_text(program: Program, node: ast.Name | ast.Attribute, scope: Scope, depth: int) -> str:
    if isinstance(node, ast.Attribute):
        base = program.resolver.resolve(node.value, scope)
        holder = base if isinstance(base, Scope) else getattr(base, "of", None)
        name = node.attr
    else:
        holder, name = program.resolver.holder(node.id, scope), node.id
    if not isinstance(holder, Scope):
        return ""
    found = [one for one in holder.bindings.get(name, []) if isinstance(one, Value)]
    imported = None if found else program.resolver.origin(name, holder)
    if imported is not None:
        holder, name = imported
        found = [one for one in holder.bindings.get(name, []) if isinstance(one, Value)]
    return text_of(program, found[-1].node, holder, depth + 1) if found else ""


def inserts_again(sql: str) -> bool:
    """True for an INSERT that a second run would repeat."""
    return bool(_INSERT.search(sql)) and not _GUARDED.search(sql)


def changes_again(sql: str) -> bool:
    """True for an UPDATE that computes a column from itself, with nothing that tells a second run apart."""
    for statement in sql.split(";"):
        found = _UPDATE.search(statement)
        if found is None:
            continue
        change = _CHANGE.search(found["sets"])
        where = found["where"] or ""
        if change is not None and not _VERSION.search(where):
            column = change["column"] or change["second"]
            if not re.search(rf"\b{column}\b", where, re.IGNORECASE):
                return True
    return False
