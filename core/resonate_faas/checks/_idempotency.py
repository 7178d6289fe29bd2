"""RF2xx: a step may run again after a crash or a lost answer, and must then do no more than once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks import _effects, _sql
from resonate_faas.checks._findings import Finding, Rule, finding
from resonate_faas.checks._keys import is_fresh, is_open, key_of
from resonate_faas.checks._messages import in_step
from resonate_faas.checks._once import is_done_once
from resonate_faas.checks._program import Program, own
from resonate_faas.checks._scopes import Function, Module, Scope
from resonate_faas.checks._state import changed_object

_TWICE: Final = "a step that crashed after it, or whose answer was lost, runs again"
RULES: Final = (
    Rule("RF201", "insert without a key in a step", _TWICE, "ON CONFLICT, with the step's id as the key"),
    Rule("RF202", "increment in a step", _TWICE, "a row per step id, or a version in WHERE"),
    Rule("RF203", "HTTP POST without an idempotency key in a step", _TWICE, "Idempotency-Key: step.info.id"),
    Rule(
        "RF204",
        "outer state changed in a step",
        "a retry adds again, a replay adds nothing",
        "return it from the step",
    ),
    Rule("RF205", "message sent without a key in a step", _TWICE, "a deduplication key: step.info.id"),
    Rule("RF206", "money moved without a key in a step", _TWICE, "idempotency_key=step.info.id"),
    Rule(
        "RF207",
        "idempotency key that is new at each attempt",
        "the other side cannot tell the attempts apart",
        "step.info.id",
    ),
)
_KEY_CURE: Final = "take StepContext as first parameter and pass step.info.id, the same at each attempt"
_TEXTS: Final = {
    "RF201": f"an insert {{where}} adds a second row when the step runs again: use ON CONFLICT DO NOTHING (an upsert), and {_KEY_CURE}",
    "RF202": "an increment {where} counts twice when the step runs again: insert a row keyed by step.info.id and count rows,"
    " or compare a version in WHERE",
    "RF203": f"an HTTP {{what}} {{where}} without an idempotency key is repeated when the step runs again: {_KEY_CURE},"
    " in an Idempotency-Key header",
    "RF205": f"a message sent {{where}} without a key is sent again when the step runs again: {_KEY_CURE}",
    "RF206": f"{{what}} {{where}} moves money again when the step runs again: {_KEY_CURE} as its idempotency key",
    "RF207": "the idempotency key {where} is new at each attempt, so nothing recognises the second: use step.info.id"
    " (StepContext), or a key that the workflow passes in (ctx.uuid4())",
}
_CONFLICTS: Final = re.compile(
    r"Integrity|Unique|Duplicate|AlreadyExists|Conflict|ConditionalCheckFailed", re.IGNORECASE
)
_APPENDS: Final = frozenset({"append", "appendleft", "extend", "insert"})
_ORM_INSERTS: Final = frozenset({"create", "bulk_create", "acreate"})
_OPERATORS: Final = re.compile(r"^\$(inc|push|mul)$")
_ADDS: Final = re.compile(
    r"\badd\s+[\w#:.]+\s+:|(?P<name>[\w#.]+)\s*=\s*(?P=name)\s*[-+]|list_append", re.IGNORECASE
)


def check(program: Program) -> Iterator[Finding]:
    """Yield what is not idempotent in step code."""
    for function in program.step_code:
        for node in function.calls():
            yield from _call(program, function, node)
        yield from _outer_state(program, function)
    for function, node in program.foreign_steps:
        yield from _call(program, function, node)


def _call(program: Program, function: Function, node: ast.Call) -> Iterator[Finding]:
    where = in_step(program, function)
    found = _repeated(program, function, node)
    if found is not None:
        code, what = found
        yield finding(code, function, node, _TEXTS[code].format(where=where, what=what))
        return
    key = key_of(program, node, function)
    is_ours = isinstance(program.resolver.resolve(node.func, function), Scope)
    if (
        key is not None
        and not is_ours
        and _has_effect(program, function, node)
        and is_fresh(program, key, function)
    ):
        yield finding("RF207", function, node, _TEXTS["RF207"].format(where=where))


def _repeated(program: Program, function: Function, node: ast.Call) -> tuple[str, str] | None:
    """Return the code of what a call repeats when its step runs again, and what the call is."""
    sql = _sql_code(program, function, node)
    if sql is not None:
        is_told_apart = _is_caught(function, node) or is_done_once(program, function, node)
        return (
            None
            if is_told_apart or (sql == "RF201" and key_of(program, node, function) is not None)
            else (sql, "")
        )
    store = _store_code(program, function, node)
    if store is not None:
        return store, ""
    if key_of(program, node, function) is not None or is_open(program, node, function):
        return None
    post = _post(program, function, node)
    if post:
        return "RF203", post
    path, method, receiver = _shape(program, function, node)
    effect = _effects.find(path, method, receiver)
    if effect is None or any(keyword.arg in effect.keys for keyword in node.keywords):
        return None
    return None if _mentions(node, effect.keys) else (effect.code, f"{method}()")


def _shape(program: Program, function: Function, node: ast.Call) -> tuple[str, str, str]:
    """Return path, method and receiver of a call; a call into the checked files has none of them."""
    ref = program.resolver.resolve(node.func, function)
    if isinstance(ref, Function) and not _is_stub(ref):
        return "-", "", ""
    path = program.resolver.path(node.func, function)
    if isinstance(node.func, ast.Attribute):
        return path, node.func.attr, ast.unparse(node.func.value)
    return path, path.rpartition(".")[2], path.rpartition(".")[0]


def _is_stub(function: Function) -> bool:
    """True for a method of a protocol: what it does stands elsewhere."""
    return all(
        isinstance(one, ast.Pass | ast.Raise)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in function.body
    )


def _has_effect(program: Program, function: Function, node: ast.Call) -> bool:
    return bool(_post(program, function, node)) or _effects.find(*_shape(program, function, node)) is not None


def _sql_code(program: Program, function: Function, node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Attribute) and node.func.attr not in {
        "text",
        "format",
        "strip",
        "info",
        "debug",
        "join",
    }:
        sql = _sql.sql_of(program, node, function)
        if sql and node.func.attr not in {"SQL", "prepare", "warning", "error", "write", "append"}:
            if _sql.changes_again(sql):
                return "RF202"
            if _sql.inserts_again(sql):
                return "RF201"
        elif node.args and _builds_insert(program, node.args[0], function):
            return "RF201"
    return None


def _builds_insert(program: Program, node: ast.expr, function: Function) -> bool:
    """True for ``execute(insert(table).values(...))`` of SQLAlchemy without ``on_conflict_...``."""
    names = []
    current: ast.expr = node
    while isinstance(current, ast.Call):
        if program.resolver.path(current.func, function).startswith("sqlalchemy") and not isinstance(
            current.func, ast.Attribute
        ):
            names.append(program.resolver.path(current.func, function).rpartition(".")[2])
            break
        if not isinstance(current.func, ast.Attribute):
            break
        names.append(current.func.attr)
        current = current.func.value
    return names[-1:] == ["insert"] and not any(one.startswith(("on_", "prefix")) for one in names)


def _store_code(program: Program, function: Function, node: ast.Call) -> str | None:
    """Django, MongoDB, DynamoDB: increments and inserts that are methods, not SQL."""
    if not isinstance(node.func, ast.Attribute):
        return None
    path = program.resolver.path(node.func, function)
    names = {keyword.arg for keyword in node.keywords}
    if ".objects." in f".{path}" and node.func.attr in _ORM_INSERTS:
        is_keyed = "ignore_conflicts" in names or key_of(program, node, function) is not None
        return None if is_keyed or _is_caught(function, node) else "RF201"
    texts = {keyword.arg: _sql.text_of(program, keyword.value, function) for keyword in node.keywords}
    if node.func.attr == "update_item" and _ADDS.search(texts.get("UpdateExpression", "")):
        return None if "ConditionExpression" in names else "RF202"
    if node.func.attr in {"update_one", "update_many", "find_one_and_update"} and len(node.args) > 1:
        operators = [
            one for one in own(node.args[1]) if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        is_keyed = key_of(program, node, function) is not None
        return (
            "RF202" if not is_keyed and any(_OPERATORS.match(str(one.value)) for one in operators) else None
        )
    return None


def _is_caught(function: Function, node: ast.AST) -> bool:
    """True if a duplicate is expected: the call stands in a try that catches the error a second row raises."""
    for inner, outer in function.module.around(node):
        if isinstance(outer, ast.Try) and inner in outer.body:
            caught = [ast.unparse(one.type) for one in outer.handlers if one.type is not None]
            if any(_CONFLICTS.search(one) for one in caught):
                return True
    return False


def _post(program: Program, function: Function, node: ast.Call) -> str:
    """Return "POST" or "PATCH" for a request that changes something; "" for all else."""
    path, method, _ = _shape(program, function, node)
    is_client = path.startswith(_effects.HTTP)
    arguments = node.args
    if method in {"request", "stream"} and arguments and isinstance(arguments[0], ast.Constant):
        method, arguments = str(arguments[0].value).lower(), arguments[1:]
    if path in {"urllib.request.Request", "urllib.request.urlopen"}:
        data = next((one.value for one in node.keywords if one.arg == "data"), None)
        return "POST" if data is not None or len(node.args) > 1 else ""
    address = next(
        (one.value for one in node.keywords if one.arg == "url"), arguments[0] if arguments else None
    )
    text = _sql.text_of(program, address, function) if address is not None else ""
    if method not in _effects.POSTS or _effects.READING.search(text):
        return ""
    is_address = text.startswith(("http", "/", "?/"))
    return method.upper() if is_client or (not path.startswith("-") and is_address) else ""


def _mentions(node: ast.Call, names: frozenset[str]) -> bool:
    return any(isinstance(one, ast.Constant) and one.value in names for one in own(node))


def _outer_state(program: Program, function: Function) -> Iterator[Finding]:
    where = in_step(program, function)
    for node in function.nodes:
        changed = _changed(program, function, node)
        if changed is not None:
            target, name = changed
            text = f"{name!r} is changed {where}, outside it: a retry adds again, a replay adds nothing; return the value instead"
            yield finding("RF204", function, target, text)


def _changed(program: Program, function: Function, node: ast.AST) -> tuple[ast.expr, str] | None:
    """Return the place and the name of outer state that a node of a step changes so that twice is not once."""
    if isinstance(node, ast.AugAssign):
        target: ast.expr = node.target
        is_adding = not isinstance(node.op, ast.BitOr | ast.BitAnd)
    else:
        found = changed_object(node)
        if found is None:
            return None
        target = found
        is_adding = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _APPENDS
        )
    base = target
    while isinstance(base, ast.Subscript | ast.Attribute):
        base = base.value
    if not isinstance(base, ast.Name):
        return None
    if isinstance(target, ast.Attribute) and base.id == "self":
        is_own = is_adding and function in program.step_roots and function.owner is not None
        return (target, ast.unparse(target)) if is_own else None
    holder = _outer_holder(program, function, base.id)
    if holder is None:
        return None
    is_lost = isinstance(holder, Function) and holder not in program.step_code
    return (target, ast.unparse(target)) if is_lost or (is_adding and isinstance(holder, Module)) else None


def _outer_holder(program: Program, function: Function, name: str) -> Scope | None:
    """Return the scope outside the function that holds a variable; None: it is the function's own, or no variable."""
    nonlocal_names = {one for node in function.nodes if isinstance(node, ast.Nonlocal) for one in node.names}
    holder = program.resolver.holder(name, function)
    if holder is function and name in nonlocal_names and function.parent is not None:
        holder = program.resolver.holder(name, function.parent)
    if name in function.globals:
        holder = function.module
    return holder if holder is not function and isinstance(holder, Function | Module) else None
